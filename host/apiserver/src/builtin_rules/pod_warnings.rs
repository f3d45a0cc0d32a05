//! What the server warns of in pods and in the templates of pods.

use std::collections::HashMap;

use serde_json::Value;

use super::{is_set, items, pod_spec_of};
use crate::kinds::Kind;
use crate::meta;

/// What there is to say of a new object whose name its pods will have.
pub(super) fn of_name(kind: &Kind, object: &Value) -> Option<String> {
    let whose = match kind.kind.as_str() {
        "Pod" => "the Pod's hostname",
        "CronJob" | "Deployment" | "Job" | "ReplicaSet" | "ReplicationController" => "Pod names and hostnames",
        _ => return None,
    };
    let fault = meta::label_fault(meta::text(object, "name"))?;
    Some(format!(
        "metadata.name: this is used in {whose}, which can result in surprising behavior; a DNS label is recommended: [{fault}]"
    ))
}

/// What there is to say of the pods that an object makes, or is.
pub(super) fn of_pods(kind: &Kind, object: &Value) -> Vec<String> {
    let Some(path) = pod_spec_of(kind) else { return Vec::new() };
    let spec = object.pointer(path).unwrap_or(&Value::Null);
    let at = path.trim_start_matches('/').replace('/', ".");
    let mut said = of_names(items(&spec["hostAliases"]), &format!("{at}.hostAliases"), "ip");
    let secrets = items(&spec["imagePullSecrets"]);
    said.extend(of_names(secrets, &format!("{at}.imagePullSecrets"), "name"));
    let nameless = secrets.iter().enumerate().filter(|(_, secret)| !is_set(&secret["name"]));
    said.extend(nameless.map(|(index, _)| format!("{at}.imagePullSecrets[{index}].name: invalid empty name \"\"")));
    let containers = ["initContainers", "containers", "ephemeralContainers"].into_iter().flat_map(|list| {
        let at = format!("{at}.{list}");
        items(&spec[list]).iter().enumerate().map(move |(index, one)| (format!("{at}[{index}]"), one))
    });
    let containers: Vec<(String, &Value)> = containers.collect();
    said.extend(containers.iter().flat_map(|(at, container)| of_variables(items(&container["env"]), at)));
    let ports = containers.iter().flat_map(|(at, container)| {
        items(&container["ports"]).iter().enumerate().map(move |(index, port)| (format!("{at}.ports[{index}]"), port))
    });
    let ports: Vec<(String, &Value)> = ports.collect();
    said.extend(of_port_numbers(&ports));
    said.extend(of_port_names(&ports));
    said
}

/// Items that have one name twice.
fn of_names(items: &[Value], at: &str, field: &str) -> Vec<String> {
    let again = items.iter().enumerate().filter(|(index, item)| {
        let same = |other: &Value| other[field] == item[field];
        items[..*index].iter().any(same)
    });
    let text = |item: &Value| item[field].as_str().unwrap_or_default().to_owned();
    again.map(|(index, item)| format!("{at}[{index}].{field}: duplicate {field} {:?}", text(item))).collect()
}

/// Variables that hide one before them, unless they are made of it.
fn of_variables(variables: &[Value], at: &str) -> Vec<String> {
    let mut said = Vec::new();
    for (index, variable) in variables.iter().enumerate() {
        let name = variable["name"].as_str().unwrap_or_default();
        let (value, before) = (variable["value"].as_str().unwrap_or_default(), format!("$({name})"));
        let made_of_it = value.contains(&before) && value != before && !variable["valueFrom"].is_object();
        if variables[..index].iter().any(|other| other["name"] == name) && !made_of_it {
            said.push(format!(
                "{at}.env[{index}]: hides previous definition of {name:?}, which may be dropped when using apply"
            ));
        }
    }
    said
}

/// Ports that have a number and a protocol in common, in all containers.
fn of_port_numbers(ports: &[(String, &Value)]) -> Vec<String> {
    let mut said = Vec::new();
    for (index, (at, port)) in ports.iter().enumerate() {
        let alike = |other: &Value| ["containerPort", "protocol"].iter().all(|field| other[field] == port[field]);
        for (before, other) in ports[..index].iter().filter(|(_, other)| alike(other)) {
            let how = match () {
                () if ["hostIP", "hostPort"].iter().all(|field| other[field] == port[field]) => "duplicate",
                () if !is_set(&port["hostPort"]) || !is_set(&other["hostPort"]) => "overlapping",
                () if port["hostPort"] == other["hostPort"] && is_set(&port["hostIP"]) != is_set(&other["hostIP"]) => {
                    "dangerously ambiguous"
                }
                () => continue,
            };
            said.push(format!("{at}: {how} port definition with {before}"));
        }
    }
    said
}

fn of_port_names(ports: &[(String, &Value)]) -> Vec<String> {
    let mut first: HashMap<&str, &str> = HashMap::new();
    let mut said = Vec::new();
    for (at, port) in ports {
        let Some(name) = port["name"].as_str().filter(|name| !name.is_empty()) else { continue };
        match first.get(name) {
            Some(other) => said.push(format!(
                "{at}: duplicate port name {name:?} with {other}, services and probes that select ports by name will use {other}"
            )),
            None => drop(first.insert(name, at)),
        }
    }
    said
}
