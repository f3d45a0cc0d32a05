//! Where the objects live: one owner of them all, of the resource versions,
//! which only grow, and of the history that watches read.
#![allow(
    clippy::mutable_key_type,
    reason = "objects are found by their key and their uid, neither of which changes; what changes is what was rendered"
)]

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::ops::Bound;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Notify;

use crate::kinds::GroupResource;
pub(crate) use crate::stored::Stored;

/// What happened to an object at one resourceVersion.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub resource_version: u64,
    /// The state before; none for a creation.
    pub before: Option<Arc<Stored>>,
    /// The state after; for a deletion the last state, at the deletion's own version.
    pub after: Arc<Stored>,
    pub deleted: bool,
}

/// The objects of a resource, in the order of their keys.
pub(crate) type Objects = BTreeSet<ByKey>;

/// All objects of one resource.
#[derive(Debug)]
pub(crate) struct Collection {
    at: Arc<GroupResource>,
    objects: Objects,
    history: VecDeque<Change>,
    /// Nothing at or below this version can be watched from any more.
    compacted: u64,
    /// Bumped when the kind itself changes: watches that run then end.
    pub incarnation: u64,
    changed: Arc<Notify>,
}

impl Collection {
    fn new(at: Arc<GroupResource>, compacted: u64) -> Self {
        let (objects, history, changed) = (Objects::new(), VecDeque::new(), Arc::default());
        Self { at, objects, history, compacted, incarnation: 0, changed }
    }

    pub fn objects(&self) -> &Objects {
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
    pub fn at(&self, version: u64) -> Option<Objects> {
        if version < self.compacted {
            return None;
        }
        let mut objects = self.objects.clone();
        for change in self.history.iter().rev().take_while(|change| change.resource_version > version) {
            match &change.before {
                Some(before) => drop(objects.replace(ByKey(Arc::clone(before)))),
                None => drop(objects.remove(&*change.after.key)),
            }
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
    /// The living objects, by uid.
    living: HashSet<ByUid>,
    /// The objects that name a uid as an owner, whether that lives or not.
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
            living: HashSet::new(),
            dependents: HashMap::new(),
        }
    }

    /// The latest resourceVersion given.
    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn collection(&mut self, at: &GroupResource) -> &mut Collection {
        if !self.collections.contains_key(at) {
            self.collections.insert(at.clone(), Collection::new(Arc::new(at.clone()), 1));
        }
        self.collections.get_mut(at).expect("made above")
    }

    pub fn get(&self, at: &GroupResource, key: &str) -> Option<Arc<Stored>> {
        self.collections.get(at)?.objects.get(key).map(|found| Arc::clone(&found.0))
    }

    /// The objects of a resource, of one namespace or of all.
    pub fn list(&self, at: &GroupResource, namespace: Option<&str>) -> Vec<Arc<Stored>> {
        let Some(collection) = self.collections.get(at) else { return Vec::new() };
        in_namespace(&collection.objects, namespace).cloned().collect()
    }

    pub fn place_of(&self, uid: &str) -> Option<Place> {
        self.living.get(uid).map(|found| (GroupResource::clone(&found.0.at), found.0.key.to_string()))
    }

    /// The places of the objects that name this uid as an owner.
    pub fn dependents(&self, uid: &str) -> Vec<Place> {
        self.dependents.get(uid).map(|places| places.iter().cloned().collect()).unwrap_or_default()
    }

    /// Stores an object under the next resourceVersion, which it says from now on.
    pub fn put(&mut self, at: &GroupResource, key: &str, object: &mut Value) -> Arc<Stored> {
        let stored = self.next(at, key, object);
        let before = self.collection(at).objects.replace(ByKey(Arc::clone(&stored))).map(|before| before.0);
        if let Some(before) = &before {
            self.forget(before);
        }
        self.living.replace(ByUid(Arc::clone(&stored)));
        for owner in stored.owner_uids() {
            self.dependents.entry(owner).or_default().insert((at.clone(), key.to_owned()));
        }
        self.record(at, before, &stored, false);
        stored
    }

    /// Removes an object; `last` is the state that watches see it leave with.
    pub fn remove(&mut self, at: &GroupResource, key: &str, mut last: Value) -> Option<Arc<Stored>> {
        let before = self.collection(at).objects.take(key)?.0;
        let stored = self.next(at, key, &mut last);
        self.forget(&before);
        self.record(at, Some(before), &stored, true);
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

    fn next(&mut self, at: &GroupResource, key: &str, object: &mut Value) -> Arc<Stored> {
        self.version += 1;
        let version = self.version;
        object["metadata"]["resourceVersion"] = Value::from(version.to_string());
        Arc::new(Stored::new(Arc::clone(&self.collection(at).at), key, version, object))
    }

    fn forget(&mut self, before: &Stored) {
        self.living.remove(before.uid());
        for owner in before.owner_uids() {
            if let Some(places) = self.dependents.get_mut(&owner) {
                places.remove(&(GroupResource::clone(&before.at), before.key.to_string()));
                if places.is_empty() {
                    self.dependents.remove(&owner);
                }
            }
        }
    }

    fn record(&mut self, at: &GroupResource, before: Option<Arc<Stored>>, after: &Arc<Stored>, deleted: bool) {
        let max = self.history_max;
        let collection = self.collection(at);
        let after = Arc::clone(after);
        let resource_version = after.resource_version;
        collection.history.push_back(Change { resource_version, before, after, deleted });
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
    objects: &'a Objects,
    namespace: Option<&str>,
) -> impl Iterator<Item = &'a Arc<Stored>> + use<'a> {
    let prefix = namespace.map(|namespace| format!("{namespace}/")).unwrap_or_default();
    let from = (Bound::Included(prefix.as_str()), Bound::Unbounded);
    objects.range::<str, _>(from).map(|found| &found.0).take_while(move |stored| stored.key.starts_with(&prefix))
}

/// An object that is found by its key.
#[derive(Debug, Clone)]
pub(crate) struct ByKey(Arc<Stored>);

impl Borrow<str> for ByKey {
    fn borrow(&self) -> &str {
        &self.0.key
    }
}

impl Ord for ByKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.key.cmp(&other.0.key)
    }
}

impl PartialOrd for ByKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.key == other.0.key
    }
}

impl Eq for ByKey {}

/// An object that is found by its uid.
#[derive(Debug)]
struct ByUid(Arc<Stored>);

impl Borrow<str> for ByUid {
    fn borrow(&self) -> &str {
        self.0.uid()
    }
}

impl Hash for ByUid {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.uid().hash(state);
    }
}

impl PartialEq for ByUid {
    fn eq(&self, other: &Self) -> bool {
        self.0.uid() == other.0.uid()
    }
}

impl Eq for ByUid {}

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
        let first = storage.put(&at, "n/a", &mut object("a")).resource_version;
        let second = storage.put(&at, "n/a", &mut object("a")).resource_version;
        let last = storage.remove(&at, "n/a", object("a")).unwrap().resource_version;
        assert!(1 < first && first < second && second < last);
        let changes: Vec<_> =
            storage.collection(&at).since(first).unwrap().map(|c| (c.resource_version, c.deleted)).collect();
        assert_eq!(changes, [(second, false), (last, true)]);
        let then = storage.collection(&at).at(first).unwrap();
        assert_eq!(in_namespace(&then, Some("n")).next().unwrap().resource_version, first);
    }

    #[test]
    fn what_falls_out_of_the_history_cannot_be_watched_from() {
        let at = GroupResource::new("", "configmaps");
        let mut storage = Storage::new(2);
        let first = storage.put(&at, "n/a", &mut object("a")).resource_version;
        for _ in 0..3 {
            storage.put(&at, "n/a", &mut object("a"));
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
            storage.put(&at, key, &mut object(key));
        }
        let keys =
            |namespace| storage.list(&at, namespace).iter().map(|stored| stored.key.to_string()).collect::<Vec<_>>();
        assert_eq!(keys(Some("a")), ["a/x"]);
        assert_eq!(keys(None), ["a-b/x", "a/x", "ab/x"]);
    }

    #[test]
    fn dependents_are_found_by_the_uid_they_name() {
        let at = GroupResource::new("", "configmaps");
        let mut storage = Storage::new(10);
        let mut child = object("child");
        child["metadata"]["ownerReferences"] = json!([{ "uid": "owner" }]);
        storage.put(&at, "n/child", &mut child);
        assert_eq!(storage.dependents("owner"), [(at.clone(), "n/child".to_owned())]);
        storage.put(&at, "n/child", &mut object("child"));
        assert_eq!(storage.dependents("owner"), []);
        assert_eq!(storage.place_of("child"), Some((at, "n/child".to_owned())));
    }
}
