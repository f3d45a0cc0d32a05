//! Which children of a run are not ready, for the host's condition.

use std::collections::BTreeSet;

use trimtab_core::{
    answer::{Answer, Desired},
    readiness, status,
};

use crate::reconcile::Run;

impl Run<'_> {
    /// Which children are not ready, and why: as the answers to the writes have left
    /// them, so that the next look, which finds nothing to write, says the same.
    pub fn unready(&self, answer: &Answer) -> Vec<String> {
        if !status::keeps_conditions(self.role(), &self.needs().schema) {
            return Vec::new();
        }
        let why = |desired: &Desired| {
            let spec = &self.job.generation.needs.children[desired.kind];
            let Some(child) = self.at(&spec.version, &desired.place, &self.memory.unseen) else {
                return Some("it is not there yet");
            };
            // Most kinds have no status, and need not be read.
            let is_told = child.content != child.body || child.meta.deleting || !spec.rolling.ready.is_empty();
            let is_told = is_told || readiness::is_told_by_status(&spec.kind.id);
            is_told.then(|| readiness::unready(&spec.kind.id, &child.value(), &spec.rolling)).flatten()
        };
        let unready =
            answer.children.iter().filter_map(|desired| Some(format!("{}: {}", desired.place, why(desired)?)));
        // An answer may have another order each time.
        unready.collect::<BTreeSet<_>>().into_iter().collect()
    }
}
