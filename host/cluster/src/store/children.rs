//! The index from an owner's uid to the objects that name it.

use std::{cmp::Ordering, collections::HashMap, sync::Arc};

use serde::Deserialize;
use trimtab_core::{
    id::Uid,
    marks,
    object::{Meta, Object},
};

/// Children by their owner's uid, each list ordered by place and version.
#[derive(Default)]
pub(super) struct Children(HashMap<Uid, Vec<Arc<Object>>>);

impl Children {
    pub(super) fn of(&self, owner: &Uid) -> &[Arc<Object>] {
        self.0.get(owner).map_or(&[], Vec::as_slice)
    }

    pub(super) fn add(&mut self, object: &Arc<Object>) {
        for owner in owners(&object.meta) {
            let siblings = self.0.entry(owner).or_insert_with(|| Vec::with_capacity(1));
            match siblings.binary_search_by(|other| order(&other.meta, &object.meta)) {
                Ok(at) => siblings[at] = object.clone(),
                Err(at) => siblings.insert(at, object.clone()),
            }
        }
    }

    pub(super) fn take(&mut self, object: &Arc<Object>) {
        for owner in owners(&object.meta) {
            let Some(siblings) = self.0.get_mut(&owner) else { continue };
            if let Ok(at) = siblings.binary_search_by(|other| order(&other.meta, &object.meta)) {
                siblings.remove(at);
            }
            if siblings.is_empty() {
                self.0.remove(&owner);
            }
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
