//! The rules of who may do what: roles and their bindings.

use serde_json::Value;

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

/// Those whom a binding is about have names.
pub(super) fn check_subjects(subjects: &Value) -> Vec<Cause> {
    let unnamed = items(subjects).iter().enumerate().filter(|(_, subject)| !is_set(&subject["name"]));
    unnamed.map(|(index, _)| Cause::required(format!("subjects[{index}].name"), "")).collect()
}
