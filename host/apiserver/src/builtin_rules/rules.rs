//! The rules of built-in kinds that are in code: what may not change, and what
//! must fit together. In the order and the words of the real server.

use serde_json::{Map, Value, json};

use super::{access, is_set, items, network, pod_spec_of, pods};
use crate::kinds::Kind;
use crate::meta;
use crate::status_error::Cause;

const IMMUTABLE: &str = "field is immutable";
/// Fields that no update may change, by kind.
const SEALED: [(&str, &[&str]); 12] = [
    ("ControllerRevision", &["data"]),
    ("CSIDriver", &["spec.attachRequired"]),
    ("DaemonSet", &["spec.selector"]),
    ("Deployment", &["spec.selector"]),
    ("EndpointSlice", &["addressType"]),
    ("IngressClass", &["spec.controller"]),
    ("Job", &["spec.completions", "spec.selector", "spec.template", "spec.completionMode"]),
    ("ReplicaSet", &["spec.selector"]),
    ("RuntimeClass", &["handler"]),
    ("Secret", &["type"]),
    ("StorageClass", &["parameters", "provisioner", "volumeBindingMode"]),
    ("PriorityClass", &["preemptionPolicy"]),
];

/// Everything that is wrong with an object, or with what it was changed to.
pub(crate) fn validate(kind: &Kind, new: &Value, live: Option<&Value>) -> Vec<Cause> {
    let mut causes = check_alone(kind, new);
    if let Some(live) = live {
        causes.extend(check_change(kind, new, live));
    }
    causes
}

fn check_alone(kind: &Kind, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    match kind.kind.as_str() {
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" => causes.extend(check_selector(new)),
        "Job" => causes.extend(check_restart(&new["spec"]["template"]["spec"], "spec.template.spec")),
        "CronJob" => {
            causes.extend(check_schedule(&new["spec"]["schedule"]));
            let spec = &new["spec"]["jobTemplate"]["spec"]["template"]["spec"];
            causes.extend(check_restart(spec, "spec.jobTemplate.spec.template.spec"));
        }
        "Ingress" => causes.extend(network::check_ingress(&new["spec"])),
        "Secret" => causes.extend(check_secret(new)),
        "ConfigMap" => {
            causes.extend(check_keys(new, &["data", "binaryData"]));
            let data = new["data"].as_object().into_iter().flatten();
            let twice = data.filter(|(key, _)| new["binaryData"].get(key.as_str()).is_some());
            causes.extend(twice.map(|(key, _)| {
                Cause::invalid(format!("data[{key}]"), key.as_str(), "duplicate of key present in binaryData")
            }));
        }
        "Event" if new["apiVersion"] == "v1" => {
            let namespace = &new["involvedObject"]["namespace"];
            if is_set(namespace) && *namespace != new["metadata"]["namespace"] {
                let wrong = "does not match event.namespace";
                causes.push(Cause::invalid("involvedObject.namespace", namespace.clone(), wrong));
            }
        }
        "Lease" => {
            if let Some(seconds) = new["spec"]["leaseDurationSeconds"].as_i64().filter(|seconds| *seconds <= 0) {
                causes.push(Cause::invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0"));
            }
        }
        "Namespace" => {
            let phase = &new["status"]["phase"];
            if *phase == "Terminating" && new["metadata"].get("deletionTimestamp").is_none() {
                let wrong = "may only be 'Active' if `deletionTimestamp` is empty";
                causes.push(Cause::invalid("status.Phase", phase.clone(), wrong));
            }
        }
        "NetworkPolicy" => causes.extend(network::check_policy(&new["spec"])),
        "PersistentVolumeClaim" => causes.extend(check_new_claim(&new["spec"])),
        "Role" | "ClusterRole" => causes.extend(access::check_rules(&new["rules"])),
        "ControllerRevision" if !new["data"].is_object() => {
            let missing = if new["data"].is_null() { "data is mandatory" } else { "data must be a valid JSON object" };
            causes.push(Cause::required("data", missing));
        }
        "EndpointSlice" => causes.extend(network::check_slice(new)),
        "RoleBinding" | "ClusterRoleBinding" => causes.extend(access::check_binding(&kind.kind, new)),
        "StorageClass" if !is_set(&new["provisioner"]) => causes.push(Cause::required("provisioner", "")),
        "HorizontalPodAutoscaler" => causes.extend(check_autoscaler(&new["spec"])),
        "PodDisruptionBudget" => causes.extend(check_budget(&new["spec"])),
        "Pod" => {
            let policy = &new["spec"]["restartPolicy"];
            if !matches!(policy.as_str(), Some("Always" | "OnFailure" | "Never")) {
                let known = ["Always", "OnFailure", "Never"];
                causes.push(Cause::unsupported("spec.restartPolicy", policy, &known));
            }
        }
        "Service" => causes.extend(network::check_service(&new["spec"])),
        _ => {}
    }
    if let Some(path) = pod_spec_of(kind) {
        let field = path.trim_start_matches('/').replace('/', ".");
        causes.extend(pods::check(new.pointer(path).unwrap_or(&Value::Null), &field));
        let always = ["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "ReplicationController"];
        let policy = &new["spec"]["template"]["spec"]["restartPolicy"];
        if always.contains(&kind.kind.as_str()) && is_set(policy) && policy != "Always" {
            causes.push(Cause::unsupported(format!("{field}.restartPolicy"), policy, &["Always"]));
        }
    }
    if kind.kind == "Deployment" && new["spec"]["strategy"]["type"] == "Recreate" {
        let rolling = &new["spec"]["strategy"]["rollingUpdate"];
        let why = "may not be specified when strategy `type` is 'Recreate'";
        causes.extend((!rolling.is_null()).then(|| Cause::forbidden("spec.strategy.rollingUpdate", why)));
    }
    if ["Deployment", "ReplicaSet", "StatefulSet", "ReplicationController"].contains(&kind.kind.as_str())
        && let Some(replicas) = new["spec"]["replicas"].as_i64().filter(|replicas| *replicas < 0)
    {
        causes.push(Cause::invalid("spec.replicas", replicas, "must be greater than or equal to 0"));
    }
    causes
}

fn check_change(kind: &Kind, new: &Value, live: &Value) -> Vec<Cause> {
    let sealed = SEALED.iter().find(|(of, _)| *of == kind.kind).map_or(&[][..], |(_, fields)| fields);
    let mut causes: Vec<Cause> = sealed.iter().filter_map(|field| immutable(new, live, field)).collect();
    match kind.kind.as_str() {
        "ConfigMap" | "Secret" => causes.extend(check_sealed(new, live)),
        "Pod" => causes.extend(pods::check_change(new, live)),
        "PersistentVolumeClaim" => causes.extend(check_claim(new, live)),
        "RoleBinding" | "ClusterRoleBinding" if new["roleRef"] != live["roleRef"] => {
            // Quoted in the server's own form, in which fields have Go's names.
            let role = &new["roleRef"];
            let shown = json!({ "APIGroup": role["apiGroup"], "Kind": role["kind"], "Name": role["name"] });
            causes.push(Cause::invalid("roleRef", shown, "cannot change roleRef"));
        }
        "Service" => causes.extend(network::check_address(new, live)),
        "PriorityClass" if new["value"] != live["value"] => {
            causes.push(Cause::forbidden("value", "may not be changed in an update."));
        }
        "StatefulSet" => causes.extend(check_stateful(new, live)),
        "StorageClass" if new["reclaimPolicy"] != live["reclaimPolicy"] => {
            causes.push(Cause::forbidden("reclaimPolicy", "updates to reclaimPolicy are forbidden."));
        }
        _ => {}
    }
    causes
}

fn at<'a>(object: &'a Value, field: &str) -> &'a Value {
    field.split('.').fold(object, |at, step| &at[step])
}

fn immutable(new: &Value, live: &Value, field: &str) -> Option<Cause> {
    let (new, live) = (at(new, field), at(live, field));
    (new != live).then(|| Cause::invalid(field, new.clone(), IMMUTABLE))
}

/// The data of an object that was made immutable.
fn check_sealed(new: &Value, live: &Value) -> Vec<Cause> {
    if live["immutable"] != Value::Bool(true) {
        return Vec::new();
    }
    let changed = ["immutable", "data", "binaryData"].into_iter().filter(|field| new[field] != live[field]);
    changed.map(|field| Cause::forbidden(field, "field is immutable when `immutable` is set")).collect()
}

/// The keys of a map of files.
fn check_keys(new: &Value, fields: &[&str]) -> Vec<Cause> {
    let wrong = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
    let mut causes = Vec::new();
    for field in fields {
        for (key, _) in new[field].as_object().into_iter().flatten() {
            let good = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
            if key.is_empty() || !key.chars().all(good) {
                causes.push(Cause::invalid(format!("{field}[{key}]"), key.as_str(), wrong));
            }
        }
    }
    causes
}

fn check_secret(new: &Value) -> Vec<Cause> {
    let mut causes = check_keys(new, &["data"]);
    let needed: &[&str] = match new["type"].as_str() {
        Some("kubernetes.io/tls") => &["tls.crt", "tls.key"],
        Some("kubernetes.io/dockerconfigjson") => &[".dockerconfigjson"],
        Some("kubernetes.io/ssh-auth") => &["ssh-privatekey"],
        Some("kubernetes.io/basic-auth") if new["data"]["username"].is_null() && new["data"]["password"].is_null() => {
            &["username", "password"]
        }
        _ => &[],
    };
    for key in needed.iter().filter(|key| new["data"].get(**key).is_none()) {
        causes.push(Cause::required(format!("data[{key}]"), ""));
    }
    causes
}

/// A workload must select the pods that it makes.
fn check_selector(new: &Value) -> Vec<Cause> {
    let selector = &new["spec"]["selector"];
    let labels = &new["spec"]["template"]["metadata"]["labels"];
    let mismatch = || {
        let wrong = "`selector` does not match template `labels`";
        Cause::invalid("spec.template.metadata.labels", labels.clone(), wrong)
    };
    if selector.is_null() {
        return vec![Cause::required("spec.selector", ""), mismatch()];
    }
    if !is_set(&selector["matchLabels"]) && !is_set(&selector["matchExpressions"]) {
        let value = json!({});
        let who = new["kind"].as_str().unwrap_or_default().to_lowercase();
        return vec![Cause::invalid("spec.selector", value, &format!("empty selector is invalid for {who}"))];
    }
    if selects(selector, labels) { Vec::new() } else { vec![mismatch()] }
}

/// Whether labels are selected. Nothing selects nothing, an empty selector all.
pub(crate) fn selects(selector: &Value, labels: &Value) -> bool {
    let wanted = selector["matchLabels"].as_object();
    selector.is_object()
        && wanted.into_iter().flatten().all(|(key, value)| labels.get(key) == Some(value))
        && items(&selector["matchExpressions"]).iter().all(|one| fits(one, labels))
}

fn fits(expression: &Value, labels: &Value) -> bool {
    let value = expression["key"].as_str().and_then(|key| labels.get(key));
    let listed = |value: &Value| items(&expression["values"]).contains(value);
    match expression["operator"].as_str() {
        Some("In") => value.is_some_and(listed),
        Some("NotIn") => !value.is_some_and(listed),
        Some("Exists") => value.is_some(),
        Some("DoesNotExist") => value.is_none(),
        _ => true,
    }
}

/// The pods of a job end.
fn check_restart(spec: &Value, path: &str) -> Option<Cause> {
    let policy = &spec["restartPolicy"];
    let field = format!("{path}.restartPolicy");
    match policy.as_str().unwrap_or_default() {
        "Never" | "OnFailure" => None,
        "" | "Always" => Some(Cause::required(field, "valid values: \"OnFailure\", \"Never\"")),
        _ => Some(Cause::unsupported(field, policy, &["OnFailure", "Never"])),
    }
}

fn check_schedule(schedule: &Value) -> Option<Cause> {
    let text = schedule.as_str().unwrap_or_default();
    if text.is_empty() {
        return Some(Cause::required("spec.schedule", ""));
    }
    let fields: Vec<&str> = text.split_whitespace().collect();
    if text.starts_with('@') || text.starts_with("TZ=") || fields.len() == 5 {
        return None;
    }
    let wrong = format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" "));
    Some(Cause::invalid("spec.schedule", text, &wrong))
}

fn check_autoscaler(spec: &Value) -> Vec<Cause> {
    let (most, least) = (spec["maxReplicas"].as_i64().unwrap_or(0), spec["minReplicas"].as_i64().unwrap_or(1));
    let mut causes = Vec::new();
    if least < 1 {
        causes.push(Cause::invalid("spec.minReplicas", least, "must be greater than or equal to 1"));
    }
    if most < 1 {
        causes.push(Cause::required("spec.maxReplicas", "must be set and greater than 0"));
    }
    if most < least {
        causes.push(Cause::invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`"));
    }
    let target = &spec["scaleTargetRef"];
    if is_set(&target["kind"]) && !target["apiVersion"].as_str().is_some_and(|version| version.contains('/')) {
        let given = target["apiVersion"].as_str().unwrap_or_default();
        let wrong = "apiVersion must specify API group";
        causes.push(Cause::invalid("spec.scaleTargetRef.apiVersion", given, wrong));
    }
    causes
}

fn check_budget(spec: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let selected = spec["selector"]["matchLabels"].as_object().into_iter().flatten();
    let faults = selected.flat_map(|(key, _)| meta::key_faults(key).into_iter().map(move |wrong| (key, wrong)));
    causes.extend(faults.map(|(key, wrong)| Cause::invalid("spec.selector.matchLabels", key.as_str(), &wrong)));
    causes.extend(["minAvailable", "maxUnavailable"].into_iter().filter_map(|field| check_share(spec, field)));
    if spec.get("minAvailable").is_some() && spec.get("maxUnavailable").is_some() {
        let wrong = "minAvailable and maxUnavailable cannot be both set";
        let (least, most) = (&spec["minAvailable"], &spec["maxUnavailable"]);
        let shown = format!(
            "{{\"MinAvailable\":{least},\"Selector\":{},\"MaxUnavailable\":{most},\"UnhealthyPodEvictionPolicy\":{}}}",
            spec["selector"], spec["unhealthyPodEvictionPolicy"]
        );
        let message = format!("Invalid value: {shown}: {wrong}");
        causes.push(Cause { reason: "FieldValueInvalid", message, field: "spec".to_owned() });
    }
    causes
}

/// A share of pods is a percentage, or a number of them.
fn check_share(spec: &Value, field: &str) -> Option<Cause> {
    let at = format!("spec.{field}");
    match &spec[field] {
        Value::Number(number) if number.as_i64().is_some_and(|number| number < 0) => {
            Some(Cause::invalid(at, number.as_i64(), "must be greater than or equal to 0"))
        }
        Value::String(text) => {
            let digits = text.strip_suffix('%').unwrap_or_default();
            let good = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            let wrong = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";
            (!good).then(|| Cause::invalid(at, text.as_str(), wrong))
        }
        _ => None,
    }
}

fn check_new_claim(spec: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let known = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
    let modes = items(&spec["accessModes"]);
    if modes.is_empty() {
        causes.push(Cause::required("spec.accessModes", "at least 1 access mode is required"));
    }
    let strange = modes.iter().filter(|mode| !mode.as_str().is_some_and(|mode| known.contains(&mode)));
    causes.extend(strange.map(|mode| Cause::unsupported("spec.accessModes", mode, &known)));
    if !is_set(&spec["resources"]["requests"]["storage"]) {
        causes.push(Cause::required("spec.resources[storage]", ""));
    }
    causes
}

fn check_claim(new: &Value, live: &Value) -> Option<Cause> {
    let fixed = |object: &Value| {
        let mut spec = object["spec"].as_object().cloned().unwrap_or_default();
        for field in ["volumeName", "resources", "volumeAttributesClassName"] {
            spec.remove(field);
        }
        // A class may be given to a claim that has none.
        if !is_set(&live["spec"]["storageClassName"]) {
            spec.remove("storageClassName");
        }
        spec
    };
    (fixed(new) != fixed(live)).then(|| {
        Cause::forbidden(
            "spec",
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims",
        )
    })
}

fn check_stateful(new: &Value, live: &Value) -> Option<Cause> {
    let free = [
        "minReadySeconds",
        "ordinals",
        "persistentVolumeClaimRetentionPolicy",
        "replicas",
        "revisionHistoryLimit",
        "template",
        "updateStrategy",
    ];
    let fixed = |object: &Value| {
        let spec = object["spec"].as_object().cloned().unwrap_or_default();
        spec.into_iter().filter(|(name, _)| !free.contains(&name.as_str())).collect::<Map<_, _>>()
    };
    (fixed(new) != fixed(live)).then(|| {
        Cause::forbidden(
            "spec",
            "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        )
    })
}
