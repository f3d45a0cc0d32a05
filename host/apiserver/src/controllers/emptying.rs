//! The end of what holds other objects: a namespace goes when it is empty, a
//! definition when its objects are gone.

use serde_json::Value;

use super::namespaces;
use super::remaining::{Left, tell};
use crate::crd;
use crate::meta;
use crate::server::State;
use crate::verbs::deletion::{Propagation, remove_or_mark};
use crate::verbs::is_released;

pub(super) fn namespace(state: &mut State, name: &str) {
    let Some(stored) = state.storage.get(&namespaces(), name) else { return };
    if !stored.is_deleting() {
        return;
    }
    let mut left = Left::default();
    for kind in state.registry.resources().into_iter().filter(|kind| kind.namespaced) {
        for stored in state.storage.list(kind.place(), Some(name)) {
            if !stored.is_deleting() {
                remove_or_mark(state, &kind, &stored.key, Propagation::Background);
            }
        }
        left.add(kind.place(), &state.storage.list(kind.place(), Some(name)));
    }
    tell(state, name, &left);
    if !left.is_empty() {
        // What is held by finalizers is noted again when it goes.
        return;
    }
    let Some(kind) = state.registry.any_version(&namespaces()) else { return };
    let Some(stored) = state.storage.get(&namespaces(), name) else { return };
    let live = stored.object();
    let mut object = live.clone();
    let finalizers = object["spec"]["finalizers"].as_array().cloned().unwrap_or_default();
    let kept: Vec<Value> = finalizers.into_iter().filter(|one| one != "kubernetes").collect();
    object["spec"] = if kept.is_empty() { serde_json::json!({}) } else { serde_json::json!({ "finalizers": kept }) };
    if is_released(&kind, &object) {
        state.remove(&namespaces(), name, object);
    } else if live["spec"] != object["spec"] {
        let object = super::written(state, &kind, &live, object, Some("finalize"));
        state.put(&namespaces(), name, object);
    }
}

pub(super) fn definition(state: &mut State, name: &str) {
    let Some(stored) = state.storage.get(&crd::definitions(), name) else { return };
    if !stored.is_deleting() {
        return;
    }
    let Some(at) = crd::defined(&stored.object()) else { return };
    if let Some(kind) = state.registry.any_version(&at) {
        for stored in state.storage.list(&at, None) {
            if !stored.is_deleting() {
                remove_or_mark(state, &kind, &stored.key, Propagation::Background);
            }
        }
        if !state.storage.list(&at, None).is_empty() {
            crd::mark_emptying(state, name);
            return;
        }
    }
    let Some(kind) = state.registry.any_version(&crd::definitions()) else { return };
    let Some(stored) = state.storage.get(&crd::definitions(), name) else { return };
    let mut object = stored.object();
    let kept: Vec<String> = meta::finalizers(&object).into_iter().filter(|one| one != crd::CLEANUP_FINALIZER).collect();
    if kept.len() == meta::finalizers(&object).len() {
        return;
    }
    meta::set_finalizers(&mut object, &kept);
    if is_released(&kind, &object) {
        state.remove(&crd::definitions(), name, object);
    } else {
        state.put(&crd::definitions(), name, object);
    }
}
