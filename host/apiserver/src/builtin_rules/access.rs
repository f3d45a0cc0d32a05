//! The rules of who may do what: roles and their bindings.

use serde_json::Value;

use super::defaults::RBAC;
use super::{is_set, items};
use crate::status_error::Cause;

/// The rules of a role must say what they allow, and on what.
pub(super) fn check_rules(rules: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (index, rule) in items(rules).iter().enumerate() {
        for (field, why) in [
            ("verbs", "verbs must contain at least one value"),
            ("apiGroups", "resource rules must supply at least one api group"),
            ("resources", "resource rules must supply at least one resource"),
        ] {
            let of_paths = field != "verbs" && is_set(&rule["nonResourceURLs"]);
            if !is_set(&rule[field]) && !of_paths {
                causes.push(Cause::required(format!("rules[{index}].{field}"), why));
            }
        }
    }
    causes
}

/// A binding is about a role that has a name, and about subjects of known kinds.
pub(super) fn check_binding(kind: &str, new: &Value) -> Vec<Cause> {
    let role = &new["roleRef"];
    let mut causes = Vec::new();
    if role["apiGroup"] != RBAC {
        causes.push(Cause::unsupported("roleRef.apiGroup", &role["apiGroup"], &[RBAC]));
    }
    let kinds: &[&str] = if kind == "RoleBinding" { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    if !role["kind"].as_str().is_some_and(|kind| kinds.contains(&kind)) {
        causes.push(Cause::unsupported("roleRef.kind", &role["kind"], kinds));
    }
    if !is_set(&role["name"]) {
        causes.push(Cause::required("roleRef.name", ""));
    }
    for (index, subject) in items(&new["subjects"]).iter().enumerate() {
        causes.extend(check_subject(subject, &format!("subjects[{index}]")));
    }
    causes
}

fn check_subject(subject: &Value, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    if !is_set(&subject["name"]) {
        causes.push(Cause::required(format!("{path}.name"), ""));
    }
    let group = &subject["apiGroup"];
    match subject["kind"].as_str() {
        Some("ServiceAccount") if is_set(group) => {
            causes.push(Cause::unsupported(format!("{path}.apiGroup"), group, &[""]));
        }
        Some("ServiceAccount") => {}
        Some("User" | "Group") if group == RBAC => {}
        Some("User" | "Group") => causes.push(Cause::unsupported(format!("{path}.apiGroup"), group, &[RBAC])),
        _ => {
            let kinds = ["ServiceAccount", "User", "Group"];
            causes.push(Cause::unsupported(format!("{path}.kind"), &subject["kind"], &kinds));
        }
    }
    causes
}
