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
    /// What was written back beyond the progress and does not belong here any
    /// more. An entry goes when the progress passes it, so there are at most as
    /// many as writes that no watch has shown yet.
    gone: HashMap<Uid, Gone>,
    /// Why an object cannot be read, by namespace and name.
    pub(super) unreadable: HashMap<(Box<str>, Box<str>), Arc<str>>,
}

/// A list that is being taken in.
pub(super) struct Listing {
    /// When it began, in the store's count of happenings.
    pub(super) began: u64,
    /// The resource version of the state that it shows, once that is known.
    pub(super) version: u64,
    pub(super) seen: HashSet<Uid>,
    pub(super) unreadable: HashSet<(Box<str>, Box<str>)>,
}

/// Until when an object is to be kept out.
#[derive(Clone, Copy)]
enum Gone {
    /// It left the selector by a write of this resource version.
    Left(u64),
    /// It was deleted: `last` is the resource version at which it was held, `at`
    /// the moment in the store's count of happenings.
    Deleted { last: u64, at: u64 },
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
        selected && self.spec.namespace.as_ref().is_none_or(|namespace| *namespace == meta.place.namespace)
    }

    /// Whether something that this object is now known by keeps it out.
    pub(super) fn keeps_out(&self, object: &Object) -> bool {
        match self.gone.get(&object.meta.uid) {
            None => false,
            Some(Gone::Left(at)) => object.meta.resource_version <= *at,
            // A list that began after the deletion knows better.
            Some(Gone::Deleted { at, .. }) => self.listing.as_ref().is_none_or(|listing| *at > listing.began),
        }
    }

    /// An object was written so that it does not belong here. Answers may come
    /// in another order than the writes were made.
    pub(super) fn left(&mut self, uid: &Uid, at: u64) {
        let gone = self.gone.entry(uid.clone()).or_insert(Gone::Left(at));
        if let Gone::Left(known) = gone {
            *known = at.max(*known);
        }
    }

    pub(super) fn deleted(&mut self, uid: &Uid, last: u64, at: u64) {
        self.gone.insert(uid.clone(), Gone::Deleted { last, at });
    }

    /// The watch has shown all up to `version`.
    pub(super) fn advance(&mut self, version: u64) {
        self.progress = self.progress.max(version);
        let progress = self.progress;
        self.gone.retain(|_, gone| !matches!(gone, Gone::Left(at) if *at <= progress));
    }

    /// The watch has shown that an object is gone as of `version`.
    pub(super) fn confirm(&mut self, uid: &Uid, version: u64) {
        if matches!(self.gone.get(uid), Some(Gone::Deleted { last, .. }) if *last < version) {
            self.gone.remove(uid);
        }
    }

    /// A list has shown what there is: of what was deleted since it began, the
    /// watch can still show what was in it and what came to be after it.
    pub(super) fn listed(&mut self, listing: &Listing) {
        let version = listing.version;
        self.gone.retain(|uid, gone| match gone {
            Gone::Left(_) => true,
            Gone::Deleted { last, at } => *at > listing.began && (*last > version || listing.seen.contains(uid)),
        });
        self.unreadable.retain(|place, _| listing.unreadable.contains(place));
        self.advance(version);
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
