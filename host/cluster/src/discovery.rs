//! Which kinds the server serves, and when that changes. It is polled, because
//! a host with rights in some namespaces only may ask for these documents, but
//! not watch CustomResourceDefinitions; where it may, that watch only makes the
//! next poll come sooner.
//!
//! An error keeps what was known: no kind vanishes because a server, or one of
//! the aggregated servers behind it, cannot be asked.

mod definitions;
mod documents;
mod kinds;
mod storage;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use kube::{Client, client::APIGroupDiscoveryList, core::discovery::v2::ACCEPT_AGGREGATED_DISCOVERY_V2};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

pub use self::kinds::Kinds;
use self::{documents::Document, kinds::Groups};
use crate::{
    fanout::Fanout,
    openapi::{self, OpenApi, OpenApiError},
};

/// A kind has to be served within 5 s of its definition's arrival: half of a
/// poll's length on average, the server's own 1 s to establish it, and the
/// rest for the list. Unchanged, a poll costs three answers without a body.
const POLL: Duration = Duration::from_secs(2);

/// After a hint the server may need a moment until its documents show what has
/// changed: they are asked for at once, and then with growing pauses.
const AFTER_HINT: Duration = Duration::from_millis(200);

/// How often the storage versions are looked up though nothing else changed:
/// a definition that only moves its storage flag changes no other document.
const STORAGE_POLL: Duration = Duration::from_secs(30);

const JSON: &str = "application/json";

/// Polls discovery and publishes what it finds.
pub struct Discovery {
    client: Client,
    kinds: Fanout<Arc<Kinds>>,
    hint: Notify,
    openapi: Mutex<BTreeMap<(String, String), Arc<OpenApi>>>,
}

/// What the polls have brought so far.
struct Poll {
    core: Document<APIGroupDiscoveryList>,
    groups: Document<APIGroupDiscoveryList>,
    openapi: Document<openapi::Index>,
    served: Groups,
    storage: storage::Versions,
    storage_asked: Option<Instant>,
}

impl Discovery {
    /// Over `client`; nothing is asked before [`Discovery::run`].
    pub fn new(client: Client) -> Arc<Self> {
        Arc::new(Self { client, kinds: Fanout::default(), hint: Notify::new(), openapi: Mutex::default() })
    }

    /// The kinds, now and whenever they change.
    pub fn kinds(&self) -> watch::Receiver<Arc<Kinds>> {
        self.kinds.subscribe()
    }

    /// The kinds as they are known now.
    pub fn known(&self) -> Arc<Kinds> {
        self.kinds.get()
    }

    /// Polls until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        let polls = async {
            tokio::join!(self.poll(), definitions::watch(&self.client, &self.hint));
        };
        stop.run_until_cancelled(polls).await;
    }

    /// The OpenAPI document of a group and version, fetched where it is new.
    pub async fn openapi(&self, group: &str, version: &str) -> Result<Arc<OpenApi>, OpenApiError> {
        let key = (group.to_owned(), version.to_owned());
        let missing = || OpenApiError::Missing(trimtab_core::id::join_api_version(group, version));
        let hash = self.kinds.get().document(group, version).cloned().ok_or_else(missing)?;
        let known = self.documents().get(&key).filter(|known| known.hash == hash).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let fetched = Arc::new(openapi::fetch(&self.client, group, version, hash).await?);
        self.documents().insert(key, fetched.clone());
        Ok(fetched)
    }

    fn documents(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, String), Arc<OpenApi>>> {
        self.openapi.lock().expect("no one panics while they hold the documents")
    }

    async fn poll(&self) {
        let mut poll = Poll::new();
        let mut pause = POLL;
        let mut hinted = false;
        let mut failed = false;
        loop {
            match self.ask(&mut poll, hinted).await {
                Ok(()) => failed = false,
                Err(error) if failed => tracing::debug!(%error, "discovery still fails"),
                Err(error) => {
                    tracing::warn!(%error, "discovery fails; the kinds known so far stay");
                    failed = true;
                }
            }
            hinted = tokio::time::timeout(pause, self.hint.notified()).await.is_ok();
            pause = if hinted { AFTER_HINT } else { POLL.min(pause * 2) };
        }
    }

    /// Asks once for all and publishes what is new. What fails is what it was.
    async fn ask(&self, poll: &mut Poll, hinted: bool) -> Result<(), kube::Error> {
        let asked = [
            poll.core.ask(&self.client).await,
            poll.groups.ask(&self.client).await,
            poll.openapi.ask(&self.client).await,
        ];
        let changed = asked.iter().any(|asked| matches!(asked, Ok(true)));
        let outcome = asked.into_iter().collect::<Result<Vec<_>, _>>().map(|_| ());
        if changed {
            poll.served.take(poll.core.body.iter().chain(&poll.groups.body).flat_map(|list| &list.items));
        }
        let due = poll.storage_asked.is_none_or(|at| at.elapsed() >= STORAGE_POLL);
        if !(changed || hinted || due) {
            return outcome;
        }
        poll.storage_asked = Some(Instant::now());
        poll.storage.ask(&self.client, &poll.served).await;
        // Before each has answered once, a kind that is not here may exist.
        if let (Some(_), Some(_), Some(index)) = (&poll.core.body, &poll.groups.body, &poll.openapi.body) {
            self.publish(poll.served.kinds(index, &poll.storage));
        }
        outcome
    }

    fn publish(&self, kinds: Kinds) {
        if *self.kinds.get() != kinds {
            self.kinds.set(Arc::new(kinds));
        }
    }
}

impl Poll {
    fn new() -> Self {
        Self {
            core: Document::new("/api", ACCEPT_AGGREGATED_DISCOVERY_V2),
            groups: Document::new("/apis", ACCEPT_AGGREGATED_DISCOVERY_V2),
            openapi: Document::new("/openapi/v3", JSON),
            served: Groups::default(),
            storage: storage::Versions::default(),
            storage_asked: None,
        }
    }
}
