//! The one clock of a world: tokio's, paused.

use std::time::Duration;

use jiff::Timestamp;
use tokio::{runtime::Builder, time::Instant};

/// When each world begins: 2026-01-01T00:00:00Z.
const BEGINNING: Duration = Duration::from_secs(1_767_225_600);

/// Runs `work` on a runtime of its own, with one thread and a paused clock.
/// Nothing in it may wait for another thread or process: the clock would not
/// wait with it.
pub fn simulate<R>(work: impl Future<Output = R>) -> R {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without I/O needs nothing of the system").block_on(work)
}

/// Tells the time of a world.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    began: Instant,
}

impl Clock {
    /// A world begins now.
    pub fn start() -> Self {
        Self { began: Instant::now() }
    }

    /// How old the world is.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// When the world has that age.
    pub fn instant(&self, age: Duration) -> Instant {
        self.began + age
    }

    /// What a clock on the wall shows.
    pub fn wall(&self) -> Duration {
        BEGINNING + self.elapsed()
    }

    /// The same as a timestamp.
    pub fn timestamp(&self) -> Timestamp {
        let since_epoch = self.wall().try_into();
        since_epoch.ok().and_then(|wall| Timestamp::from_duration(wall).ok()).unwrap_or(Timestamp::MAX)
    }
}
