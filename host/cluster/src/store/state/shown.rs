//! What the watches bring: lists and events, each in its own partition.

use std::sync::Arc;

use trimtab_core::{
    id::Place,
    object::{Meta, Object},
};

use super::{Listing, Partition, PartitionId, State, Told};
use crate::spec::{Health, WatchSpec};

impl State {
    pub(in crate::store) fn open(&mut self, spec: &WatchSpec) -> PartitionId {
        if let Some(old) = self.by_spec.remove(spec) {
            self.close(old);
        }
        self.opened += 1;
        let id = PartitionId(self.opened);
        self.partitions.insert(id, Partition::new(spec));
        self.by_spec.insert(spec.clone(), id);
        id
    }

    /// Forgets a partition and what it alone held, and tells no one: that it is
    /// no longer watched says nothing of the objects.
    pub(in crate::store) fn close(&mut self, id: PartitionId) {
        let held = self.held(id).map(|entry| entry.object.clone()).collect::<Vec<_>>();
        for object in held {
            self.release(id, &object.meta, &mut Told::default());
        }
        if let Some(partition) = self.partitions.remove(&id)
            && self.by_spec.get(&*partition.spec) == Some(&id)
        {
            self.by_spec.remove(&*partition.spec);
        }
    }

    pub(in crate::store) fn begin(&mut self, id: PartitionId) {
        if let Some(partition) = self.partitions.get_mut(&id) {
            partition.listing = Some(Listing::default());
        }
    }

    /// The list shows the state as of `version`. False where that is older than
    /// what this watch has shown before: then it says nothing of now.
    pub(in crate::store) fn dated(&mut self, id: PartitionId, version: u64) -> bool {
        let Some(partition) = self.partitions.get_mut(&id) else { return true };
        if version < partition.progress {
            partition.listing = None;
            return false;
        }
        if let Some(listing) = &mut partition.listing {
            listing.version = version;
        }
        true
    }

    /// An object that is in the list that is being taken in.
    pub(in crate::store) fn listed(&mut self, id: PartitionId, object: &Arc<Object>, told: &mut Told) {
        let listing = self.partitions.get_mut(&id).and_then(|partition| partition.listing.as_mut());
        if let Some(listing) = listing {
            listing.seen.insert(object.meta.uid.clone());
            self.see(id, object, told);
        }
    }

    /// The list is whole.
    pub(in crate::store) fn finish(&mut self, id: PartitionId, told: &mut Told) {
        let Some(partition) = self.partitions.get_mut(&id) else { return };
        let Some(listing) = partition.listing.take() else { return };
        partition.listed(&listing);
        let vanished = self.held(id).filter(|entry| {
            let written_since = entry.hold(id).is_some_and(|hold| hold.since > listing.version);
            !written_since && !listing.seen.contains(&entry.object.meta.uid)
        });
        for object in vanished.map(|entry| entry.object.clone()).collect::<Vec<_>>() {
            self.release(id, &object.meta, told);
        }
        self.set_health(id, Health::Synced, told);
    }

    /// The watch shows an object as added or changed. What is not beyond its
    /// progress is a repetition.
    pub(in crate::store) fn shown(&mut self, id: PartitionId, object: &Arc<Object>, told: &mut Told) {
        let version = object.meta.resource_version;
        if self.is_news(id, version) {
            self.see(id, object, told);
            self.advance(id, version);
        }
    }

    /// The watch shows that an object was deleted or has left the selector.
    pub(in crate::store) fn unshown(&mut self, id: PartitionId, meta: &Meta, told: &mut Told) {
        let version = meta.resource_version;
        if !self.is_news(id, version) {
            return;
        }
        self.readable(id, &meta.place);
        let entry = self.entry(&meta.place.kind, &meta.version, &meta.place.namespace, &meta.place.name);
        let entry = entry.filter(|entry| entry.object.meta.uid == meta.uid);
        if entry.and_then(|entry| entry.hold(id)).is_some_and(|hold| hold.since <= version) {
            self.release(id, meta, told);
        }
        self.advance(id, version);
    }

    /// The watch shows something at `place` that cannot be read: what was held
    /// of it is out of date and goes, and that there is something is kept.
    pub(in crate::store) fn garbled(&mut self, id: PartitionId, place: &Place, why: &Arc<str>, told: &mut Told) {
        let Some(partition) = self.partitions.get_mut(&id) else { return };
        let names = (Box::from(&*place.namespace), Box::from(&*place.name));
        if let Some(listing) = &mut partition.listing {
            listing.unreadable.insert(names.clone());
        }
        partition.unreadable.insert(names, why.clone());
        self.release_at(id, place, told);
    }

    /// The watch shows that something unreadable at `place` is gone.
    pub(in crate::store) fn vacate(&mut self, id: PartitionId, place: &Place, told: &mut Told) {
        self.readable(id, place);
        self.release_at(id, place, told);
    }

    /// The watch has shown all up to `version`.
    pub(in crate::store) fn advance(&mut self, id: PartitionId, version: u64) {
        if let Some(partition) = self.partitions.get_mut(&id) {
            partition.advance(version);
        }
    }

    /// None of the kind's objects exist any more.
    pub(in crate::store) fn empty(&mut self, id: PartitionId, told: &mut Told) {
        for object in self.held(id).map(|entry| entry.object.clone()).collect::<Vec<_>>() {
            self.release(id, &object.meta, told);
        }
        if let Some(partition) = self.partitions.get_mut(&id) {
            partition.forget();
        }
    }

    pub(in crate::store) fn set_health(&mut self, id: PartitionId, health: Health, told: &mut Told) {
        let Some(partition) = self.partitions.get_mut(&id) else { return };
        if partition.health != health {
            partition.health = health.clone();
            told.health = Some((partition.spec.clone(), health));
        }
    }
}
