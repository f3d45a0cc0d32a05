//! What the engine remembers of each key from one look to the next. All of it
//! may be lost: that costs work, never correctness.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    ops::AddAssign,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::Serialize;
use trimtab_core::{
    fingerprint::Fingerprint,
    fixed::FixedPoints,
    hash::Hash,
    id::{Key, Lineage, Place},
    object::{Meta, Object},
    write::Write,
};

use crate::{
    lookups::{self, LookedUp},
    readers::Readers,
};

/// Children that no watch shows, by their places.
pub type Unseen = BTreeMap<Place, Arc<Object>>;

/// What one look leaves for the next one.
#[derive(Debug, Clone, Default)]
pub struct Remembered {
    /// The fingerprint of the inputs of the last run, if its plan was empty.
    pub settled: Option<Fingerprint>,
    /// The content of the object at the last look.
    pub object: Option<Hash>,
    /// What the last run looked up, found or not.
    pub looked_up: LookedUp,
    /// Applies that changed nothing on the server.
    pub fixed: FixedPoints,
    /// Children that no watch shows, as the last run met them: for the next
    /// plan, which gives them the label that they have lost, or never had.
    pub unseen: Unseen,
    /// Whether it was served, as far as that is known, and which wish of it that was.
    pub well: Option<(bool, Hash)>,
    /// The last failure, while its inputs last.
    pub failed: Option<Failed>,
    /// When to look again although nothing has changed (`Env::elapsed`).
    pub due: Option<Duration>,
    /// What was written last, for people.
    pub wrote: Wrote,
    /// How often look-ups have become answerable when the key was given out.
    answerable: u64,
}

/// The writes of the last run that made any.
#[derive(Debug, Clone, Default)]
pub struct Wrote {
    /// When that run began (`Env::elapsed`).
    pub run: Duration,
    /// The first of them, in their order.
    pub writes: Vec<Written>,
}

/// A write, as it is kept: without its body.
#[derive(Debug, Clone)]
pub struct Written {
    what: &'static str,
    place: Place,
    result: &'static str,
}

/// Writes of a run that are kept: as many as people read.
const WRITES_KEPT: usize = 16;

impl Wrote {
    /// A write of the run that began at `run`, and what came of it, in a word.
    pub fn push(&mut self, run: Duration, write: &Write, result: &'static str) {
        if self.run != run {
            *self = Self { run, writes: Vec::new() };
        }
        if self.writes.len() < WRITES_KEPT {
            self.writes.push(Written { what: write.action.word(), place: write.place.clone(), result });
        }
    }
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.what, self.place, self.result)
    }
}

/// How many of a lineage's objects are in which state, as of their last looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// The last run found nothing to write.
    pub settled: usize,
    /// The last run waits for something that is missing.
    pub waiting: usize,
    /// The last run failed.
    pub failing: usize,
    /// Looked at, but none of these: about to be looked at again, or not served.
    pub other: usize,
}

impl Remembered {
    /// What a plan is made from, and nothing else.
    pub fn for_a_plan(&self) -> Self {
        Self { unseen: self.unseen.clone(), fixed: self.fixed.clone(), ..Self::default() }
    }

    /// Lets a run be tried again that was ended by a look-up without an answer; whether
    /// it was one.
    fn hold_back_no_longer(&mut self) -> bool {
        let unanswered = self.looked_up.values().any(Option::is_none);
        let failed = self.failed.as_mut().filter(|_| unanswered);
        failed.map(|failed| failed.until = Some(Duration::ZERO)).is_some()
    }

    fn counted(&self) -> Counts {
        let mut one = Counts::default();
        match &self.failed {
            Some(failed) if failed.waiting => one.waiting = 1,
            Some(_) => one.failing = 1,
            None if self.settled.is_some() => one.settled = 1,
            None => one.other = 1,
        }
        one
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.settled += more.settled;
        self.waiting += more.waiting;
        self.failing += more.failing;
        self.other += more.other;
    }
}

/// A failure that is not tried again at once: a status that reports it would
/// otherwise wake its own key.
#[derive(Debug, Clone)]
pub struct Failed {
    /// What it rests on, see `Job::cause`.
    pub cause: Fingerprint,
    /// How many times in a row.
    pub count: u32,
    /// Not before (`Env::elapsed`); none: not until the inputs change.
    pub until: Option<Duration>,
    /// Nothing is wrong but that something is missing.
    pub waiting: bool,
    /// What went wrong, for people.
    pub why: Arc<str>,
}

impl Failed {
    /// Whether it is still to be waited for, and how long: none is until
    /// something changes.
    pub fn holds_back(&self, cause: Fingerprint, now: Duration) -> Option<Option<Duration>> {
        match self.until {
            _ if self.cause != cause => None,
            Some(until) => (now < until).then(|| Some(until - now)),
            None => Some(None),
        }
    }
}

/// The memories of all keys, and which keys a change wakes.
#[derive(Debug, Default)]
pub struct Memory {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// How often look-ups have become answerable, whoever waited for it.
    answerable: u64,
    /// One for each object that was looked at and still exists.
    keys: HashMap<Key, Remembered>,
    /// How those were that workers hold: until they come back, that is what is known of them.
    out: HashMap<Key, Counts>,
    readers: Readers,
}

impl Memory {
    /// Takes a key's memory out, for the one worker that holds the key.
    pub fn take(&self, key: &Key) -> Remembered {
        let mut inner = self.inner();
        let remembered = inner.keys.remove(key).unwrap_or_default();
        inner.out.insert(key.clone(), remembered.counted());
        Remembered { answerable: inner.answerable, ..remembered }
    }

    /// Puts a key's memory back and lets what it looked up wake it; whether the key is to
    /// be looked at again, since what ended its run may have come while the key was out.
    pub fn put(&self, key: &Key, mut remembered: Remembered) -> bool {
        let triggers = lookups::triggers(&remembered.looked_up);
        let inner = &mut *self.inner();
        let again = remembered.answerable != inner.answerable && remembered.hold_back_no_longer();
        inner.readers.set(key, triggers);
        inner.out.remove(key);
        inner.keys.insert(key.clone(), remembered);
        again
    }

    /// What is remembered of a key, for people; nothing while a worker holds it.
    pub fn peek(&self, key: &Key) -> Option<Remembered> {
        self.inner().keys.get(key).cloned()
    }

    /// Whether a key's last run failed, or waits for something.
    pub fn has_failed(&self, key: &Key) -> bool {
        self.inner().keys.get(key).is_some_and(|remembered| remembered.failed.is_some())
    }

    /// The key's object is gone or is no longer ours.
    pub fn forget(&self, key: &Key) {
        let inner = &mut *self.inner();
        inner.readers.set(key, BTreeSet::new());
        inner.out.remove(key);
        inner.keys.remove(key);
    }

    /// Counts the objects of each lineage. One that is being looked at just now is counted
    /// as it was before.
    pub fn counts(&self) -> BTreeMap<Lineage, Counts> {
        let mut all = BTreeMap::<Lineage, Counts>::new();
        for (key, counted) in self.each() {
            *all.entry(key.lineage).or_default() += counted;
        }
        all
    }

    /// The same key by key.
    pub fn each(&self) -> Vec<(Key, Counts)> {
        let inner = self.inner();
        let here = inner.keys.iter().map(|(key, remembered)| (key.clone(), remembered.counted()));
        here.chain(inner.out.iter().map(|(key, counted)| (key.clone(), *counted))).collect()
    }

    /// The keys whose last run was ended by a look-up that could not be answered:
    /// none of them is held back any longer.
    pub fn unanswered(&self) -> Vec<Key> {
        let mut inner = self.inner();
        inner.answerable += 1;
        let waiting = inner.keys.iter_mut().filter_map(|(key, it)| it.hold_back_no_longer().then(|| key.clone()));
        waiting.collect()
    }

    /// The keys whose last run rests on an object, by a state that it had or has.
    pub fn readers(&self, object: &Meta) -> BTreeSet<Key> {
        self.inner().readers.of(object)
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        // Each change is complete before the guard goes, so a panic elsewhere leaves nothing half done.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use trimtab_core::{
        fingerprint::fingerprint,
        hash::Hash,
        id::{Cluster, GroupKind},
    };
    use trimtab_wasm::{KindRef, LookUp, Wanted};

    use super::*;

    fn place(name: &str) -> Place {
        Place { kind: GroupKind::new("v1", "Secret"), namespace: "a".into(), name: name.into() }
    }

    fn key() -> Key {
        Key { cluster: Cluster::local(), place: place("object"), lineage: Lineage::new("site").unwrap() }
    }

    #[test]
    fn a_run_that_an_unanswered_look_up_ended_is_held_back_only_until_it_may_be_answered() {
        let memory = Memory::default();
        let cause = fingerprint(Hash::default(), Hash::default(), false, [], []);
        let failed = || {
            Some(Failed {
                cause,
                count: 9,
                until: Some(Duration::from_secs(900)),
                waiting: true,
                why: "it waits".into(),
            })
        };
        let of = KindRef { cluster: None, api_version: "v1".into(), kind: "Secret".into() };
        let asked = LookUp { of, namespace: Some("a".into()), wanted: Wanted::Named("x".into()) };
        let named = |name| Key { place: place(name), ..key() };
        for (name, answer) in [("answered", Some(Hash::default())), ("unanswered", None)] {
            let looked_up = [(asked.clone(), answer)].into();
            memory.put(&named(name), Remembered { looked_up, failed: failed(), ..Remembered::default() });
        }
        assert_eq!(memory.unanswered(), [named("unanswered")]);
        let holds_back = |name| memory.take(&named(name)).failed.unwrap().holds_back(cause, Duration::from_secs(1));
        assert_eq!(holds_back("unanswered"), None);
        assert!(holds_back("answered").is_some());
    }

    #[test]
    fn what_may_be_answered_while_its_key_is_out_holds_the_key_back_no_longer() {
        let memory = Memory::default();
        let cause = fingerprint(Hash::default(), Hash::default(), false, [], []);
        let of = KindRef { cluster: None, api_version: "v1".into(), kind: "Secret".into() };
        let asked = LookUp { of, namespace: Some("a".into()), wanted: Wanted::Named("x".into()) };
        let until = Some(Duration::from_secs(900));
        let run = |mut remembered: Remembered| {
            let why = "it waits".into();
            remembered.failed = Some(Failed { cause, count: 9, until, waiting: true, why });
            remembered.looked_up = [(asked.clone(), None)].into();
            remembered
        };
        let out = memory.take(&key());
        assert!(memory.unanswered().is_empty(), "nobody waits yet");
        assert!(memory.put(&key(), run(out)), "what became answerable meanwhile may be what it waits for");
        let out = memory.take(&key());
        assert_eq!(out.failed.as_ref().unwrap().holds_back(cause, Duration::from_secs(1)), None);
        assert!(!memory.put(&key(), run(out)), "nothing became answerable");
    }

    #[test]
    fn objects_are_counted_by_what_their_last_run_came_to() {
        let memory = Memory::default();
        let cause = fingerprint(Hash::default(), Hash::default(), false, [], []);
        let named = |name| Key { place: place(name), ..key() };
        let failed = |waiting| Failed { cause, count: 1, until: None, waiting, why: "it does".into() };
        let settled = Some(cause);
        for (name, remembered) in [
            ("a", Remembered { settled, ..Remembered::default() }),
            ("b", Remembered { failed: Some(failed(true)), settled, ..Remembered::default() }),
            ("c", Remembered { failed: Some(failed(false)), ..Remembered::default() }),
            ("d", Remembered::default()),
        ] {
            memory.put(&named(name), remembered);
        }
        let counts = || memory.counts()[&key().lineage];
        assert_eq!(counts(), Counts { settled: 1, waiting: 1, failing: 1, other: 1 });
        let out = ["a", "c"].map(|name| memory.take(&named(name)));
        assert_eq!(counts(), Counts { settled: 1, waiting: 1, failing: 1, other: 1 }, "as they were before");
        let [back, gone] = out;
        memory.put(&named("c"), back);
        memory.forget(&named("a"));
        drop(gone);
        assert_eq!(counts(), Counts { settled: 1, waiting: 1, failing: 0, other: 1 });
    }
}
