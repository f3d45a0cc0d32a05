//! The queue without waiting: what is added, taken and given back, at times
//! that the caller tells. So all its rules can be tested with no runtime.
//!
//! Ageing: a key of low priority is taken when none of normal priority is
//! ready; once it has been ready for [`AGED`], every other key that is taken is
//! such an aged one. So a burst of edits goes before a list of all the cluster,
//! a flood of edits cannot hold that list up for ever, and a list that takes
//! minutes costs an edit at most twice its wait.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
    time::Duration,
};

use super::{Done, Priority};

/// After so long, a ready key of low priority takes turns with those of normal
/// priority: longer than what a person's edits take, shorter than what a person
/// waits after a swap before looking into the logs.
pub const AGED: Duration = Duration::from_secs(5);

/// What a queue holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Keys that wait for a worker.
    pub ready: usize,
    /// Keys that wait for their time.
    pub delayed: usize,
    /// Keys that are out.
    pub running: usize,
    /// How long those that are out have been so, summed up.
    pub unfinished: Duration,
    /// How long the one that is out longest has been so.
    pub longest: Duration,
}

/// The keys and where each of them is. Times are since any fixed point.
#[derive(Debug)]
pub struct State<K> {
    entries: HashMap<K, Entry>,
    /// Ready keys by arrival, and since when they have been ready.
    normal: BTreeMap<u64, (K, Duration)>,
    low: BTreeMap<u64, (K, Duration)>,
    /// Delayed keys by the time when they become ready, then by arrival.
    delayed: BTreeMap<(Duration, u64), K>,
    arrivals: u64,
    /// The last key was taken for its age.
    took_aged: bool,
    shut_down: bool,
}

/// Where a key is.
#[derive(Debug, Clone, Copy)]
enum Entry {
    Ready { priority: Priority, arrival: u64 },
    Delayed { priority: Priority, due: Duration, arrival: u64 },
    Running { priority: Priority, since: Duration, added: Option<Priority> },
}

impl<K> Default for State<K> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            normal: BTreeMap::new(),
            low: BTreeMap::new(),
            delayed: BTreeMap::new(),
            arrivals: 0,
            took_aged: false,
            shut_down: false,
        }
    }
}

impl<K: Clone + Eq + Hash> State<K> {
    /// Adds a key that is ready now, and says whether it was not to be given
    /// out soon anyhow.
    pub fn add(&mut self, key: K, priority: Priority, now: Duration) -> bool {
        self.ripen(now);
        match self.entries.get(&key).copied() {
            None => {
                let arrival = self.arrive();
                self.put_ready(key, priority, arrival, now);
            }
            Some(Entry::Ready { priority: before, arrival }) => {
                if priority > before
                    && let Some((key, since)) = self.low.remove(&arrival)
                {
                    self.put_ready(key, priority, arrival, since);
                }
                return false;
            }
            Some(Entry::Delayed { priority: before, due, arrival }) => {
                self.delayed.remove(&(due, arrival));
                let arrival = self.arrive();
                self.put_ready(key, before.max(priority), arrival, now);
            }
            Some(Entry::Running { priority: running, since, added }) => {
                let again = Some(added.map_or(priority, |added| added.max(priority)));
                self.entries.insert(key, Entry::Running { priority: running, since, added: again });
                return added.is_none();
            }
        }
        true
    }

    /// Takes the next ready key, and tells how long it has been ready.
    pub fn take(&mut self, now: Duration) -> Option<(K, Duration)> {
        self.ripen(now);
        let aged = |(_, since): &(K, Duration)| now.saturating_sub(*since) >= AGED;
        let low_is_aged = self.low.values().next().is_some_and(aged);
        let from_low = self.normal.is_empty() || (low_is_aged && !self.took_aged);
        let (priority, ready) =
            if from_low { (Priority::Low, &mut self.low) } else { (Priority::Normal, &mut self.normal) };
        let (_, (key, since)) = ready.pop_first()?;
        self.took_aged = from_low && low_is_aged;
        self.entries.insert(key.clone(), Entry::Running { priority, since: now, added: None });
        Some((key, now.saturating_sub(since)))
    }

    /// Takes a key back, and tells how long it was out.
    pub fn done(&mut self, key: &K, done: Done, now: Duration) -> Option<Duration> {
        self.ripen(now);
        let Some(&Entry::Running { priority, since, added }) = self.entries.get(key) else { return None };
        self.entries.remove(key);
        match (added, done) {
            (Some(added), _) => _ = self.add(key.clone(), added, now),
            (None, Done::After(delay)) => {
                let (due, arrival) = (now.saturating_add(delay), self.arrive());
                self.delayed.insert((due, arrival), key.clone());
                self.entries.insert(key.clone(), Entry::Delayed { priority, due, arrival });
            }
            (None, Done::Forget) => {}
        }
        Some(now.saturating_sub(since))
    }

    /// When the earliest delayed key becomes ready.
    pub fn next_due(&self) -> Option<Duration> {
        self.delayed.keys().next().map(|(due, _)| *due)
    }

    /// No key is to be given out any more.
    pub fn shut_down(&mut self) {
        self.shut_down = true;
    }

    /// Whether no key is to be given out any more.
    pub fn is_shut_down(&self) -> bool {
        self.shut_down
    }

    /// What it holds.
    pub fn stats(&self, now: Duration) -> Stats {
        let running = self.entries.values().filter_map(|entry| match entry {
            Entry::Running { since, .. } => Some(now.saturating_sub(*since)),
            _ => None,
        });
        Stats {
            ready: self.normal.len() + self.low.len(),
            delayed: self.delayed.len(),
            running: running.clone().count(),
            unfinished: running.clone().sum(),
            longest: running.max().unwrap_or_default(),
        }
    }

    /// Makes the delayed keys ready whose time has come, in the order of their
    /// times, before anything that arrives now.
    fn ripen(&mut self, now: Duration) {
        while let Some(entry) = self.delayed.first_entry().filter(|entry| entry.key().0 <= now) {
            let ((due, _), key) = entry.remove_entry();
            let Some(&Entry::Delayed { priority, .. }) = self.entries.get(&key) else { continue };
            let arrival = self.arrive();
            self.put_ready(key, priority, arrival, due);
        }
    }

    fn put_ready(&mut self, key: K, priority: Priority, arrival: u64, since: Duration) {
        self.entries.insert(key.clone(), Entry::Ready { priority, arrival });
        let ready = if priority == Priority::Normal { &mut self.normal } else { &mut self.low };
        ready.insert(arrival, (key, since));
    }

    fn arrive(&mut self) -> u64 {
        self.arrivals += 1;
        self.arrivals
    }
}

#[cfg(test)]
mod tests;
