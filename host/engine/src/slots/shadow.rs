//! Has what only shadows be asked for all objects, and judges it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use trimtab_core::{
    id::{Key, Place, SlotId},
    promotion::{
        Observation,
        gate::Verdict,
        shadow::{self, Seen},
    },
};

use super::Slots;
use crate::{gather::Sources, generation::Generation, queue::Priority, shadowed::Shadowed};

impl Slots {
    /// What follows from how a slot's shadow fares, if it has one.
    pub(super) fn watch_shadow(&mut self, id: &SlotId, now: Duration) -> Vec<Arc<Generation>> {
        let slot = &self.slots[id];
        let Some((shadow, serving)) = slot.shadow().zip(slot.serving.as_ref()) else { return Vec::new() };
        let loaded = shadow.loaded.clone();
        let (leads, is_led) = (self.rooms.leading.leads(&id.instance), self.rooms.leading.is_led(&id.instance));
        // What rests is not called, and so not asked of the shadow either.
        let next =
            if leads { loaded.shadowed.round(&self.untried(serving, &loaded.shadowed, now)) } else { Vec::new() };
        next.into_iter().for_each(|key| self.rooms.queue.add(key, Priority::Low));
        let seen = if leads { loaded.shadowed.seen(now) } else { Seen::default() };
        let verdict = shadow::judge(&seen, &loaded.policy.rollout);
        // While another one leads, it is he who judges, and the same time passes here.
        let has_told = if leads { loaded.shadowed.has_gone_round() } else { is_led };
        let counts = matches!(verdict, Verdict::Worse(_)) || has_told;
        let counts = counts && self.blocked(id, &self.claims()).is_none();
        let shadowed = Observation::Shadowed { verdict: &verdict, counts, terms: &loaded.policy.rollout, now };
        self.observe(id, &shadowed)
    }

    /// The objects that what serves looks after without trouble, and that its shadow has
    /// not been asked for.
    fn untried(&self, serving: &Generation, shadowed: &Shadowed, now: Duration) -> BTreeMap<Place, Key> {
        let (published, store) = (self.published.serving.load(), &self.rooms.store);
        let sources = Sources { store, leading: &self.rooms.leading, serving: &published };
        let is_its = |key: &Key| {
            let Some(object) = sources.newest(key) else { return false };
            let rests = !object.meta.deleting && !object.meta.is_paused() && !self.rooms.memory.has_failed(key);
            let found = published.find(&object, &key.lineage);
            rests && found.is_ok_and(|found| found.selected && found.generation.number == serving.number)
        };
        let wanted = serving.keys(store).filter(|key| shadowed.wants(&key.place, now) && is_its(key));
        wanted.map(|key| (key.place.clone(), key)).collect()
    }
}
