//! `/openapi/v3`: an index with a hash for each group and version, and their
//! documents: the components of the kinds, with the paths that lead to them.

mod paths;

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::discovery::{Documents, group_version, hex, tagged};
use crate::kinds::{BUILTIN, Kind, Registry};
use crate::server::State;
use crate::status_error::ApiError;
use crate::verbs::{Answer, Call};
use crate::view;

/// The type in which kubectl asks for version 2, that in which it is answered,
/// and a document of it that holds its own version number and nothing else.
const PROTOBUF_V2: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
const PROTOBUF_V2_ANSWER: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
const NOTHING_V2: &[u8] = b"\x0a\x032.0";
const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

pub(crate) fn answer(state: &mut State, path: Option<&str>, call: &Call) -> Result<Answer, ApiError> {
    let State { documents, registry, .. } = state;
    let Some(path) = path else {
        let (body, hash) = index(documents, registry);
        return Ok(tagged(call, "application/json", body, &hash));
    };
    let found = versions(registry).into_iter().find(|(group, version)| path_of(group, version) == path);
    let (group, version) = found.ok_or_else(ApiError::no_such_path)?;
    let (body, hash) = of_version(documents, registry, &group, &version);
    Ok(tagged(call, "application/json", body, &hash))
}

/// Where each document lies, with its hash.
fn index(documents: &mut Documents, registry: &Registry) -> (Bytes, Arc<str>) {
    const NAME: &str = "openapi index";
    let builtin = registry.is_builtin(None);
    if let Some(known) = documents.known(registry, NAME, builtin) {
        return known;
    }
    let paths = versions(registry).into_iter().map(|(group, version)| {
        let path = path_of(&group, &version);
        let hash = match registry.is_builtin(Some((&group, &version))) {
            true => builtin_hash(&path),
            false => of_version(documents, registry, &group, &version).1,
        };
        let url = format!("/openapi/v3/{path}?hash={hash}");
        (path, json!({ "serverRelativeURL": url }))
    });
    let paths = paths.collect::<Map<_, _>>();
    documents.get(registry, NAME, builtin, || json!({ "paths": paths }))
}

/// The document of a group and version.
fn of_version(documents: &mut Documents, registry: &Registry, group: &str, version: &str) -> (Bytes, Arc<str>) {
    let path = path_of(group, version);
    if !registry.is_builtin(Some((group, version))) {
        return documents.get(registry, &path, false, || document(registry, group, version));
    }
    let known = documents.known(registry, &path, true);
    known.unwrap_or_else(|| {
        let text = view::to_bytes(&document(registry, group, version));
        documents.keep(&path, true, text, builtin_hash(&path))
    })
}

/// The hash of a document of built-in kinds: of all that it is made from, so that
/// the index, which each client asks for first, needs none of them made.
fn builtin_hash(path: &str) -> Arc<str> {
    static MADE_FROM: LazyLock<Sha256> = LazyLock::new(|| {
        let sources = [BUILTIN, include_str!("openapi.rs"), include_str!("openapi/paths.rs")];
        sources.iter().fold(Sha256::new(), |hash, source| hash.chain_update(source))
    });
    hex(&MADE_FROM.clone().chain_update(path).finalize())
}

/// `/openapi/v2`, for clients that look there when version 3 lacks a kind. In
/// protobuf, which kubectl asks for, it says that it has none.
pub(crate) fn answer_v2(state: &mut State, call: &Call) -> Answer {
    if call.accept.takes(PROTOBUF_V2) {
        let (body, hash) = (Bytes::from_static(NOTHING_V2), "v2");
        return tagged(call, PROTOBUF_V2_ANSWER, body, hash);
    }
    let State { documents, registry, .. } = state;
    let (body, hash) = documents.get(registry, "openapi v2", registry.is_builtin(None), || document_v2(registry));
    tagged(call, "application/json", body, &hash)
}

fn document_v2(registry: &Registry) -> Value {
    let mut definitions = Map::new();
    for (group, version) in versions(registry) {
        if let Some(schemas) = document(registry, &group, &version)["components"]["schemas"].as_object_mut() {
            definitions.extend(std::mem::take(schemas));
        }
    }
    let text = Value::Object(definitions).to_string().replace("#/components/schemas/", "#/definitions/");
    let definitions: Value = serde_json::from_str(&text).expect("it was written in the line above");
    json!({
        "swagger": "2.0", "info": { "title": "Kubernetes", "version": "v1.36.3" },
        "paths": {}, "definitions": definitions,
    })
}

fn versions(registry: &Registry) -> Vec<(String, String)> {
    let of_group = |group: &String| {
        let versions = registry.versions(group);
        versions.into_iter().map(|version| (group.clone(), version)).collect::<Vec<_>>()
    };
    registry.groups().iter().flat_map(of_group).collect()
}

/// `api/v1` or `apis/GROUP/VERSION`.
fn path_of(group: &str, version: &str) -> String {
    let root = if group.is_empty() { "api" } else { "apis" };
    format!("{root}/{}", group_version(group, version))
}

fn document(registry: &Registry, group: &str, version: &str) -> Value {
    let mut schemas = Map::new();
    let mut paths = Map::new();
    let root = format!("/{}", path_of(group, version));
    for kind in registry.in_version(group, version) {
        let (name, schema) = match (&kind.custom, &kind.builtin) {
            (Some(custom), _) => (component_name(kind), custom_schema(&custom.published)),
            (None, Some(builtin)) => (builtin.component.clone(), builtin.components[&builtin.component].clone()),
            (None, None) => continue,
        };
        collect(&schema, registry.components(), &mut schemas);
        let mut schema = schema;
        schema["x-kubernetes-group-version-kind"] = json!([type_of(kind)]);
        paths.extend(paths::of_kind(kind, &root, &name));
        schemas.insert(format!("{name}List"), list_schema(kind, &name));
        schemas.insert(name, schema);
    }
    let title = "Kubernetes";
    json!({
        "openapi": "3.0.0", "info": { "title": title, "version": "v1.36.3" },
        "paths": paths, "components": { "schemas": schemas },
    })
}

fn type_of(kind: &Kind) -> Value {
    json!({ "group": kind.at.group, "kind": kind.kind, "version": kind.version })
}

/// `dev.demo.v1.Site`, as the real server names it.
fn component_name(kind: &Kind) -> String {
    let mut parts: Vec<&str> = kind.at.group.split('.').collect();
    parts.reverse();
    format!("{}.{}.{}", parts.join("."), kind.version, kind.kind)
}

/// A custom kind's schema with the fields that every object has.
fn custom_schema(published: &Value) -> Value {
    let mut schema = published.clone();
    let text = json!({ "type": "string" });
    schema["properties"]["apiVersion"] = text.clone();
    schema["properties"]["kind"] = text;
    schema["properties"]["metadata"] = json!({ "allOf": [{ "$ref": format!("#/components/schemas/{OBJECT_META}") }] });
    schema
}

fn list_schema(kind: &Kind, item: &str) -> Value {
    json!({
        "type": "object", "required": ["items"],
        "properties": {
            "apiVersion": { "type": "string" }, "kind": { "type": "string" },
            "items": { "type": "array", "items": { "$ref": format!("#/components/schemas/{item}") } },
            "metadata": { "type": "object" },
        },
        "x-kubernetes-group-version-kind":
            [{ "group": kind.at.group, "kind": kind.list_kind, "version": kind.version }],
    })
}

/// All components that a schema refers to, and those that they refer to.
fn collect(schema: &Value, components: &Map<String, Value>, into: &mut Map<String, Value>) {
    match schema {
        Value::Object(fields) => {
            if let Some(name) = fields.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next())
                && !into.contains_key(name)
                && let Some(found) = components.get(name)
            {
                into.insert(name.to_owned(), found.clone());
                collect(found, components, into);
            }
            fields.values().for_each(|value| collect(value, components, into));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, components, into)),
        _ => {}
    }
}
