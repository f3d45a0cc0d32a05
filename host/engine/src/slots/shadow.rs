//! Has what only shadows be asked for all objects, and judges it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use trimtab_core::{
    id::{Key, Place, SlotId},
    promotion::{
        Observation, Terms,
        gate::Verdict,
        shadow::{self, Shadow},
    },
};

use super::Slots;
use crate::{
    gather::Sources,
    generation::{Generation, Loaded},
    queue::Priority,
    shadowed::Shadowed,
};

impl Slots {
    /// What follows from how a slot's shadow fares, if it has one.
    pub(super) fn watch_shadow(&mut self, id: &SlotId, now: Duration) -> Vec<Arc<Generation>> {
        let slot = &self.slots[id];
        let Some((shadow, serving)) = slot.shadow().zip(slot.serving.as_ref()) else { return Vec::new() };
        let loaded = shadow.loaded.clone();
        let terms = &loaded.policy.rollout;
        if !self.rooms.leading.leads(&id.instance) {
            return self.follow_shadow(id, &loaded, now);
        }
        // What rests is not called, and so not asked of the shadow either.
        let next = loaded.shadowed.round(&self.untried(serving, &loaded.shadowed, now));
        next.into_iter().for_each(|key| self.rooms.queue.add(key, Priority::Low));
        let verdict = shadow::judge(&loaded.shadowed.seen(now), terms);
        let counts = matches!(verdict, Verdict::Worse(_)) || loaded.shadowed.has_gone_round();
        let counts = counts && self.blocked(id, &self.claims()).is_none();
        self.observe(id, &Observation::Shadowed { verdict: &verdict, counts, terms, now })
    }

    /// It is who leads that judges: here it serves when it does there, and who takes over
    /// before that begins anew.
    fn follow_shadow(&mut self, id: &SlotId, loaded: &Loaded, now: Duration) -> Vec<Arc<Generation>> {
        loaded.shadowed.start();
        let has_passed = self.rooms.leading.passed(id) == Some(loaded.unconfirmed);
        let counts = has_passed && self.blocked(id, &self.claims()).is_none();
        let at_once = Terms { shadow: Some(Shadow::default()), ..loaded.policy.rollout.clone() };
        self.observe(id, &Observation::Shadowed { verdict: &Verdict::Well, counts, terms: &at_once, now })
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
