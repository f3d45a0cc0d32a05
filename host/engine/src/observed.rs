//! How the objects fare under one generation while it is on probation: what the gate
//! judges it by.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use trimtab_core::{
    id::{Place, Uid},
    promotion::gate::Tally,
};

/// Objects of which one generation is judged: far more than a sample has to be. Some 2 MB.
const OBJECTS_MAX: usize = 10_000;
/// Children of its that are known to be so: of more, a rollback is held as any deletion is.
const MADE_MAX: usize = 100_000;
/// Of how it failed, so much is shown.
const WHY_CHARS_MAX: usize = 200;

/// What came of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fared {
    /// It got through.
    Well,
    /// It did not, by no fault of the plugin: something is missing, or the server refused.
    Unknown,
    /// The plugin failed it, in these words.
    Badly {
        /// No retry mends it.
        for_good: bool,
        /// How.
        why: String,
    },
}

impl Fared {
    /// Whether the object is served; none where that is not known.
    pub fn is_well(&self) -> Option<bool> {
        match self {
            Self::Well => Some(true),
            Self::Unknown => None,
            Self::Badly { .. } => Some(false),
        }
    }
}

/// The objects of a generation, while it is watched.
#[derive(Debug, Default)]
pub struct Observed {
    objects: Mutex<Option<Objects>>,
}

#[derive(Debug, Default)]
struct Objects {
    seen: HashMap<Place, Seen>,
    /// When one was seen for the first time last.
    newest: Duration,
    /// The children that it has made.
    made: HashSet<Uid>,
}

#[derive(Debug, Default)]
struct Seen {
    /// When the first of the failures in a row was.
    since: Option<Duration>,
    /// No retry mends the last one.
    for_good: bool,
    /// How it failed last.
    why: String,
}

impl Seen {
    fn is_failing(&self, now: Duration) -> bool {
        self.for_good || self.since.is_some_and(|since| now.saturating_sub(since) >= FAILING_AFTER)
    }
}

impl Observed {
    /// Watches from now on.
    pub fn start(&self) {
        self.objects().get_or_insert_default();
    }

    /// Forgets all, and watches no more.
    pub fn stop(&self) {
        *self.objects() = None;
    }

    /// Whether it is watched.
    pub fn is_watched(&self) -> bool {
        self.objects().is_some()
    }

    /// Takes note of a run that ended at `now` for an object that did not fail under the
    /// last good generation.
    pub fn note(&self, place: &Place, fared: &Fared, now: Duration) {
        let mut guard = self.objects();
        let Some(Objects { seen, newest, .. }) = &mut *guard else { return };
        if !seen.contains_key(place) {
            if seen.len() == OBJECTS_MAX {
                return;
            }
            *newest = now;
        }
        let seen = seen.entry(place.clone()).or_default();
        match fared {
            Fared::Well => *seen = Seen::default(),
            Fared::Unknown => {}
            Fared::Badly { for_good, why } => {
                seen.since.get_or_insert(now);
                seen.for_good = *for_good;
                seen.why = why.chars().take(WHY_CHARS_MAX).collect();
            }
        }
    }

    /// It has made a child.
    pub fn made(&self, child: &Uid) {
        if let Some(Objects { made, .. }) = &mut *self.objects()
            && made.len() < MADE_MAX
        {
            made.insert(child.clone());
        }
    }

    /// What it has made since it was watched.
    pub fn take_made(&self) -> HashSet<Uid> {
        self.objects().as_mut().map(|objects| std::mem::take(&mut objects.made)).unwrap_or_default()
    }

    /// An object tells nothing any more: it is gone, or not this generation's.
    pub fn forget(&self, place: &Place) {
        if let Some(Objects { seen, .. }) = &mut *self.objects() {
            seen.remove(place);
        }
    }

    /// What has come of all objects so far.
    pub fn tally(&self, now: Duration) -> Tally {
        let guard = self.objects();
        let Some(Objects { seen, newest, .. }) = &*guard else { return Tally::default() };
        let failing = || seen.iter().filter(|(_, seen)| seen.is_failing(now));
        // The same one, in whichever order they lie.
        let example = failing().min_by_key(|(place, _)| *place);
        Tally {
            tried: seen.len(),
            failing: failing().count(),
            example: example.map(|(place, seen)| format!("{place}: {}", seen.why)),
            quiet: now.saturating_sub(*newest),
        }
    }

    fn objects(&self) -> MutexGuard<'_, Option<Objects>> {
        // Each change is complete before the guard goes, so a panic elsewhere leaves nothing half done.
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a retry mends is mended by then: the key was tried some ten times.
const FAILING_AFTER: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use trimtab_core::id::GroupKind;

    use super::*;

    fn place(name: &str) -> Place {
        Place { kind: GroupKind::new("v1", "Secret"), namespace: "a".into(), name: name.into() }
    }

    fn badly(for_good: bool) -> Fared {
        Fared::Badly { for_good, why: "it traps".into() }
    }

    /// How many objects fail, soon after these runs and later.
    fn failing(runs: &[Fared]) -> [usize; 2] {
        let observed = Observed::default();
        observed.start();
        runs.iter().for_each(|fared| observed.note(&place("x"), fared, Duration::ZERO));
        let soon = observed.tally(FAILING_AFTER - Duration::from_millis(1)).failing;
        let later = observed.tally(FAILING_AFTER).failing;
        [soon, later]
    }

    #[test]
    fn an_object_fails_when_no_retry_has_mended_it_for_a_while_or_none_can() {
        assert_eq!(failing(&[badly(false)]), [0, 1]);
        assert_eq!(failing(&[badly(false), Fared::Unknown]), [0, 1], "what says nothing changes nothing");
        assert_eq!(failing(&[badly(false), Fared::Well]), [0, 0]);
        assert_eq!(failing(&[badly(true)]), [1, 1]);
        assert_eq!(failing(&[badly(true), Fared::Well]), [0, 0]);
    }

    #[test]
    fn an_object_that_is_gone_tells_nothing() {
        let observed = Observed::default();
        observed.start();
        observed.note(&place("x"), &badly(true), Duration::ZERO);
        observed.forget(&place("x"));
        assert_eq!(observed.tally(FAILING_AFTER).tried, 0);
    }

    #[test]
    fn it_is_quiet_since_an_object_was_tried_for_the_first_time() {
        let observed = Observed::default();
        observed.start();
        for (name, at) in [("b", 1), ("a", 3), ("b", 9)] {
            observed.note(&place(name), &badly(true), Duration::from_secs(at));
        }
        let tally = observed.tally(Duration::from_secs(10));
        assert_eq!((tally.tried, tally.failing, tally.quiet), (2, 2, Duration::from_secs(7)));
        assert!(tally.example.unwrap().ends_with("a: it traps"), "the first by name");
    }

    #[test]
    fn what_is_not_watched_is_not_kept() {
        let observed = Observed::default();
        observed.note(&place("x"), &badly(true), Duration::ZERO);
        assert_eq!(observed.tally(Duration::ZERO), Tally::default());
        observed.start();
        observed.note(&place("x"), &badly(true), Duration::ZERO);
        observed.stop();
        assert_eq!(observed.tally(Duration::ZERO), Tally::default());
    }
}
