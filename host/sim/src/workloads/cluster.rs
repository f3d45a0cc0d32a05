//! What is known of the cluster: every object of the simulated kinds as it was
//! last seen or written, and whose it is.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    behaviour,
    object::{self, Key, Kind},
};

/// The objects, and who controls which.
#[derive(Default)]
pub(super) struct Cluster {
    objects: BTreeMap<Key, Value>,
    /// By the controller's uid.
    controlled: BTreeMap<String, BTreeSet<Key>>,
}

impl Cluster {
    pub fn get(&self, key: &Key) -> Option<&Value> {
        self.objects.get(key)
    }

    /// The objects of a kind that an object controls, in the order of their names.
    pub fn controlled_by<'a>(&'a self, owner: &Value, kind: Kind) -> impl Iterator<Item = &'a Value> {
        let keys = self.controlled.get(object::uid(owner)).into_iter().flatten();
        keys.filter(move |key| key.kind == kind).filter_map(|key| self.get(key))
    }

    /// The controller of an object, if it is known and still the same.
    pub fn controller_of(&self, object: &Value) -> Option<&Value> {
        let owner = self.get(&Key::of_controller(object)?)?;
        (object::controller(object)?["uid"] == object::uid(owner)).then_some(owner)
    }

    /// An object and its controllers, upwards.
    pub fn lineage<'a>(&'a self, object: &'a Value) -> impl Iterator<Item = &'a Value> {
        std::iter::successors(Some(object), |object| self.controller_of(object))
    }

    /// Takes what was seen or written, unless something newer is known. The
    /// keys that have to be looked at are those that the change concerns.
    pub fn put(&mut self, kind: Kind, object: Value) -> BTreeSet<Key> {
        let key = Key::of(kind, &object);
        let before = self.objects.get(&key);
        if before.is_some_and(|known| object::resource_version(known) >= object::resource_version(&object)) {
            return BTreeSet::new();
        }
        let mut concerned = BTreeSet::from([key.clone()]);
        if before.is_some_and(|before| behaviour::differs(before, &object)) {
            self.add_below(&key, &mut concerned);
        }
        self.forget(&key, &mut concerned);
        if let Some(controller) = object::controller(&object).and_then(|controller| controller["uid"].as_str()) {
            self.controlled.entry(controller.to_owned()).or_default().insert(key.clone());
        }
        concerned.extend(Key::of_controller(&object));
        self.objects.insert(key, object);
        concerned
    }

    /// Forgets an object that is gone.
    pub fn remove(&mut self, key: &Key) -> BTreeSet<Key> {
        let mut concerned = BTreeSet::new();
        self.forget(key, &mut concerned);
        concerned
    }

    /// What a whole list of a kind lacks, and so is gone, unless it is newer
    /// than the list.
    pub fn lacking(&self, kind: Kind, listed: &[Value], at: u64) -> Vec<Key> {
        let present = listed.iter().map(|object| Key::of(kind, object)).collect::<BTreeSet<_>>();
        let lacking = self.objects.iter().filter(|(key, object)| {
            key.kind == kind && !present.contains(key) && object::resource_version(object) <= at
        });
        lacking.map(|(key, _)| key.clone()).collect()
    }

    fn forget(&mut self, key: &Key, concerned: &mut BTreeSet<Key>) {
        let Some(before) = self.objects.remove(key) else { return };
        concerned.extend(Key::of_controller(&before));
        let controller = object::controller(&before).and_then(|controller| controller["uid"].as_str());
        if let Some(uid) = controller
            && let Some(keys) = self.controlled.get_mut(uid)
        {
            keys.remove(key);
            if keys.is_empty() {
                self.controlled.remove(uid);
            }
        }
    }

    /// All that an object controls, downwards.
    fn add_below(&self, key: &Key, concerned: &mut BTreeSet<Key>) {
        let Some(owner) = self.get(key) else { return };
        for below in self.controlled.get(object::uid(owner)).into_iter().flatten() {
            concerned.insert(below.clone());
            self.add_below(below, concerned);
        }
    }
}
