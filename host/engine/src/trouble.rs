//! What can go wrong in a run, and what each deserves: when the key is looked
//! at again, what its status says, what is counted.

use std::time::Duration;

use trimtab_cluster::gate::WriteError;
use trimtab_core::{
    answer::AnswerError,
    api_error::Class,
    id::Place,
    plan::Conflict,
    status::{NoStatus, Verdict, reason},
};
use trimtab_wasm::{CallError, Outcome};

/// Why a run did not reach what was wanted.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The plugin gave no answer.
    #[error("{0}")]
    Call(#[from] CallError),
    /// Its answer may not be acted on.
    #[error("the answer is refused: {0}")]
    Answer(AnswerError),
    /// A place is taken.
    #[error("{} is not ours: {}", .0.place, .0.whose)]
    Conflict(Conflict),
    /// A write failed.
    #[error("{place}: {error}")]
    Write {
        /// What was to be written.
        place: Place,
        /// Why it was not; boxed, as it carries all that the server said.
        error: Box<WriteError>,
    },
    /// The status cannot be written.
    #[error("{0}")]
    Status(NoStatus),
}

/// When to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// After the key's growing delay.
    Backoff,
    /// Not before this; counts as no failure.
    After(Duration),
    /// Only when something changes.
    OnChange,
}

impl Trouble {
    /// When to look again.
    pub fn again(&self) -> Again {
        match self {
            Self::Call(CallError::Failed(failure)) => match failure.outcome {
                Outcome::Terminal => Again::OnChange,
                Outcome::Retry | Outcome::Waiting => {
                    failure.retry_after_ms.map_or(Again::Backoff, |ms| Again::After(Duration::from_millis(ms.into())))
                }
            },
            Self::Write { error, .. } => match error.class() {
                Class::Busy(delay) => Again::After(delay),
                class if class.is_terminal() => Again::OnChange,
                _ => Again::Backoff,
            },
            Self::Status(_) => Again::OnChange,
            Self::Call(_) | Self::Answer(_) | Self::Conflict(_) => Again::Backoff,
        }
    }

    /// The word that metrics use for how the look ended.
    pub fn word(&self) -> &'static str {
        match self.again() {
            _ if self.is_waiting() || self.is_quiet() => "waiting",
            Again::OnChange => "terminal",
            Again::Backoff | Again::After(_) => "error",
        }
    }

    /// A prerequisite is missing: nobody's fault.
    pub fn is_waiting(&self) -> bool {
        match self {
            Self::Call(CallError::Waiting { .. }) => true,
            Self::Call(CallError::Failed(failure)) => failure.outcome == Outcome::Waiting,
            Self::Write { error, .. } => matches!(error.class(), Class::Missing | Class::Busy(_)),
            _ => false,
        }
    }

    /// Nobody needs to hear of it: a later look at a later state mends it.
    pub fn is_quiet(&self) -> bool {
        matches!(self, Self::Write { error, .. } if error.class().is_quiet())
    }

    /// What the status says of it.
    pub fn verdict(&self) -> Verdict {
        Verdict::not(self.reason(), self.to_string())
    }

    /// The reason of the condition and of the Event.
    pub fn reason(&self) -> &'static str {
        match self {
            _ if self.is_waiting() => reason::WAITING,
            Self::Call(_) => reason::PLUGIN_FAILED,
            Self::Answer(_) => reason::ANSWER_REFUSED,
            Self::Conflict(_) => reason::CONFLICT,
            Self::Write { error, .. } if matches!(**error, WriteError::Conflict { .. }) => reason::CONFLICT,
            Self::Write { .. } | Self::Status(_) => reason::WRITE_FAILED,
        }
    }

    /// Of several, the one that decides when to look again: what a retry can
    /// mend goes before what waits for a change.
    pub fn worst(troubles: Vec<Self>) -> Option<Self> {
        troubles.into_iter().min_by_key(|trouble| match trouble.again() {
            Again::Backoff => Duration::ZERO,
            Again::After(delay) => delay,
            Again::OnChange => Duration::MAX,
        })
    }
}
