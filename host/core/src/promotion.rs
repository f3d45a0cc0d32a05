//! How a generation of a slot comes to serve, and goes again: one machine of values. A
//! new one serves all objects on probation, with the last good one kept at hand; where
//! the [gate] finds it worse, the last good one serves again, and what was found bad
//! is not tried again until it changes or a person says so. Where its terms say so, it
//! only shadows what serves before that: it is asked the same, and writes nothing.
//!
//! A generation is known here by its hash without what a person says of it
//! (`Policy::unconfirmed`). Who carries out the [`Action`]s keeps what can be called.

pub mod gate;
pub mod shadow;
mod terms;

use std::{collections::VecDeque, time::Duration};

use self::gate::Verdict;
pub use self::terms::Terms;
use crate::hash::Hash;

/// Bad generations that are remembered of one slot: more than a person tries in a row,
/// and more than processes tell each other, so that none of these is forgotten again.
/// The oldest makes room.
pub const REJECTED_MAX: usize = 32;

/// A generation that was found bad.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Which one.
    pub generation: Hash,
    /// What was found.
    pub why: String,
}

/// What a slot's file has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum File {
    /// There is none.
    #[default]
    Absent,
    /// It is being loaded, or waits for something.
    Coming,
    /// It is asked what what serves is asked, and writes nothing.
    Shadows {
        /// Which one.
        generation: Hash,
        /// Since when that has told something of it without a break.
        since: Duration,
    },
    /// It cannot be served as it is.
    Refused,
    /// It was found bad.
    Rejected,
    /// It serves.
    Serves,
}

/// What serves in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Serving {
    /// Nothing.
    #[default]
    Nothing,
    /// A generation with nothing behind it.
    Good(Hash),
    /// One that is being watched.
    Probation {
        /// Which one.
        generation: Hash,
        /// Since when it has been watched without a break.
        since: Duration,
        /// What it makes way for.
        last_good: Hash,
    },
}

/// One slot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Promotion {
    file: File,
    serving: Serving,
    rejected: VecDeque<Rejected>,
}

/// What happens to a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation<'a> {
    /// Its file, policy or config is another one, which is to be loaded.
    Changed,
    /// It is gone, and serves no more.
    Gone,
    /// What was coming cannot be served.
    Refused,
    /// What was coming is what serves.
    Same,
    /// What is coming has been loaded.
    Loaded(Hash, &'a Terms),
    /// It could serve from this moment on.
    Ready(Hash, &'a Terms, Duration),
    /// What shadows was judged. Where nobody was asked, its time begins anew.
    Shadowed {
        /// What the differences say.
        verdict: &'a Verdict,
        /// Whether the time counts.
        counts: bool,
        /// What was agreed.
        terms: &'a Terms,
        /// When that was.
        now: Duration,
    },
    /// What serves on probation was judged. Where it could not show what it is good for,
    /// as nobody leads or it is held, its probation begins anew.
    Watched {
        /// What the gate says.
        verdict: &'a Verdict,
        /// Whether the time counts.
        counts: bool,
        /// What was agreed.
        terms: &'a Terms,
        /// When that was.
        now: Duration,
    },
    /// Another process has found a generation bad.
    Told(&'a Rejected),
    /// A person wants what serves to go, whatever the gate says, in these words.
    Disowned(&'a str),
    /// Another file is to serve what the last good one served, which makes way for it.
    Replaced,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// What is coming shadows what serves from now on.
    Shadow,
    /// What is coming serves from now on.
    Swap {
        /// What served last and was good stays at hand.
        on_probation: bool,
    },
    /// The last good one serves again, and what is on probation is dropped.
    RollBack,
    /// The last good one is not needed any more.
    DropLastGood,
    /// What is coming is dropped: it was found bad, now or before.
    DropCandidate,
    /// What serves is bad, and nothing else is at hand.
    Stop,
}

impl Promotion {
    /// What is to be done after an observation.
    pub fn observe(&mut self, observation: &Observation<'_>) -> Option<Action> {
        match *observation {
            Observation::Changed => self.becomes(File::Coming),
            Observation::Refused => self.becomes(File::Refused),
            Observation::Same => self.becomes(File::Serves),
            Observation::Gone => {
                self.serving = Serving::Nothing;
                self.becomes(File::Absent)
            }
            Observation::Loaded(generation, terms) => self.drops(generation, terms),
            Observation::Ready(generation, terms, now) => {
                self.drops(generation, terms).or_else(|| self.ready(generation, terms, now))
            }
            Observation::Shadowed { verdict, counts, terms, now } => self.shadowed(verdict, counts, terms, now),
            Observation::Watched { verdict, counts, terms, now } => self.watched(verdict, counts, terms, now),
            Observation::Told(rejected) => self.told(rejected),
            Observation::Disowned(why) => self.disowned(why),
            Observation::Replaced => self.replaced(),
        }
    }

    fn becomes(&mut self, file: File) -> Option<Action> {
        self.file = file;
        None
    }

    fn drops(&mut self, generation: Hash, terms: &Terms) -> Option<Action> {
        // What was found is remembered all the same: a person may take his word back.
        if terms.is_accepted(generation) {
            return None;
        }
        self.why_rejected(generation)?;
        self.file = File::Rejected;
        Some(Action::DropCandidate)
    }

    fn ready(&mut self, generation: Hash, terms: &Terms, now: Duration) -> Option<Action> {
        let known = match self.serving {
            Serving::Nothing => None,
            Serving::Good(good) => Some([good; 2]),
            Serving::Probation { generation, last_good, .. } => Some([generation, last_good]),
        };
        // What serves and was found bad is nothing to be compared with.
        let is_new = |known: [Hash; 2]| !known.contains(&generation) && self.why_rejected(known[0]).is_none();
        let has_to_shadow = known.is_some_and(is_new) && terms.shadow.is_some() && !terms.is_accepted(generation);
        match self.file {
            _ if !has_to_shadow => Some(self.swap(generation, terms, now)),
            File::Shadows { generation: shadows, .. } if shadows == generation => None,
            _ => {
                self.file = File::Shadows { generation, since: now };
                Some(Action::Shadow)
            }
        }
    }

    fn shadowed(&mut self, verdict: &Verdict, counts: bool, terms: &Terms, now: Duration) -> Option<Action> {
        let (File::Shadows { generation, since }, Some(shadow)) = (self.file, &terms.shadow) else { return None };
        match verdict {
            _ if !counts => {
                self.file = File::Shadows { generation, since: now };
                None
            }
            Verdict::Worse(why) => {
                self.reject(Rejected { generation, why: why.clone() });
                self.file = File::Rejected;
                Some(Action::DropCandidate)
            }
            Verdict::Well if !shadow.until_accepted && now.saturating_sub(since) >= shadow.lasts => {
                Some(self.swap(generation, terms, now))
            }
            Verdict::Well => None,
        }
    }

    fn swap(&mut self, generation: Hash, terms: &Terms, now: Duration) -> Action {
        self.file = File::Serves;
        let last_good = match self.serving {
            Serving::Nothing => None,
            Serving::Good(good) => Some(good),
            Serving::Probation { last_good, .. } => Some(last_good),
        };
        let last_good = last_good.filter(|good| *good != generation && !terms.is_accepted(generation));
        self.serving = match (last_good, self.serving) {
            (None, _) => Serving::Good(generation),
            (Some(_), on_probation @ Serving::Probation { generation: same, .. }) if same == generation => on_probation,
            (Some(last_good), _) => Serving::Probation { generation, since: now, last_good },
        };
        Action::Swap { on_probation: last_good.is_some() }
    }

    fn watched(&mut self, verdict: &Verdict, counts: bool, terms: &Terms, now: Duration) -> Option<Action> {
        let Serving::Probation { generation, since, last_good } = self.serving else { return None };
        match verdict {
            // Where it could not show what it is good for, nor did it show the contrary.
            Verdict::Worse(why) if counts => {
                self.reject(Rejected { generation, why: why.clone() });
                Some(self.roll_back(last_good))
            }
            _ if !counts => {
                self.serving = Serving::Probation { generation, since: now, last_good };
                None
            }
            Verdict::Well if now.saturating_sub(since) >= terms.probation => {
                self.serving = Serving::Good(generation);
                Some(Action::DropLastGood)
            }
            _ => None,
        }
    }

    /// Where there is something to go back to, that is done; what is good is only known to
    /// be bad from now on, as nothing better is at hand yet.
    fn disowned(&mut self, why: &str) -> Option<Action> {
        let rejected = |generation| Rejected { generation, why: why.to_owned() };
        match self.serving {
            Serving::Nothing => None,
            Serving::Good(generation) => {
                self.reject(rejected(generation));
                None
            }
            Serving::Probation { generation, last_good, .. } => {
                self.reject(rejected(generation));
                Some(self.roll_back(last_good))
            }
        }
    }

    fn replaced(&mut self) -> Option<Action> {
        let Serving::Probation { generation, .. } = self.serving else { return None };
        self.serving = Serving::Good(generation);
        Some(Action::DropLastGood)
    }

    fn told(&mut self, rejected: &Rejected) -> Option<Action> {
        if self.why_rejected(rejected.generation).is_some() {
            return None;
        }
        self.reject(rejected.clone());
        if matches!(self.file, File::Shadows { generation, .. } if generation == rejected.generation) {
            self.file = File::Rejected;
            return Some(Action::DropCandidate);
        }
        match self.serving {
            Serving::Probation { generation, last_good, .. } if generation == rejected.generation => {
                Some(self.roll_back(last_good))
            }
            Serving::Probation { generation, last_good, .. } if last_good == rejected.generation => {
                self.serving = Serving::Good(generation);
                Some(Action::DropLastGood)
            }
            Serving::Good(generation) if generation == rejected.generation => {
                self.serving = Serving::Nothing;
                self.file = if self.file == File::Serves { File::Rejected } else { self.file };
                Some(Action::Stop)
            }
            _ => None,
        }
    }

    fn roll_back(&mut self, last_good: Hash) -> Action {
        self.serving = Serving::Good(last_good);
        self.file = match self.file {
            File::Serves => File::Rejected,
            // It was compared with what is gone.
            File::Shadows { .. } => File::Coming,
            file => file,
        };
        Action::RollBack
    }

    fn reject(&mut self, rejected: Rejected) {
        if self.why_rejected(rejected.generation).is_some() {
            return;
        }
        if self.rejected.len() == REJECTED_MAX {
            self.rejected.pop_front();
        }
        self.rejected.push_back(rejected);
    }

    /// What its file has come to.
    pub fn file(&self) -> File {
        self.file
    }

    /// What serves.
    pub fn serving(&self) -> Serving {
        self.serving
    }

    /// What was found bad, the oldest first.
    pub fn rejected(&self) -> impl Iterator<Item = &Rejected> {
        self.rejected.iter()
    }

    /// What was found of a generation, if it was found bad.
    pub fn why_rejected(&self, generation: Hash) -> Option<&str> {
        self.rejected.iter().find(|rejected| rejected.generation == generation).map(|rejected| &*rejected.why)
    }
}

#[cfg(test)]
mod tests;
