//! The `scale` subresource: a kind's replica count under the common name.

use std::sync::{Arc, LazyLock};

use http::Method;
use serde_json::{Map, Value, json};

use crate::kinds::{Kind, ScalePaths};
use crate::managed::{self, CountPaths, SCALE_VERSION, Writer};
use crate::merge_patch;
use crate::patch;
use crate::schema::Schema;
use crate::server::State;
use crate::status_error::{ApiError, Cause, Subject};
use crate::verbs::{APPLY, Answer, Call, Name, WriteOptions, change_scaled, not_applied};

/// The count of an object that has none, which a write has to set.
const UNSET: i32 = i32::MIN;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let number = json!({ "type": "integer" });
    Schema::from_crd(&json!({ "type": "object", "properties": {
        "spec": { "type": "object", "properties": { "replicas": number } },
        "status": { "type": "object", "properties": { "replicas": number, "selector": { "type": "string" } } } } }))
    .expect("a literal schema")
});

pub(crate) fn serve(state: &mut State, kind: &Arc<Kind>, name: &Name<'_>, call: &Call) -> Result<Answer, ApiError> {
    let paths = kind.scale.clone().ok_or_else(ApiError::no_such_resource)?;
    let (_, live) =
        state.view(kind, &name.key()).ok_or_else(|| ApiError::not_found(kind.resource_subject(name.name)))?;
    let mut old = scale_of(&live, &paths);
    let unset = kind.custom.is_some() && at(&live, &paths.spec).is_none();
    if call.method == Method::GET {
        if unset {
            let why = format!("the spec replicas field {:?} does not exist", paths.spec);
            return Err(ApiError::internal_error(&why));
        }
        return Answer::object(call, 200, &old);
    }
    if unset {
        old["spec"]["replicas"] = Value::from(UNSET);
    }
    let counts = count_paths(state, kind);
    managed::own_scale(&live, &counts, &mut old);
    let options = WriteOptions::parse(call, if call.method == Method::PUT { "UpdateOptions" } else { "PatchOptions" })?;
    let applied = kind.custom.is_some() && call.content_type == APPLY;
    if applied && old["metadata"].get("managedFields").is_none() {
        return Err(not_converted("create manager for existing fields: failed to convert live object (/"));
    }
    let scale = write(call, &old, &options, &state.now_text())?;
    if applied && old["spec"] != scale["spec"] {
        return Err(not_converted(&format!("convert new object (/{}", name.name)));
    }
    let replicas = scale["spec"]["replicas"].as_i64().unwrap_or_default();
    if replicas == i64::from(UNSET) {
        return Err(ApiError::bad_request(format!("the spec replicas field {:?} cannot be empty", paths.spec)));
    }
    if replicas < 0 && kind.custom.is_none() {
        let cause = Cause::invalid("spec.replicas", replicas, "must be greater than or equal to 0");
        return Err(ApiError::invalid(Subject { group: "autoscaling", what: "Scale", name: name.name }, &[cause]));
    }
    let mut new = live.clone();
    set(&mut new, &paths.spec, Value::from(replicas));
    if let Some(version) = scale["metadata"]["resourceVersion"].as_str().filter(|version| !version.is_empty()) {
        new["metadata"]["resourceVersion"] = Value::from(version);
    }
    managed::own_object(&live, &counts, &scale, &kind.api_version(), &mut new);
    let changed = change_scaled(state, kind, name, &options, &live, new)?;
    Ok(Answer::object(call, 200, &scale_of(&changed.object, &paths))?.with_warnings(changed.warnings))
}

/// The real server has no way from the scale of a custom object that was applied
/// to the object: only an apply that changes nothing is taken.
fn not_converted(what: &str) -> ApiError {
    let why = format!("request to convert CR to an invalid group/version: {SCALE_VERSION}");
    ApiError::internal(format!("failed to {what}; {SCALE_VERSION}, Kind=Scale) to proper version: {why}"))
}

/// Where each version of a kind has its count.
fn count_paths(state: &State, kind: &Arc<Kind>) -> CountPaths {
    let versions = if kind.custom.is_some() { state.registry.versions_of(&kind.at) } else { vec![Arc::clone(kind)] };
    let path = |kind: &Kind| kind.scale.as_ref().map(|paths| paths.spec.trim_start_matches('.').to_owned());
    versions.iter().map(|kind| (kind.api_version(), path(kind))).collect()
}

/// What a request makes of a scale, with its owners.
fn write(call: &Call, old: &Value, options: &WriteOptions, now: &str) -> Result<Value, ApiError> {
    let manager = options.manager.as_str();
    let subresource = Some("scale");
    let writer = Writer { manager, api_version: SCALE_VERSION, subresource, reset_fields: &[], versions: &[], now };
    let mut new = old.clone();
    match (&call.method, call.content_type.as_str()) {
        (&Method::PUT, _) => new = body(call)?,
        (&Method::PATCH, APPLY) => {
            return managed::apply(&SCHEMA, Some(old), &body(call)?, &writer, options.force).map_err(not_applied);
        }
        (&Method::PATCH, "application/json-patch+json") => {
            patch::json(&mut new, &patch::json_operations(&call.body)?)?;
        }
        (&Method::PATCH, _) => merge_patch::merge(&mut new, &body(call)?),
        _ => return Err(ApiError::method_not_allowed()),
    }
    // A count of zero is none where Go writes it.
    if new["spec"]["replicas"] == 0 {
        new["spec"] = json!({});
    }
    Ok(managed::update(&SCHEMA, Some(old), new, &writer))
}

fn body(call: &Call) -> Result<Value, ApiError> {
    serde_json::from_slice(&call.body).map_err(|error| ApiError::bad_request(format!("error decoding scale: {error}")))
}

fn scale_of(object: &Value, paths: &ScalePaths) -> Value {
    let number = |path: &str| at(object, path).and_then(Value::as_i64).unwrap_or(0);
    let metadata = &object["metadata"];
    let kept = ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"];
    let metadata: Map<String, Value> =
        kept.into_iter().filter_map(|field| Some((field.to_owned(), metadata.get(field)?.clone()))).collect();
    let mut status = json!({ "replicas": number(&paths.status) });
    let selector = match &paths.selector {
        Some(path) => at(object, path).and_then(Value::as_str).map(str::to_owned),
        None => at(object, ".spec.selector.matchLabels").and_then(Value::as_object).map(equalities),
    };
    if let Some(selector) = selector {
        status["selector"] = Value::from(selector);
    }
    // In the spec a count of zero does not show, in the status it does.
    let spec = match number(&paths.spec) {
        0 => json!({}),
        wanted => json!({ "replicas": wanted }),
    };
    json!({ "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status })
}

fn equalities(labels: &Map<String, Value>) -> String {
    let terms: Vec<String> =
        labels.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    terms.join(",")
}

fn at<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.trim_start_matches('.').split('.').try_fold(object, |at, step| at.get(step))
}

fn set(object: &mut Value, path: &str, value: Value) {
    let mut at = object;
    for step in path.trim_start_matches('.').split('.') {
        if !at.is_object() {
            *at = json!({});
        }
        at = &mut at[step];
    }
    *at = value;
}
