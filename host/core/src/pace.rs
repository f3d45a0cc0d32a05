//! How much of something may be had in a second, on average (the generic cell rate
//! algorithm of ATM, ITU-T I.371).

use std::time::Duration;

/// What has been had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pace {
    /// When all of it is made good.
    until: Duration,
}

impl Pace {
    /// Of `wanted`, as many as may be had now, where so many may be had in a second and
    /// those of `over` at once.
    pub fn take(&mut self, wanted: usize, per_second: u32, over: Duration, now: Duration) -> usize {
        let each = Duration::from_secs(1) / per_second.max(1);
        let until = self.until.max(now);
        let room = (now + over).saturating_sub(until).as_nanos() / each.as_nanos().max(1);
        let had = wanted.min(usize::try_from(room).unwrap_or(usize::MAX));
        self.until = until + each.saturating_mul(u32::try_from(had).unwrap_or(u32::MAX));
        had
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_is_had_at_once_and_the_rest_by_and_by() {
        let (mut pace, over) = (Pace::default(), 10 * SECOND);
        assert_eq!(pace.take(500, 20, over, SECOND), 200);
        assert_eq!(pace.take(500, 20, over, SECOND), 0);
        assert_eq!(pace.take(500, 20, over, 2 * SECOND), 20);
        assert_eq!(pace.take(5, 20, over, 3 * SECOND), 5);
        assert_eq!(pace.take(500, 20, over, 3600 * SECOND), 200, "no more is saved up");
    }

    proptest! {
        #[test]
        fn never_is_more_had_than_what_a_burst_and_the_time_give(
            takes in prop::collection::vec((0..1000_usize, 0..5000_u64), 1..50), per_second in 1..500_u32,
        ) {
            let (mut pace, mut now, mut had) = (Pace::default(), SECOND, 0);
            for (wanted, pause_ms) in takes {
                now += Duration::from_millis(pause_ms);
                had += pace.take(wanted, per_second, 2 * SECOND, now);
                let most = (now + SECOND).as_secs_f64() * f64::from(per_second);
                prop_assert!(had as f64 <= most + 1.0, "{had} of {most}");
            }
        }
    }
}
