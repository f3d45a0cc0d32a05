//! What an object's own controller, which a scenario has none of, would report:
//! that it is ready, or has failed.

use serde_json::{Value, json};

use super::Outcome;

/// The status that reports the outcome, to be merged into that of the object.
/// Kinds that are not known here get a condition `Ready`.
pub fn status(object: &Value, outcome: Outcome, now: &str) -> Value {
    let ready = outcome == Outcome::Ready;
    let replicas = object["spec"]["replicas"].as_u64().unwrap_or(1);
    let running = if ready { replicas } else { 0 };
    let generation = &object["metadata"]["generation"];
    let kind = object["kind"].as_str().unwrap_or_default();
    match kind {
        "Deployment" => json!({
            "observedGeneration": generation, "replicas": replicas, "updatedReplicas": replicas,
            "readyReplicas": running, "availableReplicas": running, "unavailableReplicas": replicas - running,
            "conditions": [
                condition("Available", ready, now, "MinimumReplicasAvailable", "MinimumReplicasUnavailable"),
                condition("Progressing", ready, now, "NewReplicaSetAvailable", "ProgressDeadlineExceeded"),
            ],
        }),
        "StatefulSet" => json!({
            "observedGeneration": generation, "replicas": replicas, "updatedReplicas": replicas,
            "currentReplicas": replicas, "readyReplicas": running, "availableReplicas": running,
        }),
        "ReplicaSet" => json!({
            "observedGeneration": generation, "replicas": replicas, "fullyLabeledReplicas": replicas,
            "readyReplicas": running, "availableReplicas": running,
        }),
        "DaemonSet" => json!({
            "observedGeneration": generation, "currentNumberScheduled": 1, "desiredNumberScheduled": 1,
            "updatedNumberScheduled": 1, "numberMisscheduled": 0, "numberReady": u8::from(ready),
            "numberAvailable": u8::from(ready), "numberUnavailable": u8::from(!ready),
        }),
        "Job" => job(object, ready, now),
        "Pod" => json!({
            "phase": if ready { "Running" } else { "Failed" },
            "conditions": [
                condition("Ready", ready, now, "", "PodFailed"),
                condition("ContainersReady", ready, now, "", "PodFailed"),
            ],
        }),
        "PersistentVolumeClaim" => json!({ "phase": if ready { "Bound" } else { "Lost" } }),
        _ => json!({ "conditions": conditions(object, condition("Ready", ready, now, "Ready", "Failed")) }),
    }
}

/// A Job runs to its end: a ready one is complete. The real server lets the
/// two conditions of an end come only after those that announce it.
fn job(object: &Value, complete: bool, now: &str) -> Value {
    let pods = object["spec"]["completions"].as_u64().unwrap_or(1);
    let (announced, ended, reason) = if complete {
        ("SuccessCriteriaMet", "Complete", "CompletionsReached")
    } else {
        ("FailureTarget", "Failed", "BackoffLimitExceeded")
    };
    let mut status = json!({
        "startTime": now,
        "succeeded": if complete { pods } else { 0 }, "failed": if complete { 0 } else { 1 },
        "active": 0, "ready": 0, "terminating": 0, "uncountedTerminatedPods": {},
        "conditions": [condition(announced, true, now, reason, reason), condition(ended, true, now, reason, reason)],
    });
    if complete {
        status["completionTime"] = json!(now);
    }
    status
}

/// The conditions that are there, with this one in the place of its type.
fn conditions(object: &Value, new: Value) -> Value {
    let there = object["status"]["conditions"].as_array().into_iter().flatten();
    there.filter(|condition| condition["type"] != new["type"]).chain([&new]).cloned().collect()
}

fn condition(of: &str, holds: bool, now: &str, reason: &str, reason_not: &str) -> Value {
    json!({
        "type": of,
        "status": if holds { "True" } else { "False" },
        "lastTransitionTime": now,
        "reason": if holds { reason } else { reason_not },
        "message": "",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_reports_as_many_replicas_as_it_is_to_have() {
        let web = json!({ "kind": "Deployment", "metadata": { "generation": 3 }, "spec": { "replicas": 2 } });
        let ready = status(&web, Outcome::Ready, "now");
        assert_eq!((&ready["readyReplicas"], &ready["observedGeneration"]), (&json!(2), &json!(3)));
        assert_eq!(status(&web, Outcome::Failed, "now")["readyReplicas"], 0);
    }

    #[test]
    fn a_kind_of_its_own_keeps_its_other_conditions() {
        let object = json!({ "kind": "Thing", "status": { "conditions": [{ "type": "A" }, { "type": "Ready" }] } });
        let conditions = status(&object, Outcome::Failed, "now")["conditions"].clone();
        assert_eq!(conditions[0], json!({ "type": "A" }));
        assert_eq!((&conditions[1]["status"], conditions.as_array().map(Vec::len)), (&json!("False"), Some(2)));
    }
}
