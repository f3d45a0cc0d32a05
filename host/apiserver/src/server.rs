//! The server as a value: its configuration, its one state, and which verb a
//! request comes to.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::Value;

use crate::controllers::{self, Work};
use crate::crd;
use crate::discovery::Documents;
use crate::ids::Ids;
use crate::kinds::{GroupResource, Kind, Registry};
use crate::request::Target;
use crate::status_error::ApiError;
use crate::storage::{Storage, Stored};
use crate::verbs::{self, Answer, Call};

/// Tells the time; a simulation gives its own.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// When owner garbage collection and the emptying of namespaces and of deleted
/// definitions are done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Collecting {
    /// Before the request that gave cause for it is answered.
    #[default]
    WithEachWrite,
    /// When [`ApiServer::collect`] is called: what lies between is then
    /// visible, as it is on a real cluster.
    OnDemand,
}

/// What a server is started with.
#[derive(Clone)]
pub struct Config {
    /// The time for timestamps. Time-outs of watches run on tokio's clock.
    pub now: Clock,
    /// What uids and generated names are drawn from.
    pub seed: u64,
    /// The bearer token that each request must carry, if any.
    pub token: Option<String>,
    /// How many changes of each resource are kept for watches: a client that
    /// falls behind by more must list again. The default holds a minute of the
    /// thousand writes a second that tests reach.
    pub history_max: usize,
    /// When garbage is collected.
    pub collecting: Collecting,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            now: Arc::new(Timestamp::now),
            seed: 0,
            token: None,
            history_max: 60_000,
            collecting: Collecting::default(),
        }
    }
}

/// A Kubernetes API server in memory. Clones share one state.
#[derive(Clone)]
pub struct ApiServer {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    state: Mutex<State>,
}

impl ApiServer {
    /// A server with the built-in kinds and the namespaces that every cluster has.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let mut state = State {
            storage: Storage::new(config.history_max),
            registry: Registry::builtin(),
            ids: Ids::new(config.seed),
            work: VecDeque::new(),
            documents: Documents::default(),
            definitions: BTreeMap::new(),
            now: (config.now)(),
        };
        for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
            verbs::create::namespace(&mut state, name);
        }
        Self { inner: Arc::new(Inner { config, state: Mutex::new(state) }) }
    }

    /// The latest resourceVersion given.
    #[must_use]
    pub fn resource_version(&self) -> u64 {
        self.state().storage.version()
    }

    /// Forgets all history, as etcd does when it compacts: watches and list
    /// pages that go on from before are answered with 410 Gone.
    pub fn compact(&self) {
        self.state().storage.compact();
    }

    /// Does what the garbage collector, the namespace controller and the
    /// emptying of deleted definitions have to do, until nothing is left to do.
    pub fn collect(&self) {
        controllers::settle(&mut self.state());
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // A panic while the lock was held is a bug of one request; the state
        // is changed by single calls of the storage, so it is whole.
        let mut state = self.inner.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.now = (self.inner.config.now)();
        state
    }

    pub(crate) fn token(&self) -> Option<&str> {
        self.inner.config.token.as_deref()
    }

    /// Decides one request; and what its client is to be warned of in any case.
    pub(crate) fn answer(&self, target: Target, call: Call) -> (Result<Answer, ApiError>, Option<String>) {
        let mut state = self.state();
        let deprecation = match &target {
            Target::Resource(path) => state.registry.deprecation(path),
            _ => None,
        };
        let answer = match target {
            Target::Resource(path) => verbs::resource(self, &mut state, path, call),
            Target::Health => Ok(Answer::text("ok")),
            Target::Unknown => Err(ApiError::no_such_path()),
            other => state.document(&other, &call),
        };
        if self.inner.config.collecting == Collecting::WithEachWrite {
            controllers::settle(&mut state);
        }
        (answer, deprecation)
    }
}

/// Everything a server holds.
pub(crate) struct State {
    pub storage: Storage,
    pub registry: Registry,
    pub ids: Ids,
    /// What the controllers have still to look at, oldest first. Bounded by
    /// the writes of one request where garbage is collected with each write.
    pub work: VecDeque<Work>,
    pub documents: Documents,
    /// What each definition said when it was registered, and whether it was
    /// being deleted.
    pub definitions: BTreeMap<GroupResource, (Value, bool)>,
    /// The time of the request being served.
    pub now: Timestamp,
}

/// A time as Kubernetes writes it: whole seconds.
pub(crate) fn kube_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

impl State {
    /// The time as Kubernetes writes it: whole seconds.
    pub fn now_text(&self) -> String {
        kube_time(self.now)
    }

    /// Stores an object, and lets those who follow from it know; returns it with
    /// its new resourceVersion.
    pub fn put(&mut self, at: &GroupResource, key: &str, mut object: Value) -> (Arc<Stored>, Value) {
        let before = self.storage.get(at, key);
        let stored = self.storage.put(at, key, &mut object);
        controllers::note_put(self, at, key, before.as_deref(), &stored);
        if crd::is_definition(at) {
            crd::register(self, &object);
        }
        (stored, object)
    }

    /// Removes an object, and lets those who follow from it know.
    pub fn remove(&mut self, at: &GroupResource, key: &str, last: Value) -> Option<Arc<Stored>> {
        let removed = self.storage.remove(at, key, last)?;
        controllers::note_removed(self, at, key, &removed);
        if crd::is_definition(at) {
            crd::unregister(self, &removed.object());
        }
        Some(removed)
    }

    /// An object in the version of a kind.
    pub fn view(&self, kind: &Kind, key: &str) -> Option<(Arc<Stored>, Value)> {
        let stored = self.storage.get(kind.place(), key)?;
        let value = crate::view::of(kind, &stored);
        Some((stored, value))
    }
}
