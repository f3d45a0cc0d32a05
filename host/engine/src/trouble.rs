//! What can go wrong in a run, and what each deserves: when the key is looked
//! at again, what its status says, what is counted.

use std::time::Duration;

use trimtab_cluster::gate::WriteError;
use trimtab_core::{
    adoption::NoSelector,
    answer::AnswerError,
    api_error::Class,
    deletions::Held,
    grants::Denied,
    id::{InstanceId, Place},
    plan::Conflict,
    status::{NoStatus, Verdict, reason},
};
use trimtab_wasm::{CallError, Outcome};

use crate::{holders::FRESH, observed::Fared};

/// Why a run did not reach what was wanted.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The plugin gave no answer.
    #[error("{0}")]
    Call(#[from] CallError),
    /// Its answer may not be acted on.
    #[error("the answer is refused: {0}")]
    Answer(AnswerError),
    /// The object does not say which children are its.
    #[error("{0}")]
    Selector(NoSelector),
    /// It deletes more than may be deleted unasked.
    #[error("{0}")]
    Held(#[from] Held),
    /// Another instance may still be acting for the object.
    #[error(
        "{} still holds it: this waits until that one lets go, or nobody serves it any more",
        whose(.0)
    )]
    HeldBy(InstanceId),
    /// A place is taken.
    #[error("{} is not ours: {}", .0.place, .0.whose)]
    Conflict(Conflict),
    /// A write of a child that the policy does not let it make.
    #[error("{0}: {1}")]
    Denied(Place, Denied),
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
    /// After the key's growing delay, which begins with at least this.
    Backoff(Duration),
    /// Not before this, which counts as no failure and makes no delay grow.
    After(Duration),
    /// Only when something changes.
    OnChange,
}

impl Trouble {
    /// When to look again.
    pub fn again(&self) -> Again {
        match self {
            Self::Call(CallError::Failed(failure)) => match (failure.outcome, failure.retry_after_ms) {
                (Outcome::Terminal, _) => Again::OnChange,
                (Outcome::Retry | Outcome::Waiting, Some(ms)) => Again::After(Duration::from_millis(ms.into())),
                (Outcome::Retry | Outcome::Waiting, None) => Again::Backoff(Duration::ZERO),
            },
            Self::Write { error, .. } => match error.class() {
                Class::Busy(pause) if self.is_held_back() => Again::After(pause),
                Class::Busy(pause) => Again::Backoff(pause),
                class if class.is_terminal() => Again::OnChange,
                _ => Again::Backoff(Duration::ZERO),
            },
            // Its end has to be asked for; when it lets go, that wakes the key.
            Self::HeldBy(_) => Again::After(FRESH),
            // A confirmation, or a grant, makes another generation, which looks at all objects.
            Self::Held(_) | Self::Selector(_) | Self::Status(_) | Self::Denied(..) => Again::OnChange,
            Self::Call(_) | Self::Answer(_) | Self::Conflict(_) => Again::Backoff(Duration::ZERO),
        }
    }

    /// The word that metrics use for how the look ended.
    pub fn word(&self) -> &'static str {
        match self.again() {
            _ if self.is_waiting() || self.is_quiet() => "waiting",
            _ if matches!(self, Self::Held(_)) => "held",
            Again::OnChange => "terminal",
            Again::Backoff(_) | Again::After(_) => "error",
        }
    }

    /// A prerequisite is missing: nobody's fault.
    pub fn is_waiting(&self) -> bool {
        match self {
            Self::Call(CallError::Waiting { .. }) | Self::HeldBy(_) => true,
            Self::Call(CallError::Failed(failure)) => failure.outcome == Outcome::Waiting,
            Self::Write { error, .. } => matches!(error.class(), Class::Missing | Class::Busy(_)),
            _ => false,
        }
    }

    /// Nobody needs to hear of it: a later look at a later state mends it, or
    /// whoever was refused before has told it.
    pub fn is_quiet(&self) -> bool {
        self.is_held_back() || matches!(self, Self::Write { error, .. } if error.class().is_quiet())
    }

    /// It was not tried, since the server has asked for a pause.
    fn is_held_back(&self) -> bool {
        matches!(self, Self::Write { error, .. } if matches!(**error, WriteError::HeldBack(_)))
    }

    /// What it says of the plugin's build. What is missing or cannot be read, what the
    /// server refuses for its own reasons, what waits for a person and what a busy machine
    /// is late with is no fault of it; nor is a wish to retry, where it rests on others' answers.
    pub fn fared(&self, rests_on_inputs: bool) -> Fared {
        let is_its = match self {
            _ if self.is_waiting() || self.is_quiet() => false,
            Self::Call(CallError::Failed(failure)) if failure.outcome == Outcome::Retry => rests_on_inputs,
            Self::Call(CallError::Host(_) | CallError::RequestTooLarge { .. } | CallError::WallExceeded { .. })
            | Self::Selector(_)
            | Self::Held(_)
            | Self::HeldBy(_)
            | Self::Status(_) => false,
            Self::Write { error, .. } => {
                let refused = matches!(error.class(), Class::Invalid | Class::Immutable);
                refused || matches!(**error, WriteError::Conflict { .. })
            }
            Self::Call(_) | Self::Answer(_) | Self::Conflict(_) | Self::Denied(..) => true,
        };
        let badly = || Fared::Badly { for_good: self.again() == Again::OnChange, why: self.to_string() };
        if is_its { badly() } else { Fared::Unknown }
    }

    /// What the status says of it.
    pub fn verdict(&self, rests_on_inputs: bool) -> Verdict {
        let unblamed = matches!(self.fared(rests_on_inputs), Fared::Unknown);
        Verdict { unblamed, ..Verdict::not(self.reason(), self.to_string()) }
    }

    /// The reason of the condition and of the Event.
    pub fn reason(&self) -> &'static str {
        match self {
            _ if self.is_waiting() => reason::WAITING,
            Self::Call(_) => reason::PLUGIN_FAILED,
            Self::Answer(_) | Self::Denied(..) => reason::ANSWER_REFUSED,
            Self::Selector(_) => reason::SELECTOR_REFUSED,
            Self::HeldBy(_) => reason::WAITING,
            Self::Held(_) => reason::DELETIONS_HELD,
            Self::Conflict(_) => reason::CONFLICT,
            Self::Write { error, .. } if matches!(**error, WriteError::Conflict { .. }) => reason::CONFLICT,
            Self::Write { .. } | Self::Status(_) => reason::WRITE_FAILED,
        }
    }

    /// Of several, the one that decides when to look again: what a retry can
    /// mend goes before what waits for a change, and of equals the first.
    pub fn worst(troubles: impl IntoIterator<Item = Self>) -> Option<Self> {
        troubles.into_iter().min_by_key(|trouble| match trouble.again() {
            Again::Backoff(first) => (0, first),
            Again::After(delay) => (1, delay),
            Again::OnChange => (2, Duration::ZERO),
        })
    }

    /// What decides where the status could not be written, this being why, and
    /// there was trouble before it: unless the object has moved on, the worse of
    /// the two.
    pub fn beside(self, before: Option<Self>) -> Self {
        match before {
            Some(before) if self.is_held_back() || !self.is_quiet() => {
                Self::worst([before, self]).expect("there are two")
            }
            _ => self,
        }
    }
}

fn whose(instance: &InstanceId) -> String {
    if instance.is_default() { "the default instance".into() } else { format!("the instance {instance:?}") }
}
