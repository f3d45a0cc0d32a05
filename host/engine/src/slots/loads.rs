//! From files to what can be called: what is read, compiled and asked for its
//! description, at most so many at once.

use std::sync::Arc;

use trimtab_core::{id::SlotId, object::Object, promotion::Observation};

use super::Slots;
use crate::{
    folder::Source,
    generation::Loaded,
    slot::{Candidate, Slot, Stage, Wait},
};

/// Files that are loaded at once: each compilation is a process that may use
/// a core and some hundred megabytes.
const LOADS_MAX: usize = 2;

/// What came of loading a file.
pub(super) struct Load {
    slot: SlotId,
    source: Source,
    config: Option<Arc<Object>>,
    loaded: Result<Arc<Loaded>, String>,
}

impl Slots {
    /// Starts what may be loaded now: as many at once as there is room for.
    pub(super) fn start_loads(&mut self) {
        for (id, slot) in &mut self.slots {
            let taken = |candidate: &Candidate| matches!(candidate.stage, Stage::Taken);
            if !slot.candidate.as_ref().is_some_and(taken) || self.loads.len() >= LOADS_MAX {
                continue;
            }
            if let Some(missing) = slot.lacks_config() {
                let why = missing.why.clone();
                slot.waits(id, Wait::For(why));
                continue;
            }
            slot.candidate = Some(Candidate { stage: Stage::Loading, waits_for: Wait::For("being loaded".into()) });
            let (source, config, first_uses) = (slot.source.clone(), slot.config().cloned(), slot.first_uses.clone());
            let (wasm, slot) = (self.rooms.wasm.clone(), id.clone());
            self.loads.spawn(async move {
                let loaded = Loaded::new(&wasm, slot.clone(), &source, config.as_deref(), first_uses).await;
                Load { slot, source, config, loaded: loaded.map(Arc::new) }
            });
        }
    }

    /// A file is loaded, or is not: unless it has changed meanwhile.
    pub(super) fn loaded(&mut self, Load { slot: id, source, config, loaded }: Load) {
        let content = |config: Option<&Arc<Object>>| config.map(|object| object.content);
        let is_it = |slot: &&mut Slot| slot.source == source && content(slot.config()) == content(config.as_ref());
        let Some(slot) = self.slots.get_mut(&id).filter(is_it) else { return };
        self.rooms.metrics.loaded(&id, loaded.is_ok());
        match (loaded, &mut slot.candidate) {
            (Ok(loaded), _) if slot.serving.as_ref().is_some_and(|now| now.loaded.identity == loaded.identity) => {
                slot.candidate = None; // the folder went back to what serves
                self.observe(&id, &Observation::Same);
            }
            (Ok(loaded), Some(candidate)) => {
                candidate.stage = Stage::Loaded(loaded.clone());
                self.observe(&id, &Observation::Loaded(loaded.unconfirmed, &loaded.policy.rollout));
            }
            (Ok(_), None) => {}
            (Err(why), _) => slot.refuse(&id, why),
        }
    }
}
