//! The side of the store that a watch feeds: its partition's only writer but
//! for what the host writes back.

use std::sync::Arc;

use trimtab_core::{
    id::{Place, join_api_version},
    object::{BadObject, Object, Typed, Unread},
};

use super::{Store, partition::PartitionId};
use crate::spec::{Health, WatchSpec};

/// The server has answered a list with a state that is older than what the same
/// watch has shown before.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the server listed a state (resourceVersion {listed}) older than what it has shown before; it is asked again, and if its data was restored from a backup, this process must be restarted"
)]
pub struct StaleList {
    /// The list's resource version.
    pub listed: u64,
}

/// Feeds the partition of one watch. When it is dropped, the partition is
/// closed, and what no other watch holds is forgotten.
pub struct Intake {
    store: Arc<Store>,
    id: PartitionId,
    spec: WatchSpec,
    typed: Typed,
}

impl Intake {
    pub(super) fn new(store: Arc<Store>, id: PartitionId, spec: WatchSpec) -> Self {
        let typed = Typed::of(&join_api_version(&spec.kind.group, &spec.version), &spec.kind.kind);
        Self { store, id, spec, typed }
    }

    /// The watch that this belongs to.
    pub fn spec(&self) -> &WatchSpec {
        &self.spec
    }

    /// A list is about to be asked for.
    pub fn begin(&self) {
        self.store.change(|state, _| state.begin(self.id));
    }

    /// The list's first page has come: it shows the state as of `version`.
    pub fn dated(&self, version: u64) -> Result<(), StaleList> {
        let fresh = self.store.change(|state, _| state.dated(self.id, version));
        if fresh { Ok(()) } else { Err(StaleList { listed: version }) }
    }

    /// One item of the list.
    pub fn listed(&self, text: &str) {
        match self.parse(text) {
            Ok(object) => self.store.change(|state, told| state.listed(self.id, &object, told)),
            Err(error) => self.garbled(text, &error),
        }
    }

    /// The list is whole: the partition is synced, and what was not in it is
    /// gone unless it was written since.
    pub fn finish(&self) {
        self.store.change(|state, told| state.finish(self.id, told));
    }

    /// An object was added or changed. Returns its resource version, if it can
    /// be read.
    pub fn shown(&self, text: &str) -> Option<u64> {
        match self.known_or_read(text) {
            Ok(object) => {
                self.store.change(|state, told| state.shown(self.id, &object, told));
                Some(object.meta.resource_version)
            }
            Err(error) => {
                self.garbled(text, &error);
                None
            }
        }
    }

    /// An object was deleted or left the selector. Returns the resource version
    /// of that, if it can be read.
    pub fn unshown(&self, text: &str) -> Option<u64> {
        match self.parse(text) {
            Ok(object) => {
                self.store.change(|state, told| state.unshown(self.id, &object.meta, told));
                Some(object.meta.resource_version)
            }
            Err(_) => {
                let place = self.place(text)?;
                self.store.change(|state, told| state.vacate(self.id, &place, told));
                None
            }
        }
    }

    /// All up to `version` has been shown.
    pub fn advance(&self, version: u64) {
        self.store.change(|state, _| state.advance(self.id, version));
    }

    /// None of the kind's objects exist any more.
    pub fn empty(&self) {
        self.store.change(|state, told| state.empty(self.id, told));
    }

    /// The watch's health, [`Health::Synced`] only by way of a list.
    pub fn health(&self, health: Health) {
        self.store.change(|state, told| state.set_health(self.id, health, told));
    }

    /// What an event shows. Most events of our own objects show what the answer
    /// to our write has brought already: that is not read twice.
    fn known_or_read(&self, text: &str) -> Result<Arc<Object>, BadObject> {
        let unread = Unread::of(text)?;
        let (namespace, name) = unread.place()?;
        let known = self.store.get(&self.spec.kind, &self.spec.version, &namespace, &name);
        match known.filter(|known| unread.is(&known.meta)) {
            Some(known) => Ok(known),
            None => self.read(&unread),
        }
    }

    fn parse(&self, text: &str) -> Result<Arc<Object>, BadObject> {
        self.read(&Unread::of(text)?)
    }

    /// Reads an object outside the store's lock.
    fn read(&self, unread: &Unread<'_>) -> Result<Arc<Object>, BadObject> {
        unread.read(&self.typed).map(Arc::new)
    }

    /// An object cannot be read. What is known of it goes rather than grow old
    /// unseen. One without a name cannot even be marked; it is only reported.
    fn garbled(&self, text: &str, error: &BadObject) {
        let Some(place) = self.place(text) else {
            tracing::error!(watch = %self.spec, %error, "the server sent an object that cannot be read and has no name");
            return;
        };
        tracing::error!(watch = %self.spec, object = %place, %error, "an object cannot be read; what depends on it waits");
        let why = Arc::from(error.to_string());
        self.store.change(|state, told| state.garbled(self.id, &place, &why, told));
    }

    /// Where the object lies that `text` is, though it may be none otherwise.
    fn place(&self, text: &str) -> Option<Place> {
        let unread = Unread::of(text).ok()?;
        let (namespace, name) = unread.place().ok()?;
        Some(Place { kind: self.spec.kind.clone(), namespace: namespace.into(), name: name.into() })
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.store.change(|state, _| state.close(self.id));
    }
}
