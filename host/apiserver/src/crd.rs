//! CustomResourceDefinitions: checked, accepted at once, and turned into kinds
//! whose versions differ by their schemas only (conversion strategy `None`).

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::kinds::{Custom, GroupResource, Kind, ScalePaths};
use crate::meta;
use crate::schema::Schema;
use crate::server::State;
use crate::status_error::Cause;

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

/// Writes the status that the real server's controllers write a moment later.
pub(crate) fn prepare(state: &State, new: &mut Value, live: Option<&Value>) {
    let mut stored: Vec<Value> =
        live.and_then(|live| live["status"]["storedVersions"].as_array().cloned()).unwrap_or_default();
    let storage = Value::from(storage_version(new));
    if storage != "" && !stored.contains(&storage) {
        stored.push(storage);
    }
    let conditions = live.and_then(|live| live["status"]["conditions"].as_array().cloned());
    new["status"] = json!({
        "conditions": conditions.unwrap_or_else(|| accepted(&state.now_text())),
        "acceptedNames": new["spec"]["names"],
        "storedVersions": stored,
    });
}

fn accepted(now: &str) -> Vec<Value> {
    let condition = |kind: &str, reason: &str, message: &str| json!({ "type": kind, "status": "True", "lastTransitionTime": now, "reason": reason, "message": message });
    vec![
        condition("NamesAccepted", "NoConflicts", "no conflicts found"),
        condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
    ]
}

pub(crate) fn mark_terminating(definition: &mut Value, now: &str) {
    let condition = json!({
        "type": "Terminating", "status": "True", "lastTransitionTime": now,
        "reason": "InstanceDeletionPending", "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
    });
    if let Some(conditions) = definition["status"]["conditions"].as_array_mut()
        && !conditions.iter().any(|one| one["type"] == "Terminating")
    {
        conditions.push(condition);
    }
}

/// The rules of a definition, as far as they decide whether it can be served.
pub(crate) fn validate(state: &State, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let spec = &new["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (group, plural) = (text(&spec["group"]), text(&spec["names"]["plural"]));
    let name = meta::text(new, "name");
    if name != format!("{plural}.{group}") {
        causes.push(Cause::invalid("metadata.name", name, "must be spec.names.plural+\".\"+spec.group"));
    }
    if group.is_empty() {
        causes.push(Cause::required("spec.group", ""));
    }
    if text(&spec["scope"]).is_empty() {
        causes.push(Cause::required("spec.scope", ""));
    } else if !matches!(spec["scope"].as_str(), Some("Namespaced" | "Cluster")) {
        causes.push(Cause {
            reason: "FieldValueNotSupported",
            message: format!("Unsupported value: {}: supported values: \"Cluster\", \"Namespaced\"", spec["scope"]),
            field: "spec.scope".to_owned(),
        });
    }
    causes.extend(validate_versions(new));
    for field in ["plural", "singular", "kind", "listKind"] {
        if text(&spec["names"][field]).is_empty() {
            causes.push(Cause::required(format!("spec.names.{field}"), ""));
        }
    }
    if new["status"]["storedVersions"].as_array().is_none_or(Vec::is_empty) {
        causes.push(Cause::invalid("status.storedVersions", Value::Null, "must have at least one stored version"));
    }
    let taken = state.registry.by_kind(&group, &text(&spec["names"]["kind"]));
    if taken.is_some_and(|kind| kind.at.resource != plural) {
        causes.push(Cause::invalid("spec.names.kind", spec["names"]["kind"].clone(), "is already in use"));
    }
    causes
}

fn validate_versions(definition: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut seen = BTreeSet::new();
    let storages = versions(definition).filter(|version| version["storage"] == Value::Bool(true)).count();
    for (index, version) in versions(definition).enumerate() {
        let field = |rest: &str| format!("spec.versions[{index}].{rest}");
        let name = version_name(version);
        if name.is_empty() {
            causes.push(Cause::required(field("name"), ""));
        } else if !seen.insert(name) {
            causes.push(Cause::invalid(field("name"), name, "must be unique among versions"));
        }
        let schema = &version["schema"]["openAPIV3Schema"];
        if schema.is_null() {
            causes.push(Cause::required(field("schema.openAPIV3Schema"), ""));
        } else if schema["type"].as_str().unwrap_or_default().is_empty() {
            causes.push(Cause::required(field("schema.openAPIV3Schema.type"), "must not be empty at the root"));
        } else if let Err(wrong) = Schema::from_crd(schema) {
            causes.push(Cause::invalid(field("schema.openAPIV3Schema"), "", &wrong));
        }
    }
    if storages != 1 {
        let value = definition["spec"]["versions"].clone();
        causes.push(Cause::invalid("spec.versions", value, "must have exactly one version marked as storage version"));
    }
    let conversion = &definition["spec"]["conversion"]["strategy"];
    if conversion == "Webhook" {
        // Said rather than served wrongly: nothing here could call a webhook.
        causes.push(Cause::invalid(
            "spec.conversion.strategy",
            conversion.clone(),
            "this server converts only by the strategy None",
        ));
    }
    causes
}

/// Serves what a stored definition says. Nothing happens when that is what is
/// served already; otherwise running watches of its objects end.
pub(crate) fn register(state: &mut State, definition: &Value) {
    let Some(at) = defined(definition) else { return };
    let terminating = definition["metadata"].get("deletionTimestamp").is_some();
    let served = (definition["spec"].clone(), terminating);
    if state.definitions.get(&at) == Some(&served) {
        return;
    }
    let kinds = kinds(&at, definition, terminating);
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

fn kinds(at: &GroupResource, definition: &Value, terminating: bool) -> Vec<Kind> {
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
            counts_generation: true,
            schema: schema_of(version),
            selectable: texts(&version["selectableFields"], Some("jsonPath"))
                .iter()
                .map(|path| path.trim_start_matches('.').to_owned())
                .collect(),
            builtin: None,
            custom: Some(Custom {
                storage_version: storage_version.to_owned(),
                storage_schema: Arc::clone(&storage_schema),
                published: Arc::new(version["schema"]["openAPIV3Schema"].clone()),
                terminating,
            }),
        }
    };
    versions(definition).filter(|version| version["served"] == Value::Bool(true)).map(kind).collect()
}
