//! Carries out what the slots' machines say (`core::promotion`): swaps, looks at what is
//! on probation, and goes back to the last good generation.

use std::{sync::Arc, time::Duration};

use trimtab_core::{
    id::SlotId,
    promotion::{Action, Observation, gate},
};

use super::Slots;
use crate::{
    generation::{Generation, Loaded},
    settings::RECHECK,
    slot::Slot,
    succession,
};

/// What is found of a generation that a person wants to go.
pub(super) const BY_HAND: &str = "rolled back by hand";

impl Slots {
    /// Lets the candidate serve, if there is one that may; whose objects are to be
    /// looked at.
    pub(super) fn swap(&mut self, id: &SlotId) -> Vec<Arc<Generation>> {
        let now = self.rooms.env.elapsed();
        let Some(next) = self.slots[id].syncing().map(|next| next.loaded.clone()) else { return Vec::new() };
        let mut terms = next.policy.rollout.clone();
        let slot = &self.slots[id];
        let by_hand = slot.back.as_ref().is_some_and(|back| back.by_hand);
        if by_hand && !self.rooms.leading.leads(&id.instance) {
            // Who leads by now was not asked.
            tracing::warn!(slot = %id, "it does not lead any more, and does not roll back");
            self.slots.get_mut(id).expect("it is there").give_up_back();
            return Vec::new();
        }
        if by_hand && slot.promotion.why_rejected(next.unconfirmed).is_none() {
            // Only now, when it can be replaced: nobody is told of it before.
            self.observe(id, &Observation::Disowned(BY_HAND));
            terms.accepted = Some(next.unconfirmed);
        }
        self.observe(id, &Observation::Ready(next.unconfirmed, &terms, now))
    }

    /// Judges what is on probation, and takes up what other processes have found bad.
    pub(super) fn promote(&mut self) -> Vec<Arc<Generation>> {
        let now = self.rooms.env.elapsed();
        let judges = now >= self.next_judgement;
        if judges {
            self.next_judgement = now + RECHECK;
        }
        let mut woken = Vec::new();
        for id in self.replaced() {
            woken.extend(self.observe(&id, &Observation::Replaced));
        }
        for id in self.slots.keys().cloned().collect::<Vec<_>>() {
            for rejected in self.rooms.leading.rejected(&id) {
                if !self.slots[&id].accepts(rejected.generation) {
                    woken.extend(self.observe(&id, &Observation::Told(&rejected)));
                }
            }
            if judges {
                woken.extend(self.watch_shadow(&id, now));
                woken.extend(self.watch(&id, now));
            }
        }
        woken
    }

    /// The slots of whose last good one another file is to serve the version: it was moved
    /// there, and nobody would serve its objects until the probation is over.
    fn replaced(&self) -> Vec<SlotId> {
        let version = |loaded: &Loaded| loaded.description.composite_version().map(str::to_owned);
        let is_replaced = |(id, slot): &(&SlotId, &Slot)| {
            let last_good = slot.last_good.as_ref().and_then(|it| version(&it.loaded));
            last_good.is_some() && self.beside(id).any(|other| other.loaded().and_then(|it| version(it)) == last_good)
        };
        self.slots.iter().filter(is_replaced).map(|(id, _)| id.clone()).collect()
    }

    /// Whether anything is on probation: it is looked at again and again.
    pub(super) fn on_probation(&self) -> bool {
        self.slots.values().any(|slot| slot.last_good.is_some())
    }

    fn watch(&mut self, id: &SlotId, now: Duration) -> Vec<Arc<Generation>> {
        // While another one leads, it is he who judges, and the same time is served here. Who
        // takes over has seen nothing yet, and begins anew.
        let leads = self.rooms.leading.leads(&id.instance);
        let takes_over = leads && !self.slots[id].led;
        self.slots.get_mut(id).expect("it was listed just now").led = leads;
        let slot = &self.slots[id];
        let Some(serving) = slot.serving.as_ref().filter(|_| slot.last_good.is_some()) else { return Vec::new() };
        let loaded = serving.loaded.clone();
        let verdict = gate::judge(&loaded.observed.tally(now), &loaded.policy.rollout);
        let is_led = || self.rooms.leading.is_led(&id.instance);
        let counts = if leads { !takes_over && serving.deletions().held().is_none() } else { is_led() };
        let watched = Observation::Watched { verdict: &verdict, counts, terms: &loaded.policy.rollout, now };
        self.observe(id, &watched)
    }

    /// What an observation leads to; whose objects are to be looked at.
    pub(super) fn observe(&mut self, id: &SlotId, observation: &Observation<'_>) -> Vec<Arc<Generation>> {
        let slot = self.slots.get_mut(id).expect("it was listed just now");
        let Some(action) = slot.promotion.observe(observation) else { return Vec::new() };
        let inherited = slot.serving.as_ref().is_some_and(|it| it.inherits().is_some());
        match action {
            Action::Shadow => {
                let generation = slot.start_shadow();
                tracing::info!(slot = %id, ?generation, "shadows what serves");
                return Vec::new();
            }
            Action::Swap { on_probation } => {
                let next = slot.swap(on_probation);
                let (generation, identity) = (next.number, next.loaded.identity);
                tracing::info!(slot = %id, generation, %identity, on_probation, "serving");
                self.rooms.metrics.swapped(id);
            }
            Action::DropLastGood => {
                tracing::info!(slot = %id, "its probation is over");
                slot.drop_last_good();
                return Vec::new();
            }
            Action::RollBack => {
                let bad = slot.roll_back();
                slot.reject(id, &bad.loaded, true);
                let serving = slot.serving.iter();
                serving.for_each(|good| good.deletions().pardon(bad.loaded.observed.take_made()));
                self.rooms.metrics.rolled_back(id);
            }
            Action::Stop => {
                if let Some(bad) = slot.stop() {
                    slot.reject(id, &bad.loaded, true);
                }
            }
            Action::DropCandidate => {
                if let Some(bad) = slot.take_candidate() {
                    slot.reject(id, &bad, false);
                }
                return Vec::new();
            }
        }
        let serving = self.slots[id].serving.clone().into_iter().collect();
        [serving, succession::woken(&self.slots, &id.instance, inherited)].concat()
    }

    /// Takes a slot out whose file is gone. What was found bad there is remembered: the
    /// same file may come again.
    pub(super) fn remember(&mut self, id: &SlotId, mut slot: Slot) {
        slot.promotion.observe(&Observation::Gone);
        if slot.promotion.rejected().next().is_some() {
            self.gone.insert(id.clone(), slot.promotion);
        }
    }
}
