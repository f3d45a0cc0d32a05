//! Whether a generation does worse than the one before it. Objects are counted, not
//! calls, so that one which is tried often weighs as much as any other; and none that
//! failed under the last good one, too: that is no blame.

use std::time::Duration;

use super::Terms;

/// So many objects are a sample; of fewer, all are waited for.
const SAMPLE: usize = 20;
/// Where no object was tried for the first time for so long, all have been that will be.
const ALL_AFTER: Duration = Duration::from_secs(5);
/// Two standard deviations: of a hundred generations that break as many objects as is
/// tolerated, three are taken for worse.
const DEVIATIONS: f64 = 2.0;

/// How the objects fare that a generation is judged by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    /// Objects whose run has come to something.
    pub tried: usize,
    /// Those of them that failed, twice in a row or in a way that no retry mends.
    pub failing: usize,
    /// How one of these failed.
    pub example: Option<String>,
    /// How long ago one was tried for the first time.
    pub quiet: Duration,
}

/// What the gate says of a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing that would speak against it.
    Well,
    /// It breaks more than is tolerated.
    Worse(String),
}

/// Judges a generation. Where all objects have been tried, their share is compared as it
/// is; before that, they are a sample of all, and the least share that it speaks for is
/// (the lower end of Wilson's interval).
pub fn judge(tally: &Tally, terms: &Terms) -> Verdict {
    let Tally { tried, failing, example, quiet } = tally;
    let tolerated = terms.tolerated_percent;
    let all = *quiet >= ALL_AFTER && failing * 100 > tried * tolerated;
    let sample = *tried >= SAMPLE && least_share(*failing, *tried) * 100.0 > tolerated as f64;
    if !all && !sample {
        return Verdict::Well;
    }
    let such_as = example.as_ref().map(|example| format!(", such as {example}")).unwrap_or_default();
    Verdict::Worse(format!("of {tried} objects that did not fail before, it fails for {failing}{such_as}"))
}

fn least_share(failing: usize, tried: usize) -> f64 {
    let (n, z) = (tried as f64, DEVIATIONS);
    let share = failing as f64 / n;
    let spread = z * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
    (share + z * z / (2.0 * n) - spread) / (1.0 + z * z / n)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_worse(failing: usize, tried: usize, quiet_s: u64) -> bool {
        let tally = Tally { tried, failing, example: None, quiet: Duration::from_secs(quiet_s) };
        judge(&tally, &Terms::default()) != Verdict::Well
    }

    #[test]
    fn a_few_objects_are_judged_when_all_have_been_tried() {
        assert!(!is_worse(1, 1, 4) && is_worse(1, 1, 5), "one of one");
        assert!(!is_worse(3, 19, 0) && is_worse(3, 19, 5));
        assert!(!is_worse(0, 0, 3600), "nothing was tried");
    }

    #[test]
    fn many_objects_are_judged_by_a_sample_at_once() {
        assert!(is_worse(7, 20, 0), "a third");
        assert!(!is_worse(1, 20, 0), "one of the first twenty may be the only one of ten thousand");
        assert!(!is_worse(100, 10_000, 60) && is_worse(101, 10_000, 60), "a hundredth is tolerated");
    }

    #[test]
    fn what_is_worse_is_told_with_an_example() {
        let example = Some("default/a: the plugin trapped".to_owned());
        let tally = Tally { tried: 3, failing: 2, example, quiet: ALL_AFTER };
        let Verdict::Worse(why) = judge(&tally, &Terms::default()) else { panic!("two of three fail") };
        assert!(why.contains("of 3 objects") && why.contains("fails for 2, such as default/a:"), "{why}");
    }

    proptest! {
        #[test]
        fn what_fails_for_none_is_never_worse(tried in 0..100_000_usize, quiet_s in 0..100_u64) {
            prop_assert!(!is_worse(0, tried, quiet_s));
        }

        #[test]
        fn who_is_worse_is_so_with_more_failures_too(tried in 1..1000_usize, at in 0.0..1.0_f64, quiet_s in 0..10_u64) {
            let failing = (tried as f64 * at) as usize;
            prop_assert!(!is_worse(failing, tried, quiet_s) || is_worse(failing + 1, tried.max(failing + 1), quiet_s));
        }
    }
}
