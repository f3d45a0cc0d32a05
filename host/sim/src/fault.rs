//! What can go wrong in a world, and when. A plan is a list of [`Fault`]s,
//! written by hand or drawn from a seed ([`draw`]), and given to
//! [`crate::World::new`] or, while it runs, to [`crate::World::disturb`].
//!
//! To try one thing at each point of a scenario, count the writes of the
//! undisturbed run (`log().writes_since(Duration::ZERO).len()`) and repeat it
//! once for each with a fault at that write:
//!
//! - a crash just before or just after it: [`What::CrashBefore`], [`What::CrashAfter`];
//! - a stale view at that step: [`What::Watches`] with [`Stream::Held`], as long
//!   as the view is to be stale;
//! - what a relist may hide: [`Stream::Hidden`] at each event ([`When::Event`]),
//!   for as long as what happens is not to be seen: what came and went in that
//!   time is never shown;
//! - a plugin swapped in the middle: [`What::Swapped`].

mod draw;

use std::{fmt, sync::Arc, time::Duration};

use trimtab_engine::folder::Folder;

pub use self::draw::{Draw, draw};

/// One thing that goes wrong, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// From when on.
    pub when: When,
    /// What happens to the first thing that it can happen to.
    pub what: What,
}

/// When a fault begins to wait for something that it can happen to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// At this age of the world.
    At(Duration),
    /// When the write of this number reaches the wire: counted from one, over
    /// all hosts, without those of Leases. A fault that can happen to a write
    /// happens to this one, any other one just before it.
    Write(usize),
    /// The same, where only writes of Leases are counted.
    LeaseWrite(usize),
    /// When a watch is about to show the event of this number: counted from one,
    /// over all watches of the resource that the fault is about.
    Event(usize),
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The process dies with a write on its lips: the API never sees it.
    CrashBefore,
    /// A write takes effect, and the process dies before it hears of it.
    CrashAfter,
    /// The connection breaks, with all watches on it, before the API sees a write.
    RequestLost,
    /// The connection breaks, with all watches on it, after a write took effect.
    AnswerLost,
    /// A write reaches the API [`crate::wire::LATE`].
    Late,
    /// A write is answered with 409, as if another had been quicker.
    Conflict,
    /// Nothing of the process of a write passes for so long, then all of it
    /// does: that write, too, comes late.
    Frozen(Duration),
    /// So many requests of any kind are refused.
    Refused {
        /// With what.
        by: Outage,
        /// How many.
        requests: u32,
    },
    /// A list is answered with the state of so many changes ago.
    StaleList {
        /// Changes of the whole cluster.
        changes: u64,
    },
    /// Something happens to open watches of all hosts.
    Watches {
        /// Of this resource, by its plural name; none: of all.
        of: Option<Arc<str>>,
        /// What.
        stream: Stream,
    },
    /// The API forgets its history: a watch that goes on from before is refused.
    Compacted,
    /// Somebody deletes a Lease.
    LeaseDeleted,
    /// A stranger writes himself into a Lease and never renews it.
    LeaseTaken,
    /// A host is stopped as by SIGTERM, and another one is started.
    Restarted,
    /// The clock on the wall of a process is set.
    WallClockStep {
        /// The number of the process, from one in the order in which they start.
        process: u32,
        /// By so many seconds.
        by_s: i64,
    },
    /// All clocks of a process run faster, or slower, from now on.
    ClockRate {
        /// The number of the process, from one in the order in which they start.
        process: u32,
        /// By so many millionths.
        ppm: i32,
    },
    /// The plugins folder holds this.
    Swapped(Arc<Folder>),
}

/// What a server in trouble refuses requests with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// 429 with a Retry-After of so many seconds.
    Busy(u32),
    /// 500.
    Internal,
    /// 503.
    Unavailable,
}

/// What happens to a watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// The server ends it in order.
    Ended,
    /// The server ends it because its history is gone (410).
    Expired,
    /// It shows nothing for so long and then all of it: a view that is stale
    /// for a while, and where it is one kind's, lags behind those of others.
    Held(Duration),
    /// It shows nothing for so long and then expires: what came and went in
    /// that time is never shown.
    Hidden(Duration),
    /// Its link is dead: nothing comes any more, and no one says so.
    Silent,
    /// What it shows next is shown twice.
    Repeated,
}

/// What a fault can happen to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Write,
    Request,
    List,
    /// No request: it happens when its time has come.
    World,
}

impl What {
    pub(crate) fn target(&self) -> Target {
        match self {
            Self::CrashBefore
            | Self::CrashAfter
            | Self::RequestLost
            | Self::AnswerLost
            | Self::Late
            | Self::Conflict
            | Self::Frozen(_) => Target::Write,
            Self::Refused { .. } => Target::Request,
            Self::StaleList { .. } => Target::List,
            Self::Watches { .. }
            | Self::Compacted
            | Self::LeaseDeleted
            | Self::LeaseTaken
            | Self::Restarted
            | Self::WallClockStep { .. }
            | Self::ClockRate { .. }
            | Self::Swapped(_) => Target::World,
        }
    }

    /// The resource that it is about, where it is about one.
    pub(crate) fn resource(&self) -> Option<&str> {
        match self {
            Self::Watches { of, .. } => of.as_deref(),
            _ => None,
        }
    }

    /// The kind of fault in one word, to count by.
    pub fn word(&self) -> &'static str {
        match self {
            Self::CrashBefore => "crash-before",
            Self::CrashAfter => "crash-after",
            Self::RequestLost => "request-lost",
            Self::AnswerLost => "answer-lost",
            Self::Late => "late",
            Self::Conflict => "conflict",
            Self::Frozen(_) => "frozen",
            Self::Refused { by: Outage::Busy(_), .. } => "busy",
            Self::Refused { .. } => "server-error",
            Self::StaleList { .. } => "stale-list",
            Self::Watches { stream, .. } => match stream {
                Stream::Ended => "watch-ended",
                Stream::Expired => "watch-expired",
                Stream::Held(_) => "watch-held",
                Stream::Hidden(_) => "watch-hidden",
                Stream::Silent => "watch-silent",
                Stream::Repeated => "watch-repeated",
            },
            Self::Compacted => "compacted",
            Self::LeaseDeleted => "lease-deleted",
            Self::LeaseTaken => "lease-taken",
            Self::Restarted => "restarted",
            Self::WallClockStep { .. } => "wall-clock-step",
            Self::ClockRate { .. } => "clock-rate",
            Self::Swapped(_) => "swapped",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.when {
            When::At(at) => write!(f, "from {:.3} s: {}", at.as_secs_f64(), self.what),
            When::Write(number) => write!(f, "at write {number}: {}", self.what),
            When::LeaseWrite(number) => write!(f, "at write {number} of a Lease: {}", self.what),
            When::Event(number) => write!(f, "at event {number}: {}", self.what),
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CrashBefore => f.write_str("the process dies before its write is sent"),
            Self::CrashAfter => f.write_str("the process dies after its write took effect"),
            Self::RequestLost => f.write_str("the connection breaks before a write is seen"),
            Self::AnswerLost => f.write_str("the connection breaks after a write took effect"),
            Self::Late => f.write_str("a write comes late"),
            Self::Conflict => f.write_str("a write is answered with 409"),
            Self::Frozen(time) => write!(f, "nothing of the writing process passes for {time:?}"),
            Self::Refused { by, requests } => write!(f, "{requests} requests are refused with {by}"),
            Self::StaleList { changes } => write!(f, "a list shows the state of {changes} changes ago"),
            Self::Watches { of, stream } => {
                write!(f, "the watches of {} {stream}", of.as_deref().unwrap_or("everything"))
            }
            Self::Compacted => f.write_str("the API forgets its history"),
            Self::LeaseDeleted => f.write_str("a Lease is deleted"),
            Self::LeaseTaken => f.write_str("a stranger takes a Lease"),
            Self::Restarted => f.write_str("a host is stopped and another one started"),
            Self::WallClockStep { process, by_s } => write!(f, "the wall clock of host {process} is set by {by_s} s"),
            Self::ClockRate { process, ppm } => write!(f, "the clocks of host {process} run faster by {ppm} ppm"),
            Self::Swapped(_) => f.write_str("the plugins folder changes"),
        }
    }
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy(seconds) => write!(f, "429 and a Retry-After of {seconds} s"),
            Self::Internal => f.write_str("500"),
            Self::Unavailable => f.write_str("503"),
        }
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended => f.write_str("end"),
            Self::Expired => f.write_str("expire"),
            Self::Held(time) => write!(f, "show nothing for {time:?}, then all"),
            Self::Hidden(time) => write!(f, "show nothing for {time:?}, then expire"),
            Self::Silent => f.write_str("go silent"),
            Self::Repeated => f.write_str("show something twice"),
        }
    }
}
