//! A generation that fails for every object: its keys wait together, and one call at a
//! time tries whether that is still so. Keys that back off one by one would cost what
//! ten thousand retries cost; and none of them knows of the others.

use std::{collections::HashSet, time::Duration};

use crate::id::Place;

/// So many objects, and none that did not fail, are all: of a generation that fails for
/// half of its objects, one in a million gets there.
const FAILING_MIN: usize = 20;
/// Between two tries, at first and at last.
const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(300);

/// How a generation fares since it was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Quarantine {
    /// For none has it succeeded yet, nor failed for enough.
    New {
        /// For which it has failed.
        failing: HashSet<Place>,
    },
    /// It has failed for all.
    Held(Held),
    /// It has succeeded, and is never held: what it fails for now is the objects'.
    Proven,
}

/// A generation that nobody calls, but one key now and then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// When one is tried.
    until: Duration,
    /// How long it is until the one after that.
    pause: Duration,
    /// Which one is being tried.
    probe: Option<Place>,
    /// How one has failed last.
    why: String,
}

/// What came of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ran<'a> {
    /// The object is served.
    Well,
    /// Something was written, and the next run will tell.
    OnTheWay,
    /// Nothing can be said of the plugin.
    Unknown,
    /// It failed, in these words.
    Badly(&'a str),
}

/// What has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is held from now on.
    Entered,
    /// It is held no more: all keys are to be looked at.
    Left,
}

impl Default for Quarantine {
    fn default() -> Self {
        Self::New { failing: HashSet::new() }
    }
}

impl Quarantine {
    /// Asks whether an object may be worked on now; if not, when it is to ask again.
    /// `edited`: something has changed since it failed, and it is tried before its time,
    /// but not beside another.
    pub fn ask(&mut self, place: &Place, edited: bool, now: Duration) -> Result<(), Duration> {
        let Self::Held(held) = self else { return Ok(()) };
        if held.probe.is_some() {
            return Err(held.pause);
        }
        if now < held.until && !edited {
            return Err(held.until - now);
        }
        held.probe = Some(place.clone());
        Ok(())
    }

    /// Takes note of a run.
    pub fn ran(&mut self, place: &Place, ran: Ran<'_>, now: Duration) -> Option<Change> {
        if ran == Ran::Well {
            let before = std::mem::replace(self, Self::Proven);
            return matches!(before, Self::Held(_)).then_some(Change::Left);
        }
        match self {
            Self::Proven => None,
            Self::New { failing } => {
                let Ran::Badly(why) = ran else { return None };
                failing.insert(place.clone());
                if failing.len() < FAILING_MIN {
                    return None;
                }
                *self = Self::Held(Held { until: now + FIRST, pause: FIRST, probe: None, why: why.to_owned() });
                Some(Change::Entered)
            }
            Self::Held(held) => {
                held.probe.take_if(|probe| probe == place)?;
                if let Ran::Badly(why) = ran {
                    held.pause = (held.pause * 2).min(LONGEST);
                    held.why = why.to_owned();
                }
                held.until = if ran == Ran::OnTheWay { now } else { now + held.pause };
                None
            }
        }
    }

    /// Why it is held, if it is.
    pub fn held(&self) -> Option<String> {
        let Self::Held(Held { pause, why, .. }) = self else { return None };
        Some(format!("it fails for every object, and is tried with one every {} s: {why}", pause.as_secs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::GroupKind;

    fn place(number: usize) -> Place {
        let kind = GroupKind::new("v1", "Secret");
        Place { kind, namespace: "a".into(), name: number.to_string().into() }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// One that is held since the beginning of time.
    fn held() -> Quarantine {
        let mut quarantine = Quarantine::default();
        let changes = (0..FAILING_MIN).filter_map(|of| quarantine.ran(&place(of), Ran::Badly("it traps"), at(0)));
        assert_eq!(changes.collect::<Vec<_>>(), [Change::Entered]);
        quarantine
    }

    #[test]
    fn it_is_held_when_enough_objects_have_failed_and_none_has_not() {
        assert!(held().held().unwrap().contains("it traps"));
        let mut few = Quarantine::default();
        for _ in 0..100 {
            assert_eq!(few.ran(&place(1), Ran::Badly("it traps"), at(0)), None, "one is not all");
        }
        assert_eq!(few.ran(&place(2), Ran::Well, at(0)), None);
        for of in 0..100 {
            assert_eq!(few.ran(&place(of), Ran::Badly("it traps"), at(0)), None, "it was good for one");
        }
        let mut waiting = Quarantine::default();
        assert!((0..100).all(|of| waiting.ran(&place(of), Ran::Unknown, at(0)).is_none()), "waiting is no failure");
    }

    #[test]
    fn one_is_tried_at_a_time_at_growing_intervals_of_at_most_five_minutes() {
        let mut quarantine = held();
        assert_eq!(quarantine.ask(&place(1), false, at(4)), Err(at(6)));
        let (mut now, mut pauses) = (at(10), Vec::new());
        for _ in 0..7 {
            assert_eq!(quarantine.ask(&place(1), false, now), Ok(()));
            assert!(quarantine.ask(&place(2), true, now).is_err(), "not beside another");
            quarantine.ran(&place(2), Ran::Badly("it was under way before"), now);
            assert!(quarantine.ask(&place(2), true, now).is_err(), "nor for what another's run says");
            quarantine.ran(&place(1), Ran::Badly("it traps"), now);
            let pause = quarantine.ask(&place(1), false, now).unwrap_err();
            pauses.push(pause.as_secs());
            now += pause;
        }
        assert_eq!(pauses, [20, 40, 80, 160, 300, 300, 300]);
    }

    #[test]
    fn an_object_that_was_edited_is_tried_at_once_and_what_says_nothing_changes_nothing() {
        let mut quarantine = held();
        assert_eq!(quarantine.ask(&place(1), true, at(1)), Ok(()));
        assert_eq!(quarantine.ran(&place(1), Ran::Unknown, at(1)), None);
        assert_eq!(quarantine.ask(&place(2), false, at(1)), Err(FIRST));
        assert_eq!(quarantine.ask(&place(2), true, at(2)), Ok(()));
        assert_eq!(quarantine.ran(&place(2), Ran::OnTheWay, at(2)), None);
        assert_eq!(quarantine.ask(&place(2), false, at(2)), Ok(()), "the next run tells");
    }

    #[test]
    fn a_success_ends_it_for_good() {
        let mut quarantine = held();
        assert_eq!(quarantine.ran(&place(7), Ran::Well, at(1)), Some(Change::Left), "whoever has it");
        assert!((0..100).all(|of| quarantine.ran(&place(of), Ran::Badly("it traps"), at(2)).is_none()));
        assert_eq!((quarantine.ask(&place(1), false, at(2)), quarantine.held()), (Ok(()), None));
    }
}
