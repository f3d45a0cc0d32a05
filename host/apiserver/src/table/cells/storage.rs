//! Volumes, who asks for them, and who makes them.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Printer, created, name, or_none};
use crate::table::read::{flag, list, or, scalar, text, texts};

const BETA_CLASS: &str = "volume.beta.kubernetes.io~1storage-class";

pub(super) fn printer(kind: &str) -> Option<Printer> {
    Some(match kind {
        "PersistentVolumeClaim" => (
            &[
                "Name",
                "Status",
                "Volume",
                "Capacity",
                "Access Modes",
                "StorageClass",
                "VolumeAttributesClass",
                "Age",
                "+VolumeMode",
            ],
            claim,
        ),
        "PersistentVolume" => (
            &[
                "Name",
                "Capacity",
                "Access Modes",
                "Reclaim Policy",
                "Status",
                "Claim",
                "StorageClass",
                "VolumeAttributesClass",
                "Reason",
                "Age",
                "+VolumeMode",
            ],
            volume,
        ),
        "StorageClass" => (
            &["Name", "Provisioner", "ReclaimPolicy", "VolumeBindingMode", "AllowVolumeExpansion", "Age"],
            storage_class,
        ),
        "CSIDriver" => (
            &[
                "Name",
                "AttachRequired:boolean",
                "PodInfoOnMount:boolean",
                "StorageCapacity:boolean",
                "TokenRequests",
                "RequiresRepublish:boolean",
                "Modes",
                "Age",
            ],
            driver,
        ),
        "CSINode" => (&["Name", "Drivers:integer", "Age"], |o, now| {
            vec![name(o), json!(list(o, "/spec/drivers").len()), created(o, now)]
        }),
        "VolumeAttachment" => (&["Name", "Attacher", "PV", "Node", "Attached:boolean", "Age"], |o, now| {
            let shown = |pointer: &str| json!(text(o, pointer));
            let (volume, node) = (shown("/spec/source/persistentVolumeName"), shown("/spec/nodeName"));
            vec![name(o), shown("/spec/attacher"), volume, node, json!(flag(o, "/status/attached")), created(o, now)]
        }),
        _ => return None,
    })
}

fn phase(object: &Value) -> Value {
    let deleting = object["metadata"].get("deletionTimestamp").is_some();
    json!(if deleting { "Terminating" } else { text(object, "/status/phase") })
}

fn access_modes(object: &Value, pointer: &str) -> String {
    let given = texts(object, pointer);
    let short =
        [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    short.into_iter().filter(|(mode, _)| given.contains(mode)).map(|(_, short)| short).collect::<Vec<_>>().join(",")
}

fn class(object: &Value) -> Value {
    let old = object.pointer(&format!("/metadata/annotations/{BETA_CLASS}")).and_then(Value::as_str);
    json!(old.unwrap_or_else(|| text(object, "/spec/storageClassName")))
}

fn or_unset(object: &Value, pointer: &str) -> Value {
    json!(object.pointer(pointer).and_then(Value::as_str).unwrap_or("<unset>"))
}

fn claim(object: &Value, now: Timestamp) -> Vec<Value> {
    let volume = text(object, "/spec/volumeName");
    let (capacity, modes) = if volume.is_empty() {
        (String::new(), String::new())
    } else {
        let capacity = scalar(object, "/status/capacity/storage").unwrap_or_else(|| "0".to_owned());
        (capacity, access_modes(object, "/status/accessModes"))
    };
    vec![
        name(object),
        phase(object),
        json!(volume),
        json!(capacity),
        json!(modes),
        class(object),
        or_unset(object, "/spec/volumeAttributesClassName"),
        created(object, now),
        or_unset(object, "/spec/volumeMode"),
    ]
}

fn volume(object: &Value, now: Timestamp) -> Vec<Value> {
    let claim = object.pointer("/spec/claimRef");
    let claim = claim.map(|claim| format!("{}/{}", text(claim, "/namespace"), text(claim, "/name")));
    vec![
        name(object),
        json!(scalar(object, "/spec/capacity/storage").unwrap_or_else(|| "0".to_owned())),
        json!(access_modes(object, "/spec/accessModes")),
        json!(text(object, "/spec/persistentVolumeReclaimPolicy")),
        phase(object),
        json!(claim.unwrap_or_default()),
        class(object),
        or_unset(object, "/spec/volumeAttributesClassName"),
        json!(text(object, "/status/reason")),
        created(object, now),
        or_unset(object, "/spec/volumeMode"),
    ]
}

fn storage_class(object: &Value, now: Timestamp) -> Vec<Value> {
    let annotation = |key: &str| text(object, &format!("/metadata/annotations/{key}")) == "true";
    let is_default = annotation("storageclass.kubernetes.io~1is-default-class")
        || annotation("storageclass.beta.kubernetes.io~1is-default-class");
    let suffix = if is_default { " (default)" } else { "" };
    vec![
        json!(format!("{}{suffix}", text(object, "/metadata/name"))),
        json!(text(object, "/provisioner")),
        json!(or(text(object, "/reclaimPolicy"), "Delete")),
        json!(or(text(object, "/volumeBindingMode"), "Immediate")),
        json!(flag(object, "/allowVolumeExpansion")),
        created(object, now),
    ]
}

fn driver(object: &Value, now: Timestamp) -> Vec<Value> {
    let attach = object.pointer("/spec/attachRequired").and_then(Value::as_bool).unwrap_or(true);
    let requests = object.pointer("/spec/tokenRequests").map(|_| {
        list(object, "/spec/tokenRequests").iter().map(|one| text(one, "/audience")).collect::<Vec<_>>().join(",")
    });
    vec![
        name(object),
        json!(attach),
        json!(flag(object, "/spec/podInfoOnMount")),
        json!(flag(object, "/spec/storageCapacity")),
        json!(requests.unwrap_or_else(|| "<unset>".to_owned())),
        json!(flag(object, "/spec/requiresRepublish")),
        or_none(&texts(object, "/spec/volumeLifecycleModes").join(",")),
        created(object, now),
    ]
}
