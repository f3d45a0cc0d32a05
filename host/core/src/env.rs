//! The one door to time and chance. The binary answers from the operating
//! system, the simulation from its seed, so that a run can be repeated.

use std::time::Duration;

/// Time and randomness, as the process may know them.
pub trait Env: Send + Sync + 'static {
    /// The wall clock, since the Unix epoch. For people to read; no decision
    /// about a Lease or a deadline may rest on it, since it can be set.
    fn wall(&self) -> Duration;

    /// Time since some fixed point, never going back and counting while the
    /// machine sleeps (CLOCK_BOOTTIME): a paused leader must wake up deposed.
    fn elapsed(&self) -> Duration;

    /// A random number, for jitter and identities. Not for secrets.
    fn random(&self) -> u64;
}
