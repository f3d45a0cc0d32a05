//! How long a watch waits before it asks again.

use std::time::Duration;

use super::failure::Failure;

/// After the first failure.
const FIRST: Duration = Duration::from_millis(500);

/// With a quarter of spread on top it stays below the 30 s in which a granted
/// permission has to be noticed.
const LONGEST: Duration = Duration::from_secs(20);

/// Discovery names a kind a moment before it can be listed; a kind that appears
/// has to be served within 5 s.
const LONGEST_MISSING: Duration = Duration::from_secs(1);

/// Doubles with each failure since the watch last got somewhere.
#[derive(Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The delay after one more failure, up to a quarter of it by chance, so
    /// that many watches do not come back at once.
    pub(super) fn next(&mut self, failure: &Failure, random: u64) -> Duration {
        let longest = if matches!(failure, Failure::Missing(_)) { LONGEST_MISSING } else { LONGEST };
        let doubled = FIRST.saturating_mul(2_u32.saturating_pow(self.failures));
        self.failures = self.failures.saturating_add(1);
        let asked = match failure {
            Failure::Refused { retry_after_s, .. } => Duration::from_secs(u64::from(*retry_after_s)),
            _ => Duration::ZERO,
        };
        let delay = doubled.max(asked).min(longest);
        delay + delay.mul_f64((random % 1000) as f64 / 4000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(retry_after_s: u32) -> Failure {
        Failure::Refused { code: 429, message: String::new(), retry_after_s }
    }

    #[test]
    fn delays_double_and_stay_short_enough_to_notice_a_permission_within_30_s() {
        let mut backoff = Backoff::default();
        let delays = (0..100).map(|_| backoff.next(&Failure::Silent, u64::MAX)).collect::<Vec<_>>();
        assert!(delays[0] < Duration::from_secs(1));
        assert!(delays[1] > delays[0].mul_f64(1.5));
        assert!(delays.iter().all(|delay| *delay <= Duration::from_secs(25)));
        backoff.reset();
        assert_eq!(backoff.next(&Failure::Silent, 0), FIRST);
    }

    #[test]
    fn a_missing_kind_is_asked_for_often_and_retry_after_is_kept() {
        let mut backoff = Backoff::default();
        let missing = Failure::Missing(String::new());
        assert!((0..10).all(|_| backoff.next(&missing, 0) <= LONGEST_MISSING));
        assert_eq!(Backoff::default().next(&refused(7), 0), Duration::from_secs(7));
    }
}
