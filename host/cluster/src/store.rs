//! The one owner of cached objects. Everyone else reads, or hands in what was
//! seen ([`Intake`]) or written ([`Store::put`], [`Store::remove`]).
//!
//! Each watch has a partition of its own, so that an object that leaves one
//! selector and enters another cannot vanish in between; the object itself is
//! kept once for its kind and version. What holds for each partition:
//!
//! - It knows how far its watch has got (its progress). What is at or before
//!   that has been seen for good: neither a repeated event nor the late answer
//!   to a write can bring it back.
//! - What was written back beyond that progress stays until the watch gets
//!   there, whatever events and lists that are older say.
//! - After a list it holds what was in the list, and what was written since.

mod children;
mod intake;
mod partition;
mod state;
#[cfg(test)]
mod tests;

use std::sync::{Arc, RwLock, RwLockReadGuard};

use trimtab_core::{
    id::{GroupKind, Place, Uid},
    object::Object,
    selector::Selector,
};

pub use self::intake::{Intake, StaleList};
use self::state::{State, Told};
use crate::spec::{Health, WatchSpec};

/// One change of what one watch sees. `old` and `new` are both set for an
/// update, `new` alone for an addition, `old` alone for a deletion or for
/// leaving the selector. An object that was deleted and made again is a
/// deletion and an addition.
#[derive(Debug)]
pub struct Change<'a> {
    /// The watch that it happened in; a change seen by two is told for each.
    pub spec: &'a WatchSpec,
    /// The object before.
    pub old: Option<&'a Arc<Object>>,
    /// The object now.
    pub new: Option<&'a Arc<Object>>,
}

/// Who hears of changes. Called after the store's lock is released, by whoever
/// brought the change: it must not block. Two callers may tell of one object
/// out of order, so what counts is what the store says when it is asked.
pub trait Notify: Send + Sync + 'static {
    /// Something was added, changed or removed.
    fn changed(&self, change: &Change<'_>);

    /// A watch's health has changed.
    fn health(&self, spec: &WatchSpec, health: &Health);
}

/// Nobody is told: who reads the store looks by himself.
impl Notify for () {
    fn changed(&self, _: &Change<'_>) {}

    fn health(&self, _: &WatchSpec, _: &Health) {}
}

/// The objects of all watches.
pub struct Store {
    state: RwLock<State>,
    notify: Arc<dyn Notify>,
}

impl Store {
    /// An empty store that tells `notify` of what changes.
    pub fn new(notify: Arc<dyn Notify>) -> Arc<Self> {
        Arc::new(Self { state: RwLock::default(), notify })
    }

    /// One object, if a watch of that kind and version holds it. `namespace` is
    /// empty for cluster-scoped kinds.
    pub fn get(&self, kind: &GroupKind, version: &str, namespace: &str, name: &str) -> Option<Arc<Object>> {
        self.read().entry(kind, version, namespace, name).map(|entry| entry.object.clone())
    }

    /// The first `limit` objects of a kind and version that `labels` selects, in
    /// one namespace or in all, ordered by namespace and name: of those that
    /// watches hold, so all only where an unlabelled watch is synced.
    pub fn select(
        &self,
        kind: &GroupKind,
        version: &str,
        namespace: Option<&str>,
        labels: &Selector,
        limit: usize,
    ) -> Vec<Arc<Object>> {
        let state = self.read();
        let selected = state.of_kind(kind, version, namespace);
        let selected = selected.filter(|object| labels.matches(|name| object.meta.label(name)));
        selected.take(limit).cloned().collect()
    }

    /// The first object that exists and cannot be read, with the reason, among
    /// those of a kind and version in a namespace, or in all, and with a name,
    /// or any: `get` has none for it, and yet it is not absent.
    pub fn unreadable(
        &self,
        kind: &GroupKind,
        version: &str,
        namespace: Option<&str>,
        name: Option<&str>,
    ) -> Option<(Place, Arc<str>)> {
        self.read().unreadable(kind, version, namespace, name)
    }

    /// Whether a newer state of the object was written back in another version
    /// of its kind than `version`, whose watch has not shown it yet: a decision
    /// on what `get` gives would be made without our own last write.
    pub fn behind(&self, kind: &GroupKind, version: &str, namespace: &str, name: &str) -> bool {
        let state = self.read();
        let entry = state.entry(kind, version, namespace, name);
        entry.is_some_and(|entry| entry.newest > entry.object.meta.resource_version)
    }

    /// What names `owner` as its controller or in its owner mark, ordered by
    /// kind, namespace, name and version. A child that is watched in two
    /// versions is there twice.
    pub fn children(&self, owner: &Uid) -> Vec<Arc<Object>> {
        self.read().children.of(owner).to_vec()
    }

    /// Of what names whatever lies or lay at `owner`, that which the host has to
    /// collect, in the same order.
    pub fn collected_for(&self, owner: &Place) -> Vec<Arc<Object>> {
        self.read().children.collected(owner).to_vec()
    }

    /// All that the host has to collect when its owner goes.
    pub fn collected(&self) -> Vec<Arc<Object>> {
        self.read().children.all_collected().cloned().collect()
    }

    /// What one watch holds, ordered by namespace and name.
    pub fn list(&self, spec: &WatchSpec) -> Vec<Arc<Object>> {
        self.read().list(spec)
    }

    /// How a watch is doing; [`Health::Starting`] for one that is not run yet.
    pub fn health(&self, spec: &WatchSpec) -> Health {
        self.read().health(spec)
    }

    /// How many objects are held, each once for each version it is watched in.
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many objects exist that cannot be read.
    pub fn unreadable_len(&self) -> usize {
        self.read().unreadable_len()
    }

    /// Takes in the answer to a write of our own, so that the next look sees
    /// it. Ignored where a watch has got beyond it already.
    pub fn put(&self, object: Arc<Object>) {
        self.change(|state, told| state.put(&object, told));
    }

    /// Takes in that the server has deleted the object `uid` at our request and
    /// that it is gone, in all versions that it is held in.
    pub fn remove(&self, place: &Place, uid: &Uid) {
        self.change(|state, told| state.remove(place, uid, told));
    }

    /// Opens the partition of a watch, empty and [`Health::Starting`]. One that
    /// was open for the same spec is emptied: its intake does nothing any more.
    pub fn open(self: &Arc<Self>, spec: &WatchSpec) -> Intake {
        let id = self.change(|state, _| state.open(spec));
        Intake::new(self.clone(), id, spec.clone())
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().expect("no one panics while they hold the store's lock")
    }

    /// Changes the state, then, with the lock released, tells of it.
    fn change<T>(&self, change: impl FnOnce(&mut State, &mut Told) -> T) -> T {
        let mut told = Told::default();
        let answer = {
            let mut state = self.state.write().expect("no one panics while they hold the store's lock");
            change(&mut state, &mut told)
        };
        for (spec, old, new) in &told.changes {
            self.notify.changed(&Change { spec, old: old.as_ref(), new: new.as_ref() });
        }
        if let Some((spec, health)) = &told.health {
            self.notify.health(spec, health);
        }
        answer
    }
}
