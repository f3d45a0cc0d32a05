//! What the controller manager does on a real cluster: owner garbage
//! collection, the emptying of namespaces, and of definitions being deleted.
//! Work is noted as objects change and done in order, so a run repeats.

mod emptying;
mod garbage;
mod protection;
mod remaining;

use serde_json::Value;

use crate::crd;
use crate::kinds::{GroupResource, Kind};
use crate::managed::{self, Writer};
use crate::meta;
use crate::server::State;
use crate::storage::{Place, Stored};
use crate::verbs::deletion::{FOREGROUND, ORPHAN};

/// One thing to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Work {
    /// Whether the owners of this object still live.
    Owners(Place),
    /// The dependents of an owner that is no more.
    Vanished(String),
    /// A deleted object that waits for its dependents.
    Waiting(Place),
    /// A namespace being deleted.
    Namespace(String),
    /// A definition being deleted.
    Definition(String),
    /// A deleted claim or volume that may still be used.
    Protected(Place),
}

/// Does what was noted, and what follows from it, until nothing is left.
/// It ends: each step removes an object, a reference or a finalizer, or notes nothing.
pub(crate) fn settle(state: &mut State) {
    while let Some(work) = state.work.pop_front() {
        match work {
            Work::Owners(place) => garbage::check_new_owners(state, &place),
            Work::Vanished(uid) => garbage::release_dependents(state, &uid),
            Work::Waiting(place) => garbage::finish(state, &place),
            Work::Namespace(name) => emptying::namespace(state, &name),
            Work::Definition(name) => emptying::definition(state, &name),
            Work::Protected(place) => protection::release(state, &place),
        }
    }
}

/// What a controller changed of an object, with its account in the managed fields.
fn written(state: &State, kind: &Kind, live: &Value, new: Value, subresource: Option<&str>) -> Value {
    let (api_version, now) = (kind.api_version(), state.now_text());
    let writer = Writer {
        manager: "kube-controller-manager",
        api_version: &api_version,
        subresource,
        reset_fields: &[],
        versions: &[],
        now: &now,
    };
    managed::update(&kind.schema, Some(live), new, &writer)
}

fn namespaces() -> GroupResource {
    GroupResource::new("", "namespaces")
}

/// Notes what a stored object gives to do.
pub(crate) fn note_put(state: &mut State, at: &GroupResource, key: &str, before: Option<&Stored>, stored: &Stored) {
    let place = (at.clone(), key.to_owned());
    let owners = stored.owner_uids();
    let owners_before = before.map(Stored::owner_uids).unwrap_or_default();
    if owners != owners_before {
        if !owners.is_empty() {
            state.work.push_back(Work::Owners(place.clone()));
        }
        note_waiting_owners(state, &owners_before);
    }
    if !stored.is_deleting() {
        return;
    }
    if meta::finalizers(&stored.object()).iter().any(|one| one == FOREGROUND || one == ORPHAN) {
        state.work.push_back(Work::Waiting(place));
    }
    if protection::protects(at) {
        state.work.push_back(Work::Protected((at.clone(), key.to_owned())));
    }
    if *at == namespaces() {
        state.work.push_back(Work::Namespace(key.to_owned()));
    } else if crd::is_definition(at) {
        state.work.push_back(Work::Definition(key.to_owned()));
    }
}

/// Notes what a removed object gives to do.
pub(crate) fn note_removed(state: &mut State, at: &GroupResource, key: &str, removed: &Stored) {
    state.work.push_back(Work::Vanished(removed.uid().to_owned()));
    note_waiting_owners(state, &removed.owner_uids());
    protection::note_removed(state, at, key);
    if let Some((namespace, _)) = key.split_once('/') {
        let terminating = state.storage.get(&namespaces(), namespace).is_some_and(|stored| stored.is_deleting());
        if terminating {
            state.work.push_back(Work::Namespace(namespace.to_owned()));
        }
    }
    if let Some(definition) = crd::definition_of(at)
        .filter(|name| state.storage.get(&crd::definitions(), name).is_some_and(|stored| stored.is_deleting()))
    {
        state.work.push_back(Work::Definition(definition));
    }
}

/// Owners that wait for their dependents have one less to wait for.
fn note_waiting_owners(state: &mut State, uids: &[String]) {
    for uid in uids {
        let Some(place) = state.storage.place_of(uid) else { continue };
        let waits = state.storage.get(&place.0, &place.1).is_some_and(|owner| owner.is_deleting());
        if waits {
            state.work.push_back(Work::Waiting(place));
        }
    }
}
