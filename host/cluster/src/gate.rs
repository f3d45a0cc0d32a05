//! The only way to write. Before each request: does this process hold the
//! instance's Lease, does whoever asks still serve the object, does the server
//! want to be asked. After it: the answer goes to the store, so that the next
//! look sees it, and a refusal gets its class.
//!
//! What fences a write is its precondition: one that comes late, from a leader
//! that was paused and deposed, meets a newer resource version and fails on
//! the server. The Lease's deadline saves trouble.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use kube::Client;
use tokio::sync::watch;
use trimtab_core::{
    account::Account,
    api_error::{ApiError, Class, Doing},
    election::Timings,
    env::Env,
    id::{GroupKind, InstanceId, Key, Place, SlotId, Uid},
    kind::Kind,
    marks,
    object::{BadObject, Meta, Object},
    ownership::{OwnerMark, whose},
    write::{Action, Seen, Write},
};

use crate::{
    apply::{self, Left},
    discovery::Kinds,
    request::{self, RequestError},
    store::Store,
};

/// Who asks to write, and on what grounds.
#[derive(Debug, Clone)]
pub struct Ticket {
    /// The key that is worked on.
    pub key: Key,
    /// The instance that serves the object.
    pub instance: InstanceId,
    /// The object itself, not a later one of its name.
    pub uid: Uid,
    /// The slot that serves it.
    pub slot: SlotId,
    /// The slot's generation that decided the write.
    pub generation: u64,
    /// As whom it is written, if not as the host itself.
    pub account: Option<Account>,
}

/// Until when this process may write for an instance.
pub trait Lock: Send + Sync + 'static {
    /// The deadline on [`Env::elapsed`]; none: it may not.
    fn deadline(&self, instance: &InstanceId) -> Option<Duration>;

    /// Whether it may at this time of [`Env::elapsed`].
    fn holds(&self, instance: &InstanceId, now: Duration) -> bool {
        self.deadline(instance).is_some_and(|deadline| now < deadline)
    }
}

/// Whether something may be written: the route, the grants.
pub trait Permit: Send + Sync + 'static {
    /// The error says why not.
    fn permit(&self, ticket: &Ticket, write: &Write) -> Result<(), String>;
}

/// Why something was not written, or is not known to have been.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Something is there already and is not ours.
    #[error("something of that name exists: {whose}; delete it or let the plugin choose another name")]
    Conflict {
        /// Whose it is, for people.
        whose: String,
        /// It.
        live: Arc<Object>,
    },
    /// The object has changed since it was looked at; the store knows by now.
    #[error("it has changed since it was looked at")]
    Stale,
    /// What was to be made is there and is ours, or is to become ours, but no
    /// watch shows it: it is without the label that they select by.
    #[error("it is there without its label {}", marks::PLUGIN_LABEL)]
    Unseen(Arc<Object>),
    /// This process does not lead the instance (any more).
    #[error("this process does not lead the instance {0:?}")]
    NotLeading(InstanceId),
    /// The permit was refused.
    #[error("not allowed: {0}")]
    Refused(String),
    /// The server does not serve the kind.
    #[error("the server does not serve {kind} in version {version}")]
    Unserved {
        /// The kind.
        kind: GroupKind,
        /// The version.
        version: String,
    },
    /// The name cannot be one.
    #[error("{0:?} cannot be the name of an object")]
    BadName(String),
    /// The server has asked for a pause and nothing is sent before it ends.
    #[error("the API server wants no requests for {0:?}")]
    HeldBack(Duration),
    /// The server refused.
    #[error("{error}")]
    Api {
        /// What was being done.
        doing: Doing,
        /// What it said.
        error: Box<ApiError>,
    },
    /// It is not known whether it was written.
    #[error("{0}")]
    Unknown(RequestError),
    /// It was written, but the answer is no object.
    #[error("the API server's answer cannot be read: {0}")]
    Unreadable(#[from] BadObject),
}

impl WriteError {
    /// What it means for who asked.
    pub fn class(&self) -> Class {
        match self {
            Self::Api { doing, error } => error.class(*doing),
            Self::HeldBack(pause) => Class::Busy(*pause),
            Self::Unserved { .. } => Class::Missing,
            Self::BadName(_) => Class::Invalid,
            // What was decided on has changed, and so will the next decision.
            Self::Stale | Self::Unseen(_) | Self::NotLeading(_) | Self::Refused(_) => Class::Stale,
            Self::Conflict { .. } | Self::Unknown(_) | Self::Unreadable(_) => Class::Retry,
        }
    }
}

/// The gate of one cluster.
pub struct Gate {
    client: Client,
    kinds: watch::Receiver<Arc<Kinds>>,
    store: Arc<Store>,
    lock: Arc<dyn Lock>,
    permit: Arc<dyn Permit>,
    env: Arc<dyn Env>,
    /// Shorter than what lies between a leader's deadline and the Lease's end,
    /// so that no request outlives the right to make it.
    timeout: Duration,
    /// Nothing is sent before this, in milliseconds of [`Env::elapsed`]: the
    /// server asked for a pause, and means all that we send.
    held_until_ms: AtomicU64,
}

impl Gate {
    /// A gate to the cluster of `client`.
    pub fn new(
        client: Client,
        kinds: watch::Receiver<Arc<Kinds>>,
        store: Arc<Store>,
        lock: Arc<dyn Lock>,
        permit: Arc<dyn Permit>,
        env: Arc<dyn Env>,
    ) -> Arc<Self> {
        let timeout = Timings::default().request_timeout();
        Arc::new(Self { client, kinds, store, lock, permit, env, timeout, held_until_ms: AtomicU64::new(0) })
    }

    /// Makes one write and returns what is there after it; none: nothing is.
    pub async fn write(&self, ticket: &Ticket, write: &Write) -> Result<Option<Arc<Object>>, WriteError> {
        let kind = self.check(ticket, write)?;
        let answer =
            request::send(&self.client, apply::request(&kind, write, ticket.account.as_ref()), self.timeout).await;
        match answer {
            Ok(answer) => match apply::left(&kind, write, &answer)? {
                Left::There(object) => {
                    self.store.put(object.clone());
                    Ok(Some(object))
                }
                Left::Gone => {
                    self.forget(write);
                    Ok(None)
                }
            },
            Err(RequestError::Api(error)) => self.refused(ticket, &kind, write, error).await,
            Err(unknown) => Err(WriteError::Unknown(unknown)),
        }
    }

    /// What is at a place, past the cache: what rests on an absence is asked here.
    pub async fn live(&self, place: &Place, version: &str) -> Result<Option<Object>, WriteError> {
        self.read(&*self.kind(place, version)?, place, version).await
    }

    /// All that can be known before the request.
    fn check(&self, ticket: &Ticket, write: &Write) -> Result<Arc<Kind>, WriteError> {
        let now = self.env.elapsed();
        if !self.lock.holds(&ticket.instance, now) {
            return Err(WriteError::NotLeading(ticket.instance.clone()));
        }
        self.permit.permit(ticket, write).map_err(WriteError::Refused)?;
        let held_until = Duration::from_millis(self.held_until_ms.load(Ordering::Relaxed));
        if now < held_until {
            return Err(WriteError::HeldBack(held_until - now));
        }
        if !apply::is_path_segment(&write.place.name) {
            return Err(WriteError::BadName(write.place.name.to_string()));
        }
        self.kind(&write.place, &write.version)
    }

    fn kind(&self, place: &Place, version: &str) -> Result<Arc<Kind>, WriteError> {
        let kind = self.kinds.borrow().get(&place.kind).cloned();
        let unserved = || WriteError::Unserved { kind: place.kind.clone(), version: version.into() };
        kind.filter(|kind| kind.version(version).is_some()).ok_or_else(unserved)
    }

    async fn refused(
        &self,
        ticket: &Ticket,
        kind: &Kind,
        write: &Write,
        error: Box<ApiError>,
    ) -> Result<Option<Arc<Object>>, WriteError> {
        let doing = Doing::from(&write.action);
        match error.class(doing) {
            Class::Stale => Err(self.look(ticket, kind, write).await),
            Class::Gone => {
                self.forget(write);
                if doing == Doing::Delete { Ok(None) } else { Err(WriteError::Stale) }
            }
            class => {
                if let Class::Busy(pause) = class {
                    let until = self.env.elapsed() + pause;
                    self.held_until_ms.fetch_max(until.as_millis() as u64, Ordering::Relaxed);
                }
                Err(WriteError::Api { doing, error })
            }
        }
    }

    /// A write met another state than the one it was decided on: brings the
    /// state that is there into the store, and says what stood in the way.
    async fn look(&self, ticket: &Ticket, kind: &Kind, write: &Write) -> WriteError {
        let live = match self.read(kind, &write.place, &write.version).await {
            Ok(live) => live,
            Err(error) => return error,
        };
        let Some(live) = live else {
            self.forget(write);
            return WriteError::Stale;
        };
        if let Some(seen) = seen(&write.action).filter(|seen| seen.uid != live.meta.uid) {
            self.store.remove(&write.place, &seen.uid);
        }
        let live = Arc::new(live);
        self.store.put(live.clone());
        if !matches!(write.action, Action::Create { .. }) {
            WriteError::Stale
        } else if !belongs(&live.meta, &ticket.key, &ticket.uid) {
            WriteError::Conflict { whose: whose(&live.meta), live }
        } else if live.meta.label(marks::PLUGIN_LABEL).is_none() {
            WriteError::Unseen(live)
        } else {
            WriteError::Stale
        }
    }

    async fn read(&self, kind: &Kind, place: &Place, version: &str) -> Result<Option<Object>, WriteError> {
        let get = request::get(&apply::path(kind, version, place));
        match request::send(&self.client, get, self.timeout).await {
            Ok(answer) => {
                let text = String::from_utf8_lossy(&answer);
                Ok(Some(Object::parse(&text, &kind.api_version(version), &place.kind.kind)?))
            }
            Err(RequestError::Api(error)) if error.class(Doing::Read) == Class::Gone => Ok(None),
            Err(RequestError::Api(error)) => Err(WriteError::Api { doing: Doing::Read, error }),
            Err(unknown) => Err(WriteError::Unknown(unknown)),
        }
    }

    fn forget(&self, write: &Write) {
        if let Some(seen) = seen(&write.action) {
            self.store.remove(&write.place, &seen.uid);
        }
    }
}

fn seen(action: &Action) -> Option<&Seen> {
    match action {
        Action::Create { .. } => None,
        Action::Apply { seen, .. }
        | Action::Delete { seen }
        | Action::Status { seen, .. }
        | Action::ClearStatus { seen }
        | Action::Metadata { seen, .. } => Some(seen),
    }
}

/// Whether what stands in the place of a child to be created is a child of the
/// same owner, now or of its predecessor that is being collected. Either way
/// the next look at the store knows what to do.
fn belongs(live: &Meta, key: &Key, owner: &Uid) -> bool {
    let lineage = live.label(marks::PLUGIN_LABEL);
    if lineage.is_some_and(|lineage| lineage != key.lineage.as_str()) {
        return false;
    }
    match (live.controller(), live.mark(marks::OWNER).and_then(OwnerMark::parse)) {
        (Some(controller), _) => {
            controller.uid == *owner
                || (GroupKind::new(&controller.api_version, &controller.kind) == key.place.kind
                    && *controller.name == *key.place.name)
        }
        (None, Some(mark)) => {
            lineage.is_some()
                && mark.kind == *key.place.kind.kind
                && mark.namespace == *key.place.namespace
                && mark.name == *key.place.name
        }
        (None, None) => false,
    }
}
