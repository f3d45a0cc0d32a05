//! Who leads: the decision of one elector, as a machine of values. It knows no
//! clock, no client and no task; `now` is the caller's
//! [`Env::elapsed`](crate::env::Env::elapsed).
//!
//! Why two never both believe that they lead:
//!
//! - The Lease changes only by compare and swap of its resource version.
//! - A leader believes so until [`Timings::renew_deadline`] after the moment
//!   *before* it sent the last renewal that was confirmed.
//! - Another takes the Lease only after it has itself seen it unchanged for
//!   [`Timings::lease`], which is longer, by its own clock. Times that are
//!   written in the Lease are for people: no two clocks are ever compared.
//! - A Lease that was seen and has vanished is waited for as long as one that
//!   is held; only its leader, while it leads, makes it again at once.
//!
//! Beyond that promise are a Lease that is deleted twice within its length, and
//! one deleted just before a process starts that never saw it, which makes it
//! at once: there the preconditions of each write are what fences.

use std::time::Duration;

/// The most that one elector acts later than another, as a part of
/// [`Timings::retry`]: 0.4 s of 2 s, so that a take-over still comes within a
/// second of the Lease's end.
const SPREAD: f64 = 0.2;
/// After a conflict the Lease is read again after this part of
/// [`Timings::retry`]: 0.2 s of 2 s, so that a server that serves stale reads
/// is not asked in a loop and a hand-over still takes less than a second.
const CONFLICT_PARTS: u32 = 10;

/// How long a Lease holds and how often it is renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timings {
    /// A Lease that has not changed for so long may be taken.
    pub lease: Duration,
    /// A leader stops so long after its last confirmed renewal was sent.
    pub renew_deadline: Duration,
    /// Between renewals, and between tries after a failure.
    pub retry: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self { lease: Duration::from_secs(15), renew_deadline: Duration::from_secs(10), retry: Duration::from_secs(2) }
    }
}

impl Timings {
    /// How long a request may take that was begun while leading, so that
    /// nothing lands after another may lead. With the usual timings, 5 s.
    pub fn request_timeout(&self) -> Duration {
        self.lease - self.renew_deadline
    }
}

/// What matters of a stored Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Of the Lease: what the next write must meet.
    pub resource_version: u64,
    /// Who holds it; empty when it was released.
    pub holder: String,
    /// How often the holder has changed.
    pub transitions: u32,
    /// A newer release has written it, whose marks this one would misread: it is left to
    /// that one.
    pub is_newer: bool,
}

/// What the elector wants to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Read the Lease and say what was [seen](Elector::seen).
    Read,
    /// Write the Lease and say how it was [answered](Elector::answered).
    Write(Proposal),
    /// Nothing before this time, unless something is seen.
    Wait(Duration),
}

/// A write of the Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// Replace this resource version; none: create.
    pub on: Option<u64>,
    /// The holder to write; empty to release.
    pub holder: String,
    /// The holder is another than before: `acquireTime` is to be set.
    pub acquires: bool,
    /// `leaseTransitions`
    pub transitions: u32,
}

/// What became of a [`Step::Write`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The server stored it, as this.
    Stored(Record),
    /// The server says that the Lease has another resource version, or is there
    /// already, or is gone.
    Conflict,
    /// The server refused, or nobody knows what became of it.
    Unknown,
}

/// One candidate for one Lease. One request is made at a time: after
/// [`Step::Write`], [`Elector::answered`] comes before the next
/// [`Elector::step`]; [`Elector::seen`] may come at any time.
#[derive(Debug)]
pub struct Elector {
    identity: String,
    timings: Timings,
    /// How much later than others this one acts, so that they do not collide.
    spread: Duration,
    known: Known,
    /// The highest resource version seen: what is older is late news.
    newest: u64,
    transitions: u32,
    /// When the last write was begun.
    sent: Duration,
    /// What was the newest when the last read was begun.
    asked: u64,
    leading_until: Option<Duration>,
    renew_at: Duration,
    not_before: Duration,
    released: bool,
}

/// What the Lease is, as far as is known.
#[derive(Debug)]
enum Known {
    /// Not read yet, or known to be out of date.
    Nothing,
    /// There is none and never was one that this elector saw.
    Never,
    /// There was one, and it is missed since then.
    Vanished(Duration),
    /// It is there, and has been as it is since then.
    Held(Record, Duration),
}

impl Elector {
    /// A candidate that knows nothing yet. `identity` must be new for each
    /// start of a process; `random` spreads candidates that act together.
    pub fn new(identity: String, timings: Timings, random: u64) -> Self {
        let share = (random >> 32) as f64 / f64::from(u32::MAX);
        Self {
            identity,
            timings,
            spread: timings.retry.mul_f64(SPREAD * share),
            known: Known::Nothing,
            newest: 0,
            transitions: 0,
            sent: Duration::ZERO,
            asked: 0,
            leading_until: None,
            renew_at: Duration::ZERO,
            not_before: Duration::ZERO,
            released: false,
        }
    }

    /// Until when this elector leads, if it does. Past that time it does not,
    /// whatever else is called or not: compare with the clock at each use.
    pub fn leading_until(&self) -> Option<Duration> {
        self.leading_until
    }

    /// Whether this elector leads now.
    pub fn leads(&self, now: Duration) -> bool {
        self.leading_until.is_some_and(|until| now < until)
    }

    /// Who holds the Lease, as far as this elector knows.
    pub fn holder(&self) -> Option<&str> {
        match &self.known {
            Known::Held(record, _) if !record.holder.is_empty() => Some(&record.holder),
            _ => None,
        }
    }

    /// What to do now. A [`Step::Write`] counts as begun at `now`.
    pub fn step(&mut self, now: Duration) -> Step {
        if self.released {
            return Step::Wait(Duration::MAX);
        }
        if now < self.not_before {
            return Step::Wait(self.not_before);
        }
        let (at, proposal) = match &self.known {
            Known::Nothing => return self.read(),
            Known::Never => (now, self.create()),
            Known::Vanished(_) if self.leads(now) => (now, self.create()),
            // Slept in: it may have been made and deleted again meanwhile.
            Known::Vanished(since) if now > self.expiry(*since) + self.timings.retry => return self.read(),
            Known::Vanished(since) => (self.expiry(*since), self.create()),
            Known::Held(record, _) if record.is_newer => return Step::Wait(Duration::MAX),
            Known::Held(record, _) if record.holder == self.identity => {
                (if self.leads(now) { self.renew_at } else { now }, self.replace(record))
            }
            Known::Held(record, _) if record.holder.is_empty() => (now, self.replace(record)),
            Known::Held(record, since) => (self.expiry(*since), self.replace(record)),
        };
        if now < at {
            return Step::Wait(at);
        }
        self.sent = now;
        Step::Write(proposal)
    }

    /// The Lease was seen, by a read or a watch.
    pub fn seen(&mut self, now: Duration, record: Record) {
        let same = matches!(&self.known, Known::Held(known, _) if known.resource_version == record.resource_version);
        if record.resource_version < self.newest || same {
            return;
        }
        if record.holder != self.identity || record.is_newer {
            self.leading_until = None;
        }
        self.newest = record.resource_version;
        self.transitions = record.transitions;
        self.known = Known::Held(record, now);
    }

    /// The Lease was not there: the last [`Step::Read`] found none, or a watch
    /// saw it go at this resource version.
    pub fn seen_gone(&mut self, now: Duration, resource_version: Option<u64>) {
        // A read may have found none before a watch saw it made.
        let late = resource_version.unwrap_or(self.asked) < self.newest;
        // A newer deletion means that it was there again in between.
        let again = resource_version.is_some_and(|version| version > self.newest);
        if late || (matches!(self.known, Known::Vanished(_)) && !again) {
            return;
        }
        self.newest = self.newest.max(resource_version.unwrap_or_default());
        self.known = if self.newest == 0 { Known::Never } else { Known::Vanished(now) };
    }

    /// What became of the last [`Step::Write`].
    pub fn answered(&mut self, now: Duration, answer: Answer) {
        match answer {
            // Late news: what has been seen since is newer than the answer.
            Answer::Stored(record) if record.resource_version < self.newest => {}
            Answer::Stored(record) => {
                if record.holder == self.identity && !self.released {
                    self.leading_until = Some(self.sent + self.timings.renew_deadline);
                    self.renew_at = self.sent + self.timings.retry + self.spread;
                }
                self.newest = record.resource_version;
                self.transitions = record.transitions;
                self.known = Known::Held(record, now);
            }
            Answer::Conflict => {
                self.known = Known::Nothing;
                self.not_before = now + self.timings.retry / CONFLICT_PARTS;
            }
            Answer::Unknown => {
                // The next try of a replacement is made on what is known: if
                // this one was stored after all, that one conflicts. That a
                // Lease is absent proves nothing, so that is looked at anew.
                if !matches!(self.known, Known::Held(..)) {
                    self.known = Known::Nothing;
                }
                self.failed(now);
            }
        }
    }

    /// What a leader says in its Lease has changed: it renews now.
    pub fn renew(&mut self) {
        self.renew_at = Duration::ZERO;
    }

    /// A [`Step::Read`] failed: it is due again after a while.
    pub fn failed(&mut self, now: Duration) {
        self.not_before = now + self.timings.retry + self.spread;
    }

    /// Stops leading, now and for good. What is returned, where this elector
    /// holds the Lease, lets another take it at once.
    pub fn release(&mut self) -> Option<Proposal> {
        self.released = true;
        self.leading_until = None;
        match &self.known {
            Known::Held(record, _) if record.holder == self.identity => Some(Proposal {
                on: Some(record.resource_version),
                holder: String::new(),
                acquires: false,
                transitions: record.transitions,
            }),
            _ => None,
        }
    }

    fn read(&mut self) -> Step {
        self.known = Known::Nothing;
        self.asked = self.newest;
        Step::Read
    }

    fn create(&self) -> Proposal {
        Proposal { on: None, holder: self.identity.clone(), acquires: true, transitions: self.transitions }
    }

    fn replace(&self, record: &Record) -> Proposal {
        let acquires = record.holder != self.identity;
        Proposal {
            on: Some(record.resource_version),
            holder: self.identity.clone(),
            acquires,
            transitions: record.transitions.saturating_add(acquires.into()),
        }
    }

    fn expiry(&self, since: Duration) -> Duration {
        since + self.timings.lease + self.spread
    }
}

#[cfg(test)]
mod tests;
