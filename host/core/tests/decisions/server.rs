//! A little model of the server, just enough to apply a plan to: what we say
//! of an object and what others say are kept apart and read as one.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value, json};
use trimtab_core::{
    id::{Place, join_api_version},
    object::Object,
    plan::ChildSpec,
    write::{Action, Seen, Write},
};

#[derive(Default, Clone)]
pub struct Server {
    stored: BTreeMap<Place, Stored>,
    versions: u64,
}

#[derive(Clone)]
struct Stored {
    api_version: String,
    /// What was applied last.
    applied: Value,
    /// What others say besides.
    besides: Value,
    uid: String,
    version: u64,
    /// Deletion only marks it, until [`Server::collect`].
    lingers: bool,
    deleting: bool,
}

impl Stored {
    fn read(&self, place: &Place) -> Object {
        let mut object = self.besides.clone();
        merge(&mut object, &self.applied);
        let metadata = &mut object["metadata"];
        metadata["name"] = json!(*place.name);
        metadata["namespace"] = json!(*place.namespace);
        metadata["uid"] = json!(self.uid);
        metadata["resourceVersion"] = json!(self.version.to_string());
        if self.deleting {
            metadata["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        // A server that writes quantities in its own way.
        let text = object.to_string().replace("1000m", "1");
        Object::parse(&text, &self.api_version, &place.kind.kind).unwrap()
    }

    fn check(&self, seen: &Seen) -> Result<(), String> {
        let same = self.uid == seen.uid.as_str() && self.version == seen.resource_version;
        if same { Ok(()) } else { Err(format!("{seen:?} is not uid {} at {}", self.uid, self.version)) }
    }
}

/// Merges maps field by field; `over` wins.
fn merge(under: &mut Value, over: &Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            over.iter().for_each(|(name, value)| merge(under.entry(name).or_insert(json!({})), value));
        }
        (under, over) => *under = over.clone(),
    }
}

impl Server {
    /// Does a write, or says which precondition failed.
    pub fn write(&mut self, write: &Write) -> Result<Option<Object>, String> {
        let place = &write.place;
        match (&write.action, self.stored.get_mut(place)) {
            (Action::Create { .. }, Some(_)) => return Err(format!("{place} exists")),
            (Action::Create { body }, None) => {
                self.put(place, &join_api_version(&place.kind.group, &write.version), body.clone());
            }
            (Action::Apply { seen, body }, Some(stored)) => {
                stored.check(seen)?;
                let before = stored.read(place);
                stored.applied = body.clone();
                if stored.read(place).content != before.content {
                    self.versions += 1;
                    stored.version = self.versions;
                }
            }
            (Action::Delete { seen }, Some(stored)) => {
                stored.check(seen)?;
                stored.deleting = true;
                if !stored.lingers {
                    self.stored.remove(place);
                }
            }
            (action, _) => return Err(format!("{action:?} is nothing for {place}")),
        }
        Ok(self.read(place))
    }

    /// Stores an object as someone may have made it.
    pub fn put(&mut self, place: &Place, api_version: &str, applied: Value) {
        self.versions += 1;
        let (uid, version) = (format!("made-{}", self.versions), self.versions);
        let besides = json!({"metadata": {"annotations": {"theirs": "x"}}, "more": {"theirs": 1}});
        let stored =
            Stored { api_version: api_version.into(), applied, besides, uid, version, lingers: false, deleting: false };
        self.stored.insert(place.clone(), stored);
    }

    /// Edits what we said of an object, as somebody with kubectl would.
    pub fn edit(&mut self, place: &Place, edit: impl FnOnce(&mut Map<String, Value>)) {
        self.versions += 1;
        let stored = self.stored.get_mut(place).expect("only what exists is edited");
        stored.version = self.versions;
        edit(stored.applied.as_object_mut().unwrap());
    }

    /// Puts someone's finalizer on an object, and perhaps asks it to go.
    pub fn linger(&mut self, place: &Place, deleting: bool) {
        let stored = self.stored.get_mut(place).expect("only what exists lingers");
        stored.lingers = true;
        stored.deleting = deleting;
    }

    /// Time goes by: what is being deleted is gone, and so is what an owner
    /// left behind that `is_gone`.
    pub fn collect(&mut self, is_gone: impl Fn(&str) -> bool) {
        self.stored.retain(|place, stored| {
            let left = stored.read(place).meta.controller().is_some_and(|owner| is_gone(owner.uid.as_str()));
            !stored.deleting && !left
        });
    }

    pub fn read(&self, place: &Place) -> Option<Object> {
        self.stored.get(place).map(|stored| stored.read(place))
    }

    /// The cache's index by owner.
    pub fn children(&self, uid: &str) -> Vec<Arc<Object>> {
        let all = self.stored.iter().map(|(place, stored)| stored.read(place));
        all.filter(|object| object.meta.controller().is_some_and(|owner| owner.uid.as_str() == uid))
            .map(Arc::new)
            .collect()
    }

    /// The cache at a place.
    pub fn at(&self, _: &ChildSpec, place: &Place) -> Option<Arc<Object>> {
        self.read(place).map(Arc::new)
    }
}
