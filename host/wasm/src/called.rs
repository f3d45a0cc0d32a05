//! What a call leaves behind: its outcome, what it looked up, what it said and
//! what it cost. Everything is a value: metrics and logs are the caller's.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use trimtab_core::{object::Object, selector::Selector};

use crate::{
    contract::{Failure, KindRef},
    log::Log,
    tape::Tape,
};

/// What came of one call.
#[derive(Debug)]
pub struct Called<T> {
    /// The answer, or why there is none.
    pub outcome: Result<T, CallError>,
    /// What it looked up and what it was told. The look-up that ended the run as
    /// waiting is among them, with no answer: its change must wake the object too.
    pub looked_up: BTreeMap<LookUp, Option<Vec<Arc<Object>>>>,
    /// All that it was told besides its request.
    pub tape: Tape,
    /// What it logged and wrote to stdout and stderr.
    pub log: Log,
    /// Connections that it tried to make, and was denied.
    pub connections_denied: u64,
    /// What it cost.
    pub cost: Cost,
}

impl<T> Called<T> {
    /// A call that was not made.
    pub(crate) fn never(error: CallError) -> Self {
        Self {
            outcome: Err(error),
            looked_up: BTreeMap::new(),
            tape: Tape::default(),
            log: Log::default(),
            connections_denied: 0,
            cost: Cost::default(),
        }
    }

    /// The same call, with a failure that the answer itself tells of.
    pub(crate) fn and_then<U>(self, of: impl FnOnce(T) -> Result<U, Failure>) -> Called<U> {
        let Self { outcome, looked_up, tape, log, connections_denied, cost } = self;
        let outcome = outcome.and_then(|answer| of(answer).map_err(CallError::Failed));
        Called { outcome, looked_up, tape, log, connections_denied, cost }
    }
}

/// What a plugin asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LookUp {
    /// The kind and its version.
    pub of: KindRef,
    /// Absent for cluster-scoped objects, and for a selection in all namespaces.
    pub namespace: Option<Arc<str>>,
    /// Which of that kind.
    pub wanted: Wanted,
}

/// Which objects of a kind are looked up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wanted {
    /// The one with that `metadata.name`.
    Named(Arc<str>),
    /// Those with such labels.
    Selected {
        /// What their labels must be like.
        labels: Selector,
        /// No more than these: the first by namespace and name.
        limit: u32,
    },
}

/// A text that no other look-up has: names come from guests and may be anything.
impl fmt::Display for LookUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let KindRef { cluster, api_version, kind } = &self.of;
        write!(f, "{api_version:?} {kind:?}")?;
        if let Some(cluster) = cluster {
            write!(f, " of cluster {cluster:?}")?;
        }
        if let Some(namespace) = &self.namespace {
            write!(f, " in namespace {namespace:?}")?;
        }
        match &self.wanted {
            Wanted::Named(name) => write!(f, " named {name:?}"),
            Wanted::Selected { labels, limit } => write!(f, " selected by {:?}, at most {limit}", labels.to_string()),
        }
    }
}

/// Where the time of a call went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// From the wish to call until its first turn on a core.
    pub queued: Duration,
    /// Making the store.
    pub store: Duration,
    /// Instantiating the component.
    pub instantiate: Duration,
    /// The call itself, lowering and lifting included, and the waits for its
    /// further turns on a core.
    pub call: Duration,
    /// Dropping the store and all that was in it.
    pub drop: Duration,
    /// What the guest used of a core; zero where fuel is the budget.
    pub cpu: Duration,
    /// The sum of its memories and tables at their largest.
    pub memory_peak_bytes: u64,
}

/// Why a call gave no answer. All but `Waiting` and `Failed` are retries with
/// back-off for that key alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The guest broke a rule of WebAssembly, panicked or aborted.
    #[error("the plugin trapped: {message}{}", tail(.log_tail))]
    Trap {
        /// What the engine says.
        message: String,
        /// The end of what the guest said before: for many languages the only
        /// text that tells why.
        log_tail: String,
    },
    /// It used a core for longer than it may.
    #[error("the plugin used more than its {} ms of CPU time and was stopped{}", .limit.as_millis(), tail(.log_tail))]
    CpuExceeded {
        /// What it may use.
        limit: Duration,
        /// The end of what the guest said before.
        log_tail: String,
    },
    /// It took longer than it may, its waits for a core included.
    #[error("the plugin took more than its {} ms and was stopped{}", .limit.as_millis(), tail(.log_tail))]
    WallExceeded {
        /// What it may take.
        limit: Duration,
        /// The end of what the guest said before.
        log_tail: String,
    },
    /// Its memories and tables together grew larger than they may.
    #[error("the plugin asked for more than its {limit_bytes} bytes of memory{}", tail(.log_tail))]
    MemoryExceeded {
        /// What it may hold.
        limit_bytes: u64,
        /// The end of what the guest said before.
        log_tail: String,
    },
    /// The object and its children are too large to be given to a plugin.
    #[error("the object and its children are {bytes} bytes, a plugin is given at most {limit_bytes}")]
    RequestTooLarge {
        /// What they are.
        bytes: u64,
        /// What they may be.
        limit_bytes: u64,
    },
    /// The answer, or one message to the host, is too large.
    #[error("the plugin answered more than the {limit_bytes} bytes that it may")]
    AnswerTooLarge {
        /// What it may be.
        limit_bytes: u64,
    },
    /// It made more look-ups than a run may depend on.
    #[error("the plugin made more than {limit} different look-ups")]
    TooManyLookUps {
        /// How many it may.
        limit: usize,
    },
    /// A look-up could not be answered for certain.
    #[error("{why}")]
    Waiting {
        /// What it waits for.
        why: String,
    },
    /// The plugin says itself that it has no answer.
    #[error("{}", .0.message)]
    Failed(Failure),
    /// The call could not be made: no fault of the plugin.
    #[error("the plugin could not be called: {0}")]
    Host(String),
}

impl CallError {
    /// A constant for each kind of failure, for metrics and conditions.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Trap { .. } => "Trapped",
            Self::CpuExceeded { .. } => "CpuExceeded",
            Self::WallExceeded { .. } => "WallExceeded",
            Self::MemoryExceeded { .. } => "MemoryExceeded",
            Self::RequestTooLarge { .. } => "RequestTooLarge",
            Self::AnswerTooLarge { .. } => "AnswerTooLarge",
            Self::TooManyLookUps { .. } => "TooManyLookUps",
            Self::Waiting { .. } => "Waiting",
            Self::Failed(_) => "Failed",
            Self::Host(_) => "NotCalled",
        }
    }
}

fn tail(log: &str) -> String {
    if log.is_empty() { String::new() } else { format!("; it said last: {log}") }
}
