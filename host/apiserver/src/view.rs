//! How a stored object reads in one version: converted, defaulted and pruned
//! by the schemas of today, whole or as its metadata only.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::ser::SerializeMap;
use serde_json::{Map, Value, json};

use crate::kinds::Kind;
use crate::storage::Stored;

/// What a client wants to see of an object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Representation {
    #[default]
    Whole,
    /// `PartialObjectMetadata`.
    Metadata,
}

/// The object in the version of the kind.
pub(crate) fn of(kind: &Kind, stored: &Stored) -> Value {
    let mut value = stored.object.clone();
    if let Some(custom) = &kind.custom {
        // The schema may have changed since the object was written.
        custom.storage_schema.prune(&mut value);
        custom.storage_schema.default(&mut value);
        if kind.version != custom.storage_version {
            value["apiVersion"] = Value::from(kind.api_version());
            kind.schema.prune(&mut value);
        }
    }
    value
}

/// The object as it is stored: in the storage version, and only what that knows.
pub(crate) fn to_storage(kind: &Kind, mut value: Value) -> Value {
    if let Some(custom) = &kind.custom
        && kind.version != custom.storage_version
    {
        value["apiVersion"] = Value::from(format!("{}/{}", kind.at.group, custom.storage_version));
        custom.storage_schema.prune(&mut value);
    }
    value
}

/// The text of an object, from the cache where it was rendered before.
pub(crate) fn text(kind: &Kind, stored: &Arc<Stored>, representation: Representation) -> Bytes {
    if representation == Representation::Metadata {
        return to_bytes(&metadata_only(&stored.object));
    }
    if let Some(text) = stored.cached_text(kind.id) {
        return text;
    }
    let text = if kind.custom.is_some() { to_bytes(&of(kind, stored)) } else { to_bytes(&stored.object) };
    stored.cache_text(kind.id, text.clone());
    text
}

pub(crate) fn metadata_only(object: &Value) -> Value {
    json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"] })
}

/// A list answer. Items of built-in kinds carry no apiVersion and kind.
pub(crate) fn list(kind: &Kind, items: &[Arc<Stored>], metadata: &Value, representation: Representation) -> Bytes {
    let (list_kind, api_version) = match representation {
        Representation::Whole => (kind.list_kind.clone(), kind.api_version()),
        Representation::Metadata => ("PartialObjectMetadataList".to_owned(), "meta.k8s.io/v1".to_owned()),
    };
    let head = json!({ "kind": list_kind, "apiVersion": api_version, "metadata": metadata });
    let mut out = to_bytes(&head).to_vec();
    out.pop();
    out.extend_from_slice(br#","items":["#);
    for (index, stored) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        match (&stored.object, representation) {
            (Value::Object(object), Representation::Whole) if kind.custom.is_none() => {
                out.extend_from_slice(&to_bytes(&WithoutType(object)));
            }
            _ => out.extend_from_slice(&text(kind, stored, representation)),
        }
    }
    out.extend_from_slice(b"]}");
    Bytes::from(out)
}

struct WithoutType<'a>(&'a Map<String, Value>);

impl Serialize for WithoutType<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in self.0.iter().filter(|(key, _)| *key != "apiVersion" && *key != "kind") {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

pub(crate) fn to_bytes(value: &impl Serialize) -> Bytes {
    Bytes::from(serde_json::to_vec(value).expect("JSON values have text keys and finite numbers"))
}
