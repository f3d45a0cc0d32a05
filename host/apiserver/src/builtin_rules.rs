//! What built-in kinds do in Go code and not in their schemas: defaults that
//! depend on a sibling, fields that a write allots, immutable fields, and the
//! formats that clients get wrong. The rest of that validation is not here on
//! purpose: it is no controller's concern.

use serde_json::{Map, Value, json};

use crate::crd;
use crate::kinds::Kind;
use crate::schema::FieldError;
use crate::server::State;
use crate::status_error::{ApiError, Cause};

/// The addresses of services: 10.96.0.0/16, without the first and the last.
const SERVICE_ADDRESSES: u32 = 65_534;
/// A time up to its seconds: `2006-01-02T15:04:05`.
const WHOLE_SECONDS_LENGTH: usize = 19;
const MICROSECOND_DIGITS: usize = 6;
/// The node ports of services: 30000-32767.
const NODE_PORTS: u32 = 2_768;

/// Keeps those findings of a built-in kind's schema that the real server has
/// too: a wrong type is refused as undecodable, and what is required is so in
/// what users write; for the rest its rules are in code.
pub(crate) fn keep_real(kind: &Kind, found: &mut Vec<FieldError>) -> Result<(), ApiError> {
    if let Some(wrong) = found.iter().find(|error| error.reason == "FieldValueTypeInvalid") {
        return Err(ApiError::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: json: cannot unmarshal Go struct field {}.{}: {}",
            kind.kind, kind.version, kind.kind, kind.kind, wrong.field, wrong.message
        )));
    }
    let written =
        |field: &str| field.starts_with("spec.") || field.starts_with("roleRef") || field.starts_with("rules");
    let real = ["FieldValueRequired", "FieldValueNotSupported"];
    found.retain(|error| real.contains(&error.reason) && written(&error.field));
    Ok(())
}

/// Kinds whose deletion is answered with the object and not with a `Status`.
pub(crate) fn answers_with_deleted(kind: &Kind) -> bool {
    let kinds = ["PersistentVolume", "PersistentVolumeClaim", "Pod", "Service", "ServiceAccount", "StorageClass"];
    kind.custom.is_none() && kinds.contains(&kind.kind.as_str())
}

/// Defaults that look at a sibling.
pub(crate) fn default(kind: &Kind, object: &mut Value) {
    match kind.kind.as_str() {
        "Secret" => merge_string_data(object),
        "Namespace" => {
            let name = crate::meta::text(object, "name").to_owned();
            if !name.is_empty() {
                object["metadata"]["labels"]["kubernetes.io/metadata.name"] = Value::from(name);
            }
        }
        "Pod" => {
            if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
                spec.entry("enableServiceLinks").or_insert(Value::Bool(true));
                default_containers(spec);
            }
        }
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" => {
            default_template(object.pointer_mut("/spec/template"));
            default_rollout(object);
        }
        "CronJob" => default_template(object.pointer_mut("/spec/jobTemplate/spec/template")),
        "Service" => default_service(object),
        "CustomResourceDefinition" => crd::default(object),
        _ => {}
    }
}

fn default_template(template: Option<&mut Value>) {
    let Some(template) = template.and_then(Value::as_object_mut) else { return };
    template.entry("metadata").or_insert_with(|| json!({}));
    if let Some(spec) = template.get_mut("spec").and_then(Value::as_object_mut) {
        default_containers(spec);
    }
}

fn default_containers(spec: &mut Map<String, Value>) {
    let name = spec.get("serviceAccountName").cloned();
    if let Some(name) = name.filter(|name| name.as_str().is_some_and(|name| !name.is_empty())) {
        spec.insert("serviceAccount".to_owned(), name);
    }
    spec.entry("securityContext").or_insert_with(|| json!({}));
    let volumes = spec.get_mut("volumes").and_then(Value::as_array_mut);
    for volume in volumes.into_iter().flatten().filter_map(Value::as_object_mut) {
        // A volume of no source is an empty folder.
        if volume.len() == 1 {
            volume.insert("emptyDir".to_owned(), json!({}));
        }
    }
    for field in ["containers", "initContainers"] {
        let containers = spec.get_mut(field).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten().filter_map(Value::as_object_mut) {
            let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
            let policy = if pulls_always(image) { "Always" } else { "IfNotPresent" };
            container.entry("imagePullPolicy").or_insert_with(|| Value::from(policy));
        }
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

fn default_rollout(object: &mut Value) {
    let (field, partial) = match object["kind"].as_str() {
        Some("Deployment") => ("strategy", json!({ "maxSurge": "25%", "maxUnavailable": "25%" })),
        Some("StatefulSet") => ("updateStrategy", json!({ "partition": 0 })),
        Some("DaemonSet") => ("updateStrategy", json!({ "maxSurge": 0, "maxUnavailable": 1 })),
        _ => return,
    };
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
    if field == "updateStrategy" && partial.get("partition").is_some() {
        let kept = json!({ "whenDeleted": "Retain", "whenScaled": "Retain" });
        spec.entry("persistentVolumeClaimRetentionPolicy").or_insert(kept);
    }
    let strategy = spec.entry(field).or_insert_with(|| json!({}));
    let Some(strategy) = strategy.as_object_mut() else { return };
    if strategy.entry("type").or_insert_with(|| Value::from("RollingUpdate")) == "RollingUpdate" {
        strategy.entry("rollingUpdate").or_insert(partial);
    }
}

fn default_service(object: &mut Value) {
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
    let kind = spec.entry("type").or_insert_with(|| Value::from("ClusterIP")).as_str().unwrap_or_default().to_owned();
    spec.entry("sessionAffinity").or_insert_with(|| Value::from("None"));
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        spec.entry("externalTrafficPolicy").or_insert_with(|| Value::from("Cluster"));
    }
    if kind == "LoadBalancer" {
        spec.entry("allocateLoadBalancerNodePorts").or_insert(Value::Bool(true));
    }
    if kind != "ExternalName" {
        spec.entry("internalTrafficPolicy").or_insert_with(|| Value::from("Cluster"));
    }
    let ports = spec.get_mut("ports").and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten().filter_map(Value::as_object_mut) {
        let number = port.get("port").cloned().unwrap_or_default();
        port.entry("targetPort").or_insert(number);
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

/// What a create gives an object of a built-in kind.
pub(crate) fn prepare_new(state: &mut State, kind: &Kind, object: &mut Value) {
    match kind.kind.as_str() {
        "Namespace" => {
            object["spec"]["finalizers"] = json!(["kubernetes"]);
            object["status"] = json!({ "phase": "Active" });
        }
        "Pod" => object["status"] = json!({ "phase": "Pending", "qosClass": "BestEffort" }),
        "Service" => allot_addresses(state, object),
        _ => {}
    }
}

fn allot_addresses(state: &mut State, object: &mut Value) {
    let node_ports = matches!(object["spec"]["type"].as_str(), Some("NodePort" | "LoadBalancer"));
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
    if spec.get("type").and_then(Value::as_str) == Some("ExternalName") {
        return;
    }
    let given = spec.get("clusterIP").and_then(Value::as_str).unwrap_or_default().to_owned();
    let address = if given.is_empty() {
        let host = state.ids.below(SERVICE_ADDRESSES) + 1;
        format!("10.96.{}.{}", host >> 8, host & 0xff)
    } else {
        given
    };
    spec.insert("clusterIP".to_owned(), Value::from(address.as_str()));
    spec.insert("clusterIPs".to_owned(), json!([address]));
    let selects = spec.get("selector").and_then(Value::as_object).is_some_and(|selector| !selector.is_empty());
    let (families, policy) = if address == "None" && !selects {
        (json!(["IPv4", "IPv6"]), "RequireDualStack")
    } else {
        (json!(["IPv4"]), "SingleStack")
    };
    spec.entry("ipFamilies").or_insert(families);
    spec.entry("ipFamilyPolicy").or_insert_with(|| Value::from(policy));
    let ports = spec.get_mut("ports").and_then(Value::as_array_mut).filter(|_| node_ports);
    for port in ports.into_iter().flatten().filter_map(Value::as_object_mut) {
        let number = 30_000 + state.ids.below(NODE_PORTS);
        port.entry("nodePort").or_insert_with(|| Value::from(number));
    }
}

/// What an update that leaves allotted fields out keeps.
pub(crate) fn prepare_change(kind: &Kind, new: &mut Value, live: &Value) {
    if kind.kind != "Service" || new["spec"]["type"] == "ExternalName" {
        return;
    }
    for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if new["spec"][field].is_null() && !live["spec"][field].is_null() {
            new["spec"][field] = live["spec"][field].clone();
        }
    }
    if let Some(spec) = new.get_mut("spec").and_then(Value::as_object_mut) {
        spec.retain(|_, value| !value.is_null());
    }
}

/// The rules that are in code: what may not change, and what must fit together.
pub(crate) fn validate(kind: &Kind, new: &Value, live: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    match kind.kind.as_str() {
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" => {
            causes.extend(check_selector(new));
            causes.extend(live.and_then(|live| immutable(new, live, "spec.selector")));
        }
        "Job" => {
            let fields = ["spec.selector", "spec.template", "spec.completionMode"];
            causes.extend(fields.iter().filter_map(|field| immutable(new, live?, field)));
        }
        "Service" => {
            let held =
                live.filter(|live| !live["spec"]["clusterIP"].is_null() && new["spec"]["type"] != "ExternalName");
            causes.extend(held.and_then(|live| immutable(new, live, "spec.clusterIP")));
        }
        "Secret" => {
            causes.extend(live.and_then(|live| immutable(new, live, "type")));
            causes.extend(live.into_iter().flat_map(|live| check_sealed(new, live)));
        }
        "ConfigMap" => causes.extend(live.into_iter().flat_map(|live| check_sealed(new, live))),
        "RoleBinding" | "ClusterRoleBinding" => {
            causes.extend(live.and_then(|live| {
                (new["roleRef"] != live["roleRef"])
                    .then(|| Cause::invalid("roleRef", new["roleRef"].clone(), "cannot change roleRef"))
            }));
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
    (new != live).then(|| Cause::invalid(field, new.clone(), "field is immutable"))
}

/// The data of an object that was made immutable.
fn check_sealed(new: &Value, live: &Value) -> Vec<Cause> {
    if live["immutable"] != Value::Bool(true) {
        return Vec::new();
    }
    let changed = ["immutable", "data", "binaryData"].into_iter().filter(|field| new[field] != live[field]);
    changed.map(|field| Cause::forbidden(field, "field is immutable when `immutable` is set")).collect()
}

/// A workload must select the pods that it makes.
fn check_selector(new: &Value) -> Option<Cause> {
    let wanted = new["spec"]["selector"]["matchLabels"].as_object();
    let labels = &new["spec"]["template"]["metadata"]["labels"];
    let matches = wanted.is_some_and(|wanted| wanted.iter().all(|(key, value)| labels.get(key) == Some(value)));
    let expressions = new["spec"]["selector"]["matchExpressions"].is_array();
    (!matches && !expressions).then(|| {
        Cause::invalid("spec.template.metadata.labels", labels.clone(), "`selector` does not match template `labels`")
    })
}

/// Times with microseconds are read in that one form; leaving them out is a
/// client's common mistake.
pub(crate) fn check_micro_times(kind: &Kind, object: &Value) -> Result<(), ApiError> {
    let fields: &[&str] = match kind.kind.as_str() {
        "Lease" => &["spec.renewTime", "spec.acquireTime"],
        "Event" => &["eventTime", "series.lastObservedTime"],
        _ => return Ok(()),
    };
    for field in fields {
        let Some(text) = at(object, field).as_str() else { continue };
        let rest = text.get(WHOLE_SECONDS_LENGTH..).unwrap_or_default();
        let digits = rest.strip_prefix('.').map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).count());
        if digits == MICROSECOND_DIGITS && text.parse::<jiff::Timestamp>().is_ok() {
            continue;
        }
        let (found, expected) = match rest.get(1 + MICROSECOND_DIGITS..) {
            Some(tail) if digits > MICROSECOND_DIGITS => (tail, "Z07:00"),
            _ => (rest, ".000000"),
        };
        return Err(ApiError::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: parsing time {text:?} as \"2006-01-02T15:04:05.000000Z07:00\": cannot parse {found:?} as {expected:?}",
            kind.kind, kind.version, kind.kind
        )));
    }
    Ok(())
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
}
