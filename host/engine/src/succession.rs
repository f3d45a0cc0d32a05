//! Plugins that take objects over from others, as their slots see it: who is still
//! to come, who is to look again when one of them comes or goes, and that none waits
//! for one that waits for it. Which of them has an object says [`Serving::find`].
//!
//! [`Serving::find`]: crate::serving::Serving::find

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use trimtab_core::id::{GroupKind, InstanceId, Lineage, SlotId};

use crate::{generation::Generation, slot::Slot};

type Slots = BTreeMap<SlotId, Slot>;

/// Slots that are to inherit and do not yet.
pub fn to_come(slots: &Slots) -> Vec<(Lineage, SlotId)> {
    let differs =
        |slot: &Slot, serving: &Generation| slot.candidate.is_some() && serving.inherits() != slot.inherits.as_ref();
    let to_come = slots.iter().filter(|(_, slot)| slot.serving.as_ref().is_none_or(|it| differs(slot, it)));
    to_come.filter_map(|(id, slot)| Some((slot.inherits.clone()?, id.clone()))).collect()
}

/// Why a candidate is refused: it would wait for one that waits for it.
pub fn circular(slots: &Slots, id: &SlotId) -> Option<String> {
    let own = id.stem.lineage();
    let goes_before =
        |(other, slot): &(&SlotId, &Slot)| other.instance == id.instance && (slot.serving.is_some() || *other < id);
    let former = |lineage: &Lineage| {
        let others = slots.iter().filter(goes_before).filter(|(other, _)| other.stem.lineage() == *lineage);
        // What serves goes before what is to come.
        let inherits = |slot: &Slot| slot.serving.as_ref().map_or(slot.inherits.clone(), |it| it.inherits().cloned());
        others.filter_map(|(_, slot)| inherits(slot)).next()
    };
    let mut seen = BTreeSet::new();
    let mut next = slots[id].inherits.clone()?;
    while seen.insert(next.clone()) {
        let before = former(&next)?;
        if before == own {
            return Some(format!(
                "{next} inherits from {own}, so {own} cannot inherit from it: take inherit.lineage out of one policy"
            ));
        }
        next = before;
    }
    None
}

/// Why a candidate is refused: what its predecessor has made where Kubernetes does not
/// collect it would be nobody's, as the candidate does not watch its kind.
pub fn orphans(slots: &Slots, id: &SlotId, heir: &Generation) -> Option<String> {
    let former = heir.inherits()?;
    let is_former = |other: &SlotId| other.instance == id.instance && other.stem.lineage() == *former;
    let made = slots.iter().filter(|(other, _)| is_former(other)).filter_map(|(_, slot)| slot.serving.as_ref());
    let declares = |kind: &GroupKind| heir.needs.declared().iter().any(|child| child.kind.id == *kind);
    let kind = made.flat_map(|it| it.collects()).find(|kind| !declares(kind))?;
    Some(format!(
        "{former} may have made {kind} in other namespaces than its objects', which nobody would delete: \
         declare {kind} as a kind of children"
    ))
}

/// What is to look at its objects again when something of an instance has come or
/// gone, `passes` saying whether that took part in a succession itself: all, where
/// anything does.
pub fn woken(slots: &Slots, instance: &InstanceId, passes: bool) -> Vec<Arc<Generation>> {
    let of_instance = || slots.iter().filter(|(id, _)| id.instance == *instance).map(|(_, slot)| slot);
    let any = passes || of_instance().any(|slot| slot.inherits.is_some());
    of_instance().filter(|_| any).filter_map(|slot| slot.serving.clone()).collect()
}

/// What serves, where slots look at different marks: it may have left objects to one
/// that turns out not to take them.
pub fn marked_apart(slots: &Slots) -> Vec<Arc<Generation>> {
    let keys = slots.values().map(|slot| &slot.instance_key).collect::<BTreeSet<_>>();
    slots.values().filter(|_| keys.len() > 1).filter_map(|slot| slot.serving.clone()).collect()
}

/// What may take over objects of slots that are gone, each with whether it took part
/// in a succession.
pub fn beside(slots: &Slots, gone: &[(SlotId, bool)]) -> Vec<Arc<Generation>> {
    let beside = gone.iter().flat_map(|(gone, passes)| {
        let is_beside = |id: &SlotId| id.instance == gone.instance && id.stem.lineage() == gone.stem.lineage();
        let of_lineage = slots.iter().filter(move |(id, _)| is_beside(id)).filter_map(|(_, slot)| slot.serving.clone());
        of_lineage.chain(woken(slots, &gone.instance, *passes))
    });
    beside.collect()
}
