//! CustomResourceDefinitions: checked, accepted at once, and turned into kinds
//! whose versions differ by their schemas only (conversion strategy `None`).

mod structural;
mod validate;

use std::sync::Arc;

use serde_json::{Value, json};

use crate::deprecation;
use crate::kinds::{Custom, GroupResource, Kind, ScalePaths};
use crate::managed::{self, Writer};
use crate::schema::Schema;
use crate::server::State;
use crate::table::PrinterColumn;

pub(crate) use validate::{validate, validate_change};

/// Holds a deleted definition until its objects are gone.
pub(crate) const CLEANUP_FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

const VERBS: [&str; 8] = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];

pub(crate) fn definitions() -> GroupResource {
    GroupResource::new("apiextensions.k8s.io", "customresourcedefinitions")
}

pub(crate) fn is_definition(at: &GroupResource) -> bool {
    at.group == "apiextensions.k8s.io" && at.resource == "customresourcedefinitions"
}

/// The resource that a definition defines.
pub(crate) fn defined(definition: &Value) -> Option<GroupResource> {
    let spec = &definition["spec"];
    Some(GroupResource::new(spec["group"].as_str()?, spec["names"]["plural"].as_str()?))
}

/// The name of the definition that a resource would have.
pub(crate) fn definition_of(at: &GroupResource) -> Option<String> {
    (!at.group.is_empty()).then(|| format!("{}.{}", at.resource, at.group))
}

fn versions(definition: &Value) -> impl Iterator<Item = &Value> {
    definition["spec"]["versions"].as_array().into_iter().flatten()
}

fn version_name(version: &Value) -> &str {
    version["name"].as_str().unwrap_or_default()
}

fn storage_version(definition: &Value) -> &str {
    versions(definition).find(|version| version["storage"] == Value::Bool(true)).map_or("", version_name)
}

/// Fills in the names and the conversion that follow from the rest.
pub(crate) fn default(new: &mut Value) {
    let names = &mut new["spec"]["names"];
    let kind = names["kind"].as_str().unwrap_or_default().to_owned();
    if !kind.is_empty() && names.is_object() {
        if names["singular"].as_str().unwrap_or_default().is_empty() {
            names["singular"] = Value::from(kind.to_lowercase());
        }
        if names["listKind"].as_str().unwrap_or_default().is_empty() {
            names["listKind"] = Value::from(format!("{kind}List"));
        }
    }
    if new["spec"]["conversion"].is_null() && new["spec"].is_object() {
        new["spec"]["conversion"] = json!({ "strategy": "None" });
    }
}

/// What only the server writes: a new definition has no status but the version
/// that it is stored in; a changed one keeps its own, and what it was stored in.
pub(crate) fn prepare(new: &mut Value, live: Option<&Value>) {
    let storage = Value::from(storage_version(new));
    let mut status = match live {
        Some(live) => live["status"].clone(),
        None => json!({ "acceptedNames": { "kind": "", "plural": "" }, "conditions": null }),
    };
    let mut stored = status["storedVersions"].as_array().cloned().unwrap_or_default();
    if storage != "" && !stored.contains(&storage) {
        stored.push(storage);
    }
    status["storedVersions"] = if stored.is_empty() { Value::Null } else { Value::from(stored) };
    new["status"] = status;
}

/// Does what the real server's controllers do a moment after a definition was
/// written: accepts its names, or says which of them another definition has,
/// and establishes it.
pub(crate) fn accept(state: &mut State, name: &str) {
    let Some(stored) = state.storage.get(&definitions(), name) else { return };
    let live = stored.object();
    let mut new = live.clone();
    let now = state.now_text();
    let (names, conflict) = acceptable(state, &live);
    new["status"]["acceptedNames"] = names;
    let (accepted, established) = match &conflict {
        None => (
            ("True", "NoConflicts", "no conflicts found".to_owned()),
            ("True", "InitialNamesAccepted", "the initial names have been accepted".to_owned()),
        ),
        Some((reason, taken)) => (
            ("False", *reason, format!("{taken:?} is already in use")),
            ("False", "NotAccepted", "not all names are accepted".to_owned()),
        ),
    };
    set_condition(&mut new, "NamesAccepted", accepted, &now);
    if !is_established(&live) {
        set_condition(&mut new, "Established", established, &now);
    }
    if new != live {
        write_status(state, name, &live, new);
    }
}

/// Writes a definition's status as the real server's own controllers do.
fn write_status(state: &mut State, name: &str, live: &Value, new: Value) {
    let Some(kind) = state.registry.any_version(&definitions()) else { return };
    let (api_version, now) = (kind.api_version(), state.now_text());
    let writer = Writer {
        manager: "kube-apiserver",
        api_version: &api_version,
        subresource: Some("status"),
        reset_fields: &["metadata", "spec"],
        versions: &[],
        now: &now,
    };
    let new = managed::update(&kind.schema, Some(live), new, &writer);
    state.put(&definitions(), name, new);
}

fn is_established(definition: &Value) -> bool {
    condition(definition, "Established").is_some_and(|condition| condition["status"] == "True")
}

fn condition<'a>(definition: &'a Value, of: &str) -> Option<&'a Value> {
    definition["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == of)
}

fn set_condition(definition: &mut Value, of: &str, (status, reason, message): (&str, &str, String), now: &str) {
    let before = condition(definition, of).filter(|condition| condition["status"] == status);
    let since = before.map_or(Value::from(now), |condition| condition["lastTransitionTime"].clone());
    let condition = json!({
        "type": of, "status": status, "lastTransitionTime": since, "reason": reason, "message": message });
    let conditions = &mut definition["status"]["conditions"];
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    let Some(conditions) = conditions.as_array_mut() else { return };
    match conditions.iter_mut().find(|one| one["type"] == of) {
        Some(one) => *one = condition,
        None => conditions.push(condition),
    }
}

/// The names of a definition that no other one of its group has, and the last
/// one that is taken, with the reason that the server gives.
fn acceptable(state: &State, definition: &Value) -> (Value, Option<(&'static str, String)>) {
    let own = defined(definition);
    let kinds = state.registry.resources();
    let others: Vec<_> = kinds
        .iter()
        .filter(|kind| own.as_ref().is_some_and(|own| kind.at.group == own.group && kind.at != *own))
        .collect();
    let resource_taken = |name: &str| {
        others.iter().any(|kind| {
            kind.at.resource == name || kind.singular == name || kind.short_names.iter().any(|short| short == name)
        })
    };
    let kind_taken = |name: &str| others.iter().any(|kind| kind.kind == name || kind.list_kind == name);
    let mut names = definition["spec"]["names"].clone();
    let mut conflict = None;
    for (field, reason) in [
        ("plural", "PluralConflict"),
        ("singular", "SingularConflict"),
        ("shortNames", "ShortNamesConflict"),
        ("kind", "KindConflict"),
        ("listKind", "ListKindConflict"),
    ] {
        let given = match &names[field] {
            Value::Array(items) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            one => Vec::from_iter(one.as_str().map(str::to_owned)),
        };
        let of_kind = matches!(field, "kind" | "listKind");
        let taken = given.into_iter().find(|name| if of_kind { kind_taken(name) } else { resource_taken(name) });
        let Some(taken) = taken else { continue };
        conflict = Some((reason, taken));
        let shown = matches!(field, "plural" | "kind");
        if shown {
            names[field] = Value::from("");
        } else if let Some(names) = names.as_object_mut() {
            names.remove(field);
        }
    }
    (names, conflict)
}

/// Says that a definition is being deleted.
pub(crate) fn mark_terminating(definition: &mut Value, now: &str) {
    if condition(definition, "Terminating").is_none() {
        let message = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
        set_condition(definition, "Terminating", ("True", "InstanceDeletionPending", message.to_owned()), now);
    }
}

/// Says that the objects of a deleted definition are being deleted.
pub(crate) fn mark_emptying(state: &mut State, name: &str) {
    let Some(stored) = state.storage.get(&definitions(), name) else { return };
    let live = stored.object();
    let (mut new, now) = (live.clone(), state.now_text());
    let message = "CustomResource deletion is in progress".to_owned();
    set_condition(&mut new, "Terminating", ("True", "InstanceDeletionInProgress", message), &now);
    if new != live {
        write_status(state, name, &live, new);
    }
}

/// Serves what a stored definition says. Nothing happens when that is what is
/// served already; otherwise running watches of its objects end.
pub(crate) fn register(state: &mut State, definition: &Value) {
    let Some(at) = defined(definition).filter(|_| is_established(definition)) else { return };
    let terminating = definition["metadata"].get("deletionTimestamp").is_some();
    let served = (definition["spec"].clone(), terminating);
    if state.definitions.get(&at) == Some(&served) {
        return;
    }
    let kinds = kinds(&at, definition, state.registry.object_meta());
    state.registry.replace(&at, kinds);
    state.definitions.insert(at.clone(), served);
    state.storage.reset_watches(&at);
}

/// Serves no longer what a removed definition said.
pub(crate) fn unregister(state: &mut State, definition: &Value) {
    let Some(at) = defined(definition) else { return };
    state.registry.replace(&at, Vec::new());
    state.definitions.remove(&at);
    state.storage.reset_watches(&at);
}

fn kinds(at: &GroupResource, definition: &Value, metadata: &Arc<Schema>) -> Vec<Kind> {
    let terminating = definition["metadata"].get("deletionTimestamp").is_some();
    let schema_of = |version: &Value| {
        let schema = Schema::from_crd(&version["schema"]["openAPIV3Schema"]);
        Arc::new(schema.expect("a definition's schemas are read before it is stored"))
    };
    let storage = versions(definition).find(|version| version["storage"] == Value::Bool(true));
    let Some((storage_version, storage_schema)) = storage.map(|one| (version_name(one), schema_of(one))) else {
        return Vec::new();
    };
    let names = &definition["spec"]["names"];
    let text = |field: &str| names[field].as_str().unwrap_or_default().to_owned();
    let texts = |value: &Value, field: Option<&str>| -> Vec<String> {
        let items = value.as_array().into_iter().flatten();
        items.filter_map(|item| field.map_or(item, |field| &item[field]).as_str().map(str::to_owned)).collect()
    };
    let kind = |version: &Value| {
        let scale = &version["subresources"]["scale"];
        Kind {
            id: 0,
            at: at.clone(),
            version: version_name(version).to_owned(),
            kind: text("kind"),
            list_kind: text("listKind"),
            singular: text("singular"),
            short_names: texts(&names["shortNames"], None),
            categories: texts(&names["categories"], None),
            namespaced: definition["spec"]["scope"] == "Namespaced",
            verbs: VERBS.map(str::to_owned).to_vec(),
            status: version["subresources"]["status"].is_object(),
            scale: scale["specReplicasPath"].as_str().map(|spec| ScalePaths {
                spec: spec.to_owned(),
                status: scale["statusReplicasPath"].as_str().unwrap_or(".status.replicas").to_owned(),
                selector: scale["labelSelectorPath"].as_str().map(str::to_owned),
            }),
            actions: Vec::new(),
            counts_generation: true,
            schema: schema_of(version),
            selectable: texts(&version["selectableFields"], Some("jsonPath"))
                .iter()
                .map(|path| path.trim_start_matches('.').to_owned())
                .collect(),
            builtin: None,
            deprecation: deprecation::of_version(definition, version),
            stored_at: None,
            custom: Some(Custom {
                storage_version: storage_version.to_owned(),
                storage_schema: Arc::clone(&storage_schema),
                metadata: Arc::clone(metadata),
                published: Arc::new(version["schema"]["openAPIV3Schema"].clone()),
                columns: PrinterColumn::of_version(version),
                terminating,
            }),
        }
    };
    versions(definition).filter(|version| version["served"] == Value::Bool(true)).map(kind).collect()
}
