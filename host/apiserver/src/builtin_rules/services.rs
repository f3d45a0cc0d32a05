//! Services: the addresses and node ports that they are given and keep.

use serde_json::{Value, json};

use super::fill::not_allotted;
use super::{is_set, items, items_mut};
use crate::kinds::GroupResource;
use crate::meta;
use crate::server::State;
use crate::status_error::{ApiError, Cause};

/// The addresses of services: 10.96.0.0/16, without the first and the last.
const ADDRESSES: u32 = 65_534;
/// The node ports of services: 30000-32767.
const NODE_PORT_MIN: u32 = 30_000;
const NODE_PORTS: u32 = 2_768;

/// Gives a service its address and its node ports.
pub(super) fn allot(state: &mut State, object: &mut Value) -> Result<(), ApiError> {
    if object["spec"]["type"] != "ExternalName" {
        allot_address(state, &mut object["spec"]);
    }
    allot_ports(state, object)
}

fn allot_address(state: &mut State, spec: &mut Value) {
    if !is_set(&spec["clusterIP"]) {
        let host = state.ids.below(ADDRESSES) + 1;
        spec["clusterIP"] = Value::from(format!("10.96.{}.{}", host >> 8, host & 0xff));
    }
    let address = spec["clusterIP"].clone();
    let headless = address == "None";
    spec["clusterIPs"] = json!([address]);
    let (families, policy) = if headless && !is_set(&spec["selector"]) {
        (json!(["IPv4", "IPv6"]), "RequireDualStack")
    } else {
        (json!(["IPv4"]), "SingleStack")
    };
    if !is_set(&spec["ipFamilies"]) {
        spec["ipFamilies"] = families;
    }
    if !is_set(&spec["ipFamilyPolicy"]) {
        spec["ipFamilyPolicy"] = Value::from(policy);
    }
}

fn allot_ports(state: &mut State, object: &mut Value) -> Result<(), ApiError> {
    let spec = &object["spec"];
    let kind = spec["type"].as_str().unwrap_or_default();
    let balanced = kind == "LoadBalancer";
    let wanted = kind == "NodePort" || (balanced && spec["allocateLoadBalancerNodePorts"] != Value::Bool(false));
    let local = balanced && spec["externalTrafficPolicy"] == "Local";
    let mut taken = ports_of_others(state, object);
    for (index, port) in items(&object["spec"]["ports"]).iter().enumerate() {
        if let Some(number) = port["nodePort"].as_u64().filter(|number| *number > 0 && taken.contains(number)) {
            let field = format!("spec.ports[{index}].nodePort");
            let cause = Cause::invalid(field, number, "provided port is already allocated");
            return Err(not_allotted(object, cause));
        }
    }
    let draw = |state: &mut State, taken: &mut Vec<u64>| loop {
        let number = u64::from(NODE_PORT_MIN + state.ids.below(NODE_PORTS));
        if !taken.contains(&number) || taken.len() >= NODE_PORTS as usize {
            taken.push(number);
            return number;
        }
    };
    for port in items_mut(object.pointer_mut("/spec/ports")).filter(|_| wanted) {
        if !is_set(&port["nodePort"]) {
            port["nodePort"] = Value::from(draw(state, &mut taken));
        }
    }
    if local && !is_set(&object["spec"]["healthCheckNodePort"]) {
        object["spec"]["healthCheckNodePort"] = Value::from(draw(state, &mut taken));
    }
    Ok(())
}

/// The node ports that other services have.
fn ports_of_others(state: &State, object: &Value) -> Vec<u64> {
    let at = GroupResource::new("", "services");
    let uid = meta::text(object, "uid");
    let others = state.storage.list(&at, None).into_iter().filter(|stored| stored.uid() != uid);
    let ports = others.flat_map(|stored| {
        let spec = &stored.object()["spec"];
        let ports = items(&spec["ports"]).iter().map(|port| &port["nodePort"]);
        ports.chain([&spec["healthCheckNodePort"]]).filter_map(Value::as_u64).collect::<Vec<_>>()
    });
    ports.collect()
}

/// What an update that leaves allotted fields out keeps, and what it is given
/// for a new type or new ports.
pub(super) fn keep(state: &mut State, new: &mut Value, live: &Value) -> Result<(), ApiError> {
    let external = |object: &Value| object["spec"]["type"] == "ExternalName";
    if external(new) {
        for field in ["clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"] {
            new["spec"].as_object_mut().map(|spec| spec.remove(field));
        }
        return Ok(());
    }
    if !external(live) {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "healthCheckNodePort"] {
            let wanted = field != "healthCheckNodePort" || new["spec"]["externalTrafficPolicy"] == "Local";
            if wanted && !is_set(&new["spec"][field]) && is_set(&live["spec"][field]) {
                new["spec"][field] = live["spec"][field].clone();
            }
        }
        keep_ports(new, live);
    }
    drop_of_former_type(new, live);
    allot_address_if_new(state, new, live);
    allot_ports(state, new)
}

/// What only another type has goes with it, unless the update changed it too.
fn drop_of_former_type(new: &mut Value, live: &Value) {
    let has_ports = |object: &Value| matches!(object["spec"]["type"].as_str(), Some("NodePort" | "LoadBalancer"));
    if has_ports(new) || !has_ports(live) {
        return;
    }
    let before = items(&live["spec"]["ports"]).to_vec();
    for port in items_mut(new.pointer_mut("/spec/ports")) {
        if before.iter().any(|one| one["nodePort"] == port["nodePort"]) {
            port.as_object_mut().map(|port| port.remove("nodePort"));
        }
    }
    for field in ["externalTrafficPolicy", "healthCheckNodePort", "allocateLoadBalancerNodePorts"] {
        if new["spec"][field] == live["spec"][field] {
            new["spec"].as_object_mut().map(|spec| spec.remove(field));
        }
    }
}

fn allot_address_if_new(state: &mut State, new: &mut Value, live: &Value) {
    if live["spec"]["type"] == "ExternalName" {
        allot_address(state, &mut new["spec"]);
    } else if is_set(&new["spec"]["clusterIP"]) && !is_set(&new["spec"]["clusterIPs"]) {
        new["spec"]["clusterIPs"] = json!([new["spec"]["clusterIP"]]);
    } else if new["spec"]["clusterIP"] != live["spec"]["clusterIP"] {
        // Who knows of one address only changes the first.
        new["spec"]["clusterIPs"] = json!([new["spec"]["clusterIP"]]);
    }
}

/// The same port keeps its node port, as long as the type has any.
fn keep_ports(new: &mut Value, live: &Value) {
    if !matches!(new["spec"]["type"].as_str(), Some("NodePort" | "LoadBalancer")) {
        return;
    }
    for port in items_mut(new.pointer_mut("/spec/ports")) {
        let same = |one: &&Value| one["port"] == port["port"] && one["protocol"] == port["protocol"];
        let before = items(&live["spec"]["ports"]).iter().find(same);
        if let Some(number) = before.and_then(|before| before.get("nodePort")).filter(|_| !is_set(&port["nodePort"])) {
            port["nodePort"] = number.clone();
        }
    }
}
