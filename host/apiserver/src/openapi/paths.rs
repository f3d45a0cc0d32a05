//! The paths of a kind in a document: what may be asked there, with which
//! parameters, and for an object of which kind. Clients find a kind by its path,
//! and whether a write takes `dryRun` and `fieldValidation`.

use serde_json::{Map, Value, json};

use crate::kinds::Kind;

/// One thing that may be asked at a path.
struct Operation {
    method: &'static str,
    action: &'static str,
    /// The verb of discovery that a kind has it for.
    verb: &'static str,
    query: &'static [&'static [Parameter]],
    /// The codes of answers, besides that to those who may not ask.
    codes: &'static [&'static str],
}

/// A parameter's name and type.
type Parameter = (&'static str, &'static str);

const PRETTY: &[Parameter] = &[("pretty", "string")];
const LIST: &[Parameter] = &[
    ("continue", "string"),
    ("fieldSelector", "string"),
    ("labelSelector", "string"),
    ("limit", "integer"),
    ("resourceVersion", "string"),
    ("resourceVersionMatch", "string"),
    ("sendInitialEvents", "boolean"),
    ("shardSelector", "string"),
    ("timeoutSeconds", "integer"),
];
const WATCH: &[Parameter] = &[("allowWatchBookmarks", "boolean"), ("watch", "boolean")];
const WRITE: &[Parameter] = &[("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string")];
const FORCE: &[Parameter] = &[("force", "boolean")];
const DELETE: &[Parameter] = &[
    ("dryRun", "string"),
    ("gracePeriodSeconds", "integer"),
    ("ignoreStoreReadErrorWithClusterBreakingPotential", "boolean"),
    ("orphanDependents", "boolean"),
    ("propagationPolicy", "string"),
];
/// What custom kinds say of a read besides.
const VERSION: &[Parameter] = &[("resourceVersion", "string")];

const LISTED: Operation =
    Operation { method: "get", action: "list", verb: "list", query: &[LIST, WATCH], codes: &["200"] };
const CREATED: Operation =
    Operation { method: "post", action: "post", verb: "create", query: &[WRITE], codes: &["200", "201", "202"] };
const ALL_DELETED: Operation = Operation {
    method: "delete",
    action: "deletecollection",
    verb: "deletecollection",
    query: &[LIST, DELETE],
    codes: &["200"],
};
/// What custom kinds say of it.
const ALL_CUSTOM_DELETED: Operation = Operation { query: &[LIST, WATCH], ..ALL_DELETED };
const READ: Operation = Operation { method: "get", action: "get", verb: "get", query: &[], codes: &["200"] };
const CUSTOM_READ: Operation = Operation { query: &[VERSION], ..READ };
const REPLACED: Operation =
    Operation { method: "put", action: "put", verb: "update", query: &[WRITE], codes: &["200", "201"] };
const PATCHED: Operation =
    Operation { method: "patch", action: "patch", verb: "patch", query: &[WRITE, FORCE], codes: &["200", "201"] };
const CUSTOM_PATCHED: Operation = Operation { codes: &["200"], ..PATCHED };
const DELETED: Operation =
    Operation { method: "delete", action: "delete", verb: "delete", query: &[DELETE], codes: &["200", "202"] };

const PATCHES: [&str; 4] = [
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

/// All paths of a kind below `root` (`/apis/GROUP/VERSION`), whose schema is the
/// component `name`.
pub(super) fn of_kind(kind: &Kind, root: &str, name: &str) -> Vec<(String, Value)> {
    let custom = kind.custom.is_some();
    let (read, patched) = if custom { (CUSTOM_READ, CUSTOM_PATCHED) } else { (READ, PATCHED) };
    let all_deleted = if custom { ALL_CUSTOM_DELETED } else { ALL_DELETED };
    let all = format!("{root}/{}", kind.at.resource);
    let here = match kind.namespaced {
        true => format!("{root}/namespaces/{{namespace}}/{}", kind.at.resource),
        false => all.clone(),
    };
    let one = format!("{here}/{{name}}");
    let item = |path: &str, operations: &[&Operation]| {
        let operations = operations.iter().filter(|operation| kind.verbs.iter().any(|verb| verb == operation.verb));
        let mut item: Map<String, Value> =
            operations.map(|operation| (operation.method.to_owned(), describe(operation, kind, name, path))).collect();
        if !item.is_empty() {
            item.insert("parameters".to_owned(), common(path));
        }
        (path.to_owned(), Value::Object(item))
    };
    let mut items = vec![item(&here, &[&LISTED, &CREATED, &all_deleted])];
    if kind.namespaced {
        items.push(item(&all, &[&LISTED]));
    }
    items.push(item(&one, &[&read, &REPLACED, &patched, &DELETED]));
    for (subresource, has) in [("scale", kind.scale.is_some()), ("status", kind.status)] {
        if has {
            items.push(item(&format!("{one}/{subresource}"), &[&read, &REPLACED, &patched]));
        }
    }
    items.retain(|(_, item)| item.as_object().is_some_and(|item| !item.is_empty()));
    items
}

fn describe(operation: &Operation, kind: &Kind, name: &str, path: &str) -> Value {
    let scale = path.ends_with("}/scale");
    let of = match &kind.custom {
        None if scale => json!({ "group": "autoscaling", "kind": "Scale", "version": "v1" }),
        _ => super::type_of(kind),
    };
    let content = match operation.action {
        "list" => shown(&format!("{name}List")),
        "delete" | "deletecollection" => Value::Null,
        _ if scale => Value::Null,
        _ => shown(name),
    };
    let answer = match &content {
        Value::Null => json!({ "description": "OK" }),
        content => json!({ "description": "OK", "content": content }),
    };
    let mut responses: Map<String, Value> =
        operation.codes.iter().map(|code| ((*code).to_owned(), answer.clone())).collect();
    responses.insert("401".to_owned(), json!({ "description": "Unauthorized" }));
    let query = operation.query.iter().copied().flatten();
    let mut described = json!({
        "x-kubernetes-action": operation.action, "x-kubernetes-group-version-kind": of,
        "parameters": query.map(|(name, of)| parameter(name, "query", of)).collect::<Vec<_>>(),
        "responses": responses,
    });
    match operation.method {
        "post" | "put" => {
            let content = if content.is_null() { json!({ "application/json": {} }) } else { content };
            described["requestBody"] = json!({ "content": content, "required": true });
        }
        "patch" => {
            let patches = if kind.custom.is_some() { &PATCHES[..3] } else { &PATCHES };
            let content: Map<String, Value> = patches.iter().map(|of| ((*of).to_owned(), json!({}))).collect();
            described["requestBody"] = json!({ "content": content, "required": true });
        }
        "delete" if kind.custom.is_none() || operation.action == "delete" => {
            described["requestBody"] = json!({ "content": { "application/json": {} } });
        }
        _ => {}
    }
    described
}

/// An object of a component as it is sent.
fn shown(component: &str) -> Value {
    let schema = json!({ "$ref": format!("#/components/schemas/{component}") });
    json!({ "application/json": { "schema": schema }, "application/yaml": { "schema": schema } })
}

/// What all that may be asked at a path takes.
fn common(path: &str) -> Value {
    let named = ["name", "namespace"].into_iter().filter(|name| path.contains(&format!("{{{name}}}")));
    let named = named.map(|name| parameter(name, "path", "string"));
    named.chain(PRETTY.iter().map(|(name, of)| parameter(name, "query", of))).collect()
}

fn parameter(name: &str, place: &str, of: &str) -> Value {
    let mut parameter = json!({ "name": name, "in": place, "schema": { "type": of } });
    if place == "path" {
        parameter["required"] = Value::Bool(true);
    }
    parameter
}
