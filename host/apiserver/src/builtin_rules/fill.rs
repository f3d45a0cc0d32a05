//! What the server fills in as an object is created or changed: allotted
//! fields, protections, what admission adds, and fields that only it may set.

use serde_json::{Value, json};

use super::{defaults, is_set, items, items_mut, pods, services};
use crate::kinds::{GroupResource, Kind};
use crate::meta;
use crate::server::State;
use crate::status_error::{ApiError, Cause};

/// What a create gives an object of a built-in kind; whether what is added to the
/// labels of its template is added to its own.
pub(crate) fn prepare_new(
    state: &mut State,
    kind: &Kind,
    shares_labels: bool,
    object: &mut Value,
) -> Result<(), ApiError> {
    match kind.kind.as_str() {
        "Namespace" => {
            object["spec"]["finalizers"] = json!(["kubernetes"]);
            object["status"] = json!({ "phase": "Active" });
        }
        "Node" => taint(&mut object["spec"]),
        "Pod" => {
            pods::admit(state, kind, object)?;
            let quality = defaults::quality(&object["spec"]);
            object["status"] = json!({ "phase": "Pending", "qosClass": quality });
        }
        "PersistentVolume" => {
            let now = state.now_text();
            protect(object, "kubernetes.io/pv-protection");
            object["status"] = json!({ "phase": "Pending", "lastPhaseTransitionTime": now });
        }
        "PersistentVolumeClaim" => {
            protect(object, "kubernetes.io/pvc-protection");
            if object["spec"].get("storageClassName").is_none()
                && let Some(class) = default_class(state)
            {
                object["spec"]["storageClassName"] = Value::from(class);
            }
            object["status"] = json!({ "phase": "Pending" });
        }
        "DaemonSet" => object["metadata"]["annotations"][defaults::TEMPLATE_GENERATION] = Value::from("1"),
        "StatefulSet" => drop_gated(object, None),
        "Job" => select_by_uid(object, shares_labels),
        "Service" => services::allot(state, object)?,
        "ServiceAccount" => keep_names(object),
        _ => {}
    }
    Ok(())
}

/// What an update keeps of what the server filled in.
pub(crate) fn prepare_change(state: &mut State, kind: &Kind, new: &mut Value, live: &Value) -> Result<(), ApiError> {
    match kind.kind.as_str() {
        "Service" => services::keep(state, new, live)?,
        "ServiceAccount" => keep_names(new),
        "DaemonSet" => {
            let generation = live["metadata"]["annotations"][defaults::TEMPLATE_GENERATION].as_str();
            let before: i64 = generation.and_then(|text| text.parse().ok()).unwrap_or(0);
            let changed = new["spec"]["template"] != live["spec"]["template"];
            let now = before + i64::from(changed);
            new["metadata"]["annotations"][defaults::TEMPLATE_GENERATION] = Value::from(now.to_string());
        }
        "StatefulSet" => drop_gated(new, Some(live)),
        "Pod" => pods::keep(new, live),
        _ => {}
    }
    Ok(())
}

/// A field whose feature is not on is only kept where it is already.
fn drop_gated(object: &mut Value, live: Option<&Value>) {
    let at = "/spec/updateStrategy/rollingUpdate";
    let kept = live.and_then(|live| live.pointer(at)).is_some_and(|rolling| rolling.get("maxUnavailable").is_some());
    if let Some(rolling) = object.pointer_mut(at).and_then(Value::as_object_mut).filter(|_| !kept) {
        rolling.remove("maxUnavailable");
    }
}

/// A service account's secrets are of its own namespace: their names say all.
fn keep_names(account: &mut Value) {
    for secret in items_mut(account.get_mut("secrets")) {
        if let Some(secret) = secret.as_object_mut() {
            secret.retain(|field, _| field == "name");
        }
    }
}

fn protect(object: &mut Value, finalizer: &str) {
    let mut finalizers = meta::finalizers(object);
    if !finalizers.iter().any(|one| one == finalizer) {
        finalizers.push(finalizer.to_owned());
    }
    meta::set_finalizers(object, &finalizers);
}

/// A node takes no pods before its kubelet has said that it is ready.
fn taint(spec: &mut Value) {
    let taint = json!({ "key": "node.kubernetes.io/not-ready", "effect": "NoSchedule" });
    if !items(&spec["taints"]).iter().any(|one| one["key"] == taint["key"] && one["effect"] == taint["effect"]) {
        let mut taints = items(&spec["taints"]).to_vec();
        taints.push(taint);
        spec["taints"] = Value::from(taints);
    }
}

/// The storage class for claims that name none.
fn default_class(state: &State) -> Option<String> {
    let at = GroupResource::new("storage.k8s.io", "storageclasses");
    let classes = state.storage.list(&at, None);
    let is_default =
        |object: &Value| object["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] == "true";
    classes.into_iter().find(|stored| is_default(&stored.object())).map(|stored| stored.key.to_string())
}

/// A job that does not bring its selector selects its pods by its own uid.
fn select_by_uid(object: &mut Value, shares_labels: bool) {
    if object["spec"]["manualSelector"] == Value::Bool(true) || is_set(&object["spec"]["selector"]) {
        return;
    }
    let (name, uid) = (meta::text(object, "name").to_owned(), meta::text(object, "uid").to_owned());
    let labels = &mut object["spec"]["template"]["metadata"]["labels"];
    for (label, value) in [
        ("batch.kubernetes.io/controller-uid", &uid),
        ("controller-uid", &uid),
        ("batch.kubernetes.io/job-name", &name),
        ("job-name", &name),
    ] {
        if !is_set(&labels[label]) {
            labels[label] = Value::from(value.as_str());
        }
    }
    if shares_labels && is_set(&object["metadata"]["labels"]) {
        object["metadata"]["labels"] = object["spec"]["template"]["metadata"]["labels"].clone();
    }
    object["spec"]["selector"] = json!({ "matchLabels": { "batch.kubernetes.io/controller-uid": uid } });
}

/// A refusal by admission, which names what it refused by its resource.
pub(super) fn not_admitted(kind: &Kind, object: &Value, why: &str) -> ApiError {
    ApiError::forbidden(kind.resource_subject(meta::text(object, "name")), why)
}

/// A refusal by an allotter, which is one of the whole object.
pub(super) fn not_allotted(object: &Value, cause: Cause) -> ApiError {
    let subject = crate::status_error::Subject { group: "", what: "Service", name: meta::text(object, "name") };
    ApiError::invalid(subject, &[cause])
}
