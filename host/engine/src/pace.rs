//! How fast a plugin is called, where its policy bounds it: each call has a turn,
//! and the turns of one lineage are evenly apart.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use trimtab_core::id::Lineage;

/// The next free turn of each lineage, in `Env::elapsed`.
#[derive(Debug, Default)]
pub struct Pace {
    next: Mutex<HashMap<Lineage, Duration>>,
}

impl Pace {
    /// How long a key still has to wait for its turn; none: it is its turn. `turn`
    /// is what the key remembers of it until then.
    pub fn wait(
        &self,
        lineage: &Lineage,
        calls_per_second: Option<u32>,
        turn: &mut Option<Duration>,
        now: Duration,
    ) -> Option<Duration> {
        let reserved = turn.take();
        let calls_per_second = calls_per_second?;
        let its = reserved.unwrap_or_else(|| self.next_turn(lineage, calls_per_second, now));
        (its > now).then(|| {
            *turn = Some(its);
            its - now
        })
    }

    fn next_turn(&self, lineage: &Lineage, calls_per_second: u32, now: Duration) -> Duration {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let free = next.entry(lineage.clone()).or_default();
        let turn = now.max(*free);
        *free = turn + Duration::from_secs(1) / calls_per_second;
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn turns_are_evenly_apart_and_a_key_keeps_its_own() {
        let (pace, site) = (Pace::default(), Lineage::new("site").unwrap());
        let mut turns = [None; 3];
        let mut wait = |key: usize, now| pace.wait(&site, Some(10), &mut turns[key], ms(now));
        assert_eq!([wait(0, 5), wait(1, 5), wait(2, 5)], [None, Some(ms(100)), Some(ms(200))]);
        assert_eq!(wait(2, 55), Some(ms(150)), "it was woken early and has not lost its turn");
        assert_eq!([wait(1, 105), wait(2, 205)], [None, None]);
        assert_eq!(wait(0, 205), Some(ms(100)));
        assert_eq!(wait(1, 9_000), None, "what was not used is not saved up");
        assert_eq!(wait(2, 9_000), Some(ms(100)));
    }

    #[test]
    fn without_a_bound_nothing_waits_and_plugins_do_not_wait_for_each_other() {
        let (pace, site, page) = (Pace::default(), Lineage::new("site").unwrap(), Lineage::new("page").unwrap());
        let mut turn = Some(ms(500));
        assert_eq!(pace.wait(&site, None, &mut turn, ms(0)), None);
        assert_eq!(turn, None);
        assert_eq!(pace.wait(&site, Some(1), &mut None, ms(0)), None);
        assert_eq!(pace.wait(&page, Some(1), &mut None, ms(0)), None);
    }
}
