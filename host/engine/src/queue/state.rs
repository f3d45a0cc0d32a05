//! The queue without waiting: what is added, taken and given back, at times
//! that the caller tells. So all its rules can be tested with no runtime.
//!
//! Each plugin has a lane, and the one goes next that has had the least of the workers'
//! time (`share`): a plugin with a hundred thousand keys, or with slow ones, delays
//! another's ten by one key each. Lanes with keys that somebody waits for go before those
//! that have only what may wait; in a lane, the rules are those of `lane`. One whose calls
//! are bounded is left out until its next call may be made, so that whoever goes first is
//! decided then.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

use super::{
    Done, InLane, Priority,
    lane::{Bounds, Lane, Taken},
    share::Reached,
};

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
pub struct State<K: InLane> {
    entries: HashMap<K, Entry>,
    /// One for each plugin that there has been.
    lanes: HashMap<K::Lane, Lane<K>>,
    /// The lanes with ready keys: of those that have had as much, the first is next.
    turns: VecDeque<K::Lane>,
    reached: Reached,
    /// How fast a lane may go; as fast as it can where it is not here.
    bounds: HashMap<K::Lane, Bounds>,
    /// Delayed keys by the time when they become ready, then by arrival.
    delayed: BTreeMap<(Duration, u64), K>,
    arrivals: u64,
    shut_down: bool,
}

/// Where a key is.
#[derive(Debug, Clone, Copy)]
enum Entry {
    Ready { priority: Priority, arrival: u64 },
    Delayed { priority: Priority, due: Duration, arrival: u64 },
    Running { priority: Priority, arrival: u64, ready: Duration, since: Duration, added: Option<Priority> },
}

impl<K: InLane> Default for State<K> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            lanes: HashMap::new(),
            turns: VecDeque::new(),
            reached: Reached::default(),
            bounds: HashMap::new(),
            delayed: BTreeMap::new(),
            arrivals: 0,
            shut_down: false,
        }
    }
}

impl<K: InLane> State<K> {
    /// How fast the lanes may go, from now on.
    pub fn bound(&mut self, bounds: HashMap<K::Lane, Bounds>) {
        self.bounds = bounds;
    }

    /// Whether a call may be made for a key that is out; if so, it counts as made.
    pub fn call(&mut self, key: &K, now: Duration) -> bool {
        let name = key.lane();
        let bounds = self.bounds_of(&name);
        self.lanes.get_mut(&name).is_none_or(|lane| lane.call(bounds, now))
    }

    /// A call for a key that is out has used so much processor time.
    pub fn spend(&mut self, key: &K, used: Duration, now: Duration) {
        let name = key.lane();
        let bounds = self.bounds_of(&name);
        if let Some(lane) = self.lanes.get_mut(&name) {
            lane.spend(bounds, used, now);
        }
    }

    fn bounds_of(&self, name: &K::Lane) -> Bounds {
        self.bounds.get(name).copied().unwrap_or_default()
    }

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
                if priority > before && self.lanes.get_mut(&key.lane()).is_some_and(|lane| lane.raise(arrival)) {
                    self.entries.insert(key, Entry::Ready { priority, arrival });
                }
                return false;
            }
            Some(Entry::Delayed { priority: before, due, arrival }) => {
                self.delayed.remove(&(due, arrival));
                let arrival = self.arrive();
                self.put_ready(key, before.max(priority), arrival, now);
            }
            Some(Entry::Running { added: before, .. }) => {
                if let Some(Entry::Running { added, .. }) = self.entries.get_mut(&key) {
                    *added = Some(before.map_or(priority, |before| before.max(priority)));
                }
                return before.is_none();
            }
        }
        true
    }

    /// Takes the next ready key, and tells how long it has been ready.
    pub fn take(&mut self, now: Duration) -> Option<(K, Duration)> {
        self.ripen(now);
        let name = self.turns.remove(self.turn(now)?)?;
        let lane = self.lanes.get_mut(&name)?;
        let Taken { key, arrival, priority, since } = lane.take(now, &mut self.reached)?;
        if lane.len() > 0 {
            self.turns.push_back(name);
        }
        let entry = Entry::Running { priority, arrival, ready: since, since: now, added: None };
        self.entries.insert(key.clone(), entry);
        Some((key, now.saturating_sub(since)))
    }

    /// Which lane is next, by its place in the line.
    fn turn(&self, now: Duration) -> Option<usize> {
        let may = |name: &K::Lane| self.has_room(name) && self.lanes[name].free_at(self.bounds_of(name)) <= now;
        let free = self.turns.iter().enumerate().filter(|(_, name)| may(name));
        let order = |(_, name): &(usize, &K::Lane)| {
            let lane = &self.lanes[*name];
            (!lane.is_urgent(now), lane.had(self.reached))
        };
        free.min_by_key(order).map(|(at, _)| at)
    }

    fn has_room(&self, name: &K::Lane) -> bool {
        self.lanes[name].has_room(self.bounds_of(name))
    }

    /// Takes a key back, and tells how long it was out.
    pub fn done(&mut self, key: &K, done: Done, now: Duration) -> Option<Duration> {
        self.ripen(now);
        let Some(&Entry::Running { priority, arrival, ready, since, added }) = self.entries.get(key) else {
            return None;
        };
        self.entries.remove(key);
        if let Some(lane) = self.lanes.get_mut(&key.lane()) {
            lane.back(now.saturating_sub(since), self.reached);
        }
        match (added, done) {
            (_, Done::Not) => {
                self.put_ready(key.clone(), added.map_or(priority, |it| it.max(priority)), arrival, ready)
            }
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

    /// When the earliest delayed key becomes ready, or a lane may go on whose keys are:
    /// asked when there is nothing to take.
    pub fn next_due(&self) -> Option<Duration> {
        let delayed = self.delayed.keys().next().map(|(due, _)| *due);
        let waiting = self.turns.iter().filter(|name| self.has_room(name));
        let free = waiting.map(|name| self.lanes[name].free_at(self.bounds_of(name)));
        delayed.into_iter().chain(free).min()
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
            ready: self.lanes.values().map(Lane::len).sum(),
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
        let name = key.lane();
        let lane = self.lanes.entry(name.clone()).or_default();
        if lane.len() == 0 {
            self.turns.push_back(name);
        }
        lane.put(key, priority, arrival, since);
    }

    fn arrive(&mut self) -> u64 {
        self.arrivals += 1;
        self.arrivals
    }
}

#[cfg(test)]
mod tests;
