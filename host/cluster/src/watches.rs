//! The owner of the running watch tasks: keeps them equal to what is wanted.
use std::{collections::BTreeSet, sync::Arc};
use kube::Client;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trimtab_core::env::Env;
use crate::{discovery::Kinds, spec::WatchSpec, store::Store};

/// All watches of one cluster.
pub struct Watches {}
/// A watch's task has ended though it was not told to: a fault of ours. The process should end.
#[derive(Debug, thiserror::Error)]
#[error("the watch of {spec} has ended unexpectedly: {why}")]
pub struct WatchEnded {
    /// Which one.
    pub spec: String,
    /// How.
    pub why: String,
}
/// The list that was waited for will not come: the watch is no longer wanted.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not watched")]
pub struct NotWatched(pub WatchSpec);

impl Watches {
    /// Over `client`, feeding `store`; nothing is asked before [`Watches::run`].
    pub fn new(client: Client, store: Arc<Store>, kinds: watch::Receiver<Arc<Kinds>>, env: Arc<dyn Env>) -> Arc<Self> { let _ = (client, store, kinds, env); unimplemented!() }
    /// What is to be watched from now on: what is new is started, what is no longer wanted is stopped and forgotten.
    pub fn set(&self, wanted: BTreeSet<WatchSpec>) { let _ = wanted; unimplemented!() }
    /// Returns when a list that was begun after this call has been taken in. Waits for as long as that is refused.
    pub async fn relist(&self, spec: &WatchSpec) -> Result<(), NotWatched> { let _ = spec; unimplemented!() }
    /// Runs the tasks until `stop`; an error means that one of them has ended by itself.
    pub async fn run(&self, stop: CancellationToken) -> Result<(), WatchEnded> { let _ = stop; unimplemented!() }
}
