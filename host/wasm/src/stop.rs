//! Why the host ends a guest: typed, so that it is told from the guest's own
//! traps after it has come up through the engine.

/// Raised by the host inside a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stop {
    /// Its CPU time is used up.
    #[error("out of CPU time")]
    Cpu,
    /// Its memory is used up.
    #[error("out of memory")]
    Memory,
    /// It looked up more than it may.
    #[error("too many look-ups")]
    LookUps,
    /// A look-up has no certain answer.
    #[error("waiting: {0}")]
    Waiting(String),
}
