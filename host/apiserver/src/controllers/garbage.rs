//! Owner garbage collection: an object goes when all of its owners are gone,
//! loses the references of those that are gone otherwise, and holds back an
//! owner that is deleted in the foreground.

use std::sync::Arc;

use serde_json::Value;

use crate::kinds::Kind;
use crate::meta;
use crate::server::State;
use crate::storage::Place;
use crate::verbs::deletion::{FOREGROUND, ORPHAN, Propagation, remove_or_mark};
use crate::verbs::is_released;

/// What an owner reference leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Solid,
    /// Deleted in the foreground: it waits for this dependent.
    Waiting,
    Gone,
    /// A kind that is not served, or a namespaced owner of a cluster-wide
    /// object: nothing can be said, so nothing is deleted.
    Unknown,
}

/// An object has got other owners. One that waits for its dependents already
/// does not look at who joins them.
pub(super) fn check_new_owners(state: &mut State, place: &Place) {
    let Some(stored) = state.storage.get(&place.0, &place.1) else { return };
    let namespace = place.1.split_once('/').map(|(namespace, _)| namespace);
    let references = stored.object()["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
    if references.iter().any(|reference| look(state, reference, namespace) == Owner::Gone) {
        check_owners(state, place);
    }
}

fn check_owners(state: &mut State, place: &Place) {
    let Some(stored) = state.storage.get(&place.0, &place.1) else { return };
    // What is going already is left as it is.
    if stored.is_deleting() {
        return;
    }
    let Some(kind) = state.registry.any_version(&place.0) else { return };
    let namespace = place.1.split_once('/').map(|(namespace, _)| namespace);
    let object = stored.object();
    let references = object["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
    let owners: Vec<Owner> = references.iter().map(|reference| look(state, reference, namespace)).collect();
    if owners.is_empty() || owners.contains(&Owner::Unknown) {
        return;
    }
    if owners.contains(&Owner::Solid) {
        let kept: Vec<Value> = references
            .into_iter()
            .zip(&owners)
            .filter(|(_, owner)| **owner == Owner::Solid)
            .map(|(reference, _)| reference)
            .collect();
        if kept.len() < owners.len() {
            set_references(state, place, kept);
        }
        return;
    }
    let finalizers = meta::finalizers(&object);
    let has = |name: &str| finalizers.iter().any(|one| one == name);
    let has_dependents = !state.storage.dependents(stored.uid()).is_empty();
    let propagation = match () {
        () if has(ORPHAN) => Propagation::Orphan,
        () if has(FOREGROUND) || (owners.contains(&Owner::Waiting) && has_dependents) => Propagation::Foreground,
        () => Propagation::Background,
    };
    remove_or_mark(state, &kind, &place.1, propagation);
}

fn look(state: &State, reference: &Value, namespace: Option<&str>) -> Owner {
    let text = |field: &str| reference[field].as_str().unwrap_or_default();
    let group = text("apiVersion").split_once('/').map_or("", |(group, _)| group);
    let Some(kind) = state.registry.by_kind(group, text("kind")) else { return Owner::Unknown };
    let key = match (kind.namespaced, namespace) {
        (true, Some(namespace)) => format!("{namespace}/{}", text("name")),
        (true, None) => return Owner::Unknown,
        (false, _) => text("name").to_owned(),
    };
    match state.storage.get(kind.place(), &key) {
        Some(owner) if owner.uid() == text("uid") => {
            let foreground = || meta::finalizers(&owner.object()).iter().any(|one| one == FOREGROUND);
            if owner.is_deleting() && foreground() { Owner::Waiting } else { Owner::Solid }
        }
        _ => Owner::Gone,
    }
}

/// An owner vanished: its dependents look for what owners they have left.
pub(super) fn release_dependents(state: &mut State, uid: &str) {
    for place in state.storage.dependents(uid) {
        check_owners(state, &place);
    }
}

/// A deleted object whose finalizer is the collector's to remove.
pub(super) fn finish(state: &mut State, place: &Place) {
    let Some(stored) = state.storage.get(&place.0, &place.1) else { return };
    let Some(kind) = state.registry.any_version(&place.0) else { return };
    let uid = stored.uid();
    let finalizers = meta::finalizers(&stored.object());
    if finalizers.iter().any(|one| one == ORPHAN) {
        for dependent in state.storage.dependents(uid) {
            orphan(state, &dependent, uid);
        }
        drop_finalizer(state, &kind, place, ORPHAN);
    } else if finalizers.iter().any(|one| one == FOREGROUND) {
        for dependent in state.storage.dependents(uid) {
            check_owners(state, &dependent);
        }
        let held = state.storage.dependents(uid).iter().any(|dependent| blocks(state, dependent, uid));
        if !held {
            drop_finalizer(state, &kind, place, FOREGROUND);
        }
    }
}

fn references_to<'a>(object: &'a Value, uid: &'a str) -> impl Iterator<Item = &'a Value> {
    let references = object["metadata"]["ownerReferences"].as_array();
    references.into_iter().flatten().filter(move |reference| reference["uid"] == uid)
}

/// Whether a dependent asked that its owner wait for it.
fn blocks(state: &State, dependent: &Place, uid: &str) -> bool {
    state.storage.get(&dependent.0, &dependent.1).is_some_and(|stored| {
        references_to(&stored.object(), uid).any(|reference| reference["blockOwnerDeletion"] == Value::Bool(true))
    })
}

fn orphan(state: &mut State, dependent: &Place, uid: &str) {
    let Some(stored) = state.storage.get(&dependent.0, &dependent.1) else { return };
    let references = stored.object()["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
    let kept = references.into_iter().filter(|reference| reference["uid"] != uid).collect();
    set_references(state, dependent, kept);
}

fn set_references(state: &mut State, place: &Place, references: Vec<Value>) {
    let Some(stored) = state.storage.get(&place.0, &place.1) else { return };
    let Some(kind) = state.registry.any_version(&place.0) else { return };
    let live = stored.object();
    let mut object = live.clone();
    meta::of_mut(&mut object).insert("ownerReferences".to_owned(), Value::from(references));
    // The collector is a client like any other, and gives up what it takes out.
    let object = super::written(state, &kind, &live, object, None);
    state.put(&place.0, &place.1, object);
}

fn drop_finalizer(state: &mut State, kind: &Arc<Kind>, place: &Place, finalizer: &str) {
    let Some(stored) = state.storage.get(&place.0, &place.1) else { return };
    let mut object = stored.object();
    let kept: Vec<String> = meta::finalizers(&object).into_iter().filter(|one| one != finalizer).collect();
    meta::set_finalizers(&mut object, &kept);
    if is_released(kind, &object) {
        // What watches are told last is what was stored, finalizer and all.
        state.remove(&place.0, &place.1, stored.object());
    } else {
        state.put(&place.0, &place.1, object);
    }
}
