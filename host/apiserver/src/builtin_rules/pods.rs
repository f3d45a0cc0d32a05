//! Pods and templates of pods: what admission adds to a pod, what an update may
//! not change, and the rules for containers and volumes.

use serde_json::{Map, Value, json};

use super::fill::not_admitted;
use super::{is_set, items};
use crate::kinds::{GroupResource, Kind};
use crate::meta;
use crate::quantity::Quantity;
use crate::server::State;
use crate::status_error::{ApiError, Cause};

/// How long a pod stays on a node that is lost.
const TOLERATION_SECONDS: u32 = 300;
const PORT_MAX: i64 = 65_535;
/// Classes that every cluster has.
const SYSTEM_CLASSES: [(&str, i64); 2] =
    [("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)];

/// What admission adds to a new pod: its priority, and how long it stays where
/// its node is lost.
pub(super) fn admit(state: &State, kind: &Kind, object: &mut Value) -> Result<(), ApiError> {
    let at = GroupResource::new("scheduling.k8s.io", "priorityclasses");
    let class = object["spec"]["priorityClassName"].as_str().unwrap_or_default().to_owned();
    let (name, value, policy) = if class.is_empty() {
        let classes = state.storage.list(&at, None);
        let defaults = classes.iter().map(|stored| stored.object()).filter(|class| class["globalDefault"] == true);
        match defaults.max_by_key(|class| class["value"].as_i64()) {
            Some(class) => {
                (meta::text(&class, "name").to_owned(), class["value"].clone(), class["preemptionPolicy"].clone())
            }
            None => (String::new(), json!(0), Value::Null),
        }
    } else if let Some(stored) = state.storage.get(&at, &class) {
        let stored = stored.object();
        (class, stored["value"].clone(), stored["preemptionPolicy"].clone())
    } else if let Some((name, value)) = SYSTEM_CLASSES.iter().find(|(name, _)| *name == class) {
        ((*name).to_owned(), json!(value), Value::Null)
    } else {
        return Err(not_admitted(kind, object, &format!("no PriorityClass with name {class} was found")));
    };
    let policy = if policy.is_null() { json!("PreemptLowerPriority") } else { policy };
    let spec = &mut object["spec"];
    if let Some(given) = spec.get("priority").filter(|given| **given != value) {
        let why = format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller computed {value} from the given PriorityClass name"
        );
        return Err(not_admitted(kind, object, &why));
    }
    if !name.is_empty() {
        spec["priorityClassName"] = Value::from(name);
    }
    spec["priority"] = value;
    if spec.get("preemptionPolicy").is_none() {
        spec["preemptionPolicy"] = policy;
    }
    tolerate(spec);
    Ok(())
}

fn tolerate(spec: &mut Value) {
    let mut tolerations = items(&spec["tolerations"]).to_vec();
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let tolerates = |one: &Value| {
            let key_fits = one["key"] == key || !is_set(&one["key"]);
            key_fits && (one["effect"] == "NoExecute" || !is_set(&one["effect"]))
        };
        if !items(&spec["tolerations"]).iter().any(tolerates) {
            let seconds = TOLERATION_SECONDS;
            tolerations.push(json!({
                "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds }));
        }
    }
    spec["tolerations"] = Value::from(tolerations);
}

/// An update that leaves out what admission added keeps it.
pub(super) fn keep(new: &mut Value, live: &Value) {
    for field in ["priority", "preemptionPolicy", "tolerations"] {
        if new["spec"].get(field).is_none()
            && let Some(value) = live["spec"].get(field)
        {
            new["spec"][field] = value.clone();
        }
    }
}

/// An update may change images and little else.
pub(super) fn check_change(new: &Value, live: &Value) -> Vec<Cause> {
    let changeable = |object: &Value| {
        let mut spec = object["spec"].clone();
        for field in ["containers", "initContainers"] {
            for container in spec[field].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
                container.remove("image");
            }
        }
        let kept = |name: &str| {
            !matches!(
                name,
                "activeDeadlineSeconds" | "tolerations" | "terminationGracePeriodSeconds" | "schedulingGates"
            )
        };
        let spec = spec.as_object().cloned().unwrap_or_default();
        spec.into_iter().filter(|(name, value)| kept(name) && is_set(value)).collect::<Map<_, _>>()
    };
    if changeable(new) == changeable(live) {
        return Vec::new();
    }
    vec![Cause::forbidden(
        "spec",
        "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
    )]
}

/// The rules for a pod's spec, or that of a template.
pub(super) fn check(spec: &Value, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    let volumes = check_volumes(&spec["volumes"], &format!("{path}.volumes"), &mut causes);
    if items(&spec["containers"]).is_empty() {
        causes.push(Cause::required(format!("{path}.containers"), ""));
    }
    let mut names = Vec::new();
    for field in ["containers", "initContainers"] {
        for (index, container) in items(&spec[field]).iter().enumerate() {
            check_container(container, &format!("{path}.{field}[{index}]"), &volumes, &mut names, &mut causes);
        }
    }
    causes
}

/// Checks the volumes and returns their names.
fn check_volumes<'a>(volumes: &'a Value, path: &str, causes: &mut Vec<Cause>) -> Vec<&'a str> {
    let mut names = Vec::new();
    for (index, volume) in items(volumes).iter().enumerate() {
        let name = volume["name"].as_str().unwrap_or_default();
        let sources = volume.as_object().into_iter().flatten().map(|(field, _)| field.as_str());
        let mut sources: Vec<&str> = sources.filter(|field| *field != "name").collect();
        // The server looks at an empty folder first.
        sources.sort_by_key(|source| *source != "emptyDir");
        if let [_, second, ..] = sources.as_slice() {
            let why = "may not specify more than 1 volume type";
            causes.push(Cause::forbidden(format!("{path}[{index}].{second}"), why));
            continue;
        }
        check_name(name, &format!("{path}[{index}].name"), &mut names, causes);
    }
    names
}

/// A name must be there, be a label, and be the only one.
fn check_name<'a>(name: &'a str, path: &str, names: &mut Vec<&'a str>, causes: &mut Vec<Cause>) {
    if name.is_empty() {
        causes.push(Cause::required(path, ""));
    } else if let Some(wrong) = meta::label_fault(name) {
        causes.push(Cause::invalid(path, name, &wrong));
    } else if names.contains(&name) {
        causes.push(Cause::duplicate(path, name));
    } else {
        names.push(name);
    }
}

fn check_container<'a>(
    container: &'a Value,
    path: &str,
    volumes: &[&str],
    names: &mut Vec<&'a str>,
    causes: &mut Vec<Cause>,
) {
    check_name(container["name"].as_str().unwrap_or_default(), &format!("{path}.name"), names, causes);
    if !is_set(&container["image"]) {
        causes.push(Cause::required(format!("{path}.image"), ""));
    }
    for (index, port) in items(&container["ports"]).iter().enumerate() {
        let field = format!("{path}.ports[{index}].containerPort");
        match port["containerPort"].as_i64().unwrap_or(0) {
            0 => causes.push(Cause::required(field, "")),
            number if !(1..=PORT_MAX).contains(&number) => {
                causes.push(Cause::invalid(field, number, "must be between 1 and 65535, inclusive"));
            }
            _ => {}
        }
    }
    for (index, variable) in items(&container["env"]).iter().enumerate() {
        if !is_set(&variable["name"]) {
            causes.push(Cause::required(format!("{path}.env[{index}].name"), ""));
        }
        if is_set(&variable["value"]) && variable["valueFrom"].is_object() {
            let wrong = "may not be specified when `value` is not empty";
            causes.push(Cause::invalid(format!("{path}.env[{index}].valueFrom"), "", wrong));
        }
    }
    for (index, mount) in items(&container["volumeMounts"]).iter().enumerate() {
        let (name, field) = (mount["name"].as_str().unwrap_or_default(), format!("{path}.volumeMounts[{index}].name"));
        if name.is_empty() {
            causes.push(Cause::required(field, ""));
        } else if !volumes.contains(&name) {
            causes.push(Cause::not_found(field, name));
        }
        if !is_set(&mount["mountPath"]) {
            causes.push(Cause::required(format!("{path}.volumeMounts[{index}].mountPath"), ""));
        }
    }
    check_resources(&container["resources"], &format!("{path}.resources"), causes);
}

fn check_resources(resources: &Value, path: &str, causes: &mut Vec<Cause>) {
    let quantity = |value: &Value| value.as_str().and_then(|text| text.parse::<Quantity>().ok());
    for field in ["limits", "requests"] {
        for (name, value) in resources[field].as_object().into_iter().flatten() {
            if quantity(value).is_some_and(|quantity| quantity.is_negative()) {
                let wrong = "must be greater than or equal to 0";
                causes.push(Cause::invalid(format!("{path}.{field}[{name}]"), value.clone(), wrong));
            }
        }
    }
    for (name, value) in resources["requests"].as_object().into_iter().flatten() {
        let limit = &resources["limits"][name];
        if let (Some(request), Some(most)) = (quantity(value), quantity(limit))
            && request > most
        {
            let limit = limit.as_str().unwrap_or_default();
            let wrong = format!("must be less than or equal to {name} limit of {limit}");
            causes.push(Cause::invalid(format!("{path}.requests"), value.clone(), &wrong));
        }
    }
}
