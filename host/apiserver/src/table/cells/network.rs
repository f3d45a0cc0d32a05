//! Services, what stands behind them, and what lets traffic in.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Printer, created, name, or_none, shown_selector};
use crate::table::read::{labels, list, number, or, scalar, shortened, text, texts};

/// How many addresses or ports a cell shows.
const SHOWN_MAX: usize = 3;

pub(super) fn printer(kind: &str) -> Option<Printer> {
    Some(match kind {
        "Service" => (&["Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "+Selector"], service),
        "Endpoints" => (&["Name", "Endpoints", "Age"], |o, now| vec![name(o), json!(endpoints(o)), created(o, now)]),
        "EndpointSlice" => (&["Name", "AddressType", "Ports", "Endpoints", "Age"], endpoint_slice),
        "Ingress" => (&["Name", "Class", "Hosts", "Address", "Ports", "Age"], ingress),
        "NetworkPolicy" => (&["Name", "Pod-Selector", "Age"], |o, now| {
            vec![name(o), shown_selector(o, "/spec/podSelector"), created(o, now)]
        }),
        "IngressClass" => (&["Name", "Controller", "Parameters", "Age"], ingress_class),
        _ => return None,
    })
}

fn service(object: &Value, now: Timestamp) -> Vec<Value> {
    let ports = list(object, "/spec/ports").iter().map(|port| {
        let (number_of, protocol) = (number(port, "/port"), text(port, "/protocol"));
        match number(port, "/nodePort") {
            0 => format!("{number_of}/{protocol}"),
            node_port => format!("{number_of}:{node_port}/{protocol}"),
        }
    });
    vec![
        name(object),
        json!(text(object, "/spec/type")),
        or_none(text(object, "/spec/clusterIPs/0")),
        json!(external_address(object)),
        or_none(&ports.collect::<Vec<_>>().join(",")),
        created(object, now),
        json!(labels(object, "/spec/selector")),
    ]
}

fn external_address(service: &Value) -> String {
    let given = texts(service, "/spec/externalIPs");
    match text(service, "/spec/type") {
        "ClusterIP" | "NodePort" => or(&given.join(","), "<none>").to_owned(),
        "LoadBalancer" => {
            let balanced = load_balancers(service);
            let all: Vec<&str> = balanced.iter().map(String::as_str).chain(given).collect();
            or(&all.join(","), "<pending>").to_owned()
        }
        "ExternalName" => text(service, "/spec/externalName").to_owned(),
        _ => "<unknown>".to_owned(),
    }
}

fn load_balancers(object: &Value) -> BTreeSet<String> {
    let points = list(object, "/status/loadBalancer/ingress").iter();
    let addresses = points.map(|point| or(text(point, "/ip"), text(point, "/hostname")).to_owned());
    addresses.filter(|address| !address.is_empty()).collect()
}

fn ingress(object: &Value, now: Timestamp) -> Vec<Value> {
    let rules = list(object, "/spec/rules");
    let named = rules.iter().map(|rule| text(rule, "/host")).filter(|host| !host.is_empty());
    let hosts = named.take(SHOWN_MAX).collect::<Vec<_>>();
    let more = if hosts.len() == SHOWN_MAX { rules.len().saturating_sub(SHOWN_MAX) } else { 0 };
    let hosts = match (hosts.join(","), more) {
        (hosts, _) if hosts.is_empty() => "*".to_owned(),
        (hosts, 0) => hosts,
        (hosts, more) => format!("{hosts} + {more} more..."),
    };
    let ports = if list(object, "/spec/tls").is_empty() { "80" } else { "80, 443" };
    vec![
        name(object),
        or_none(text(object, "/spec/ingressClassName")),
        json!(hosts),
        json!(load_balancers(object).into_iter().collect::<Vec<_>>().join(",")),
        json!(ports),
        created(object, now),
    ]
}

fn endpoints(object: &Value) -> String {
    let mut all = Vec::new();
    for subset in list(object, "/subsets") {
        let addresses: Vec<&str> = list(subset, "/addresses").iter().map(|one| text(one, "/ip")).collect();
        let ports = list(subset, "/ports");
        if ports.is_empty() {
            all.extend(addresses.iter().map(|&address| address.to_owned()));
        }
        for port in ports {
            let port = number(port, "/port");
            all.extend(addresses.iter().map(|address| match address.contains(':') {
                true => format!("[{address}]:{port}"),
                false => format!("{address}:{port}"),
            }));
        }
    }
    if list(object, "/subsets").is_empty() { "<none>".to_owned() } else { shortened(&all, SHOWN_MAX) }
}

fn endpoint_slice(object: &Value, now: Timestamp) -> Vec<Value> {
    let port = |port: &Value| match scalar(port, "/port") {
        Some(number) => number,
        None => port.get("name").and_then(Value::as_str).unwrap_or("*").to_owned(),
    };
    let ports: Vec<String> = list(object, "/ports").iter().map(port).collect();
    let each = list(object, "/endpoints").iter();
    let addresses: Vec<String> = each.flat_map(|one| texts(one, "/addresses")).map(str::to_owned).collect();
    let shown = |all: &[String]| json!(or(&shortened(all, SHOWN_MAX), "<unset>"));
    vec![name(object), json!(text(object, "/addressType")), shown(&ports), shown(&addresses), created(object, now)]
}

fn ingress_class(object: &Value, now: Timestamp) -> Vec<Value> {
    let default = text(object, "/metadata/annotations/ingressclass.kubernetes.io~1is-default-class") == "true";
    let suffix = if default { " (default)" } else { "" };
    let parameters = object.pointer("/spec/parameters").map(|of| {
        let group = text(of, "/apiGroup");
        let group = if group.is_empty() { String::new() } else { format!(".{group}") };
        format!("{}{group}/{}", text(of, "/kind"), text(of, "/name"))
    });
    vec![
        json!(format!("{}{suffix}", text(object, "/metadata/name"))),
        json!(text(object, "/spec/controller")),
        or_none(&parameters.unwrap_or_default()),
        created(object, now),
    ]
}
