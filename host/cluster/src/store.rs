//! The one owner of cached objects.
use std::sync::Arc;
use trimtab_core::{id::{GroupKind, Place, Uid}, object::Object};
use crate::spec::{Health, WatchSpec};

/// One change of what one watch sees. `old` and `new` are both set for an
/// update; `old` alone for a deletion or for leaving the selector.
#[derive(Debug)]
pub struct Change<'a> {
    /// The watch that it happened in; a change seen by two is told for each.
    pub spec: &'a WatchSpec,
    /// The object before.
    pub old: Option<&'a Arc<Object>>,
    /// The object now.
    pub new: Option<&'a Arc<Object>>,
}

/// Who hears of changes. Called after the store's lock is released, on the task that brought the change: it must
/// not block. Two tasks may tell of one object out of order, so what counts is what the store says when asked.
pub trait Notify: Send + Sync + 'static {
    /// Something was added, changed or removed.
    fn changed(&self, change: &Change<'_>);
    /// A watch's health has changed.
    fn health(&self, spec: &WatchSpec, health: &Health);
}

/// The objects of all watches.
pub struct Store {}

impl Store {
    /// An empty store that tells `notify` of what changes.
    pub fn new(notify: Arc<dyn Notify>) -> Arc<Self> { let _ = notify; unimplemented!() }
    /// One object, if a watch of that kind and version holds it. `namespace` is empty for cluster-scoped kinds.
    pub fn get(&self, kind: &GroupKind, version: &str, namespace: &str, name: &str) -> Option<Arc<Object>> { let _ = (kind, version, namespace, name); unimplemented!() }
    /// Why an object that exists cannot be read, where that is so; `get` gives none for it.
    pub fn unreadable(&self, kind: &GroupKind, version: &str, namespace: &str, name: &str) -> Option<Arc<str>> { let _ = (kind, version, namespace, name); unimplemented!() }
    /// Whether a newer state of the object was written back in another version of its kind than `version`, whose
    /// watch has not seen that yet: a decision on it would act on a cache that lacks our own write.
    pub fn behind(&self, kind: &GroupKind, version: &str, namespace: &str, name: &str) -> bool { let _ = (kind, version, namespace, name); unimplemented!() }
    /// What names `owner` as its controller or in its owner mark, by kind, version, namespace and name. A child
    /// watched in two versions is there twice.
    pub fn children(&self, owner: &Uid) -> Vec<Arc<Object>> { let _ = owner; unimplemented!() }
    /// What one watch holds, by namespace and name.
    pub fn list(&self, spec: &WatchSpec) -> Vec<Arc<Object>> { let _ = spec; unimplemented!() }
    /// How a watch is doing; [`Health::Starting`] for one that is not (yet) run.
    pub fn health(&self, spec: &WatchSpec) -> Health { let _ = spec; unimplemented!() }
    /// Takes in the answer to a write of our own, so that the next look sees it.
    pub fn put(&self, object: Arc<Object>) { let _ = object; unimplemented!() }
    /// Takes in that the server has deleted the object `uid` at our request, all its versions.
    pub fn remove(&self, place: &Place, uid: &Uid) { let _ = (place, uid); unimplemented!() }
}
