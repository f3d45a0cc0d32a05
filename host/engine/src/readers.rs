//! Who looked what up, found or not: from a change of an object to the keys whose
//! last run rests on it. A selection is found by one of the labels that it asks
//! for; whether the change concerns the rest of it, the fingerprint tells.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use trimtab_core::{
    id::{GroupKind, Key, Place},
    object::Meta,
};

/// What a look-up is woken by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trigger {
    /// The object at that place.
    Place(Place),
    /// An object with that label.
    Label {
        /// Its kind.
        kind: GroupKind,
        /// Only there; none: in any namespace.
        namespace: Option<Arc<str>>,
        /// The label's name.
        name: Box<str>,
        /// The label's value.
        value: Box<str>,
    },
    /// Any object of the kind.
    Kind {
        /// Which.
        kind: GroupKind,
        /// Only there; none: in any namespace.
        namespace: Option<Arc<str>>,
    },
}

/// The triggers of all keys, by trigger and by key.
#[derive(Debug, Default)]
pub struct Readers {
    keys: HashMap<Trigger, BTreeSet<Key>>,
    /// To be able to forget them.
    triggers: BTreeMap<Key, BTreeSet<Trigger>>,
    /// How many of the triggers are no places. Most hosts have none, and are
    /// spared to look for them at each change.
    selections: usize,
}

impl Trigger {
    /// An object of a kind with a label.
    pub fn label(kind: &GroupKind, namespace: Option<&Arc<str>>, name: &str, value: &str) -> Self {
        Self::Label { kind: kind.clone(), namespace: namespace.cloned(), name: name.into(), value: value.into() }
    }

    /// The selections that a change of an object may concern.
    fn selections(object: &Meta) -> impl Iterator<Item = Self> {
        let kind = &object.place.kind;
        [None, Some(&object.place.namespace)].into_iter().flat_map(move |namespace| {
            let labels = object.labels.iter().map(move |(name, value)| Self::label(kind, namespace, name, value));
            labels.chain([Self::Kind { kind: kind.clone(), namespace: namespace.cloned() }])
        })
    }

    fn is_selection(&self) -> bool {
        !matches!(self, Self::Place(_))
    }
}

impl Readers {
    /// The keys that a change of an object, to or from this state, wakes.
    pub fn of(&self, object: &Meta) -> BTreeSet<Key> {
        let selections = (self.selections > 0).then(|| Trigger::selections(object)).into_iter().flatten();
        let triggers = selections.chain([Trigger::Place(object.place.clone())]);
        triggers.filter_map(|trigger| self.keys.get(&trigger)).flatten().cloned().collect()
    }

    /// Replaces the triggers of a key.
    pub fn set(&mut self, key: &Key, new: BTreeSet<Trigger>) {
        // Most looks look up what the last one did, or nothing.
        if self.triggers.get(key).map_or(new.is_empty(), |old| *old == new) {
            return;
        }
        let old =
            if new.is_empty() { self.triggers.remove(key) } else { self.triggers.insert(key.clone(), new.clone()) };
        let old = old.unwrap_or_default();
        for gone in old.difference(&new) {
            let Some(keys) = self.keys.get_mut(gone) else { continue };
            keys.remove(key);
            if keys.is_empty() {
                self.keys.remove(gone);
                self.selections -= usize::from(gone.is_selection());
            }
        }
        for trigger in new.difference(&old) {
            let keys = self.keys.entry(trigger.clone()).or_default();
            self.selections += usize::from(keys.is_empty() && trigger.is_selection());
            keys.insert(key.clone());
        }
    }

    /// Whether nobody looked anything up.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.triggers.is_empty() && self.selections == 0
    }
}

#[cfg(test)]
mod tests {
    use trimtab_core::{
        id::{Cluster, Lineage},
        object::Object,
    };

    use super::*;

    fn secret() -> GroupKind {
        GroupKind::new("v1", "Secret")
    }

    fn place(namespace: &str, name: &str) -> Place {
        Place { kind: secret(), namespace: namespace.into(), name: name.into() }
    }

    fn key(name: &str) -> Key {
        Key { cluster: Cluster::local(), place: place("a", name), lineage: Lineage::new("site").unwrap() }
    }

    /// A Secret with the label `tier`.
    fn object(namespace: &str, name: &str, tier: &str) -> Meta {
        let text = format!(
            r#"{{"metadata":{{"name":"{name}","namespace":"{namespace}","uid":"u","resourceVersion":"1","labels":{{"app":"x","tier":"{tier}"}}}}}}"#
        );
        Object::parse(&text, "v1", "Secret").unwrap().meta
    }

    fn tier(namespace: Option<&str>, value: &str) -> Trigger {
        Trigger::label(&secret(), namespace.map(Arc::from).as_ref(), "tier", value)
    }

    #[test]
    fn an_object_wakes_only_those_whose_last_run_looked_it_up() {
        let mut readers = Readers::default();
        readers.set(&key("k"), [Trigger::Place(place("a", "x")), Trigger::Place(place("a", "y"))].into());
        assert_eq!(readers.of(&object("a", "x", "web")), [key("k")].into());
        readers.set(&key("k"), [Trigger::Place(place("a", "y"))].into());
        assert!(readers.of(&object("a", "x", "web")).is_empty());
        assert_eq!(readers.of(&object("a", "y", "web")), [key("k")].into());
    }

    #[test]
    fn a_selection_is_woken_by_what_has_the_label_that_it_asks_for() {
        let mut readers = Readers::default();
        readers.set(&key("anywhere"), [tier(None, "web")].into());
        readers.set(&key("in-a"), [tier(Some("a"), "web")].into());
        readers.set(&key("db"), [tier(None, "db")].into());
        readers.set(&key("all-in-b"), [Trigger::Kind { kind: secret(), namespace: Some("b".into()) }].into());
        assert_eq!(readers.of(&object("a", "x", "web")), [key("anywhere"), key("in-a")].into());
        assert_eq!(readers.of(&object("b", "x", "web")), [key("all-in-b"), key("anywhere")].into());
        assert_eq!(readers.of(&object("a", "x", "db")), [key("db")].into());
    }

    #[test]
    fn a_forgotten_key_leaves_nothing_behind() {
        let mut readers = Readers::default();
        readers.set(&key("k"), [Trigger::Place(place("a", "x")), tier(None, "web")].into());
        readers.set(&key("l"), [tier(None, "web")].into());
        readers.set(&key("k"), BTreeSet::new());
        readers.set(&key("l"), BTreeSet::new());
        assert!(readers.is_empty());
    }
}
