//! The objects of workloads as they come over the wire: which kinds there are,
//! and the few fields that every simulated controller asks for.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

/// The kinds that are simulated. Their order is the order in which they are
/// looked at: what makes others comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    Deployment,
    StatefulSet,
    DaemonSet,
    Job,
    ControllerRevision,
    ReplicaSet,
    Claim,
    Pod,
}

impl Kind {
    pub const ALL: [Self; 8] = [
        Self::Deployment,
        Self::StatefulSet,
        Self::DaemonSet,
        Self::Job,
        Self::ControllerRevision,
        Self::ReplicaSet,
        Self::Claim,
        Self::Pod,
    ];

    /// Whether it is a pod or something that makes pods.
    const fn runs(self) -> bool {
        !matches!(self, Self::ControllerRevision | Self::Claim)
    }

    /// Its apiVersion, its name, and its plural.
    const fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Deployment => ("apps/v1", "Deployment", "deployments"),
            Self::StatefulSet => ("apps/v1", "StatefulSet", "statefulsets"),
            Self::DaemonSet => ("apps/v1", "DaemonSet", "daemonsets"),
            Self::Job => ("batch/v1", "Job", "jobs"),
            Self::ControllerRevision => ("apps/v1", "ControllerRevision", "controllerrevisions"),
            Self::ReplicaSet => ("apps/v1", "ReplicaSet", "replicasets"),
            Self::Claim => ("v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
            Self::Pod => ("v1", "Pod", "pods"),
        }
    }

    pub const fn api_version(self) -> &'static str {
        self.names().0
    }

    pub const fn name(self) -> &'static str {
        self.names().1
    }

    /// The path of all its objects, or of those in one namespace.
    pub fn collection(self, namespace: Option<&str>) -> String {
        let (api_version, _, plural) = self.names();
        let root = if api_version.contains('/') { "apis" } else { "api" };
        let namespace = namespace.map(|namespace| format!("/namespaces/{namespace}")).unwrap_or_default();
        format!("/{root}/{api_version}{namespace}/{plural}")
    }

    /// The items of a list do not say what they are; what is written must.
    pub fn name_in(self, object: &mut Value) {
        object["apiVersion"] = Value::from(self.api_version());
        object["kind"] = Value::from(self.name());
    }

    pub fn path(self, object: &Value) -> String {
        format!("{}/{}", self.collection(Some(namespace(object))), name(object))
    }
}

/// Whether objects of this kind get pods here, or are pods: their annotations
/// say how these behave. Where no group is named, the built-in kind is meant.
pub fn runs(group: Option<&str>, kind: &str) -> bool {
    let fits = |known: &Kind| {
        let of = known.api_version().split_once('/').map_or("", |(group, _)| group);
        known.runs() && known.name() == kind && group.is_none_or(|group| group == of)
    };
    Kind::ALL.iter().any(fits)
}

/// Whether a workload has made this object, and not somebody's plugin.
pub fn is_made(object: &Value) -> bool {
    controller(object).is_some_and(|owner| {
        Kind::ALL
            .iter()
            .any(|kind| kind.runs() && owner["kind"] == kind.name() && owner["apiVersion"] == kind.api_version())
    })
}

/// Which object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub kind: Kind,
    pub namespace: String,
    pub name: String,
}

impl Key {
    pub fn of(kind: Kind, object: &Value) -> Self {
        Self { kind, namespace: namespace(object).into(), name: name(object).into() }
    }

    /// The controller that an object names as its own.
    pub fn of_controller(object: &Value) -> Option<Self> {
        let reference = controller(object)?;
        let kind = Kind::ALL.into_iter().find(|kind| reference["kind"] == kind.name())?;
        let fits = reference["apiVersion"] == kind.api_version();
        let name = reference["name"].as_str()?.to_owned();
        fits.then(|| Self { kind, namespace: namespace(object).into(), name })
    }
}

pub(super) fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

pub(super) fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}

pub(super) fn uid(object: &Value) -> &str {
    text(object, "/metadata/uid")
}

pub(super) fn resource_version(object: &Value) -> u64 {
    text(object, "/metadata/resourceVersion").parse().unwrap_or_default()
}

pub(super) fn is_deleting(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

pub(super) fn generation(object: &Value) -> i64 {
    number(object, "/metadata/generation").unwrap_or_default()
}

/// `spec.replicas`, whose default is one, within what its type holds.
pub(super) fn replicas(object: &Value) -> i64 {
    number(object, "/spec/replicas").unwrap_or(1).clamp(0, i32::MAX.into())
}

/// The reference to its controller.
pub(super) fn controller(object: &Value) -> Option<&Value> {
    object["metadata"]["ownerReferences"].as_array()?.iter().find(|reference| reference["controller"] == true)
}

/// The text at a pointer, or nothing.
pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn number(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer).and_then(Value::as_i64)
}

/// The seconds at a pointer, a century at most: with any more, times overflow.
pub(super) fn seconds(object: &Value, pointer: &str) -> Option<SignedDuration> {
    const MAX: i64 = 100 * 365 * 24 * 3600;
    Some(SignedDuration::from_secs(number(object, pointer)?.clamp(-MAX, MAX)))
}

pub(super) fn time(object: &Value, pointer: &str) -> Option<Timestamp> {
    text(object, pointer).parse().ok()
}

/// A time as Kubernetes writes it: whole seconds.
pub(super) fn time_text(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The object with another status. Numbers that are zero are left out, as Go
/// leaves them, but for those that are named.
pub(super) fn with_status(object: &Value, status: Value, kept_zeros: &[&str]) -> Value {
    let mut object = object.clone();
    let Value::Object(mut status) = status else { return object };
    status.retain(|field, value| !(value == 0 || value.is_null()) || kept_zeros.contains(&field.as_str()));
    object["status"] = Value::Object(status);
    object
}

/// Sets an annotation.
pub(super) fn annotate(object: &mut Value, key: &str, value: String) {
    object["metadata"]["annotations"][key] = Value::from(value);
}

/// What a controller makes: an object in its own namespace that names it.
pub(super) fn owned(kind: Kind, owner_kind: Kind, owner: &Value, mut metadata: Map<String, Value>) -> Value {
    metadata.insert("namespace".into(), owner["metadata"]["namespace"].clone());
    let reference = json!({
        "apiVersion": owner_kind.api_version(), "kind": owner_kind.name(), "name": name(owner), "uid": uid(owner),
        "controller": true, "blockOwnerDeletion": true,
    });
    metadata.insert("ownerReferences".into(), json!([reference]));
    json!({ "apiVersion": kind.api_version(), "kind": kind.name(), "metadata": metadata })
}

/// The metadata that a template gives to what is made from it.
pub(super) fn template_metadata(template: &Value) -> Map<String, Value> {
    let kept = ["labels", "annotations", "finalizers"];
    let metadata = template["metadata"].as_object().cloned().unwrap_or_default();
    metadata.into_iter().filter(|(field, _)| kept.contains(&field.as_str())).collect()
}

/// Adds a label to metadata.
pub(super) fn label(metadata: &mut Map<String, Value>, key: &str, value: impl Into<Value>) {
    let labels = metadata.entry("labels").or_insert_with(|| json!({}));
    labels[key] = value.into();
}
