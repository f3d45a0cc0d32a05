//! How long a key waits after failures: controller-runtime's curve, 5 ms
//! doubling up to 1000 s, with jitter. Where the server asked for a pause, it
//! begins there: a server that says the same again and again is not asked as
//! often as it says for ever.
//!
//! Jitter only lengthens a delay, up to the longest. So the curve itself holds
//! what a permanently refused write may cost the API server: at most 15
//! requests in the first minute (14 at 5 ms × 2ⁿ) and one in each minute
//! after it, since from then on every delay is longer than a minute. The same
//! holds from any pause of whole seconds, which is how servers ask for one.

use std::time::Duration;

/// The delay after a first failure, before jitter.
pub const FIRST: Duration = Duration::from_millis(5);
/// The longest delay, jitter included.
pub const LONGEST: Duration = Duration::from_secs(1000);
/// Jitter adds up to one in so many parts: enough that keys that failed
/// together, as when the API server went away, come back apart.
const JITTER_PARTS: u32 = 5;

/// Where the delays begin and end, as long as no server asks for longer ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Curve {
    /// The first delay, before jitter.
    pub first: Duration,
    /// The longest, jitter included.
    pub longest: Duration,
}

impl Default for Curve {
    fn default() -> Self {
        Self { first: FIRST, longest: LONGEST }
    }
}

/// The delay before the next try after `failures` failures in a row (at least
/// one). It begins with `pause`, if that is longer than the curve's first, and is
/// never shorter. `random` is any number from the environment.
pub fn delay(curve: Curve, pause: Duration, failures: u32, random: u64) -> Duration {
    let first = pause.max(curve.first);
    let doubled = 2_u32.checked_pow(failures.saturating_sub(1)).and_then(|factor| first.checked_mul(factor));
    let longest_before_jitter = curve.longest * JITTER_PARTS / (JITTER_PARTS + 1);
    let base = doubled.unwrap_or(Duration::MAX).min(longest_before_jitter).max(pause);
    let share = (random >> 32) as f64 / f64::from(u32::MAX);
    base + (base / JITTER_PARTS).mul_f64(share)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CURVE: Curve = Curve { first: FIRST, longest: LONGEST };

    /// When the tries are made, the first at zero, as long as `until`.
    fn tries(pause: Duration, until: Duration, mut random: impl FnMut() -> u64) -> Vec<Duration> {
        let mut times = vec![Duration::ZERO];
        loop {
            let failures = u32::try_from(times.len()).unwrap();
            let next = times[times.len() - 1] + delay(CURVE, pause, failures, random());
            if next >= until {
                return times;
            }
            times.push(next);
        }
    }

    #[test]
    fn without_jitter_the_delays_double_from_five_milliseconds() {
        let delays = (1..=5).map(|failures| delay(CURVE, Duration::ZERO, failures, 0).as_millis()).collect::<Vec<_>>();
        assert_eq!(delays, [5, 10, 20, 40, 80]);
    }

    #[test]
    fn the_longest_delay_is_reached_with_jitter_and_never_passed() {
        let longest = delay(CURVE, Duration::ZERO, u32::MAX, u64::MAX);
        assert!(longest <= LONGEST && LONGEST - longest < FIRST, "{longest:?}");
        assert!(delay(CURVE, Duration::ZERO, u32::MAX, 0) > LONGEST * 4 / 5);
        assert_eq!(delay(CURVE, Duration::ZERO, 0, 0), FIRST);
    }

    #[test]
    fn a_policy_may_bend_the_curve_but_no_pause_of_the_server_is_cut_short() {
        let curve = Curve { first: Duration::from_secs(1), longest: Duration::from_secs(6) };
        let seconds = |pause, failures| delay(curve, Duration::from_secs(pause), failures, 0).as_secs();
        assert_eq!((1..=5).map(|failures| seconds(0, failures)).collect::<Vec<_>>(), [1, 2, 4, 5, 5]);
        assert_eq!((1..=3).map(|failures| seconds(60, failures)).collect::<Vec<_>>(), [60, 60, 60]);
    }

    proptest! {
        #[test]
        fn a_permanently_refused_write_costs_fifteen_requests_in_the_first_minute_and_one_in_each_later(
            pause in prop_oneof![Just(Duration::ZERO), (1..300_u64).prop_map(Duration::from_secs)],
            randoms in proptest::collection::vec(any::<u64>(), 32),
        ) {
            let minute = Duration::from_secs(60);
            let mut randoms = randoms.into_iter().cycle();
            let times = tries(pause, minute * 60, || randoms.next().expect("a cycle does not end"));
            prop_assert!(times.iter().filter(|time| **time < minute).count() <= 15);
            for later in 1..60 {
                let in_it = times.iter().filter(|time| (minute * later..minute * (later + 1)).contains(*time)).count();
                prop_assert!(in_it <= 1, "{in_it} in minute {later}");
            }
        }

        #[test]
        fn jitter_lengthens_by_at_most_a_fifth(failures in 1_u32..40, random: u64) {
            let plain = delay(CURVE, Duration::ZERO, failures, 0);
            let jittered = delay(CURVE, Duration::ZERO, failures, random);
            prop_assert!(plain <= jittered && jittered <= plain * 6 / 5 + Duration::from_nanos(10), "{plain:?} {jittered:?}");
        }
    }
}
