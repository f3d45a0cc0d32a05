//! What protects storage that is in use: a deleted claim stays while a pod
//! mounts it, a deleted volume while it is bound.

use serde_json::Value;

use super::Work;
use crate::kinds::GroupResource;
use crate::meta;
use crate::server::State;
use crate::storage::Place;
use crate::verbs::is_released;

const CLAIM_FINALIZER: &str = "kubernetes.io/pvc-protection";
const VOLUME_FINALIZER: &str = "kubernetes.io/pv-protection";

fn is_core(at: &GroupResource, resource: &str) -> bool {
    at.group.is_empty() && at.resource == resource
}

/// Whether objects of this kind are protected.
pub(super) fn protects(at: &GroupResource) -> bool {
    is_core(at, "persistentvolumeclaims") || is_core(at, "persistentvolumes")
}

/// A pod that goes may have been the last to use a claim.
pub(super) fn note_removed(state: &mut State, at: &GroupResource, key: &str) {
    let Some((namespace, _)) = key.split_once('/').filter(|_| is_core(at, "pods")) else { return };
    let claims = GroupResource::new("", "persistentvolumeclaims");
    let deleted = state.storage.list(&claims, Some(namespace)).into_iter().filter(|stored| stored.is_deleting());
    let work: Vec<Work> = deleted.map(|stored| Work::Protected((claims.clone(), stored.key.to_string()))).collect();
    state.work.extend(work);
}

/// Takes the protection from what is deleted and not in use.
pub(super) fn release(state: &mut State, place: &Place) {
    let Some(stored) = state.storage.get(&place.0, &place.1).filter(|stored| stored.is_deleting()) else { return };
    let Some(kind) = state.registry.any_version(&place.0) else { return };
    let mut object = stored.object();
    let used = match place.1.split_once('/') {
        Some((namespace, name)) => is_mounted(state, namespace, name),
        None => object["status"]["phase"] == "Bound",
    };
    let before = meta::finalizers(&object);
    let ours = [CLAIM_FINALIZER, VOLUME_FINALIZER];
    let kept: Vec<String> = before.iter().filter(|one| !ours.contains(&one.as_str())).cloned().collect();
    if used || kept.len() == before.len() {
        return;
    }
    meta::set_finalizers(&mut object, &kept);
    if is_released(&kind, &object) {
        state.remove(&place.0, &place.1, object);
    } else {
        state.put(&place.0, &place.1, object);
    }
}

/// Whether a pod that has not ended names a claim.
fn is_mounted(state: &State, namespace: &str, claim: &str) -> bool {
    let pods = state.storage.list(&GroupResource::new("", "pods"), Some(namespace));
    pods.iter().map(|pod| pod.object()).any(|pod| {
        let ended = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
        let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
        let names = |volume: &Value| volume["persistentVolumeClaim"]["claimName"] == claim;
        !ended && volumes.into_iter().any(names)
    })
}
