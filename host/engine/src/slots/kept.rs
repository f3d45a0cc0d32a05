//! What the slots keep for the next process, and what they take from the last one: the
//! same at each step, written where it differs.

use std::sync::Arc;

use trimtab_core::{
    id::SlotId,
    promotion::{Observation, Promotion, Rejected, Serving},
};

use super::Slots;
use crate::{
    folder::{Folder, Source},
    generation::Generation,
    keep::{Keep, Kept, Record},
    slot::Slot,
};

impl Slots {
    /// A slot whose file has come. Where that is not what is known to be good, and this
    /// is at hand, it is to serve first, so that what comes makes way for it if it does
    /// worse.
    pub(super) fn returning(&mut self, folder: &Folder, id: &SlotId, source: &Source) -> Slot {
        let (alone, mut promotion) = (self.alone(id), self.gone.remove(id).unwrap_or_default());
        let Some(keep) = self.rooms.keep.clone() else { return Slot::new(source.clone(), alone, promotion) };
        let known = self.kept.remove(id).unwrap_or_else(|| keep.read(id));
        let record = known.clone().returns(self.rooms.env.wall());
        for rejected in record.rejected() {
            promotion.observe(&Observation::Told(&rejected));
        }
        let mut slot = Slot::new(source.clone(), alone, promotion);
        let good = record.good.iter().find(|good| slot.promotion.why_rejected(good.generation()).is_none()).cloned();
        if record != known {
            self.write(&keep, id, record);
        } else {
            self.kept.insert(id.clone(), known);
        }
        // What has been moved to another file is to serve there.
        let has_moved = |good: &Kept| {
            let mut others = folder.slots.iter().filter(|(other, file)| {
                *other != id
                    && other.instance == id.instance
                    && other.stem.lineage() == id.stem.lineage()
                    && good.is_module(file)
            });
            others.any(|(other, _)| keep.read(other).good.is_empty())
        };
        let good = good.filter(|good| !good.is_from(source) && !slot.needs_no_way_back() && !has_moved(good));
        if let Some(good) = good.and_then(|good| keep.source(&good)) {
            tracing::info!(slot = %id, "what served last and was good is put back, then the file is tried");
            slot.go_back(good, false, self.rooms.env.elapsed());
        }
        slot
    }

    /// Ends what is put back, and begins where what serves was found bad and nothing is at
    /// hand but what is kept.
    pub(super) fn put_back(&mut self) {
        let Some(keep) = self.rooms.keep.clone() else { return };
        let now = self.rooms.env.elapsed();
        for (id, slot) in &mut self.slots {
            slot.end_of_back(&self.rooms.store, now);
            if !slot.is_left_with_nothing() {
                continue;
            }
            let bad = |generation| slot.promotion.why_rejected(generation).is_some();
            let good = self.kept.get(id).and_then(|it| it.good.iter().find(|good| !bad(good.generation())));
            match good.and_then(|good| keep.source(good)) {
                Some(good) => slot.go_back(good, false, now),
                None => slot.back_in_vain = true,
            }
        }
    }

    /// Keeps what is known of each slot.
    pub(super) fn keep(&mut self) {
        let Some(keep) = self.rooms.keep.clone() else { return };
        for id in self.slots.keys().cloned().collect::<Vec<_>>() {
            let good = good(&self.slots[&id]).filter(|good| self.stage(&keep, &id, good));
            // What may make way is copied while it lies in the folder.
            if let Some(serving) = self.slots[&id].serving.clone() {
                self.stage(&keep, &id, &serving);
            }
            let rejected = rejected(&self.slots[&id].promotion);
            let known = self.kept.get(&id).cloned().unwrap_or_else(|| keep.read(&id));
            let record = known.becomes(good.as_ref().map(|good| &*good.loaded), &rejected);
            if self.kept.get(&id) != Some(&record) {
                // It was copied when it began to serve, and may have been unlinked since, as nothing named it.
                if let Some(good) = &good {
                    self.staged.remove(&good.loaded.source.content);
                    self.stage(&keep, &id, good);
                }
                self.write(&keep, &id, record);
            }
        }
    }

    /// Finds out, once, which files went while no process looked.
    pub(super) fn sweep(&mut self, folder: &Folder) {
        let Some(keep) = self.rooms.keep.clone().filter(|_| folder.read && !self.swept) else { return };
        let is_there = |slot: &str| folder.slots.keys().any(|id| id.to_string() == slot);
        if let Err(error) = keep.sweep(is_there, self.rooms.env.wall()) {
            tracing::warn!(%error, "the keep folder cannot be compared with the plugins folder");
        }
        self.swept = true;
    }

    /// Keeps that a file is gone: nothing else changes, as it may only be away.
    pub(super) fn keep_gone(&mut self, id: &SlotId) {
        let Some(keep) = self.rooms.keep.clone() else { return };
        let known = self.kept.remove(id).unwrap_or_else(|| keep.read(id));
        self.write(&keep, id, known.goes(self.rooms.env.wall()));
    }

    /// Where it fails it is told once, and tried again at each step.
    fn write(&mut self, keep: &Keep, id: &SlotId, record: Record) {
        match keep.write(id, &record) {
            Ok(()) => {
                self.unkept = false;
                self.kept.insert(id.clone(), record);
            }
            Err(error) => {
                if !self.unkept {
                    tracing::warn!(slot = %id, %error, "the keep folder cannot be written: a restart forgets what is good");
                }
                self.unkept = true;
            }
        }
    }

    /// Whether a generation's module lies in the keep folder. It is copied once; where
    /// that fails, it is told once and tried again.
    fn stage(&mut self, keep: &Keep, id: &SlotId, generation: &Generation) -> bool {
        let source = &generation.loaded.source;
        let before = self.staged.get(&source.content).copied();
        if before == Some(true) {
            return true;
        }
        let staged = keep.stage(source);
        if let (Err(error), None) = (&staged, before) {
            tracing::warn!(slot = %id, %error, "its module cannot be kept: a restart would not find it");
        }
        self.staged.insert(source.content, staged.is_ok());
        staged.is_ok()
    }
}

/// What the machine calls good.
fn good(slot: &Slot) -> Option<Arc<Generation>> {
    match slot.promotion.serving() {
        Serving::Nothing => None,
        Serving::Good(_) => slot.serving.clone(),
        Serving::Probation { .. } => slot.last_good.clone(),
    }
}

fn rejected(promotion: &Promotion) -> Vec<Rejected> {
    promotion.rejected().cloned().collect()
}
