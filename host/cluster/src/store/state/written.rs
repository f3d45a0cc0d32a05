//! What we wrote ourselves, taken in before any watch shows it.

use std::sync::Arc;

use trimtab_core::{
    id::{Place, Uid},
    object::Object,
};

use super::{State, Told};

impl State {
    pub(in crate::store) fn put(&mut self, object: &Arc<Object>, told: &mut Told) {
        let meta = &object.meta;
        let written = meta.resource_version;
        for (version, table) in self.tables.get_mut(&meta.place.kind).into_iter().flatten() {
            let entry = table.get_mut(&meta.place.namespace).and_then(|names| names.get_mut(&meta.place.name));
            let same = entry.filter(|entry| **version != *meta.version && entry.object.meta.uid == meta.uid);
            if let Some(entry) = same {
                entry.newest = entry.newest.max(written);
            }
        }

        let known = self.entry(&meta.place.kind, &meta.version, &meta.place.namespace, &meta.place.name);
        if known.is_some_and(|known| known.object.meta.resource_version > written) {
            return;
        }
        let ahead = self.partitions.iter_mut().filter(|(_, partition)| {
            let here = partition.spec.kind == meta.place.kind && *partition.spec.version == *meta.version;
            here && partition.progress < written
        });
        let (mut enters, mut leaves) = (Vec::new(), Vec::new());
        for (id, partition) in ahead {
            if !partition.selects(meta) {
                partition.keep_out(&meta.uid, written);
                leaves.push(*id);
            } else if !partition.keeps_out(object) {
                enters.push(*id);
            }
        }
        for id in leaves {
            self.release(id, meta, told);
        }
        for id in enters {
            self.see(id, object, told);
        }
    }

    pub(in crate::store) fn remove(&mut self, place: &Place, uid: &Uid, told: &mut Told) {
        let versions = self.tables.get(&place.kind).into_iter().flatten();
        let entries = versions.filter_map(|(_, table)| table.get(&place.namespace)?.get(&place.name));
        let held = entries.map(|entry| entry.object.clone()).filter(|object| object.meta.uid == *uid);
        for object in held.collect::<Vec<_>>() {
            // What was deleted is what was seen: the write's precondition.
            self.expel(&object, object.meta.resource_version, told);
        }
    }
}
