//! What built-in kinds do in Go code and not in their schemas: defaults that
//! depend on a sibling, fields that a write fills in, what admission adds, and
//! the rules that controllers and clients meet. The rest of that validation is
//! not here on purpose: it is no controller's concern.

mod access;
mod defaults;
mod fill;
mod network;
mod pod_warnings;
mod pods;
mod rules;
mod services;
mod warnings;

use serde_json::Value;

pub(crate) use defaults::default;
pub(crate) use fill::{prepare_change, prepare_new};
pub(crate) use rules::{selects, validate};

pub(crate) use warnings::{Wrote, warnings};

use crate::kinds::Kind;
use crate::schema::FieldError;

/// Keeps those findings of a built-in kind's schema that the real server has
/// too: what is required is so in what users write; for the rest its rules are
/// in code.
pub(crate) fn keep_real(found: &mut Vec<FieldError>) {
    let written = |field: &str| field.starts_with("spec.") || field.starts_with("roleRef");
    let real = ["FieldValueRequired", "FieldValueNotSupported"];
    // Items of an enumeration are checked in code.
    let item = |error: &FieldError| error.reason == "FieldValueNotSupported" && error.field.ends_with(']');
    found.retain(|error| real.contains(&error.reason) && written(&error.field) && !item(error));
}

/// Kinds whose generation counts a list or map that is given and empty as another
/// than none: the server compares them to the letter.
pub(crate) fn counts_empty(kind: &Kind) -> bool {
    let kinds = ["MutatingWebhookConfiguration", "NetworkPolicy", "ValidatingWebhookConfiguration"];
    kind.custom.is_none() && kinds.contains(&kind.kind.as_str())
}

/// Where it shows that a change is one that there may be something to say of.
pub(crate) fn counted_at(kind: &Kind) -> &'static str {
    if kind.custom.is_none() && kind.kind == "DaemonSet" { "/spec/template" } else { "/metadata/generation" }
}

/// Kinds whose deletion is answered with the object and not with a `Status`.
pub(crate) fn answers_with_deleted(kind: &Kind) -> bool {
    let kinds = [
        "CSIDriver",
        "CSINode",
        "PersistentVolume",
        "PersistentVolumeClaim",
        "Pod",
        "PodTemplate",
        "ResourceQuota",
        "Service",
        "ServiceAccount",
        "StorageClass",
        "VolumeAttachment",
    ];
    kind.custom.is_none() && kinds.contains(&kind.kind.as_str())
}

/// Kinds that are not updated without the version that the writer has seen.
pub(crate) fn must_be_versioned(kind: &Kind) -> bool {
    let kinds = [
        "CSIDriver",
        "CSINode",
        "CSIStorageCapacity",
        "CustomResourceDefinition",
        "Lease",
        "MutatingWebhookConfiguration",
        "PodDisruptionBudget",
        "RuntimeClass",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
        "VolumeAttachment",
    ];
    kind.custom.is_some() || kinds.contains(&kind.kind.as_str())
}

/// Kinds that an update creates where they are not there.
pub(crate) fn created_by_update(kind: &Kind) -> bool {
    let kinds = [
        "ClusterRole",
        "ClusterRoleBinding",
        "Endpoints",
        "Event",
        "Lease",
        "LimitRange",
        "Role",
        "RoleBinding",
        "RuntimeClass",
        "Service",
    ];
    kind.custom.is_none() && kinds.contains(&kind.kind.as_str())
}

/// The spec of the pods that a kind makes, or of the pod itself.
fn pod_spec_of(kind: &Kind) -> Option<&'static str> {
    Some(match kind.kind.as_str() {
        "Pod" => "/spec",
        "DaemonSet" | "Deployment" | "Job" | "ReplicaSet" | "ReplicationController" | "StatefulSet" => {
            "/spec/template/spec"
        }
        "CronJob" => "/spec/jobTemplate/spec/template/spec",
        "PodTemplate" => "/template/spec",
        _ => return None,
    })
}

/// What follows from Go struct's being there although it is not set.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Number(number) => number.as_i64() != Some(0),
        Value::Bool(value) => *value,
    }
}

/// The items of a list, none of what is no list.
fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn items_mut(value: Option<&mut Value>) -> impl Iterator<Item = &mut Value> {
    value.and_then(Value::as_array_mut).into_iter().flatten()
}
