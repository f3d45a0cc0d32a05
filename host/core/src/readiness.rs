//! Whether a child does what it was made for, as far as its kind tells: the rules
//! of kstatus, by which kubectl, Flux and others judge, or what its conditions
//! must be where somebody has said that.
//!
//! The words are the same for the same cause: a text that counted along would be a
//! write of the object's status with each step of a child.

use serde_json::Value;

use crate::{id::GroupKind, rollout::Rolling};

/// Why a child is not ready; none if it is, or if nothing tells.
pub fn unready(kind: &GroupKind, child: &Value, checks: &Rolling) -> Option<&'static str> {
    if !child["metadata"]["deletionTimestamp"].is_null() {
        return Some("it is being deleted");
    }
    if !checks.ready.is_empty() {
        return (!checks.is_ready(child)).then_some("the conditions that make it ready do not hold");
    }
    match (&*kind.group, &*kind.kind) {
        ("apps", "Deployment") => deployment(child),
        ("apps", "StatefulSet") => stateful_set(child),
        ("apps", "DaemonSet") => daemon_set(child),
        ("apps", "ReplicaSet") | ("", "ReplicationController") => replica_set(child),
        ("batch", "Job") => job(child),
        ("", "Pod") => pod(child),
        ("", "PersistentVolumeClaim") => (child["status"]["phase"] != "Bound").then_some("it is not bound"),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => {
            (condition(child, "Established") != "True").then_some("it is not established")
        }
        _ => any(child),
    }
}

/// Whether the text of a child has to be read at all: without a status, only these
/// kinds are not ready.
pub fn is_told_by_status(kind: &GroupKind) -> bool {
    let kinds = ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job", "Pod"];
    kinds.contains(&&*kind.kind) || ["PersistentVolumeClaim", "CustomResourceDefinition"].contains(&&*kind.kind)
}

const REPLICAS: &str = "not all of its replicas are up to date and available";
const PODS: &str = "not all of its pods are up to date and available";

fn deployment(child: &Value) -> Option<&'static str> {
    let (wanted, status) = (wanted(child), |name| number(&child["status"], name));
    if reason(child, "Progressing") == "ProgressDeadlineExceeded" {
        return Some("its rollout has exceeded its deadline");
    }
    let updated = status("updatedReplicas");
    let done = observed(child)
        && updated >= wanted
        && status("replicas") <= updated
        && status("availableReplicas") >= wanted.max(updated);
    (!done).then_some(REPLICAS)
}

fn stateful_set(child: &Value) -> Option<&'static str> {
    let (wanted, status) = (wanted(child), |name| number(&child["status"], name));
    let strategy = &child["spec"]["updateStrategy"];
    let kept = number(&strategy["rollingUpdate"], "partition");
    let updated = strategy["type"] == "OnDelete" || status("updatedReplicas") >= wanted.saturating_sub(kept);
    let done = observed(child) && updated && status("readyReplicas") >= wanted && status("replicas") == wanted;
    (!done).then_some(REPLICAS)
}

fn daemon_set(child: &Value) -> Option<&'static str> {
    let status = |name| number(&child["status"], name);
    let wanted = status("desiredNumberScheduled");
    let updated = child["spec"]["updateStrategy"]["type"] == "OnDelete" || status("updatedNumberScheduled") >= wanted;
    let done = observed(child) && updated && status("numberAvailable") >= wanted && status("numberReady") >= wanted;
    (!done).then_some(PODS)
}

fn replica_set(child: &Value) -> Option<&'static str> {
    let (wanted, status) = (wanted(child), |name| number(&child["status"], name));
    let done = observed(child) && status("replicas") == wanted && status("availableReplicas") >= wanted;
    (!done).then_some(REPLICAS)
}

/// One that has started counts, as in kstatus: it may run for days.
fn job(child: &Value) -> Option<&'static str> {
    if condition(child, "Failed") == "True" {
        return Some("it has failed");
    }
    (condition(child, "Complete") != "True" && child["status"]["startTime"].is_null()).then_some("it has not started")
}

fn pod(child: &Value) -> Option<&'static str> {
    match child["status"]["phase"].as_str() {
        Some("Succeeded") => None,
        Some("Failed") => Some("it has failed"),
        _ => (condition(child, "Ready") != "True").then_some("it is not ready"),
    }
}

/// A kind that nothing is known of: what it says by the usual fields.
fn any(child: &Value) -> Option<&'static str> {
    let says = |name: &str| condition(child, name);
    if child["status"]["observedGeneration"].is_i64() && !observed(child) {
        return Some("its last change has not been observed");
    }
    if says("Stalled") == "True" {
        return Some("its condition Stalled is True");
    }
    if says("Reconciling") == "True" {
        return Some("its condition Reconciling is True");
    }
    ["False", "Unknown"].contains(&says("Ready")).then_some("its condition Ready is not True")
}

fn observed(child: &Value) -> bool {
    let generation = child["metadata"]["generation"].as_i64().unwrap_or(0);
    child["status"]["observedGeneration"].as_i64().is_some_and(|observed| observed >= generation)
}

fn wanted(child: &Value) -> u64 {
    child["spec"]["replicas"].as_u64().unwrap_or(1)
}

fn number(of: &Value, name: &str) -> u64 {
    of[name].as_u64().unwrap_or(0)
}

fn condition<'a>(child: &'a Value, name: &str) -> &'a str {
    field(child, name, "status")
}

fn reason<'a>(child: &'a Value, name: &str) -> &'a str {
    field(child, name, "reason")
}

/// A field of a condition; empty where there is no such condition.
fn field<'a>(child: &'a Value, name: &str, field: &str) -> &'a str {
    let mut conditions = child["status"]["conditions"].as_array().into_iter().flatten();
    conditions.find(|it| it["type"] == name).and_then(|it| it[field].as_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rollout::Check;

    fn check(api_version: &str, kind: &str, spec: &Value, status: &Value) -> Option<&'static str> {
        let child = json!({ "metadata": { "generation": 2 }, "spec": spec, "status": status });
        unready(&GroupKind::new(api_version, kind), &child, &Rolling::default())
    }

    fn condition(name: &str, status: &str) -> Value {
        json!({ "conditions": [{ "type": name, "status": status }] })
    }

    #[test]
    fn workloads_are_ready_when_all_their_pods_are_the_latest_and_available() {
        let deployment = |status| check("apps/v1", "Deployment", &json!({ "replicas": 2 }), &status);
        let done = json!({ "observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2 });
        assert_eq!(deployment(done.clone()), None);
        let less = [("observedGeneration", 1), ("updatedReplicas", 1), ("availableReplicas", 1), ("replicas", 3)];
        for (field, value) in less {
            let mut status = done.clone();
            status[field] = value.into();
            assert_eq!(deployment(status), Some(REPLICAS), "{field}");
        }
        assert_eq!(deployment(Value::Null), Some(REPLICAS));
        let late = json!({ "conditions": [{ "type": "Progressing", "reason": "ProgressDeadlineExceeded" }] });
        assert_eq!(deployment(late), Some("its rollout has exceeded its deadline"));

        let of_set = |strategy: Value, updated| {
            let spec = json!({ "replicas": 3, "updateStrategy": strategy });
            let status =
                json!({ "observedGeneration": 2, "replicas": 3, "readyReplicas": 3, "updatedReplicas": updated });
            check("apps/v1", "StatefulSet", &spec, &status)
        };
        assert_eq!((of_set(Value::Null, 3), of_set(Value::Null, 2)), (None, Some(REPLICAS)));
        assert_eq!(of_set(json!({ "rollingUpdate": { "partition": 1 } }), 2), None);
        assert_eq!(of_set(json!({ "type": "OnDelete" }), 0), None);

        let of_daemon = |updated| {
            let status = json!({ "observedGeneration": 2, "desiredNumberScheduled": 3, "numberReady": 3,
                "numberAvailable": 3, "updatedNumberScheduled": updated });
            check("apps/v1", "DaemonSet", &json!({}), &status)
        };
        assert_eq!((of_daemon(3), of_daemon(2)), (None, Some(PODS)));
        let of_replicas = |available| json!({ "observedGeneration": 2, "replicas": 1, "availableReplicas": available });
        assert_eq!(check("apps/v1", "ReplicaSet", &json!({}), &of_replicas(1)), None);
        assert_eq!(check("apps/v1", "ReplicaSet", &json!({}), &of_replicas(0)), Some(REPLICAS));
    }

    #[test]
    fn what_runs_to_an_end_is_ready_as_soon_as_it_runs_and_not_when_it_failed() {
        let job = |status| check("batch/v1", "Job", &json!({}), &status);
        assert_eq!(job(json!({})), Some("it has not started"));
        assert_eq!(job(json!({ "startTime": "2026-01-01T00:00:00Z" })), None);
        assert_eq!(
            (job(condition("Complete", "True")), job(condition("Failed", "True"))),
            (None, Some("it has failed"))
        );
        let pod = |status| check("v1", "Pod", &json!({}), &status);
        assert_eq!((pod(json!({ "phase": "Succeeded" })), pod(condition("Ready", "True"))), (None, None));
        assert_eq!(pod(json!({ "phase": "Failed" })), Some("it has failed"));
        assert_eq!(pod(json!({ "phase": "Running" })), Some("it is not ready"));
    }

    #[test]
    fn other_kinds_are_ready_unless_they_say_that_they_are_not() {
        let any = |status| check("demo.dev/v1", "Thing", &json!({}), &status);
        assert_eq!((any(Value::Null), any(condition("Ready", "True"))), (None, None));
        for (name, status) in [("Ready", "False"), ("Ready", "Unknown"), ("Stalled", "True"), ("Reconciling", "True")] {
            assert!(any(condition(name, status)).is_some(), "{name} {status}");
        }
        assert!(any(json!({ "observedGeneration": 1 })).is_some());
        assert_eq!(any(json!({ "observedGeneration": 2 })), None);
        assert_eq!(check("v1", "ConfigMap", &json!({}), &Value::Null), None);
        let claim = |phase: &str| check("v1", "PersistentVolumeClaim", &json!({}), &json!({ "phase": phase }));
        assert_eq!((claim("Bound"), claim("Pending")), (None, Some("it is not bound")));
    }

    #[test]
    fn what_somebody_has_said_of_a_kind_counts_in_place_of_the_rules_and_what_goes_is_never_ready() {
        let checks = Check::read(&json!({ "type": "Synced" })).into_iter().collect();
        let checks = Rolling { ready: checks, ..Rolling::default() };
        let kind = GroupKind::new("apps/v1", "Deployment");
        let with = |status: Value| unready(&kind, &json!({ "metadata": {}, "status": status }), &checks);
        assert_eq!(with(condition("Synced", "True")), None);
        assert!(with(condition("Synced", "False")).is_some());
        let going = json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" } });
        let of = GroupKind::new("v1", "ConfigMap");
        assert_eq!(unready(&of, &going, &Rolling::default()), Some("it is being deleted"));
    }
}
