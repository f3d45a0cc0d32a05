//! How a stored object reads in one version: converted, defaulted and pruned
//! by the schemas of today, whole or as its metadata only.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use crate::event_forms;
use crate::kinds::Kind;
use crate::storage::Stored;
use crate::stored::Text;
use crate::table::{Printer, RowObject};

/// What a client wants to see of an object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Representation {
    #[default]
    Whole,
    /// `PartialObjectMetadata`.
    Metadata(MetaVersion),
    Table(MetaVersion, RowObject),
}

/// The version of `meta.k8s.io` in which that is answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum MetaVersion {
    #[default]
    V1,
    V1Beta1,
}

impl MetaVersion {
    pub fn api_version(self) -> &'static str {
        match self {
            Self::V1 => "meta.k8s.io/v1",
            Self::V1Beta1 => "meta.k8s.io/v1beta1",
        }
    }
}

/// The object in the version of the kind.
pub(crate) fn of(kind: &Kind, stored: &Stored) -> Value {
    read(kind, stored.object())
}

/// A stored object's value in the version of the kind.
pub(crate) fn read(kind: &Kind, mut value: Value) -> Value {
    read_custom(kind, &mut value);
    if kind.stored_at.is_some() {
        event_forms::to_new(&mut value);
    }
    value
}

/// What a custom kind's version reads of a stored object.
fn read_custom(kind: &Kind, value: &mut Value) {
    let Some(custom) = &kind.custom else { return };
    // The schema may have changed since the object was written.
    custom.storage_schema.prune(value);
    custom.storage_schema.default(value);
    // What an apply left empty is kept so, and not read so.
    custom.storage_schema.tidy_metadata(value);
    if kind.version != custom.storage_version {
        value["apiVersion"] = Value::from(kind.api_version());
        kind.schema.prune(value);
    }
}

/// Whether objects are answered just as they are stored.
fn is_as_stored(kind: &Kind) -> bool {
    kind.custom.is_none() && kind.stored_at.is_none()
}

/// The object as it is stored: in the storage version, and only what that knows.
/// A conversion leaves nothing of what is empty in the metadata.
pub(crate) fn to_storage(kind: &Kind, mut value: Value) -> Value {
    if let Some(custom) = &kind.custom
        && kind.version != custom.storage_version
    {
        value["apiVersion"] = Value::from(format!("{}/{}", kind.at.group, custom.storage_version));
        custom.storage_schema.prune(&mut value);
        custom.storage_schema.tidy_metadata(&mut value);
    }
    if kind.stored_at.is_some() {
        event_forms::to_stored(&mut value);
    }
    value
}

/// What a dry run answers: the object as it would be read again.
pub(crate) fn not_stored(kind: &Kind, value: Value) -> Value {
    if kind.custom.is_none() {
        return value;
    }
    let mut value = to_storage(kind, value);
    read_custom(kind, &mut value);
    value
}

/// What a write through the kind's version leaves of an object as it is stored.
pub(crate) fn rewritten(kind: &Kind, mut value: Value) -> Value {
    if kind.custom.is_none() {
        return value;
    }
    read_custom(kind, &mut value);
    to_storage(kind, value)
}

/// The text of an object, from the cache where it was rendered before.
pub(crate) fn text(kind: &Kind, stored: &Stored, representation: Representation, now: Timestamp) -> Bytes {
    match representation {
        Representation::Whole => {}
        Representation::Metadata(version) => return metadata_text(kind, stored, version),
        Representation::Table(version, row_object) => {
            return Printer { kind, version, row_object, now }.one(&of(kind, stored), true);
        }
    }
    if is_as_stored(kind) {
        return stored.text.whole.clone();
    }
    stored.cached_text(kind.id).unwrap_or_else(|| cache(kind, stored, &of(kind, stored)))
}

/// The text of an object that was just stored, and reads so.
pub(crate) fn text_of_written(kind: &Kind, stored: &Stored, object: &Value) -> Bytes {
    if is_as_stored(kind) { stored.text.whole.clone() } else { cache(kind, stored, object) }
}

fn cache(kind: &Kind, stored: &Stored, object: &Value) -> Bytes {
    stored.cache_text(kind.id, Text::of(object).whole)
}

fn metadata_text(kind: &Kind, stored: &Stored, version: MetaVersion) -> Bytes {
    if stored.text.has_empty_metadata() {
        return to_bytes(&metadata_only(&of(kind, stored), version));
    }
    let api_version = version.api_version();
    let mut out = format!(r#"{{"kind":"PartialObjectMetadata","apiVersion":"{api_version}","metadata":"#).into_bytes();
    out.extend_from_slice(stored.text.metadata());
    out.push(b'}');
    Bytes::from(out)
}

pub(crate) fn metadata_only(object: &Value, version: MetaVersion) -> Value {
    json!({ "kind": "PartialObjectMetadata", "apiVersion": version.api_version(), "metadata": object["metadata"] })
}

/// A list answer. Items of built-in kinds carry no apiVersion and kind.
pub(crate) fn list(
    kind: &Kind,
    items: &[Arc<Stored>],
    metadata: &Value,
    representation: Representation,
    now: Timestamp,
) -> Bytes {
    let (list_kind, api_version) = match representation {
        Representation::Whole => (kind.list_kind.clone(), kind.api_version()),
        Representation::Metadata(version) => ("PartialObjectMetadataList".to_owned(), version.api_version().to_owned()),
        Representation::Table(version, row_object) => {
            let objects: Vec<Value> = items.iter().map(|stored| of(kind, stored)).collect();
            return Printer { kind, version, row_object, now }.list(objects.iter(), metadata);
        }
    };
    let head = json!({ "kind": list_kind, "apiVersion": api_version, "metadata": metadata });
    let mut out = to_bytes(&head).to_vec();
    out.pop();
    out.extend_from_slice(br#","items":["#);
    for (index, stored) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        if representation != Representation::Whole || kind.custom.is_some() {
            out.extend_from_slice(&text(kind, stored, representation, now));
            continue;
        }
        out.push(b'{');
        match is_as_stored(kind) {
            true => out.extend_from_slice(stored.text.without_type()),
            false => out.extend_from_slice(Text::of(&of(kind, stored)).without_type()),
        }
    }
    out.extend_from_slice(b"]}");
    Bytes::from(out)
}

pub(crate) fn to_bytes(value: &impl Serialize) -> Bytes {
    Bytes::from(serde_json::to_vec(value).expect("JSON values have text keys and finite numbers"))
}
