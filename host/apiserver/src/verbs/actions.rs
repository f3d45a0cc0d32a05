//! What is done to a pod besides writing it: a scheduler binds it to a node, and
//! whoever drains a node evicts it, if its disruption budget allows that.

use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};

use super::delete::{self, Deletion, Propagation};
use super::{Answer, Call, Name, WriteOptions, writing};
use crate::builtin_rules;
use crate::document::{Document, Format};
use crate::kinds::{GroupResource, Kind};
use crate::server::State;
use crate::status_error::{ApiError, Subject};
use crate::view;

pub(super) fn serve(
    state: &mut State,
    kind: &Arc<Kind>,
    name: &Name<'_>,
    action: &str,
    call: &Call,
) -> Result<Answer, ApiError> {
    if call.method != Method::POST {
        return Err(ApiError::method_not_allowed());
    }
    let options = WriteOptions::parse(call, "CreateOptions")?;
    let body = writing::format(call).and_then(|format| read(call, format))?;
    let (_, pod) =
        state.view(kind, &name.key()).ok_or_else(|| ApiError::not_found(kind.resource_subject(name.name)))?;
    match action {
        "binding" => bind(state, kind, name, pod, &body, &options)?,
        _ => evict(state, kind, name, &pod, &body, &options)?,
    }
    let done = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201 });
    Ok(Answer::json(201, view::to_bytes(&done)))
}

fn read(call: &Call, format: Format) -> Result<Value, ApiError> {
    let document = Document::read(&call.body, format).map_err(ApiError::bad_request)?;
    Ok(document.value)
}

/// Gives a pod its node, for good.
fn bind(
    state: &mut State,
    kind: &Arc<Kind>,
    name: &Name<'_>,
    mut pod: Value,
    body: &Value,
    options: &WriteOptions,
) -> Result<(), ApiError> {
    let node = body["target"]["name"].as_str().unwrap_or_default();
    if node.is_empty() {
        return Err(ApiError::internal("target.name: Required value"));
    }
    let subject = Subject { group: "", what: "pods/binding", name: name.name };
    if pod["metadata"].get("deletionTimestamp").is_some() {
        let why = format!("pod {} is being deleted, cannot be assigned to a host", name.name);
        return Err(ApiError::conflict(subject, &why));
    }
    if let Some(held) = pod["spec"]["nodeName"].as_str().filter(|held| !held.is_empty()) {
        let why = format!("pod {} is already assigned to node {held:?}", name.name);
        return Err(ApiError::conflict(subject, &why));
    }
    pod["spec"]["nodeName"] = Value::from(node);
    for (key, value) in body["metadata"]["annotations"].as_object().into_iter().flatten() {
        pod["metadata"]["annotations"][key] = value.clone();
    }
    let scheduled = json!({
        "type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": state.now_text() });
    set_condition(&mut pod, scheduled);
    if !options.dry_run {
        state.put(kind.place(), &name.key(), pod);
    }
    Ok(())
}

fn set_condition(pod: &mut Value, condition: Value) {
    let mut conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.retain(|one| one["type"] != condition["type"]);
    conditions.push(condition);
    pod["status"]["conditions"] = Value::from(conditions);
}

/// Deletes a pod, unless a disruption budget needs it.
fn evict(
    state: &mut State,
    kind: &Arc<Kind>,
    name: &Name<'_>,
    pod: &Value,
    body: &Value,
    options: &WriteOptions,
) -> Result<(), ApiError> {
    let runs = pod["status"]["phase"] == "Running" && pod["metadata"].get("deletionTimestamp").is_none();
    if runs {
        take_from_budget(state, name, pod, options.dry_run)?;
    }
    if !options.dry_run {
        let mut marked = pod.clone();
        let why = json!({
            "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting", "lastProbeTime": null, "lastTransitionTime": state.now_text() });
        set_condition(&mut marked, why);
        state.put(kind.place(), &name.key(), marked);
        let grace_seconds = body["deleteOptions"]["gracePeriodSeconds"].as_i64();
        let deletion = Deletion { propagation: Propagation::Background, grace_seconds };
        delete::remove_or_mark(state, kind, &name.key(), deletion);
    }
    Ok(())
}

/// Takes one disruption from the budget of a pod, if it has one.
fn take_from_budget(state: &mut State, name: &Name<'_>, pod: &Value, dry_run: bool) -> Result<(), ApiError> {
    let at = GroupResource::new("policy", "poddisruptionbudgets");
    let budgets = state.storage.list(&at, name.namespace);
    let covers = |budget: &Value| builtin_rules::selects(&budget["spec"]["selector"], &pod["metadata"]["labels"]);
    let mut covering = budgets.iter().map(|stored| (&stored.key, stored.object())).filter(|(_, budget)| covers(budget));
    let Some((key, mut budget)) = covering.next() else { return Ok(()) };
    if covering.next().is_some() {
        let why = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
        return Err(ApiError::internal(why));
    }
    let status = &budget["status"];
    let budget_name = budget["metadata"]["name"].as_str().unwrap_or_default();
    let generation = |value: &Value| value.as_i64().unwrap_or(0);
    if generation(&status["observedGeneration"]) < generation(&budget["metadata"]["generation"]) {
        let why = format!("The disruption budget {budget_name} is still being processed by the server.");
        return Err(ApiError::disruption_refused(&why));
    }
    let left = status["disruptionsAllowed"].as_i64().unwrap_or(0);
    if left <= 0 {
        let number = |field: &str| status[field].as_i64().unwrap_or(0);
        let (wanted, healthy) = (number("desiredHealthy"), number("currentHealthy"));
        let why =
            format!("The disruption budget {budget_name} needs {wanted} healthy pods and has {healthy} currently");
        return Err(ApiError::disruption_refused(&why));
    }
    if !dry_run {
        budget["status"]["disruptionsAllowed"] = Value::from(left - 1);
        budget["status"]["disruptedPods"][name.name] = Value::from(state.now_text());
        state.put(&at, key, budget);
    }
    Ok(())
}
