//! The rules that owner references must keep.

use serde_json::Value;

use crate::status_error::Cause;

/// Kinds that nothing may belong to, as group, version and kind.
const BANNED: [(&str, &str); 1] = [("v1", "Event")];
/// The fields of a reference in the order in which the server writes them.
const FIELDS: [&str; 6] = ["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"];

/// The rules for an object's owners.
pub(super) fn validate(metadata: &Value) -> Vec<Cause> {
    let owners: Vec<&Value> = metadata["ownerReferences"].as_array().into_iter().flatten().collect();
    let mut causes: Vec<Cause> = owners.iter().flat_map(|owner| validate_one(owner)).collect();
    let mut controllers = owners.iter().filter(|owner| owner["controller"] == Value::Bool(true));
    if let Some(first) = controllers.next() {
        for other in controllers {
            let wrong = format!(
                "Only one reference can have Controller set to true. Found \"true\" in references for {} and {}",
                title(first),
                title(other)
            );
            let all: Vec<String> = owners.iter().map(|owner| written(owner)).collect();
            causes.push(refused(&format!("[{}]", all.join(",")), &wrong));
        }
    }
    causes
}

fn validate_one(owner: &Value) -> Vec<Cause> {
    let text = |field: &str| owner[field].as_str().unwrap_or_default();
    let mut causes = Vec::new();
    for (field, wrong) in [
        ("apiVersion", "version must not be empty"),
        ("kind", "must not be empty"),
        ("name", "must not be empty"),
        ("uid", "must not be empty"),
    ] {
        if text(field).is_empty() {
            causes.push(Cause::invalid(format!("metadata.ownerReferences.{field}"), "", wrong));
        }
    }
    if BANNED.contains(&(text("apiVersion"), text("kind"))) {
        let wrong = format!("/{}, Kind={} is disallowed from being an owner", text("apiVersion"), text("kind"));
        causes.push(refused(&written(owner), &wrong));
    }
    causes
}

fn title(owner: &Value) -> String {
    let text = |field: &str| owner[field].as_str().unwrap_or_default();
    format!("{}/{}", text("kind"), text("name"))
}

/// A reference as the server quotes it.
fn written(owner: &Value) -> String {
    let fields = FIELDS.iter().filter_map(|field| Some(format!("{field:?}:{}", owner.get(*field)?)));
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}

fn refused(value: &str, wrong: &str) -> Cause {
    Cause {
        reason: "FieldValueInvalid",
        message: format!("Invalid value: {value}: {wrong}"),
        field: "metadata.ownerReferences".to_owned(),
    }
}
