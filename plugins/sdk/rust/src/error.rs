//! Why a run gives no answer, and what the host is to do about it.

use std::{fmt, time::Duration};

/// What a plugin's function returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the host does after a run without an answer. Children stay as they are
/// in each case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Something failed: run again with growing delays.
    Retry,
    /// A prerequisite is missing: run again when a look-up changes.
    Waiting,
    /// Running again is useless until the object changes.
    Terminal,
}

/// A run without an answer. `?` makes any [`std::error::Error`] one to retry,
/// with the messages of its sources.
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    pub(crate) outcome: Outcome,
    pub(crate) message: String,
    pub(crate) retry_after: Option<Duration>,
}

impl Error {
    /// Something failed that may succeed next time.
    pub fn retry(message: impl Into<String>) -> Self {
        Self { outcome: Outcome::Retry, message: message.into(), retry_after: None }
    }

    /// Something is missing; `message` says what is waited for.
    pub fn waiting(message: impl Into<String>) -> Self {
        Self { outcome: Outcome::Waiting, ..Self::retry(message) }
    }

    /// The object asks for what cannot be, and a change of it is needed.
    pub fn terminal(message: impl Into<String>) -> Self {
        Self { outcome: Outcome::Terminal, ..Self::retry(message) }
    }

    /// When to run again, instead of a delay that grows.
    pub fn after(self, delay: Duration) -> Self {
        Self { retry_after: Some(delay), ..self }
    }

    /// What the host does after it.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.outcome, self.message)
    }
}

/// [`Error`] is no `std::error::Error` itself, which would make this clash with
/// `From<T> for T`.
impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        Self::retry(message)
    }
}

/// Turns what is not there into a run that waits for it.
pub trait OrWait<T> {
    /// The value, or the end of the run: waiting for `what`.
    fn or_wait(self, what: &str) -> Result<T>;
}

impl<T> OrWait<T> for Option<T> {
    fn or_wait(self, what: &str) -> Result<T> {
        self.ok_or_else(|| Error::waiting(format!("waiting for {what}")))
    }
}
