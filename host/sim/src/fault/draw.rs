//! Plans of faults from a seed.

use std::time::Duration;

use super::{Fault, Outage, Stream, What, When};
use crate::env::SplitMix;

/// What a plan is drawn for.
#[derive(Debug, Clone, Copy)]
pub struct Draw {
    /// How many faults, besides the clocks.
    pub faults: usize,
    /// The time in which they begin.
    pub until: Duration,
    /// The hosts that are started at the beginning: each gets clocks of its own.
    pub hosts: u32,
    /// The resources that hosts watch.
    pub resources: &'static [&'static str],
}

/// The clocks of two machines are at most so far apart.
const CLOCK_RATE_MAX_PPM: u64 = 10_000;
/// The longest time for which watches are stale or a process is cut off: past
/// a Lease's deadline and its end, so that both are met.
const AWAY_MAX: Duration = Duration::from_secs(25);
/// The farthest that a list lags behind.
const STALE_CHANGES_MAX: u64 = 40;
/// The most requests that one outage refuses.
const REFUSED_MAX: u64 = 12;
/// The farthest that a wall clock is set.
const STEP_MAX_S: u64 = 48 * 3600;

/// A plan: the same one for the same seed, in the order of time.
pub fn draw(seed: u64, wanted: &Draw) -> Vec<Fault> {
    let dice = Dice { random: SplitMix::new(seed, u64::from_le_bytes(*b"faults\0\0")), wanted };
    let clocks = (1..=wanted.hosts).map(|process| {
        let ppm = dice.below(2 * CLOCK_RATE_MAX_PPM + 1) as i32 - CLOCK_RATE_MAX_PPM as i32;
        Fault { when: When::At(Duration::ZERO), what: What::ClockRate { process, ppm } }
    });
    let mut plan = clocks.collect::<Vec<_>>();
    for _ in 0..wanted.faults {
        let what = dice.what();
        // A Lease that is lost twice in a row is beyond what an election promises.
        let again = matches!(what, What::LeaseDeleted | What::LeaseTaken) && plan.iter().any(|it| it.what == what);
        if !again {
            plan.push(Fault { when: When::At(dice.random.below(wanted.until)), what });
        }
    }
    plan.sort_by_key(|fault| match fault.when {
        When::At(at) => at,
        When::Write(_) | When::LeaseWrite(_) | When::Event(_) => Duration::ZERO,
    });
    plan
}

struct Dice<'a> {
    random: SplitMix,
    wanted: &'a Draw,
}

impl Dice<'_> {
    fn below(&self, limit: u64) -> u64 {
        self.random.next() % limit
    }

    fn away(&self) -> Duration {
        // Mostly short: a long time away hides what else goes wrong in it.
        let short = self.below(3) > 0;
        Duration::from_millis(1) + self.random.below(if short { AWAY_MAX / 10 } else { AWAY_MAX })
    }

    fn what(&self) -> What {
        match self.below(28) {
            0 => What::CrashBefore,
            1 | 2 => What::CrashAfter,
            3 => What::RequestLost,
            4 | 5 => What::AnswerLost,
            6 => What::Late,
            7 | 8 => What::Conflict,
            9 => What::Frozen(self.away()),
            10 | 11 => What::Refused { by: self.outage(), requests: 1 + self.below(REFUSED_MAX) as u32 },
            12 | 13 => What::StaleList { changes: 1 + self.below(STALE_CHANGES_MAX) },
            14..=21 => What::Watches { of: self.resource().map(Into::into), stream: self.stream() },
            22 => What::Compacted,
            23 => What::LeaseDeleted,
            24 => What::LeaseTaken,
            25 => What::Restarted,
            26 => What::WallClockStep {
                process: 1 + self.below(u64::from(self.wanted.hosts)) as u32,
                by_s: self.below(2 * STEP_MAX_S) as i64 - STEP_MAX_S as i64,
            },
            _ => What::Watches { of: None, stream: Stream::Hidden(self.away()) },
        }
    }

    fn outage(&self) -> Outage {
        match self.below(3) {
            0 => Outage::Busy(1 + self.below(5) as u32),
            1 => Outage::Internal,
            _ => Outage::Unavailable,
        }
    }

    fn resource(&self) -> Option<&'static str> {
        let names = self.wanted.resources;
        // Each as often as all of them.
        names.get(self.below(names.len() as u64 + 1) as usize).copied()
    }

    fn stream(&self) -> Stream {
        match self.below(6) {
            0 => Stream::Ended,
            1 => Stream::Expired,
            2 => Stream::Held(self.away()),
            3 => Stream::Hidden(self.away()),
            4 => Stream::Silent,
            _ => Stream::Repeated,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const WANTED: Draw =
        Draw { faults: 60, until: Duration::from_secs(300), hosts: 2, resources: &["sites", "configmaps"] };

    #[test]
    fn a_seed_draws_one_plan_and_another_seed_another_one() {
        assert_eq!(draw(7, &WANTED), draw(7, &WANTED));
        assert_ne!(draw(7, &WANTED), draw(8, &WANTED));
    }

    #[test]
    fn seeds_draw_faults_of_every_kind_but_of_the_scenario_s_own() {
        let words = (0..100).flat_map(|seed| draw(seed, &WANTED)).map(|fault| fault.what.word());
        assert_eq!(words.collect::<BTreeSet<_>>().len(), 22);
    }

    #[test]
    fn a_lease_is_lost_once_at_most_in_each_way() {
        for seed in 0..100 {
            let lost = draw(seed, &WANTED).into_iter().filter(|fault| fault.what == What::LeaseDeleted).count();
            assert!(lost <= 1, "seed {seed}");
        }
    }
}
