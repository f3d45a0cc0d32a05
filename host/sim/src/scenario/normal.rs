//! Objects without what differs between two runs that came to the same end:
//! what a server gives by chance, by the clock and by the order of writes, and
//! what the host marks for itself.

use serde_json::{Map, Value, json};
use trimtab_core::marks;

const OF_THE_WRITE: [&str; 6] =
    ["uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "selfLink"];
/// What the host keeps on children.
const OF_THE_HOST: [&str; 3] = [marks::PLUGIN_LABEL, marks::OWNER, marks::INTENT];
/// What counts the templates that a workload has had, and so the ways to an end.
const COUNTED: [&str; 2] = ["deployment.kubernetes.io/revision", "deprecated.daemonset.template.generation"];
/// Where and when something ran.
const RUNNING: [&str; 7] = ["startTime", "completionTime", "hostIP", "hostIPs", "podIP", "podIPs", "containerStatuses"];
/// Times in conditions.
const TIMES: [&str; 4] = ["lastTransitionTime", "lastUpdateTime", "lastProbeTime", "lastHeartbeatTime"];
/// What a server gives to the spec of a Service, in the order of creation.
const ADDRESSES: [&str; 3] = ["clusterIP", "clusterIPs", "healthCheckNodePort"];

/// The object as ends of runs are compared. A generation counts writes; whether
/// a status is of the newest one is kept, as `current` or `outdated`.
pub fn normal(mut object: Value) -> Value {
    let generation = object["metadata"]["generation"].clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        OF_THE_WRITE.iter().for_each(|field| drop(metadata.remove(*field)));
        for marks in ["labels", "annotations"] {
            let Some(map) = metadata.get_mut(marks).and_then(Value::as_object_mut) else { continue };
            OF_THE_HOST.iter().chain(&COUNTED).for_each(|mark| drop(map.remove(*mark)));
            if map.is_empty() {
                metadata.remove(marks);
            }
        }
        for owner in list(metadata.get_mut("ownerReferences")) {
            remove(owner, &["uid"]);
        }
    }
    if let Some(spec) = object.get_mut("spec") {
        remove(spec, &ADDRESSES);
        list(spec.get_mut("ports")).iter_mut().for_each(|port| remove(port, &["nodePort"]));
    }
    let runs = object["kind"] == "Pod" || object["kind"] == "Job";
    if let Some(status) = object.get_mut("status") {
        date(status, &generation);
        if runs {
            remove(status, &RUNNING);
        }
        for condition in list(status.get_mut("conditions")) {
            remove(condition, &TIMES);
            date(condition, &generation);
        }
    }
    object
}

/// The objects with the name of an object in place of its uid, wherever that
/// stands: a plugin may well name a child by it.
pub fn without_uids(objects: Vec<Value>) -> Vec<Value> {
    let text = |object: &Value, pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let named = |object: &Value| Some((text(object, "/metadata/uid")?, text(object, "/metadata/name")?));
    let uids = objects.iter().filter_map(named).filter(|(uid, _)| !uid.is_empty()).collect::<Vec<_>>();
    let replaced = |object: Value| {
        let text = object.to_string();
        let new = uids.iter().fold(text.clone(), |text, (uid, name)| match text.contains(uid) {
            true => text.replace(uid, &format!("uid-of-{name}")),
            false => text,
        });
        if new == text { object } else { serde_json::from_str(&new).unwrap_or(object) }
    };
    objects.into_iter().map(replaced).collect()
}

/// The same as an author compares it whole: without what its name says already
/// and without what the host adds.
pub fn plain(object: Value) -> Value {
    let mut object = normal(object);
    remove(&mut object, &["apiVersion", "kind"]);
    let empty = object.get_mut("metadata").and_then(Value::as_object_mut).is_some_and(|metadata: &mut Map<_, _>| {
        metadata.retain(|field, _| !["name", "namespace", "ownerReferences"].contains(&&**field));
        metadata.is_empty()
    });
    if empty {
        remove(&mut object, &["metadata"]);
    }
    object
}

fn date(status: &mut Value, generation: &Value) {
    if let Some(observed) = status.get_mut("observedGeneration") {
        *observed = json!(if observed == generation { "current" } else { "outdated" });
    }
}

fn list(value: Option<&mut Value>) -> &mut [Value] {
    value.and_then(Value::as_array_mut).map(Vec::as_mut_slice).unwrap_or_default()
}

fn remove(value: &mut Value, fields: &[&str]) {
    if let Some(map) = value.as_object_mut() {
        fields.iter().for_each(|field| drop(map.remove(*field)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(run: u64) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {
                "name": "a", "uid": run, "resourceVersion": run, "generation": run, "managedFields": [{ "time": run }],
                "labels": { "trimtab.dev/plugin": "site" },
                "annotations": { "trimtab.dev/intent": run, "mine": "kept" },
                "ownerReferences": [{ "kind": "Site", "uid": run }],
            },
            "spec": { "clusterIP": run, "ports": [{ "port": 80, "nodePort": run }] },
            "status": { "observedGeneration": run,
                        "conditions": [{ "type": "Ready", "lastTransitionTime": run, "observedGeneration": run }] },
        })
    }

    #[test]
    fn two_runs_to_the_same_end_are_alike() {
        assert_eq!(normal(object(1)), normal(object(2)));
        let kept = json!({ "name": "a", "annotations": { "mine": "kept" }, "ownerReferences": [{ "kind": "Site" }] });
        assert_eq!(normal(object(1))["metadata"], kept);
    }

    #[test]
    fn a_child_that_is_named_by_a_uid_is_alike_in_each_run() {
        let run = |uid: &str| {
            let owner = json!({ "metadata": { "name": "a", "uid": uid } });
            without_uids(vec![owner, json!({ "metadata": { "name": format!("child-{uid}") } })])
        };
        assert_eq!(run("1-2-3"), run("4-5-6"));
        assert_eq!(run("1-2-3")[1]["metadata"]["name"], "child-uid-of-a");
    }

    #[test]
    fn a_status_of_an_older_generation_is_not_alike() {
        let mut outdated = object(2);
        outdated["status"]["observedGeneration"] = json!(1);
        assert_ne!(normal(object(2)), normal(outdated));
    }

    #[test]
    fn an_author_sees_neither_what_the_name_says_nor_what_the_host_adds() {
        assert_eq!(plain(object(1))["metadata"], json!({ "annotations": { "mine": "kept" } }));
        let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" }, "data": { "a": "b" } });
        assert_eq!(plain(map), json!({ "data": { "a": "b" } }));
    }
}
