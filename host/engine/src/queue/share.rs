//! How much of the workers' time a plugin has had, so that the one that has had the least
//! goes next: all have the same share of it, however long each of their looks takes. This
//! is start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996), where what a look
//! takes is not known before: what is out counts as long as is usual, until it is back.

use std::time::Duration;

/// So far behind the others a lane may be that had nothing to do, or was not let: with all
/// of it at once, it holds up the others for no longer than that.
const CREDIT_MAX: Duration = Duration::from_secs(1);
/// So far before the others it may be: looks that take minutes are not paid for with
/// minutes of waiting.
const DEBT_MAX: Duration = Duration::from_secs(30);

/// What lanes are compared with: as much as any lane had had when it was taken.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reached(Duration);

/// What one lane has had.
#[derive(Debug, Clone, Copy, Default)]
pub struct Share {
    /// By those that are back.
    had: Duration,
    /// How long its keys are out, of late.
    usual: Duration,
    /// Its keys that are out.
    running: u32,
}

impl Share {
    /// Its keys that are out.
    pub fn running(&self) -> usize {
        self.running as usize
    }

    /// What it has had, with those that are still out.
    pub fn had(&self, Reached(reached): Reached) -> Duration {
        let had = self.had.saturating_add(self.unsettled());
        had.clamp(reached.saturating_sub(CREDIT_MAX), reached.saturating_add(DEBT_MAX))
    }

    fn unsettled(&self) -> Duration {
        self.usual.saturating_mul(self.running)
    }

    /// One of its keys goes out.
    pub fn take(&mut self, reached: &mut Reached) {
        reached.0 = reached.0.max(self.had(*reached));
        self.running += 1;
    }

    /// One of its keys is back, having been out for so long.
    pub fn back(&mut self, out: Duration, reached: Reached) {
        self.had = self.had(reached).saturating_sub(self.unsettled()).saturating_add(out);
        self.usual = if self.usual.is_zero() { out } else { (self.usual * 3 + out) / 4 };
        self.running -= 1;
    }
}
