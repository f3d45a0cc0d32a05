//! The store behind its lock: tables of objects and the partitions that hold
//! them, changed without I/O or waiting: by what watches show (`shown`) and by
//! what we wrote (`written`), both in terms of what is here.

mod shown;
mod written;

use std::{
    collections::{BTreeMap, HashMap},
    mem,
    ops::Bound,
    sync::Arc,
};

use trimtab_core::{
    id::{GroupKind, Place},
    object::{Meta, Object},
};

use super::{
    children::Children,
    partition::{Listing, Partition, PartitionId},
};
use crate::spec::{Health, WatchSpec};

/// The objects of one kind and version, by namespace and name.
type Table = BTreeMap<Arc<str>, BTreeMap<Arc<str>, Entry>>;

/// One cached object and the partitions that hold it: never none.
pub(super) struct Entry {
    pub(super) object: Arc<Object>,
    /// The newest resource version that was written back in any version of the
    /// kind, or that of `object`.
    pub(super) newest: u64,
    holds: Vec<Hold>,
}

/// That a partition holds an object, and the newest resource version at which
/// that is known.
#[derive(Clone, Copy)]
struct Hold {
    by: PartitionId,
    since: u64,
}

/// In one watch, an object before and after, see [`super::Change`].
type Changed = (Arc<WatchSpec>, Option<Arc<Object>>, Option<Arc<Object>>);

/// What is to be told once the lock is released.
#[derive(Default)]
pub(super) struct Told {
    pub(super) changes: Vec<Changed>,
    pub(super) health: Option<(Arc<WatchSpec>, Health)>,
}

#[derive(Default)]
pub(super) struct State {
    tables: HashMap<GroupKind, BTreeMap<Arc<str>, Table>>,
    pub(super) children: Children,
    partitions: BTreeMap<PartitionId, Partition>,
    by_spec: HashMap<WatchSpec, PartitionId>,
    /// How many partitions were ever opened.
    opened: u64,
}

impl Entry {
    fn hold(&self, by: PartitionId) -> Option<&Hold> {
        self.holds.iter().find(|hold| hold.by == by)
    }

    /// Notes that `by` holds the object as of `since`; true where it is new.
    fn keep(&mut self, by: PartitionId, since: u64) -> bool {
        match self.holds.iter_mut().find(|hold| hold.by == by) {
            Some(hold) => {
                hold.since = hold.since.max(since);
                false
            }
            None => {
                self.holds.push(Hold { by, since });
                self.holds.shrink_to_fit();
                true
            }
        }
    }
}

/// Reading.
impl State {
    pub(super) fn entry(&self, kind: &GroupKind, version: &str, namespace: &str, name: &str) -> Option<&Entry> {
        self.tables.get(kind)?.get(version)?.get(namespace)?.get(name)
    }

    pub(super) fn of_kind<'a>(
        &'a self,
        kind: &GroupKind,
        version: &str,
        namespace: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Arc<Object>> {
        let table = self.tables.get(kind).and_then(|versions| versions.get(version));
        let bounds = match namespace {
            Some(only) => (Bound::Included(only), Bound::Included(only)),
            None => (Bound::Unbounded, Bound::Unbounded),
        };
        let namespaces = table.into_iter().flat_map(move |table| table.range::<str, _>(bounds));
        namespaces.flat_map(|(_, objects)| objects.values()).map(|entry| &entry.object)
    }

    pub(super) fn unreadable(
        &self,
        kind: &GroupKind,
        version: &str,
        namespace: Option<&str>,
        name: Option<&str>,
    ) -> Option<(Place, Arc<str>)> {
        let of_kind = |spec: &WatchSpec| spec.kind == *kind && *spec.version == *version;
        let partitions = self.partitions.values().filter(|partition| of_kind(&partition.spec));
        let mut unreadable = partitions.flat_map(|partition| &partition.unreadable);
        unreadable.find_map(|((within, called), why)| {
            let asked = namespace.is_none_or(|only| only == &**within) && name.is_none_or(|only| only == &**called);
            let place = || Place { kind: kind.clone(), namespace: (**within).into(), name: (**called).into() };
            asked.then(|| (place(), why.clone()))
        })
    }

    pub(super) fn list(&self, spec: &WatchSpec) -> Vec<Arc<Object>> {
        let Some(id) = self.by_spec.get(spec) else { return Vec::new() };
        self.held(*id).map(|entry| entry.object.clone()).collect()
    }

    pub(super) fn health(&self, spec: &WatchSpec) -> Health {
        let id = self.by_spec.get(spec);
        id.map_or(Health::Starting, |id| self.partitions[id].health.clone())
    }

    pub(super) fn len(&self) -> usize {
        let tables = self.tables.values().flat_map(BTreeMap::values);
        tables.flat_map(BTreeMap::values).map(BTreeMap::len).sum()
    }

    pub(super) fn unreadable_len(&self) -> usize {
        self.partitions.values().map(|partition| partition.unreadable.len()).sum()
    }

    fn held(&self, id: PartitionId) -> impl Iterator<Item = &Entry> {
        let spec = self.partitions.get(&id).map(|partition| &partition.spec);
        let table = spec.and_then(|spec| self.tables.get(&spec.kind)?.get(&spec.version));
        table.into_iter().flat_map(BTreeMap::values).flat_map(BTreeMap::values).filter(move |e| e.hold(id).is_some())
    }

    #[cfg(test)]
    pub(super) fn partition(&self, spec: &WatchSpec) -> &Partition {
        &self.partitions[&self.by_spec[spec]]
    }
}

/// Changing: the steps that both ways of learning of a change are made of.
impl State {
    fn is_news(&self, id: PartitionId, version: u64) -> bool {
        self.partitions.get(&id).is_some_and(|partition| version > partition.progress)
    }

    fn readable(&mut self, id: PartitionId, place: &Place) {
        if let Some(partition) = self.partitions.get_mut(&id)
            && !partition.unreadable.is_empty()
        {
            partition.unreadable.remove(&(Box::from(&*place.namespace), Box::from(&*place.name)));
        }
    }

    /// A partition holds an object as of the object's resource version. The text
    /// that is kept is the newest that anyone has brought.
    fn see(&mut self, id: PartitionId, object: &Arc<Object>, told: &mut Told) {
        let Some(partition) = self.partitions.get(&id) else { return };
        if partition.keeps_out(object) {
            return;
        }
        let spec = partition.spec.clone();
        let meta = &object.meta;
        self.readable(id, &meta.place);
        let known = self.entry(&meta.place.kind, &meta.version, &meta.place.namespace, &meta.place.name);
        match known {
            Some(known) if known.object.meta.uid != meta.uid => {
                if known.object.meta.resource_version > meta.resource_version {
                    return;
                }
                let earlier = known.object.clone();
                self.expel(&earlier, meta.resource_version, told);
                self.insert(id, spec, object, told);
            }
            Some(_) => self.update(id, spec, object, told),
            None => self.insert(id, spec, object, told),
        }
    }

    fn insert(&mut self, id: PartitionId, spec: Arc<WatchSpec>, object: &Arc<Object>, told: &mut Told) {
        let version = object.meta.resource_version;
        let hold = Hold { by: id, since: version };
        let entry = Entry { object: object.clone(), newest: version, holds: vec![hold] };
        let place = &object.meta.place;
        let tables = self.tables.entry(spec.kind.clone()).or_default();
        let table = tables.entry(spec.version.clone()).or_default();
        table.entry(place.namespace.clone()).or_default().insert(place.name.clone(), entry);
        self.children.add(object);
        told.changes.push((spec, None, Some(object.clone())));
    }

    /// The same object is there already, in this or another state.
    fn update(&mut self, id: PartitionId, spec: Arc<WatchSpec>, object: &Arc<Object>, told: &mut Told) {
        let Some(entry) = entry_mut(&mut self.tables, &object.meta) else { return };
        let version = object.meta.resource_version;
        let known = entry.object.meta.resource_version;
        let entered = entry.keep(id, version);
        // A changed default alters an object at the same resource version.
        if version > known || (version == known && object.content != entry.object.content) {
            entry.newest = entry.newest.max(version);
            let old = mem::replace(&mut entry.object, object.clone());
            let others = entry.holds.iter().map(|hold| hold.by).filter(|by| *by != id || !entered);
            for by in others {
                told.changes.push((self.partitions[&by].spec.clone(), Some(old.clone()), Some(object.clone())));
            }
            self.children.take(&old);
            self.children.add(object);
        }
        if entered {
            let now = entry_mut(&mut self.tables, &object.meta).map(|entry| entry.object.clone());
            told.changes.push((spec, None, now));
        }
    }

    /// A partition no longer holds whatever lies at `place`.
    fn release_at(&mut self, id: PartitionId, place: &Place, told: &mut Told) {
        let Some(version) = self.partitions.get(&id).map(|partition| partition.spec.version.clone()) else { return };
        let entry = self.entry(&place.kind, &version, &place.namespace, &place.name);
        if let Some(object) = entry.map(|entry| entry.object.clone()) {
            self.release(id, &object.meta, told);
        }
    }

    /// The object has been deleted, whether or not a watch has shown it yet: it
    /// has no state that is newer than `last`.
    fn expel(&mut self, object: &Arc<Object>, last: u64, told: &mut Told) {
        let entry = entry_mut(&mut self.tables, &object.meta);
        let holders = entry.map(|entry| entry.holds.iter().map(|hold| hold.by).collect::<Vec<_>>());
        for id in holders.unwrap_or_default() {
            if let Some(partition) = self.partitions.get_mut(&id) {
                partition.keep_out(&object.meta.uid, last);
            }
            self.release(id, &object.meta, told);
        }
    }

    /// A partition no longer holds an object; the last one takes it along.
    fn release(&mut self, id: PartitionId, meta: &Meta, told: &mut Told) {
        let Some(entry) = entry_mut(&mut self.tables, meta) else { return };
        if entry.object.meta.uid != meta.uid || entry.hold(id).is_none() {
            return;
        }
        entry.holds.retain(|hold| hold.by != id);
        let (object, orphaned) = (entry.object.clone(), entry.holds.is_empty());
        if orphaned {
            self.children.take(&object);
            self.drop_entry(meta);
        }
        if let Some(partition) = self.partitions.get(&id) {
            told.changes.push((partition.spec.clone(), Some(object), None));
        }
    }

    fn drop_entry(&mut self, meta: &Meta) {
        let Some(tables) = self.tables.get_mut(&meta.place.kind) else { return };
        let Some(table) = tables.get_mut(&*meta.version) else { return };
        let Some(names) = table.get_mut(&meta.place.namespace) else { return };
        names.remove(&meta.place.name);
        if names.is_empty() {
            table.remove(&meta.place.namespace);
        }
    }
}

fn entry_mut<'a>(tables: &'a mut HashMap<GroupKind, BTreeMap<Arc<str>, Table>>, meta: &Meta) -> Option<&'a mut Entry> {
    tables.get_mut(&meta.place.kind)?.get_mut(&*meta.version)?.get_mut(&meta.place.namespace)?.get_mut(&meta.place.name)
}
