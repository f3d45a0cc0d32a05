//! Kinds that a plugin looks up without having declared them, where its policy
//! grants them: they are watched from the first look-up on, and the run that
//! asked waits. So what is read by config, of which a description knows nothing,
//! costs no watch before it is needed.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use trimtab_cluster::spec::WatchSpec;

/// The watches that the generations of one slot have come to need, so that the next
/// one finds them synced. There are no more than the server serves of the kinds that
/// its policies have granted.
#[derive(Default)]
pub struct FirstUses {
    watches: Mutex<BTreeSet<WatchSpec>>,
}

impl FirstUses {
    /// Keeps these watches from now on; whether one of them is new.
    pub fn need(&self, watches: &[WatchSpec]) -> bool {
        let mut needed = self.needed();
        let before = needed.len();
        needed.extend(watches.iter().cloned());
        needed.len() > before
    }

    /// All of them.
    pub fn watches(&self) -> Vec<WatchSpec> {
        self.needed().iter().cloned().collect()
    }

    fn needed(&self) -> MutexGuard<'_, BTreeSet<WatchSpec>> {
        // Adding is complete before the guard goes, so a panic elsewhere leaves nothing half done.
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
