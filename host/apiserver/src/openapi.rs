//! `/openapi/v3`: an index with a hash for each group and version, and their
//! documents: the components of the kinds, with the paths that lead to them.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::discovery::{Documents, group_version, tagged};
use crate::kinds::{Kind, Registry};
use crate::server::State;
use crate::status_error::ApiError;
use crate::verbs::{Answer, Call};

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
        let (_, hash) = of_version(documents, registry, &group, &version);
        let path = path_of(&group, &version);
        let url = format!("/openapi/v3/{path}?hash={hash}");
        (path, json!({ "serverRelativeURL": url }))
    });
    let paths = paths.collect::<Map<_, _>>();
    documents.get(registry, NAME, builtin, || json!({ "paths": paths }))
}

/// The document of a group and version.
fn of_version(documents: &mut Documents, registry: &Registry, group: &str, version: &str) -> (Bytes, Arc<str>) {
    let builtin = registry.is_builtin(Some((group, version)));
    documents.get(registry, &path_of(group, version), builtin, || document(registry, group, version))
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
    for kind in registry.in_version(group, version) {
        let (name, schema) = match (&kind.custom, &kind.builtin) {
            (Some(custom), _) => (component_name(kind), custom_schema(&custom.published)),
            (None, Some(builtin)) => (builtin.component.clone(), builtin.components[&builtin.component].clone()),
            (None, None) => continue,
        };
        collect(&schema, registry.components(), &mut schemas);
        let mut schema = schema;
        schema["x-kubernetes-group-version-kind"] = json!([type_of(kind)]);
        schemas.insert(format!("{name}List"), list_schema(kind, &name));
        schemas.insert(name, schema);
        let prefix = path_of(group, version);
        let scope = if kind.namespaced { "namespaces/{namespace}/" } else { "" };
        let path = format!("/{prefix}/{scope}{}", kind.at.resource);
        paths.insert(format!("{path}/{{name}}"), operations(kind, &["get", "put", "patch", "delete"]));
        paths.insert(path, operations(kind, &["get", "post", "delete"]));
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

/// Clients read from these whether a write takes `fieldValidation` and `dryRun`.
fn operations(kind: &Kind, methods: &[&str]) -> Value {
    let parameter = |name: &str| json!({ "name": name, "in": "query", "schema": { "type": "string" } });
    let write = ["dryRun", "fieldManager", "fieldValidation"].map(parameter);
    let operation = |method: &str| {
        let mut operation = json!({
            "x-kubernetes-action": method, "x-kubernetes-group-version-kind": type_of(kind),
            "responses": { "200": { "description": "OK" } },
        });
        if matches!(method, "put" | "patch" | "post") {
            operation["parameters"] = json!(write);
        }
        operation
    };
    methods.iter().map(|method| ((*method).to_owned(), operation(method))).collect()
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
