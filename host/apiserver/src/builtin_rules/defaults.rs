//! Defaults that look at a sibling, or hold in one kind only. All others are
//! data.

use serde_json::{Map, Value, json};

use super::{is_set, items, items_mut, pod_spec_of};
use crate::crd;
use crate::kinds::Kind;
use crate::meta;

pub(super) const RBAC: &str = "rbac.authorization.k8s.io";
/// How long a client keeps its pod.
const AFFINITY_SECONDS: u32 = 10_800;
/// The annotation that stands for a field that only the server's own form has.
pub(super) const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// Fills in what follows from the rest of the object.
pub(crate) fn default(kind: &Kind, object: &mut Value) {
    if let Some(spec) = pod_spec_of(kind).and_then(|path| object.pointer_mut(path)).and_then(Value::as_object_mut) {
        default_pod(spec);
    }
    match kind.kind.as_str() {
        "Secret" => merge_string_data(object),
        "Namespace" => {
            let name = meta::text(object, "name").to_owned();
            if !name.is_empty() {
                object["metadata"]["labels"]["kubernetes.io/metadata.name"] = Value::from(name);
            }
        }
        "Node" if is_set(&object["status"]["capacity"]) => {
            let capacity = object["status"]["capacity"].clone();
            or_insert(&mut object["status"], "allocatable", capacity);
        }
        "Pod" => {
            default_bare_pod(&mut object["spec"]);
            default_addresses(&mut object["status"]);
        }
        "PersistentVolume" => or_insert(&mut object["status"], "phase", json!("Pending")),
        "PersistentVolumeClaim" => or_insert(&mut object["status"], "phase", json!("Pending")),
        "Deployment" => {
            let rolling = json!({ "maxSurge": "25%", "maxUnavailable": "25%" });
            default_rollout(&mut object["spec"]["strategy"], rolling);
        }
        "StatefulSet" => {
            default_rollout(&mut object["spec"]["updateStrategy"], json!({ "partition": 0 }));
            let kept = json!({ "whenDeleted": "Retain", "whenScaled": "Retain" });
            fill(&mut object["spec"], "persistentVolumeClaimRetentionPolicy", kept);
            for claim in items_mut(object.pointer_mut("/spec/volumeClaimTemplates")) {
                claim["apiVersion"] = Value::from("v1");
                claim["kind"] = Value::from("PersistentVolumeClaim");
                or_insert(&mut claim["status"], "phase", json!("Pending"));
            }
        }
        "DaemonSet" => {
            default_rollout(&mut object["spec"]["updateStrategy"], json!({ "maxSurge": 0, "maxUnavailable": 1 }));
            fill(&mut object["metadata"], "annotations", json!({ TEMPLATE_GENERATION: "0" }));
        }
        "ReplicationController" => {
            let labels = object["spec"]["template"]["metadata"]["labels"].clone();
            if is_set(&labels) {
                or_insert(&mut object["spec"], "selector", labels.clone());
                or_insert(&mut object["metadata"], "labels", labels);
            }
        }
        "LimitRange" => {
            items_mut(object.pointer_mut("/spec/limits")).for_each(default_limit);
        }
        "Job" => default_job(object),
        "Service" => default_service(object),
        "NetworkPolicy" => {
            let egress = is_set(&object["spec"]["egress"]);
            let types = if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
            or_insert(&mut object["spec"], "policyTypes", types);
        }
        "HorizontalPodAutoscaler" => default_autoscaler(&mut object["spec"]),
        "RoleBinding" | "ClusterRoleBinding" => default_binding(object),
        "CustomResourceDefinition" => crd::default(object),
        _ => {}
    }
}

/// Sets a field that has no value.
fn or_insert(object: &mut Value, field: &str, value: Value) {
    if !is_set(&object[field]) {
        object[field] = value;
    }
}

/// Sets the fields of a struct that have no value.
fn fill(object: &mut Value, field: &str, values: Value) {
    if !object[field].is_object() {
        object[field] = json!({});
    }
    for (name, value) in values.as_object().into_iter().flatten() {
        or_insert(&mut object[field], name, value.clone());
    }
}

fn default_rollout(strategy: &mut Value, rolling: Value) {
    or_insert(strategy, "type", json!("RollingUpdate"));
    if strategy["type"] == "RollingUpdate" {
        or_insert(strategy, "rollingUpdate", rolling);
    } else if strategy["rollingUpdate"].is_null() {
        strategy.as_object_mut().map(|strategy| strategy.remove("rollingUpdate"));
    }
}

fn default_pod(spec: &mut Map<String, Value>) {
    let name = spec.get("serviceAccountName").filter(|name| is_set(name)).cloned();
    if let Some(name) = name {
        spec.insert("serviceAccount".to_owned(), name);
    } else if let Some(name) = spec.get("serviceAccount").cloned() {
        spec.insert("serviceAccountName".to_owned(), name);
    }
    spec.entry("securityContext").or_insert_with(|| json!({}));
    for volume in items_mut(spec.get_mut("volumes")).filter_map(Value::as_object_mut) {
        // A volume of no source is an empty folder.
        if volume.len() == 1 {
            volume.insert("emptyDir".to_owned(), json!({}));
        }
    }
    for field in ["containers", "initContainers"] {
        for container in items_mut(spec.get_mut(field)) {
            let image = container["image"].as_str().unwrap_or_default();
            let policy = if pulls_always(image) { "Always" } else { "IfNotPresent" };
            or_insert(container, "imagePullPolicy", json!(policy));
        }
    }
}

/// What holds for a pod and not for the template of one.
fn default_bare_pod(spec: &mut Value) {
    if let Some(spec) = spec.as_object_mut() {
        spec.entry("enableServiceLinks").or_insert(Value::Bool(true));
    }
    let host_network = spec["hostNetwork"] == Value::Bool(true);
    for field in ["containers", "initContainers"] {
        for container in items_mut(spec.get_mut(field)) {
            for port in items_mut(container.get_mut("ports")).filter(|_| host_network) {
                let number = port["containerPort"].clone();
                or_insert(port, "hostPort", number);
            }
            // What is limited is requested.
            let limits = container["resources"]["limits"].clone();
            if is_set(&limits) {
                fill(&mut container["resources"], "requests", limits);
            }
        }
    }
}

/// A pod's address is the first of its addresses, and is believed more than they.
fn default_addresses(status: &mut Value) {
    let (address, first) = (status["podIP"].clone(), status["podIPs"][0]["ip"].clone());
    if is_set(&address) && address != first {
        status["podIPs"] = json!([{ "ip": address }]);
    } else if is_set(&first) {
        status["podIP"] = first;
    }
}

/// An image without a tag, or with the tag `latest`, may change.
fn pulls_always(image: &str) -> bool {
    let name = image.rsplit('/').next().unwrap_or_default();
    if name.contains('@') {
        return false;
    }
    name.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

/// What a container is limited to where it does not say so is the most that it
/// may have, and it requests as much as it is limited to.
fn default_limit(limit: &mut Value) {
    if limit["type"] != "Container" {
        return;
    }
    for (field, from) in [("default", "max"), ("defaultRequest", "default"), ("defaultRequest", "min")] {
        let values = limit[from].clone();
        if is_set(&values) {
            fill(limit, field, values);
        }
    }
}

fn default_job(object: &mut Value) {
    let labels = object["spec"]["template"]["metadata"]["labels"].clone();
    if is_set(&labels) {
        or_insert(&mut object["metadata"], "labels", labels);
    }
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
    if !spec.contains_key("completions") && !spec.contains_key("parallelism") {
        spec.insert("completions".to_owned(), json!(1));
    }
    let backoff = if spec.contains_key("backoffLimitPerIndex") { i32::MAX } else { 6 };
    let failed_only = spec.contains_key("podFailurePolicy");
    let replacement = if failed_only { "Failed" } else { "TerminatingOrFailed" };
    for (field, value) in [
        ("parallelism", json!(1)),
        ("backoffLimit", json!(backoff)),
        ("completionMode", json!("NonIndexed")),
        ("suspend", json!(false)),
        ("manualSelector", json!(false)),
        ("podReplacementPolicy", json!(replacement)),
    ] {
        spec.entry(field).or_insert(value);
    }
    for rule in items_mut(object.pointer_mut("/spec/podFailurePolicy/rules")) {
        for pattern in items_mut(rule.get_mut("onPodConditions")) {
            or_insert(pattern, "status", json!("True"));
        }
    }
}

fn default_service(object: &mut Value) {
    let spec = &mut object["spec"];
    or_insert(spec, "type", json!("ClusterIP"));
    or_insert(spec, "sessionAffinity", json!("None"));
    if spec["sessionAffinity"] == "ClientIP" && !spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"].is_i64() {
        spec["sessionAffinityConfig"] = json!({ "clientIP": { "timeoutSeconds": AFFINITY_SECONDS } });
    } else if spec["sessionAffinity"] == "None" || spec["sessionAffinityConfig"].is_null() {
        spec.as_object_mut().map(|spec| spec.remove("sessionAffinityConfig"));
    }
    let kind = spec["type"].as_str().unwrap_or_default().to_owned();
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        or_insert(spec, "externalTrafficPolicy", json!("Cluster"));
    }
    if kind == "LoadBalancer" && !spec["allocateLoadBalancerNodePorts"].is_boolean() {
        spec["allocateLoadBalancerNodePorts"] = json!(true);
    }
    if kind != "ExternalName" {
        or_insert(spec, "internalTrafficPolicy", json!("Cluster"));
    }
    for port in items_mut(spec.get_mut("ports")) {
        let number = port["port"].clone();
        or_insert(port, "targetPort", number);
    }
    for ingress in items_mut(object.pointer_mut("/status/loadBalancer/ingress")) {
        if is_set(&ingress["ip"]) {
            or_insert(ingress, "ipMode", json!("VIP"));
        }
    }
}

fn default_autoscaler(spec: &mut Value) {
    let cpu = json!([{ "type": "Resource", "resource": {
        "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 80 } } }]);
    or_insert(spec, "metrics", cpu);
    if spec["behavior"].is_null() {
        spec.as_object_mut().map(|spec| spec.remove("behavior"));
        return;
    }
    let percent = json!({ "type": "Percent", "value": 100, "periodSeconds": 15 });
    let pods = json!({ "type": "Pods", "value": 4, "periodSeconds": 15 });
    let up = json!({ "stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": [pods, percent] });
    fill(&mut spec["behavior"], "scaleUp", up);
    fill(&mut spec["behavior"], "scaleDown", json!({ "selectPolicy": "Max", "policies": [percent] }));
}

fn default_binding(object: &mut Value) {
    or_insert(&mut object["roleRef"], "apiGroup", json!(RBAC));
    for subject in items_mut(object.get_mut("subjects")) {
        if matches!(subject["kind"].as_str(), Some("User" | "Group")) {
            or_insert(subject, "apiGroup", json!(RBAC));
        }
    }
}

/// `stringData` is only a way to write `data`.
fn merge_string_data(object: &mut Value) {
    use base64::Engine;
    let Some(Value::Object(plain)) = object.as_object_mut().and_then(|object| object.remove("stringData")) else {
        return;
    };
    for (key, value) in plain {
        let encoded = base64::engine::general_purpose::STANDARD.encode(value.as_str().unwrap_or_default());
        object["data"][key] = Value::from(encoded);
    }
}

/// The quality of service that a pod's requests and limits earn it.
pub(super) fn quality(spec: &Value) -> &'static str {
    let computes = |list: &Value, name: &str| -> Option<crate::quantity::Quantity> {
        list[name].as_str()?.parse().ok().filter(|quantity: &crate::quantity::Quantity| !quantity.is_zero())
    };
    let containers: Vec<&Value> = items(&spec["containers"]).iter().chain(items(&spec["initContainers"])).collect();
    let (mut any, mut all) = (false, true);
    for container in containers {
        for name in ["cpu", "memory"] {
            let request = computes(&container["resources"]["requests"], name);
            let limit = computes(&container["resources"]["limits"], name);
            any |= request.is_some() || limit.is_some();
            all &= limit.is_some() && request.or(limit) == limit;
        }
    }
    match (any, all) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_image_that_may_change_is_always_pulled() {
        for (image, always) in [
            ("nginx", true),
            ("nginx:latest", true),
            ("nginx:1", false),
            ("r:5000/nginx", true),
            ("nginx@sha256:00", false),
        ] {
            assert_eq!(pulls_always(image), always, "{image}");
        }
    }

    #[test]
    fn string_data_becomes_data() {
        let mut secret = json!({ "stringData": { "a": "x" }, "data": { "b": "eQ==" } });
        merge_string_data(&mut secret);
        assert_eq!(secret, json!({ "data": { "a": "eA==", "b": "eQ==" } }));
    }

    #[test]
    fn the_quality_of_service_follows_from_requests_and_limits() {
        let pod = |resources: Value| json!({ "containers": [{ "resources": resources }] });
        let all = json!({ "cpu": "1", "memory": "1Gi" });
        assert_eq!(quality(&pod(json!({}))), "BestEffort");
        assert_eq!(quality(&pod(json!({ "requests": { "cpu": "1" } }))), "Burstable");
        assert_eq!(quality(&pod(json!({ "limits": all, "requests": all }))), "Guaranteed");
        let less = json!({ "cpu": "500m", "memory": "1Gi" });
        assert_eq!(quality(&pod(json!({ "limits": all, "requests": less }))), "Burstable");
    }
}
