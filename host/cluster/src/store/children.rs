//! The indexes from an owner to the objects that name it: by its uid, and those
//! that the host has to collect by where it lies, too, since it may be gone.

use std::{cmp::Ordering, collections::HashMap, hash::Hash, sync::Arc};

use serde::Deserialize;
use trimtab_core::{
    id::{Place, Uid},
    marks,
    object::{Meta, Object},
    ownership::collected_for,
};

/// Children by their owner, each list ordered by place and version.
#[derive(Default)]
pub(super) struct Children {
    by_uid: Index<Uid>,
    collected: Index<Place>,
}

impl Children {
    pub(super) fn of(&self, owner: &Uid) -> &[Arc<Object>] {
        self.by_uid.of(owner)
    }

    pub(super) fn collected(&self, owner: &Place) -> &[Arc<Object>] {
        self.collected.of(owner)
    }

    pub(super) fn all_collected(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.collected.0.values().flatten()
    }

    pub(super) fn add(&mut self, object: &Arc<Object>) {
        owners(&object.meta).for_each(|owner| self.by_uid.add(owner, object));
        if let Some(mark) = collected_for(&object.meta) {
            self.collected.add(mark.place(), object);
        }
    }

    pub(super) fn take(&mut self, object: &Arc<Object>) {
        owners(&object.meta).for_each(|owner| self.by_uid.take(&owner, object));
        if let Some(mark) = collected_for(&object.meta) {
            self.collected.take(&mark.place(), object);
        }
    }
}

struct Index<K>(HashMap<K, Vec<Arc<Object>>>);

impl<K> Default for Index<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> Index<K> {
    fn of(&self, owner: &K) -> &[Arc<Object>] {
        self.0.get(owner).map_or(&[], Vec::as_slice)
    }

    fn add(&mut self, owner: K, object: &Arc<Object>) {
        let siblings = self.0.entry(owner).or_insert_with(|| Vec::with_capacity(1));
        match siblings.binary_search_by(|other| order(&other.meta, &object.meta)) {
            Ok(at) => siblings[at] = object.clone(),
            Err(at) => siblings.insert(at, object.clone()),
        }
    }

    fn take(&mut self, owner: &K, object: &Object) {
        let Some(siblings) = self.0.get_mut(owner) else { return };
        if let Ok(at) = siblings.binary_search_by(|other| order(&other.meta, &object.meta)) {
            siblings.remove(at);
        }
        if siblings.is_empty() {
            self.0.remove(owner);
        }
    }
}

fn order(a: &Meta, b: &Meta) -> Ordering {
    a.place.cmp(&b.place).then_with(|| a.version.cmp(&b.version))
}

/// The uids of the controller and of the owner mark, once where they are the
/// same. A mark that cannot be read names no one: the object is then not ours
/// by it, and a create that meets it says so.
fn owners(meta: &Meta) -> impl Iterator<Item = Uid> {
    #[derive(Deserialize)]
    struct Mark {
        uid: Box<str>,
    }
    let controller = meta.controller().map(|owner| owner.uid.clone());
    let mark = meta.mark(marks::OWNER).and_then(|mark| serde_json::from_str::<Mark>(mark).ok());
    let mark = mark.map(|mark| Uid::new(&mark.uid)).filter(|uid| controller.as_ref() != Some(uid));
    controller.into_iter().chain(mark)
}
