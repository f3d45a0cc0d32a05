//! Everything else: configuration, nodes, rights, events, admission.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Printer, created, name, or_none};
use crate::table::age;
use crate::table::read::{entries, flag, list, number, or, scalar, text};

pub(super) fn printer(kind: &str) -> Option<Printer> {
    Some(match kind {
        "Namespace" => {
            (&["Name", "Status", "Age"], |o, now| vec![name(o), json!(text(o, "/status/phase")), created(o, now)])
        }
        "ConfigMap" => (&["Name", "Data", "Age"], |o, now| {
            let count = entries(o, "/data").count() + entries(o, "/binaryData").count();
            vec![name(o), json!(count), created(o, now)]
        }),
        "Secret" => (&["Name", "Type", "Data", "Age"], |o, now| {
            vec![name(o), json!(text(o, "/type")), json!(entries(o, "/data").count()), created(o, now)]
        }),
        "ServiceAccount" => (&["Name", "Age"], |o, now| vec![name(o), created(o, now)]),
        "Event" => (
            &[
                "Last Seen",
                "Type",
                "Reason",
                "Object",
                "+Subobject",
                "+Source",
                "Message",
                "+First Seen",
                "+Count",
                "+Name",
            ],
            event,
        ),
        "Node" => (
            &[
                "Name",
                "Status",
                "Roles",
                "Age",
                "Version",
                "+Internal-IP",
                "+External-IP",
                "+OS-Image",
                "+Kernel-Version",
                "+Container-Runtime",
            ],
            node,
        ),
        "RoleBinding" | "ClusterRoleBinding" => {
            (&["Name", "Role", "Age", "+Users", "+Groups", "+ServiceAccounts"], binding)
        }
        "Lease" => (&["Name", "Holder", "Age"], |o, now| {
            vec![name(o), json!(text(o, "/spec/holderIdentity")), created(o, now)]
        }),
        "PriorityClass" => {
            (&["Name", "Value:integer", "Global-Default:boolean", "Age", "PreemptionPolicy"], |o, now| {
                let policy = json!(text(o, "/preemptionPolicy"));
                vec![name(o), json!(number(o, "/value")), json!(flag(o, "/globalDefault")), created(o, now), policy]
            })
        }
        "RuntimeClass" => {
            (&["Name", "Handler", "Age"], |o, now| vec![name(o), json!(text(o, "/handler")), created(o, now)])
        }
        "ResourceQuota" => (&["Name", "Request", "Limit", "Age"], |o, now| {
            let (requests, limits) = quota(o);
            vec![name(o), json!(requests), json!(limits), created(o, now)]
        }),
        "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => {
            (&["Name", "Webhooks:integer", "Age"], |o, now| {
                vec![name(o), json!(list(o, "/webhooks").len()), created(o, now)]
            })
        }
        "ValidatingAdmissionPolicy" => (&["Name", "Validations:integer", "ParamKind", "Age"], |o, now| {
            let of = o.pointer("/spec/paramKind");
            let of = of.map(|of| format!("{}/{}", text(of, "/apiVersion"), text(of, "/kind")));
            let of = json!(of.unwrap_or_else(|| "<unset>".to_owned()));
            vec![name(o), json!(list(o, "/spec/validations").len()), of, created(o, now)]
        }),
        "CertificateSigningRequest" => {
            (&["Name", "Age", "SignerName", "Requestor", "RequestedDuration", "Condition"], signing_request)
        }
        _ => return None,
    })
}

fn node(object: &Value, now: Timestamp) -> Vec<Value> {
    let ready = list(object, "/status/conditions").iter().rfind(|one| text(one, "/type") == "Ready");
    let mut status = match ready.map(|one| text(one, "/status")) {
        Some("True") => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    };
    if flag(object, "/spec/unschedulable") {
        status.push_str(",SchedulingDisabled");
    }
    let address = |of: &str| {
        let found = list(object, "/status/addresses").iter().find(|one| text(one, "/type") == of);
        or_none(found.map(|one| text(one, "/address")).unwrap_or_default())
    };
    let info = |field: &str| text(object, &format!("/status/nodeInfo/{field}")).to_owned();
    let mut kernel = or(&info("kernelVersion"), "<unknown>").to_owned();
    if !info("architecture").is_empty() {
        kernel = format!("{kernel} ({})", info("architecture"));
    }
    vec![
        name(object),
        json!(status),
        or_none(&node_roles(object)),
        created(object, now),
        json!(info("kubeletVersion")),
        address("InternalIP"),
        address("ExternalIP"),
        json!(or(&info("osImage"), "<unknown>")),
        json!(kernel),
        json!(or(&info("containerRuntimeVersion"), "<unknown>")),
    ]
}

fn node_roles(object: &Value) -> String {
    let role = |(key, value): (&String, &Value)| match key.strip_prefix("node-role.kubernetes.io/") {
        Some(role) => Some(role.to_owned()),
        None if key == "kubernetes.io/role" => value.as_str().map(str::to_owned),
        None => None,
    };
    let roles: BTreeSet<String> = entries(object, "/metadata/labels").filter_map(role).collect();
    roles.into_iter().filter(|role| !role.is_empty()).collect::<Vec<_>>().join(",")
}

fn binding(object: &Value, now: Timestamp) -> Vec<Value> {
    let subjects = |kind: &str| {
        let of_kind = list(object, "/subjects").iter().filter(|subject| text(subject, "/kind") == kind);
        let names = of_kind.map(|subject| match kind {
            "ServiceAccount" => format!("{}/{}", text(subject, "/namespace"), text(subject, "/name")),
            _ => text(subject, "/name").to_owned(),
        });
        json!(names.collect::<Vec<_>>().join(", "))
    };
    let role = format!("{}/{}", text(object, "/roleRef/kind"), text(object, "/roleRef/name"));
    let (users, groups, accounts) = (subjects("User"), subjects("Group"), subjects("ServiceAccount"));
    vec![name(object), json!(role), created(object, now), users, groups, accounts]
}

/// An event in the older form or in that of events.k8s.io.
fn event(object: &Value, now: Timestamp) -> Vec<Value> {
    let either = |core: &str, new: &str| or(text(object, core), text(object, new)).to_owned();
    let ago = |time: &str| age::since(time, now);
    let first = either("/firstTimestamp", "/deprecatedFirstTimestamp");
    let first = ago(or(&first, text(object, "/eventTime")));
    let last = either("/lastTimestamp", "/deprecatedLastTimestamp");
    let mut last = if last.is_empty() { first.clone() } else { ago(&last) };
    let mut count = number(object, "/count").max(number(object, "/deprecatedCount")).max(1);
    if object["series"].is_object() {
        last = ago(text(object, "/series/lastObservedTime"));
        count = number(object, "/series/count");
    }
    let of = if object["regarding"].is_object() { &object["regarding"] } else { &object["involvedObject"] };
    let target = [text(of, "/kind").to_lowercase(), text(of, "/name").to_owned()];
    let target = if target[1].is_empty() { target[0].clone() } else { target.join("/") };
    let component = either("/source/component", "/deprecatedSource/component");
    let component = or(&component, &either("/reportingComponent", "/reportingController")).to_owned();
    let host = or(&either("/source/host", "/deprecatedSource/host"), text(object, "/reportingInstance")).to_owned();
    vec![
        json!(last),
        json!(text(object, "/type")),
        json!(text(object, "/reason")),
        json!(target),
        json!(text(of, "/fieldPath")),
        json!(if host.is_empty() { component } else { format!("{component}, {host}") }),
        json!(either("/message", "/note").trim()),
        json!(first),
        json!(count),
        name(object),
    ]
}

/// What is used of what is allowed: of requests and all else, and of limits.
fn quota(object: &Value) -> (String, String) {
    let used = |key: &str| scalar(&object["status"]["used"], &format!("/{}", key.replace('/', "~1")));
    let (limits, requests): (Vec<_>, Vec<_>) =
        entries(object, "/status/hard").partition(|(key, _)| key.starts_with("limits."));
    let shown = |of: Vec<(&String, &Value)>| {
        let each = of.into_iter().map(|(key, hard)| {
            format!("{key}: {}/{}", used(key).unwrap_or_else(|| "0".to_owned()), hard.as_str().unwrap_or_default())
        });
        each.collect::<Vec<_>>().join(", ")
    };
    (shown(requests), shown(limits))
}

fn signing_request(object: &Value, now: Timestamp) -> Vec<Value> {
    let is = |of: &str| list(object, "/status/conditions").iter().any(|one| text(one, "/type") == of);
    let mut condition = if is("Denied") {
        "Denied"
    } else if is("Approved") {
        "Approved"
    } else {
        "Pending"
    }
    .to_owned();
    if is("Failed") {
        condition.push_str(",Failed");
    }
    if !text(object, "/status/certificate").is_empty() {
        condition.push_str(",Issued");
    }
    let asked = object.pointer("/spec/expirationSeconds").and_then(Value::as_i64).map(age::short);
    vec![
        name(object),
        created(object, now),
        or_none(text(object, "/spec/signerName")),
        json!(text(object, "/spec/username")),
        or_none(&asked.unwrap_or_default()),
        json!(condition),
    ]
}
