//! Which kinds the server serves, kept up to date.
use std::sync::Arc;
use kube::Client;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trimtab_core::{id::GroupKind, kind::Kind};
use crate::openapi::{OpenApi, OpenApiError};

/// The kinds that the server serves, as it said last.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Kinds {}
impl Kinds {
    /// Whether the server has answered at all: before that, a kind that is not here may exist.
    pub fn is_known(&self) -> bool { unimplemented!() }
    /// One kind, if it is served in any version.
    pub fn get(&self, id: &GroupKind) -> Option<&Arc<Kind>> { let _ = id; unimplemented!() }
    /// Changes whenever the schema of the kind's version may have changed (the hash of its OpenAPI document).
    pub fn revision(&self, id: &GroupKind, version: &str) -> Option<&Arc<str>> { let _ = (id, version); unimplemented!() }
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Kind>> { std::iter::empty() }
}
/// Polls discovery and publishes what it finds.
pub struct Discovery {}
impl Discovery {
    /// Over `client`; nothing is asked before [`Discovery::run`].
    pub fn new(client: Client) -> Arc<Self> { let _ = client; unimplemented!() }
    /// The kinds, now and whenever they change.
    pub fn kinds(&self) -> watch::Receiver<Arc<Kinds>> { unimplemented!() }
    /// Polls until `stop`.
    pub async fn run(&self, stop: CancellationToken) { let _ = stop; unimplemented!() }
    /// Has the server asked again now rather than at the next poll.
    pub fn refresh(&self) { unimplemented!() }
    /// The OpenAPI document of a group and version, fetched where its hash is new.
    pub async fn openapi(&self, group: &str, version: &str) -> Result<Arc<OpenApi>, OpenApiError> { let _ = (group, version); unimplemented!() }
}
