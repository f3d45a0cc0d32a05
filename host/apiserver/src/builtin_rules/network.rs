//! The rules of what leads to pods and what keeps from them: services, their
//! endpoints, ingresses, network policies.

use serde_json::Value;

use super::{is_set, items};
use crate::status_error::Cause;

pub(super) fn check_service(spec: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let ports = items(&spec["ports"]);
    let external = spec["type"] == "ExternalName";
    if ports.is_empty() && spec["clusterIP"] != "None" && !external {
        causes.push(Cause::required("spec.ports", ""));
    }
    if external && !is_set(&spec["externalName"]) {
        causes.push(Cause::required("spec.externalName", ""));
    }
    let mut names = Vec::new();
    for (index, port) in ports.iter().enumerate() {
        let name = port["name"].as_str().unwrap_or_default();
        if ports.len() > 1 && name.is_empty() {
            causes.push(Cause::required(format!("spec.ports[{index}].name"), ""));
        } else if !name.is_empty() && names.contains(&name) {
            causes.push(Cause::duplicate(format!("spec.ports[{index}].name"), name));
        }
        names.push(name);
        for field in ["port", "targetPort"] {
            if let Some(number) = port[field].as_i64().filter(|number| !(1..=65_535).contains(number)) {
                let wrong = "must be between 1 and 65535, inclusive";
                causes.push(Cause::invalid(format!("spec.ports[{index}].{field}"), number, wrong));
            }
        }
    }
    causes.extend(check_ports_differ(ports));
    causes
}

/// Two ports of a service differ in their number or in their protocol.
fn check_ports_differ(ports: &[Value]) -> Vec<Cause> {
    let keys = ports.iter().map(|port| (port["protocol"].as_str().unwrap_or("TCP"), &port["port"])).collect::<Vec<_>>();
    let again = keys.iter().enumerate().filter(|(index, key)| keys[..*index].contains(key));
    let cause = |(index, (protocol, port)): (usize, &(&str, &Value))| {
        // As Go writes a type of its own, whose fields have no names for JSON and an order.
        let key = format!(
            r#"{{"Name":"","Protocol":"{protocol}","AppProtocol":null,"Port":{port},"TargetPort":0,"NodePort":0}}"#
        );
        Cause { message: format!("Duplicate value: {key}"), ..Cause::duplicate(format!("spec.ports[{index}]"), "") }
    };
    again.map(cause).collect()
}

/// A service keeps its address for as long as it has one.
pub(super) fn check_address(new: &Value, live: &Value) -> Option<Cause> {
    let address = |object: &Value| items(&object["spec"]["clusterIPs"]).first().cloned();
    if new["spec"]["type"] == "ExternalName" || live["spec"]["type"] == "ExternalName" {
        return None;
    }
    let (new_address, live_address) = (address(new), address(live));
    (new_address != live_address)
        .then(|| Cause::invalid("spec.clusterIPs[0]", new["spec"]["clusterIPs"].clone(), "may not change once set"))
}

pub(super) fn check_ingress(spec: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let usual = &spec["defaultBackend"];
    if !is_set(&spec["rules"]) && !usual.is_object() {
        let wrong = "either `defaultBackend` or `rules` must be specified";
        causes.push(Cause::invalid("spec", Value::Null, wrong));
    }
    if usual.is_object() {
        causes.extend(check_backend(usual, "spec.defaultBackend"));
    }
    for (index, rule) in items(&spec["rules"]).iter().enumerate() {
        for (at, path) in items(&rule["http"]["paths"]).iter().enumerate() {
            causes.extend(check_backend(&path["backend"], &format!("spec.rules[{index}].http.paths[{at}].backend")));
        }
    }
    causes
}

/// What an ingress leads to: a resource, or a service by name and port.
fn check_backend(backend: &Value, path: &str) -> Vec<Cause> {
    let service = &backend["service"];
    match (backend["resource"].is_object(), service.is_object()) {
        (true, true) => return vec![Cause::invalid(path, "", "cannot set both resource and service backends")],
        (true, false) => return Vec::new(),
        (false, false) => return vec![Cause::invalid(path, "", "resource or service backend is required")],
        (false, true) => {}
    }
    let mut causes = Vec::new();
    if !is_set(&service["name"]) {
        causes.push(Cause::required(format!("{path}.service.name"), ""));
    }
    match (is_set(&service["port"]["name"]), is_set(&service["port"]["number"])) {
        (true, true) => causes.push(Cause::invalid(path, "", "cannot set both port name & port number")),
        (false, false) => causes.push(Cause::required(path, "port name or number is required")),
        _ => {}
    }
    causes
}

/// Whom a network policy lets in or out, and where.
pub(super) fn check_policy(spec: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (way, whom) in [("ingress", "from"), ("egress", "to")] {
        for (index, rule) in items(&spec[way]).iter().enumerate() {
            let at = format!("spec.{way}[{index}]");
            for (index, port) in items(&rule["ports"]).iter().enumerate() {
                let wrong = "must be between 1 and 65535, inclusive";
                let number = port["port"].as_i64().filter(|number| !(1..=65_535).contains(number));
                causes.extend(number.map(|number| Cause::invalid(format!("{at}.ports[{index}].port"), number, wrong)));
            }
            for (index, peer) in items(&rule[whom]).iter().enumerate() {
                let is = |sort: &str| peer[sort].is_object();
                let selected = is("podSelector") || is("namespaceSelector");
                let at = format!("{at}.{whom}[{index}]");
                match (selected, is("ipBlock")) {
                    (false, false) => causes.push(Cause::required(at, "must specify a peer")),
                    (true, true) => {
                        causes.push(Cause::forbidden(&at, "may not specify both ipBlock and another peer"));
                    }
                    _ => {}
                }
            }
        }
    }
    causes
}

/// The addresses and the ports of a service's pods.
pub(super) fn check_slice(new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut names = Vec::new();
    for (index, port) in items(&new["ports"]).iter().enumerate() {
        let name = port["name"].as_str().unwrap_or_default();
        if names.contains(&name) {
            causes.push(Cause::duplicate(format!("ports[{index}].name"), name));
        }
        names.push(name);
    }
    if !is_set(&new["addressType"]) {
        causes.push(Cause::required("addressType", ""));
    }
    for (index, endpoint) in items(&new["endpoints"]).iter().enumerate() {
        if !is_set(&endpoint["addresses"]) {
            let field = format!("endpoints[{index}].addresses");
            causes.push(Cause::required(field, "must contain at least 1 address"));
        }
    }
    causes
}
