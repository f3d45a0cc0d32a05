//! Where the objects live: one owner of them all, of the resource versions,
//! which only grow, and of the history that watches read.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::Notify;

use crate::kinds::GroupResource;

/// An object at one resourceVersion, in its stored version.
#[derive(Debug)]
pub(crate) struct Stored {
    pub resource_version: u64,
    pub object: Value,
    /// The text that was last sent and for which kind; a list and a hundred
    /// watches of one kind then share it.
    pub rendered: Mutex<Option<(u64, Bytes)>>,
}

impl Stored {
    pub fn cached_text(&self, kind_id: u64) -> Option<Bytes> {
        let rendered = self.rendered.lock().unwrap_or_else(PoisonError::into_inner);
        rendered.as_ref().filter(|(of, _)| *of == kind_id).map(|(_, text)| text.clone())
    }

    pub fn cache_text(&self, kind_id: u64, text: Bytes) {
        *self.rendered.lock().unwrap_or_else(PoisonError::into_inner) = Some((kind_id, text));
    }

    pub fn uid(&self) -> &str {
        self.object.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default()
    }

    pub fn is_deleting(&self) -> bool {
        self.object.pointer("/metadata/deletionTimestamp").is_some()
    }
}

/// What happened to an object at one resourceVersion.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub resource_version: u64,
    pub key: String,
    /// The state before; none for a creation.
    pub before: Option<Arc<Stored>>,
    /// The state after; for a deletion the last state, at the deletion's own version.
    pub after: Arc<Stored>,
    pub deleted: bool,
}

/// All objects of one resource.
#[derive(Debug)]
pub(crate) struct Collection {
    objects: BTreeMap<String, Arc<Stored>>,
    history: VecDeque<Change>,
    /// Nothing at or below this version can be watched from any more.
    compacted: u64,
    /// Bumped when the kind itself changes: watches that run then end.
    pub incarnation: u64,
    changed: Arc<Notify>,
}

impl Collection {
    fn new(compacted: u64) -> Self {
        Self { objects: BTreeMap::new(), history: VecDeque::new(), compacted, incarnation: 0, changed: Arc::default() }
    }

    pub fn objects(&self) -> &BTreeMap<String, Arc<Stored>> {
        &self.objects
    }

    /// Wakes those who wait when something is stored, in the order in which
    /// they came; a `watch` channel would leave that to chance, and no run from
    /// a seed could be repeated.
    pub fn changed(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
    }

    /// The oldest version from which a watch or a page can still go on.
    pub fn compacted(&self) -> u64 {
        self.compacted
    }

    /// The changes after a version, oldest first; none if they are gone.
    pub fn since(&self, version: u64) -> Option<impl Iterator<Item = &Change>> {
        if version < self.compacted {
            return None;
        }
        let start = self.history.partition_point(|change| change.resource_version <= version);
        Some(self.history.range(start..))
    }

    /// The objects as they were at a version; none if that is gone.
    pub fn at(&self, version: u64) -> Option<BTreeMap<String, Arc<Stored>>> {
        if version < self.compacted {
            return None;
        }
        let mut objects = self.objects.clone();
        for change in self.history.iter().rev().take_while(|change| change.resource_version > version) {
            match &change.before {
                Some(before) => objects.insert(change.key.clone(), Arc::clone(before)),
                None => objects.remove(&change.key),
            };
        }
        Some(objects)
    }
}

/// An object's place: its resource and its key there (`namespace/name` or `name`).
pub(crate) type Place = (GroupResource, String);

#[derive(Debug)]
pub(crate) struct Storage {
    version: u64,
    collections: BTreeMap<GroupResource, Collection>,
    history_max: usize,
    /// Every living uid, and the objects that name it as an owner, living or not.
    places: HashMap<String, Place>,
    dependents: HashMap<String, BTreeSet<Place>>,
}

impl Storage {
    /// `history_max`: the changes kept for each resource.
    pub fn new(history_max: usize) -> Self {
        // No object may ever be at version 1: an apply that carries it says
        // "create or fail".
        Self {
            version: 1,
            collections: BTreeMap::new(),
            history_max,
            places: HashMap::new(),
            dependents: HashMap::new(),
        }
    }

    /// The latest resourceVersion given.
    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn collection(&mut self, at: &GroupResource) -> &mut Collection {
        self.collections.entry(at.clone()).or_insert_with(|| Collection::new(1))
    }

    pub fn get(&self, at: &GroupResource, key: &str) -> Option<Arc<Stored>> {
        self.collections.get(at)?.objects.get(key).cloned()
    }

    /// The objects of a resource, of one namespace or of all.
    pub fn list(&self, at: &GroupResource, namespace: Option<&str>) -> Vec<(String, Arc<Stored>)> {
        let Some(collection) = self.collections.get(at) else { return Vec::new() };
        in_namespace(&collection.objects, namespace).map(|(key, stored)| (key.clone(), Arc::clone(stored))).collect()
    }

    pub fn place_of(&self, uid: &str) -> Option<&Place> {
        self.places.get(uid)
    }

    /// The places of the objects that name this uid as an owner.
    pub fn dependents(&self, uid: &str) -> Vec<Place> {
        self.dependents.get(uid).map(|places| places.iter().cloned().collect()).unwrap_or_default()
    }

    /// Stores an object under the next resourceVersion.
    pub fn put(&mut self, at: &GroupResource, key: &str, object: Value) -> Arc<Stored> {
        let stored = self.next(object);
        let place = (at.clone(), key.to_owned());
        let before = self.collection(at).objects.insert(key.to_owned(), Arc::clone(&stored));
        if let Some(before) = &before {
            self.forget(&place, before);
        }
        self.places.insert(stored.uid().to_owned(), place.clone());
        for owner in owner_uids(&stored.object) {
            self.dependents.entry(owner.to_owned()).or_default().insert(place.clone());
        }
        self.record(at, key, before, &stored, false);
        stored
    }

    /// Removes an object; `last` is the state that watches see it leave with.
    pub fn remove(&mut self, at: &GroupResource, key: &str, last: Value) -> Option<Arc<Stored>> {
        let before = self.collection(at).objects.remove(key)?;
        let stored = self.next(last);
        self.forget(&(at.clone(), key.to_owned()), &before);
        self.record(at, key, Some(before), &stored, true);
        Some(stored)
    }

    /// Forgets the history up to now, everywhere: watches and pages from
    /// before answer 410.
    pub fn compact(&mut self) {
        let version = self.version;
        for collection in self.collections.values_mut() {
            collection.history.clear();
            collection.compacted = version;
        }
    }

    /// The kind itself changed: running watches end, and none can go on from before.
    pub fn reset_watches(&mut self, at: &GroupResource) {
        let version = self.version;
        let collection = self.collection(at);
        collection.history.clear();
        collection.compacted = version;
        collection.incarnation += 1;
        collection.changed.notify_waiters();
    }

    fn next(&mut self, mut object: Value) -> Arc<Stored> {
        self.version += 1;
        object["metadata"]["resourceVersion"] = Value::from(self.version.to_string());
        Arc::new(Stored { resource_version: self.version, object, rendered: Mutex::new(None) })
    }

    fn forget(&mut self, place: &Place, before: &Stored) {
        self.places.remove(before.uid());
        for owner in owner_uids(&before.object) {
            if let Some(places) = self.dependents.get_mut(owner) {
                places.remove(place);
                if places.is_empty() {
                    self.dependents.remove(owner);
                }
            }
        }
    }

    fn record(
        &mut self,
        at: &GroupResource,
        key: &str,
        before: Option<Arc<Stored>>,
        after: &Arc<Stored>,
        deleted: bool,
    ) {
        let max = self.history_max;
        let collection = self.collection(at);
        let after = Arc::clone(after);
        let resource_version = after.resource_version;
        collection.history.push_back(Change { resource_version, key: key.to_owned(), before, after, deleted });
        while collection.history.len() > max {
            if let Some(dropped) = collection.history.pop_front() {
                collection.compacted = dropped.resource_version;
            }
        }
        collection.changed.notify_waiters();
    }
}

/// The part of a collection that lies in one namespace, or all of it.
pub(crate) fn in_namespace<'a>(
    objects: &'a BTreeMap<String, Arc<Stored>>,
    namespace: Option<&str>,
) -> impl Iterator<Item = (&'a String, &'a Arc<Stored>)> + use<'a> {
    let prefix = namespace.map(|namespace| format!("{namespace}/")).unwrap_or_default();
    objects.range(prefix.clone()..).take_while(move |(key, _)| key.starts_with(&prefix))
}

/// The uids of an object's owners.
pub(crate) fn owner_uids(object: &Value) -> impl Iterator<Item = &str> {
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    owners.into_iter().flatten().filter_map(|owner| owner.get("uid")?.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(name: &str) -> Value {
        json!({ "metadata": { "name": name, "uid": name } })
    }

    #[test]
    fn versions_only_grow_and_history_tells_each_change() {
        let at = GroupResource::new("", "configmaps");
        let mut storage = Storage::new(10);
        let first = storage.put(&at, "n/a", object("a")).resource_version;
        let second = storage.put(&at, "n/a", object("a")).resource_version;
        let last = storage.remove(&at, "n/a", object("a")).unwrap().resource_version;
        assert!(1 < first && first < second && second < last);
        let changes: Vec<_> =
            storage.collection(&at).since(first).unwrap().map(|c| (c.resource_version, c.deleted)).collect();
        assert_eq!(changes, [(second, false), (last, true)]);
        let then = storage.collection(&at).at(first).unwrap();
        assert_eq!(then["n/a"].resource_version, first);
    }

    #[test]
    fn what_falls_out_of_the_history_cannot_be_watched_from() {
        let at = GroupResource::new("", "configmaps");
        let mut storage = Storage::new(2);
        let first = storage.put(&at, "n/a", object("a")).resource_version;
        for _ in 0..3 {
            storage.put(&at, "n/a", object("a"));
        }
        let latest = storage.version();
        assert!(storage.collection(&at).since(first).is_none());
        assert!(storage.collection(&at).since(latest - 1).is_some());
        storage.compact();
        assert!(storage.collection(&at).since(latest - 1).is_none());
        assert_eq!(storage.collection(&at).since(latest).unwrap().count(), 0);
    }

    #[test]
    fn a_namespace_is_no_prefix_of_its_neighbour() {
        let at = GroupResource::new("", "configmaps");
        let mut storage = Storage::new(10);
        for key in ["a/x", "a-b/x", "ab/x"] {
            storage.put(&at, key, object(key));
        }
        let keys = |namespace| storage.list(&at, namespace).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
        assert_eq!(keys(Some("a")), ["a/x"]);
        assert_eq!(keys(None), ["a-b/x", "a/x", "ab/x"]);
    }

    #[test]
    fn dependents_are_found_by_the_uid_they_name() {
        let at = GroupResource::new("", "configmaps");
        let mut storage = Storage::new(10);
        let mut child = object("child");
        child["metadata"]["ownerReferences"] = json!([{ "uid": "owner" }]);
        storage.put(&at, "n/child", child);
        assert_eq!(storage.dependents("owner"), [(at.clone(), "n/child".to_owned())]);
        storage.put(&at, "n/child", object("child"));
        assert_eq!(storage.dependents("owner"), []);
        assert_eq!(storage.place_of("child"), Some(&(at, "n/child".to_owned())));
    }
}
