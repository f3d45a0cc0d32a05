//! The labels and annotations that a decorator sets on an object which is
//! somebody else's, and how they are taken back.
//!
//! What was left at each key is remembered in an annotation on the object itself,
//! by a hash. A key is written where nothing was left there before, or where it
//! still is as it was left; what somebody has changed since is theirs from then
//! on, and only told. So each writer gives way to the next one: two decorators
//! that want different things of one key, or a decorator and the object's owner,
//! end after as many writes as there are writers. What is no longer wanted is
//! removed where it is as it was left.
//!
//! A label of the host's makes what is held visible to a watch that selects by
//! it, when the object no longer carries the labels that the plugin selects by.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    description::ObjectKind,
    hash::Hash,
    id::Lineage,
    inherit::Inherit,
    kind::Kind,
    object::{Meta, Object},
    write::{Action, Seen, Write},
};

/// How much of a hash tells one value from another: these are no secrets.
const HASH_CHARS: usize = 16;

/// What should stand at each key: a value, or nothing.
pub type Keys = BTreeMap<String, Option<String>>;

/// What a decorator wants of its object's metadata.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decoration {
    /// Labels to set, or to remove.
    pub labels: Keys,
    /// Annotations to set, or to remove.
    pub annotations: Keys,
}

impl Decoration {
    /// Whether an object that looks as is wanted would still be selected. One that
    /// would not is let go as soon as it is decorated, loses what it was given, is
    /// selected again, and so on.
    pub fn keeps_selected(&self, object: &Object, kind: &ObjectKind) -> bool {
        let label = |name: &str| match self.labels.get(name) {
            Some(wanted) => wanted.as_deref(),
            None => object.meta.label(name),
        };
        let annotation = |name: &str| match self.annotations.get(name) {
            Some(wanted) => wanted.as_deref().map(Cow::Borrowed),
            None => object.annotation(name),
        };
        kind.matches(label, annotation)
    }
}

/// What is to be done for a decoration, and what is not.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Decorated {
    /// One write of all that differs.
    pub write: Option<Write>,
    /// Keys that somebody has changed since they were written: `label "a"`.
    pub yielded: Vec<String>,
}

/// What was left at the keys of an object: the hash of a value, or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
struct Record {
    labels: BTreeMap<String, Option<String>>,
    annotations: BTreeMap<String, Option<String>>,
}

/// Whether an object carries anything that must be taken away before its lineage
/// may leave it alone.
pub fn holds(object: &Meta, lineage: &Lineage) -> bool {
    let (finalizer, mark) = (lineage.finalizer(), lineage.decorator_mark());
    object.finalizers.iter().any(|held| **held == *finalizer)
        || object.label(&mark).is_some()
        || object.mark(&mark).is_some()
}

/// The write that makes an object visible as held, if one is needed.
pub fn hold(object: &Meta, kind: &Kind, lineage: &Lineage) -> Option<Write> {
    let mark = lineage.decorator_mark();
    let wanted = object.label(&mark).is_none() && !object.deleting;
    wanted.then(|| write(object, kind, lineage, Map::from_iter([("labels".to_owned(), json!({ mark: "" }))])))
}

/// What brings the labels and annotations of an object up to date.
pub fn decide(object: &Object, kind: &Kind, lineage: &Lineage, wanted: &Decoration) -> Decorated {
    let (mark, left) = (lineage.decorator_mark(), record(&object.meta, lineage));
    if object.meta.deleting {
        return Decorated::default();
    }
    let live = Live::of(object);
    let labels = step(&wanted.labels, &left.labels, &live.labels);
    let annotations = step(&wanted.annotations, &left.annotations, &live.annotations);
    let yielded = labels.yielded.iter().map(|key| format!("label {key:?}"));
    let yielded = yielded.chain(annotations.yielded.iter().map(|key| format!("annotation {key:?}"))).collect();

    let mut patch = Map::new();
    let now = Record { labels: labels.left, annotations: annotations.left };
    let mut annotated = annotations.patch;
    if now != left {
        let text = (now != Record::default()).then(|| json!(now).to_string());
        annotated.insert(mark, text.into());
    }
    for (field, keys) in [("labels", labels.patch), ("annotations", annotated)] {
        if !keys.is_empty() {
            patch.insert(field.into(), keys.into());
        }
    }
    Decorated { write: (!patch.is_empty()).then(|| write(&object.meta, kind, lineage, patch)), yielded }
}

/// The one write that takes away all that a lineage has left in the metadata of
/// an object, its finalizer and those that it inherits among it, if there is
/// anything.
pub fn release(object: &Object, kind: &Kind, lineage: &Lineage, inherit: &Inherit) -> Option<Write> {
    let (meta, finalizer) = (&object.meta, lineage.finalizer());
    let stays = |held: &str| held != finalizer && !inherit.finalizers.contains(held);
    let kept = meta.finalizers.iter().filter(|held| stays(held)).collect::<Vec<_>>();
    let mut patch = without(object, lineage);
    if kept.len() < meta.finalizers.len() {
        patch.insert("finalizers".into(), json!(kept));
    }
    (!patch.is_empty()).then(|| write(meta, kind, lineage, patch))
}

/// The write that takes away the labels and annotations that another lineage has
/// set and left, its marks among them, where there are any.
pub fn take_back(object: &Object, kind: &Kind, lineage: &Lineage, former: &Lineage) -> Option<Write> {
    let patch = without(object, former);
    (!patch.is_empty() && !object.meta.deleting).then(|| write(&object.meta, kind, lineage, patch))
}

/// The patch of labels and annotations that takes back all that a lineage has set.
fn without(object: &Object, lineage: &Lineage) -> Map<String, Value> {
    let (meta, mark) = (&object.meta, lineage.decorator_mark());
    let (left, live) = (record(meta, lineage), Live::of(object));
    let nothing = Keys::new();
    let mut labels = step(&nothing, &left.labels, &live.labels).patch;
    let mut annotations = step(&nothing, &left.annotations, &live.annotations).patch;
    labels.extend(meta.label(&mark).map(|_| (mark.clone(), Value::Null)));
    annotations.extend(meta.mark(&mark).map(|_| (mark, Value::Null)));
    let fields = [("labels", labels), ("annotations", annotations)].into_iter();
    fields.filter(|(_, keys)| !keys.is_empty()).map(|(field, keys)| (field.to_owned(), keys.into())).collect()
}

fn write(object: &Meta, kind: &Kind, lineage: &Lineage, patch: Map<String, Value>) -> Write {
    Write {
        place: object.place.clone(),
        version: kind.metadata_version().to_owned(),
        manager: lineage.metadata_manager(),
        action: Action::Metadata { seen: Seen::of(object), patch },
    }
}

/// A record that cannot be read remembers nothing: what it was of stays.
fn record(object: &Meta, lineage: &Lineage) -> Record {
    object.mark(&lineage.decorator_mark()).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// What stands on the object.
struct Live {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

impl Live {
    fn of(object: &Object) -> Self {
        let whole = object.value();
        let pairs = |field: &str| {
            let pairs = whole["metadata"][field].as_object().into_iter().flatten();
            pairs.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
        };
        Self { labels: pairs("labels"), annotations: pairs("annotations") }
    }
}

/// What becomes of one field's keys.
#[derive(Default)]
struct Step<'a> {
    /// A merge patch: a value to be set, or null.
    patch: Map<String, Value>,
    /// What is left at which key from now on.
    left: BTreeMap<String, Option<String>>,
    yielded: Vec<&'a str>,
}

fn step<'a>(wanted: &'a Keys, left: &'a BTreeMap<String, Option<String>>, live: &BTreeMap<String, String>) -> Step<'a> {
    let mut step = Step::default();
    for key in wanted.keys().chain(left.keys()).collect::<BTreeSet<_>>() {
        let now = live.get(key);
        let is_as_left = left.get(key).map(|left| *left == now.map(|value| hash(value)));
        match wanted.get(key) {
            Some(wanted) if wanted.as_ref() == now => {
                step.left.extend(left.get_key_value(key).map(|(key, left)| (key.clone(), left.clone())));
            }
            Some(_) if is_as_left == Some(false) => {
                step.left.insert(key.clone(), left[key].clone());
                step.yielded.push(key);
            }
            Some(wanted) => {
                step.left.insert(key.clone(), wanted.as_deref().map(hash));
                step.patch.insert(key.clone(), wanted.clone().into());
            }
            None if is_as_left == Some(true) && now.is_some() => {
                step.patch.insert(key.clone(), Value::Null);
            }
            None => {}
        }
    }
    step
}

fn hash(value: &str) -> String {
    Hash::of([value.as_bytes()]).to_string()[..HASH_CHARS].to_owned()
}

#[cfg(test)]
mod tests;
