//! `metadata`: what the server fills in, and the rules that names, labels,
//! finalizers and owners must keep, in the real server's words.

mod owners;

use serde_json::{Map, Value, json};

use crate::kinds::Kind;
use crate::status_error::Cause;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const DNS1035_LABEL: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const NAME_PART: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const QUALIFIED_NAME: &str = "a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";

const STANDARD_FINALIZERS: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];

const SUBDOMAIN_LENGTH_MAX: usize = 253;
const LABEL_LENGTH_MAX: usize = 63;
/// The sum of the keys' and values' bytes of all annotations.
const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;

/// An object's metadata, made if it is not there.
pub(crate) fn of_mut(object: &mut Value) -> &mut Map<String, Value> {
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    object["metadata"].as_object_mut().expect("made above")
}

/// A text of an object's metadata; empty where there is none.
pub(crate) fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}

pub(crate) fn finalizers(object: &Value) -> Vec<String> {
    let items = object["metadata"]["finalizers"].as_array();
    items.into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

/// Sets the finalizers; none is an absent field.
pub(crate) fn set_finalizers(object: &mut Value, finalizers: &[String]) {
    let metadata = of_mut(object);
    if finalizers.is_empty() {
        metadata.remove("finalizers");
    } else {
        metadata.insert("finalizers".to_owned(), Value::from(finalizers));
    }
}

/// The fields that the server fills in for a new object.
pub(crate) fn start(object: &mut Value, namespace: Option<&str>, uid: String, now: String) {
    let metadata = of_mut(object);
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion"] {
        metadata.remove(field);
    }
    metadata.insert("uid".to_owned(), Value::from(uid));
    metadata.insert("creationTimestamp".to_owned(), Value::from(now));
    match namespace {
        Some(namespace) => metadata.insert("namespace".to_owned(), Value::from(namespace)),
        None => metadata.remove("namespace"),
    };
    drop_empty_texts(metadata);
}

/// Lists and maps, which an apply to a custom object may leave empty or null.
const COLLECTIONS: [&str; 4] = ["annotations", "finalizers", "labels", "ownerReferences"];

/// Empty texts do not show in a Go struct's JSON.
fn drop_empty_texts(metadata: &mut Map<String, Value>) {
    metadata.retain(|name, value| COLLECTIONS.contains(&name.as_str()) || !(value.is_null() || value == ""));
}

/// Whether this is a field that is stored and does not show.
pub(crate) fn is_empty_collection(name: &str, value: &Value) -> bool {
    let empty = || match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        other => other.is_null(),
    };
    COLLECTIONS.contains(&name) && empty()
}

/// The fields that only the server sets stay what they are.
pub(crate) fn keep(new: &mut Value, live: &Value) {
    let fields = ["creationTimestamp", "generation", "selfLink", "resourceVersion", "namespace"];
    let uid_given = !text(new, "uid").is_empty();
    let metadata = of_mut(new);
    for field in fields.into_iter().chain((!uid_given).then_some("uid")) {
        match live["metadata"].get(field) {
            Some(value) => metadata.insert(field.to_owned(), value.clone()),
            None => metadata.remove(field),
        };
    }
    // A deletion cannot be taken back; one that is not there is refused later.
    if let Some(time) = live["metadata"].get("deletionTimestamp") {
        metadata.insert("deletionTimestamp".to_owned(), time.clone());
    }
    if let Some(seconds) = live["metadata"].get("deletionGracePeriodSeconds")
        && metadata.get("deletionGracePeriodSeconds").is_none_or(Value::is_null)
    {
        metadata.insert("deletionGracePeriodSeconds".to_owned(), seconds.clone());
    }
    drop_empty_texts(metadata);
}

/// The rules for a new object.
pub(crate) fn validate_new(kind: &Kind, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let base = text(object, "generateName");
    if let Some(wrong) = (!base.is_empty()).then(|| name_fault(kind, &without_dash(base))).flatten() {
        causes.push(Cause::invalid("metadata.generateName", base, &wrong));
    }
    let name = text(object, "name");
    if name.is_empty() {
        causes.push(Cause::required("metadata.name", "name or generateName is required"));
    } else if let Some(wrong) = name_fault(kind, name) {
        causes.push(Cause::invalid("metadata.name", name, &wrong));
    }
    causes.extend(validate_parts(object));
    causes
}

/// The beginning of a generated name may end with a dash, as no name may.
fn without_dash(base: &str) -> String {
    match base.strip_suffix('-').and_then(|rest| rest.get(..rest.len().checked_sub(1)?)) {
        Some(rest) => format!("{rest}a"),
        None => base.to_owned(),
    }
}

/// The rules for a changed object. The server checks them once as those of any
/// object and twice as those of a change, and says so.
pub(crate) fn validate_change(new: &Value, live: &Value) -> Vec<Cause> {
    let once = validate_parts(new);
    let mut causes: Vec<Cause> = once.iter().filter(|cause| cause.field != "metadata.finalizers").cloned().collect();
    if live["metadata"].get("deletionTimestamp").is_some() {
        let before = finalizers(live);
        let added: Vec<String> = finalizers(new).into_iter().filter(|one| !before.contains(one)).collect();
        if !added.is_empty() {
            let listed: Vec<String> = added.iter().map(|one| format!("{one:?}")).collect();
            causes.push(Cause::forbidden(
                "metadata.finalizers",
                &format!(
                    "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                    listed.join(", ")
                ),
            ));
        }
    }
    for field in ["uid", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        let value = new["metadata"].get(field);
        if value != live["metadata"].get(field) {
            let value = value.cloned().unwrap_or_default();
            causes.push(Cause::invalid(format!("metadata.{field}"), value, "field is immutable"));
        }
    }
    [&once[..], &causes, &causes].concat()
}

/// Built-in kinds know the finalizers that have no domain.
pub(crate) fn validate_finalizers(kind: &Kind, object: &Value) -> Vec<Cause> {
    if kind.custom.is_some() || crate::crd::is_definition(&kind.at) {
        return Vec::new();
    }
    let known = |name: &str| name.contains('/') || STANDARD_FINALIZERS.contains(&name);
    let unknown = finalizers(object).into_iter().enumerate().filter(|(_, name)| !known(name));
    unknown
        .map(|(index, name)| {
            let wrong = "name is neither a standard finalizer name nor is it fully qualified";
            Cause::invalid(format!("metadata.finalizers[{index}]"), name, wrong)
        })
        .collect()
}

fn name_fault(kind: &Kind, name: &str) -> Option<String> {
    match (kind.at.group.as_str(), kind.at.resource.as_str()) {
        ("rbac.authorization.k8s.io", _) => path_segment_fault(name),
        ("", "namespaces" | "services") => label_fault(name),
        _ => subdomain_fault(name),
    }
}

fn path_segment_fault(name: &str) -> Option<String> {
    if matches!(name, "." | "..") {
        return Some(format!("may not be '{name}'"));
    }
    ["/", "%"].into_iter().find(|part| name.contains(part)).map(|part| format!("may not contain '{part}'"))
}

/// What is wrong with a name that must be a DNS subdomain.
pub(crate) fn subdomain_fault(name: &str) -> Option<String> {
    if name.len() > SUBDOMAIN_LENGTH_MAX {
        return Some(format!("must be no more than {SUBDOMAIN_LENGTH_MAX} characters"));
    }
    (!name.split('.').all(is_label)).then(|| SUBDOMAIN.to_owned())
}

/// What is wrong with a name that must be a DNS label.
pub(crate) fn label_fault(name: &str) -> Option<String> {
    if name.len() > LABEL_LENGTH_MAX {
        return Some(format!("must be no more than {LABEL_LENGTH_MAX} characters"));
    }
    (!is_label(name)).then(|| {
        let dotted = name.split('.').all(is_label);
        if dotted { "must not contain dots" } else { LABEL }.to_owned()
    })
}

/// What is wrong with a name that must be a DNS label of the older kind, which
/// starts with a letter.
pub(crate) fn dns1035_fault(name: &str) -> Option<String> {
    if name.len() > LABEL_LENGTH_MAX {
        return Some(format!("must be no more than {LABEL_LENGTH_MAX} bytes"));
    }
    (!is_label(name) || name.starts_with(|c: char| c.is_ascii_digit())).then(|| DNS1035_LABEL.to_owned())
}

fn is_label(text: &str) -> bool {
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.chars().all(inside) && !text.starts_with('-') && !text.ends_with('-')
}

fn is_name_part(text: &str) -> bool {
    let inside = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let edge = |c: char| c.is_ascii_alphanumeric();
    text.starts_with(edge) && text.ends_with(edge) && text.chars().all(inside)
}

/// What is wrong with a label key, an annotation key or a finalizer.
pub(crate) fn key_faults(key: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let name = match key.split_once('/') {
        None => key,
        Some((_, name)) if name.contains('/') => return vec![QUALIFIED_NAME.to_owned()],
        Some((prefix, name)) => {
            if prefix.is_empty() {
                faults.push("prefix part must be non-empty".to_owned());
            } else if prefix.len() > SUBDOMAIN_LENGTH_MAX {
                faults.push(format!("prefix part must be no more than {SUBDOMAIN_LENGTH_MAX} bytes"));
            } else if let Some(wrong) = subdomain_fault(prefix) {
                faults.push(format!("prefix part {wrong}"));
            }
            name
        }
    };
    if name.is_empty() {
        faults.push("name part must be non-empty".to_owned());
    } else if name.len() > LABEL_LENGTH_MAX {
        faults.push(format!("name part must be no more than {LABEL_LENGTH_MAX} bytes"));
    }
    if !is_name_part(name) {
        faults.push(NAME_PART.to_owned());
    }
    faults
}

/// What is wrong with the value of a label.
pub(crate) fn label_value_fault(value: &str) -> Option<String> {
    if value.len() > LABEL_LENGTH_MAX {
        return Some(format!("must be no more than {LABEL_LENGTH_MAX} bytes"));
    }
    (!value.is_empty() && !is_name_part(value)).then(|| LABEL_VALUE.to_owned())
}

/// The parts that a new and a changed object share.
fn validate_parts(object: &Value) -> Vec<Cause> {
    let metadata = &object["metadata"];
    let entries = |field: &str| metadata[field].as_object().into_iter().flatten();
    let mut causes = Vec::new();
    for (key, value) in entries("labels") {
        causes.extend(key_faults(key).iter().map(|wrong| Cause::invalid("metadata.labels", key.as_str(), wrong)));
        let value = value.as_str().unwrap_or_default();
        if let Some(wrong) = label_value_fault(value) {
            causes.push(Cause::invalid("metadata.labels", value, &wrong));
        }
    }
    for (key, _) in entries("annotations") {
        // The server lowers an annotation's key before it checks it.
        let lower = key.to_lowercase();
        causes
            .extend(key_faults(&lower).iter().map(|wrong| Cause::invalid("metadata.annotations", key.as_str(), wrong)));
    }
    let size: usize = entries("annotations").map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
    if size > ANNOTATIONS_BYTES_MAX {
        causes.push(Cause {
            reason: "FieldValueTooLong",
            message: format!("Too long: may not be more than {ANNOTATIONS_BYTES_MAX} bytes"),
            field: "metadata.annotations".to_owned(),
        });
    }
    causes.extend(owners::validate(metadata));
    for finalizer in finalizers(object) {
        let faults = key_faults(&finalizer);
        causes.extend(faults.iter().map(|wrong| Cause::invalid("metadata.finalizers", finalizer.as_str(), wrong)));
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_names_are_judged_as_kubernetes_judges_them() {
        for good in ["a", "a.b/c", "A_b.c-d", "x.io/Name"] {
            assert!(key_faults(good).is_empty(), "{good}");
        }
        for bad in ["", "a b", "/a", "A.b/c", "a/b/c", "-a"] {
            assert!(!key_faults(bad).is_empty(), "{bad}");
        }
        for (name, good) in [("a.b", true), ("a-b", true), ("A", false), ("a_", false), ("-a", false), ("a..b", false)]
        {
            assert_eq!(subdomain_fault(name).is_none(), good, "{name}");
        }
    }

    #[test]
    fn no_finalizer_is_added_to_what_is_being_deleted() {
        let live = json!({ "metadata": { "uid": "u", "deletionTimestamp": "t", "finalizers": ["x.io/a"] } });
        let new = json!({ "metadata": { "uid": "u", "deletionTimestamp": "t", "finalizers": ["x.io/a", "x.io/b"] } });
        let causes = validate_change(&new, &live);
        assert_eq!(causes.len(), 2);
        assert_eq!(
            causes[0].message,
            "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{\"x.io/b\"}"
        );
        let fewer = json!({ "metadata": { "uid": "u", "deletionTimestamp": "t" } });
        assert_eq!(validate_change(&fewer, &live), []);
    }
}
