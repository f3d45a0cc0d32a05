//! What one watch has told so far: how far it has got, and what it must not
//! bring back.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use trimtab_core::{
    id::Uid,
    object::{Meta, Object},
    selector::Selector,
};

use crate::spec::{Health, WatchSpec};

/// Tells partitions apart, also those opened one after another for one spec.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct PartitionId(pub(super) u64);

/// The state of one watch but for the objects, which lie in their table.
pub(super) struct Partition {
    pub(super) spec: Arc<WatchSpec>,
    /// None where the spec's text is no selector: then the server refuses to
    /// list, and nothing that is written back belongs here.
    selector: Option<Selector>,
    pub(super) health: Health,
    /// The resource version up to which the watch has shown everything.
    pub(super) progress: u64,
    pub(super) listing: Option<Listing>,
    /// What was written back and does not belong here any more, by the last
    /// resource version that must not come back. An entry goes when the progress
    /// reaches it, so there are at most as many as writes that this watch has
    /// not shown yet.
    gone: HashMap<Uid, u64>,
    /// Why an object cannot be read, by namespace and name.
    pub(super) unreadable: HashMap<(Box<str>, Box<str>), Arc<str>>,
}

/// A list that is being taken in.
#[derive(Default)]
pub(super) struct Listing {
    /// The resource version of the state that it shows, once that is known.
    pub(super) version: u64,
    pub(super) seen: HashSet<Uid>,
    pub(super) unreadable: HashSet<(Box<str>, Box<str>)>,
}

impl Partition {
    pub(super) fn new(spec: &WatchSpec) -> Self {
        Self {
            spec: Arc::new(spec.clone()),
            selector: Selector::parse(spec.labels.as_deref().unwrap_or_default()).ok(),
            health: Health::Starting,
            progress: 0,
            listing: None,
            gone: HashMap::new(),
            unreadable: HashMap::new(),
        }
    }

    /// Whether an object of this partition's kind and version belongs to it.
    pub(super) fn selects(&self, meta: &Meta) -> bool {
        let selected = self.selector.as_ref().is_some_and(|selector| selector.matches(|name| meta.label(name)));
        let named = self.spec.name.as_ref().is_none_or(|name| *name == meta.place.name);
        selected && named && self.spec.namespace.as_ref().is_none_or(|namespace| *namespace == meta.place.namespace)
    }

    /// Whether this state of an object must not come back.
    pub(super) fn keeps_out(&self, object: &Object) -> bool {
        self.gone.get(&object.meta.uid).is_some_and(|last| object.meta.resource_version <= *last)
    }

    /// An object does not belong here any more: no state of it up to `last`
    /// does. Answers may come in another order than the writes were made.
    pub(super) fn keep_out(&mut self, uid: &Uid, last: u64) {
        // A list that is under way may show once more what was shown before.
        if last > self.progress || self.listing.is_some() {
            let known = self.gone.entry(uid.clone()).or_default();
            *known = last.max(*known);
        }
    }

    /// The watch has shown all up to `version`.
    pub(super) fn advance(&mut self, version: u64) {
        self.progress = self.progress.max(version);
        let progress = self.progress;
        self.gone.retain(|_, last| *last > progress);
    }

    /// A list has shown what there is.
    pub(super) fn listed(&mut self, listing: &Listing) {
        self.unreadable.retain(|place, _| listing.unreadable.contains(place));
        self.advance(listing.version);
    }

    pub(super) fn forget(&mut self) {
        self.gone.clear();
        self.unreadable.clear();
        self.listing = None;
    }

    #[cfg(test)]
    pub(super) fn kept_out(&self) -> usize {
        self.gone.len()
    }
}
