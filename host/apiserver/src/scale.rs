//! The `scale` subresource: a kind's replica count under the common name.

use std::sync::Arc;

use http::Method;
use serde_json::{Map, Value, json};

use crate::kinds::{Kind, ScalePaths};
use crate::patch;
use crate::server::State;
use crate::status_error::ApiError;
use crate::verbs::{Answer, Call, Name, change_scaled};

pub(crate) fn serve(state: &mut State, kind: &Arc<Kind>, name: &Name<'_>, call: &Call) -> Result<Answer, ApiError> {
    let paths = kind.scale.clone().ok_or_else(ApiError::no_such_resource)?;
    let (_, live) =
        state.view(kind, &name.key()).ok_or_else(|| ApiError::not_found(kind.resource_subject(name.name)))?;
    let mut scale = scale_of(&live, &paths);
    match call.method {
        Method::GET => return Answer::object(call, 200, &scale),
        Method::PUT => scale = body(call)?,
        Method::PATCH if call.content_type == "application/json-patch+json" => {
            patch::json(&mut scale, &patch::json_operations(&call.body)?)?;
        }
        Method::PATCH => json_patch::merge(&mut scale, &body(call)?),
        _ => return Err(ApiError::method_not_allowed()),
    }
    let mut new = live.clone();
    // A Go client leaves out a count of zero.
    set(&mut new, &paths.spec, Value::from(scale["spec"]["replicas"].as_i64().unwrap_or_default()));
    if let Some(version) = scale["metadata"]["resourceVersion"].as_str().filter(|version| !version.is_empty()) {
        new["metadata"]["resourceVersion"] = Value::from(version);
    }
    let changed = change_scaled(state, kind, name, call, &live, new)?;
    Answer::object(call, 200, &scale_of(&changed, &paths))
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
