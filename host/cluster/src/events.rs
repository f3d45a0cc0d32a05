//! Kubernetes Events: told by anyone, counted together where they repeat, and
//! written by one task. They are for people and may be lost: what cannot be
//! kept or written is dropped and counted, never waited for by who tells it.

mod aggregate;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::Method;
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use trimtab_core::{
    api_error::{Class, Doing},
    env::Env,
    id::{InstanceId, Lineage, Place, Uid, join_api_version},
    object::Meta,
};

use self::aggregate::{Aggregate, Due};
use crate::{
    gate::Lock,
    request::{self, RequestError},
    time::micro_time,
};

/// Notes that wait for the task that writes them: at some 5 ms each, what it
/// writes in five seconds, the longest that one request may hold it up.
const WAITING_MAX: usize = 1024;
/// The longest note and reason that the API takes.
const NOTE_BYTES_MAX: usize = 1024;
const REASON_BYTES_MAX: usize = 128;
/// For one request: as for all that the gate writes.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Between looks for what has repeated and is to be written again.
const SWEEP: Duration = Duration::from_secs(10);

/// One thing that happened to one object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    place: Place,
    version: Arc<str>,
    uid: Uid,
    lineage: Lineage,
    instance: InstanceId,
    warning: bool,
    reason: String,
    message: String,
}

impl Note {
    /// What happened to `object` while `lineage` served it in `instance`.
    /// `reason` is one CamelCase word; `message` is for people.
    pub fn new(
        object: &Meta,
        lineage: &Lineage,
        instance: &InstanceId,
        warning: bool,
        reason: &str,
        message: &str,
    ) -> Self {
        let shortened = |text: &str, bytes_max| text[..text.floor_char_boundary(bytes_max)].to_owned();
        Self {
            place: object.place.clone(),
            version: object.version.clone(),
            uid: object.uid.clone(),
            lineage: lineage.clone(),
            instance: instance.clone(),
            warning,
            reason: shortened(reason, REASON_BYTES_MAX),
            message: shortened(message, NOTE_BYTES_MAX),
        }
    }

    /// Events of what is in no namespace lie in the default one.
    fn namespace(&self) -> &str {
        if self.place.namespace.is_empty() { "default" } else { &self.place.namespace }
    }
}

enum Message {
    Note(Note),
    Flush(oneshot::Sender<()>),
}

/// The Events of one cluster.
pub struct Events {
    client: Client,
    lock: Arc<dyn Lock>,
    env: Arc<dyn Env>,
    identity: String,
    messages: mpsc::Sender<Message>,
    /// Taken by [`Events::run`].
    waiting: Mutex<Option<mpsc::Receiver<Message>>>,
    dropped: AtomicU64,
}

impl Events {
    /// Nothing is written before [`Events::run`], nor for an instance that
    /// `lock` does not let be written for. `identity` names this process.
    pub fn new(client: Client, lock: Arc<dyn Lock>, env: Arc<dyn Env>, identity: &str) -> Arc<Self> {
        let (messages, waiting) = mpsc::channel(WAITING_MAX);
        let identity = identity[..identity.floor_char_boundary(REASON_BYTES_MAX)].to_owned();
        let waiting = Mutex::new(Some(waiting));
        Arc::new(Self { client, lock, env, identity, messages, waiting, dropped: AtomicU64::new(0) })
    }

    /// Tells of something, without waiting.
    pub fn publish(&self, note: Note) {
        if self.messages.try_send(Message::Note(note)).is_err() {
            self.drop_one();
        }
    }

    /// Waits until what was published before is written or dropped. Give it a
    /// limit in time from outside.
    pub async fn flush(&self) {
        let (done, written) = oneshot::channel();
        if self.messages.send(Message::Flush(done)).await.is_ok() {
            // An error means that the task has ended: nothing is written any more.
            let _ = written.await;
        }
    }

    /// How many notes were never written.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Writes until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut waiting) = waiting else { return };
        let mut aggregate = Aggregate::default();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                message = waiting.recv() => match message {
                    Some(Message::Note(note)) => self.note(&mut aggregate, note).await,
                    Some(Message::Flush(done)) => {
                        self.write_all(aggregate.due(Duration::MAX)).await;
                        // Whoever asked may have given up.
                        let _ = done.send(());
                    }
                    None => return,
                },
                () = tokio::time::sleep(SWEEP) => self.write_all(aggregate.due(self.env.elapsed())).await,
            }
        }
    }

    async fn note(&self, aggregate: &mut Aggregate, note: Note) {
        let (now, wall) = (self.env.elapsed(), self.env.wall());
        let name = event_name(&note.place.name, self.env.random());
        match aggregate.take(note.clone(), name, now, wall) {
            Ok(Some(due)) => {
                if !self.write(&due).await {
                    // The next of its kind is a first one again.
                    aggregate.forget(&note);
                }
            }
            Ok(None) => {}
            Err(aggregate::Full) => self.drop_one(),
        }
        self.write_all(aggregate.due(now)).await;
    }

    async fn write_all(&self, due: Vec<Due>) {
        for due in due {
            self.write(&due).await;
        }
    }

    /// Writes one Event, and says whether it is there now.
    async fn write(&self, due: &Due) -> bool {
        if !self.lock.holds(&due.note.instance, self.env.elapsed()) {
            self.drop_one();
            return false;
        }
        let path = format!("/apis/events.k8s.io/v1/namespaces/{}/events", request::encoded(due.note.namespace()));
        let request = if due.count == 1 {
            request::build(Method::POST, &path, "application/json", &self.first(due))
        } else {
            let path = format!("{path}/{}", request::encoded(&due.name));
            request::build(Method::PATCH, &path, "application/merge-patch+json", &series(due))
        };
        let Err(error) = request::send(&self.client, request, TIMEOUT).await else { return true };
        self.drop_one();
        self.failed(&due.note, &error).await;
        false
    }

    async fn failed(&self, note: &Note, error: &RequestError) {
        let class = match error {
            RequestError::Api(error) => error.class(Doing::Create),
            RequestError::TimedOut(_) | RequestError::Unreachable(_) => Class::Retry,
        };
        if !class.is_quiet() {
            tracing::debug!(place = %note.place, reason = note.reason, %error, "an Event was not written");
        }
        if let Class::Busy(pause) = class {
            // Meanwhile notes wait, and are dropped where there are too many.
            tokio::time::sleep(pause).await;
        }
    }

    fn first(&self, due: &Due) -> Value {
        let note = &due.note;
        json!({
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": { "name": due.name, "namespace": note.namespace() },
            "eventTime": micro_time(due.last),
            "type": if note.warning { "Warning" } else { "Normal" },
            "action": "Reconcile",
            "reason": note.reason,
            "note": note.message,
            "reportingController": note.lineage.finalizer(),
            "reportingInstance": self.identity,
            "regarding": {
                "apiVersion": join_api_version(&note.place.kind.group, &note.version),
                "kind": *note.place.kind.kind,
                "namespace": *note.place.namespace,
                "name": *note.place.name,
                "uid": note.uid.as_str(),
            },
        })
    }

    fn drop_one(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

fn series(due: &Due) -> Value {
    json!({ "series": { "count": due.count, "lastObservedTime": micro_time(due.last) } })
}

/// The object's name, where a name may begin with it, and a number.
fn event_name(object: &str, random: u64) -> String {
    const BYTES_MAX: usize = 253 - 17;
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    let name = object[..object.floor_char_boundary(BYTES_MAX)].trim_matches(['-', '.']);
    let name = if !name.is_empty() && name.chars().all(valid) { name } else { "trimtab" };
    format!("{name}.{random:016x}")
}
