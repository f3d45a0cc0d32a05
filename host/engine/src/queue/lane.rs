//! The ready keys of one plugin, and in which order it is given them.
//!
//! Ageing: a key of low priority is taken when none of normal priority is
//! ready; once it has been ready for [`AGED`], every other key that is taken is
//! such an aged one. So a burst of edits goes before a list of all the cluster,
//! a flood of edits cannot hold that list up for ever, and a list that takes
//! minutes costs an edit at most twice its wait.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Priority,
    share::{Reached, Share},
};

/// After so long, a ready key of low priority takes turns with those of normal
/// priority: longer than what a person's edits take, shorter than what a person
/// waits after a swap before looking into the logs.
pub const AGED: Duration = Duration::from_secs(5);

/// How fast the keys of a lane may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// How many of them may be out at once.
    pub running_max: usize,
    /// Between two calls of what works on them.
    pub interval: Duration,
    /// Processor time that the calls may take in a second, on average; none: any.
    pub cpu_per_second: Option<Duration>,
    /// Whose calls they are: another build does not pay for what the last one took.
    pub build: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { running_max: usize::MAX, interval: Duration::ZERO, cpu_per_second: None, build: 0 }
    }
}

/// A key that is taken.
#[derive(Debug)]
pub struct Taken<K> {
    /// Which.
    pub key: K,
    /// Its place among those that have arrived.
    pub arrival: u64,
    /// As it was added.
    pub priority: Priority,
    /// Since when it has been ready.
    pub since: Duration,
}

/// Keys by arrival, and since when they have been ready. Times are those of the
/// queue.
#[derive(Debug)]
pub struct Lane<K> {
    normal: BTreeMap<u64, (K, Duration)>,
    low: BTreeMap<u64, (K, Duration)>,
    /// The last key was taken for its age.
    took_aged: bool,
    share: Share,
    /// The last call.
    called: Option<Duration>,
    owed: Owed,
}

/// Processor time that was used and is still to be waited for.
#[derive(Debug, Clone, Copy, Default)]
struct Owed {
    /// How much it was.
    used: Duration,
    /// When that was.
    since: Duration,
    /// Who used it, see [`Bounds::build`].
    build: u64,
}

impl<K> Default for Lane<K> {
    fn default() -> Self {
        Self {
            normal: BTreeMap::new(),
            low: BTreeMap::new(),
            took_aged: false,
            share: Share::default(),
            called: None,
            owed: Owed::default(),
        }
    }
}

impl<K> Lane<K> {
    /// Adds a key that is not here yet.
    pub fn put(&mut self, key: K, priority: Priority, arrival: u64, since: Duration) {
        let ready = if priority == Priority::Normal { &mut self.normal } else { &mut self.low };
        ready.insert(arrival, (key, since));
    }

    /// A key that waits with low priority goes on with the normal one, in the place
    /// of its arrival.
    pub fn raise(&mut self, arrival: u64) -> bool {
        let raised = self.low.remove(&arrival).map(|entry| self.normal.insert(arrival, entry));
        raised.is_some()
    }

    /// When the next call may be made: what is not used is not saved up.
    pub fn free_at(&self, bounds: Bounds) -> Duration {
        let Owed { used, since, build } = self.owed;
        let rate = bounds.cpu_per_second.filter(|_| build == bounds.build);
        let rested = rate.map(|rate| since.saturating_add(used.div_f64(rate.as_secs_f64())));
        let apart = self.called.map(|called| called.saturating_add(bounds.interval));
        rested.max(apart).unwrap_or_default()
    }

    /// A call has used so much processor time; it counts from when the last one was made.
    pub fn spend(&mut self, bounds: Bounds, used: Duration, now: Duration) {
        let Some(rate) = bounds.cpu_per_second else { return };
        let before = self.owed;
        let owed = if before.build == bounds.build { before.used } else { Duration::ZERO };
        let since = self.called.unwrap_or(now).max(before.since);
        let paid = (since - before.since).mul_f64(rate.as_secs_f64());
        self.owed = Owed { used: owed.saturating_sub(paid).saturating_add(used), since, build: bounds.build };
    }

    /// A call is made, if it may be made now.
    pub fn call(&mut self, bounds: Bounds, now: Duration) -> bool {
        let may = self.free_at(bounds) <= now;
        if may {
            self.called = Some(now);
        }
        may
    }

    /// Whether one more may be out.
    pub fn has_room(&self, bounds: Bounds) -> bool {
        self.share.running() < bounds.running_max
    }

    /// How much of the workers' time it has had.
    pub fn had(&self, reached: Reached) -> Duration {
        self.share.had(reached)
    }

    /// One of its keys is back, having been out for so long.
    pub fn back(&mut self, out: Duration, reached: Reached) {
        self.share.back(out, reached);
    }

    /// How many are ready.
    pub fn len(&self) -> usize {
        self.normal.len() + self.low.len()
    }

    /// Whether somebody waits for what is ready, or has for long.
    pub fn is_urgent(&self, now: Duration) -> bool {
        !self.normal.is_empty() || self.low_is_aged(now)
    }

    fn low_is_aged(&self, now: Duration) -> bool {
        self.low.values().next().is_some_and(|(_, since)| now.saturating_sub(*since) >= AGED)
    }

    /// Takes the next key.
    pub fn take(&mut self, now: Duration, reached: &mut Reached) -> Option<Taken<K>> {
        let aged = self.low_is_aged(now);
        let from_low = self.normal.is_empty() || (aged && !self.took_aged);
        let (priority, ready) =
            if from_low { (Priority::Low, &mut self.low) } else { (Priority::Normal, &mut self.normal) };
        let (arrival, (key, since)) = ready.pop_first()?;
        self.took_aged = from_low && aged;
        self.share.take(reached);
        Some(Taken { key, arrival, priority, since })
    }
}
