//! Watches: a place in a collection's history and what the client has been
//! told so far. Nothing is queued for a watch; it reads on when it is polled,
//! and is told 410 when it fell behind the history.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures::stream::{self, Stream};
use serde_json::json;
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, sleep_until};

use crate::kinds::Kind;
use crate::selector::{FieldSelector, LabelSelector};
use crate::server::{ApiServer, State};
use crate::status_error::ApiError;
use crate::storage::{Change, Stored, in_namespace};
use crate::view::{self, Representation};

/// How often an idle watch is told where it stands; the real server's interval.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);
/// How long a watch lives where the client does not say: the least that the
/// real server gives (`--min-request-timeout`).
const TIMEOUT_DEFAULT_SECONDS: u64 = 1800;
/// The longest life that is given: a day, so that a deadline can be computed
/// from whatever number a client sends.
const TIMEOUT_SECONDS_MAX: u64 = 86_400;

/// Which objects a request is about.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    pub namespace: Option<String>,
    pub labels: LabelSelector,
    pub fields: FieldSelector,
}

impl Filter {
    pub fn matches(&self, stored: &Stored) -> bool {
        self.labels.matches(&stored.object) && self.fields.matches(&stored.object)
    }

    fn covers(&self, key: &str) -> bool {
        self.namespace
            .as_ref()
            .is_none_or(|namespace| key.strip_prefix(namespace.as_str()).is_some_and(|rest| rest.starts_with('/')))
    }
}

/// Where a watch begins.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Start {
    /// With what exists, as additions; `marked`: and a bookmark that says that this is all.
    InitialEvents {
        marked: bool,
    },
    /// With what happens from now on.
    Now,
    After(u64),
}

#[derive(Debug, Clone)]
pub(crate) struct WatchOptions {
    pub filter: Filter,
    pub start: Start,
    pub bookmarks: bool,
    pub timeout_seconds: Option<u64>,
    pub representation: Representation,
}

/// A running watch.
pub(crate) struct Watch {
    server: ApiServer,
    kind: Arc<Kind>,
    incarnation: u64,
    filter: Filter,
    bookmarks: bool,
    representation: Representation,
    /// Everything up to this version has been told.
    seen: u64,
    changed: Receiver<u64>,
    /// What was collected when the watch began.
    first: Option<Bytes>,
    deadline: Instant,
    next_bookmark: Instant,
    over: bool,
}

impl Watch {
    pub fn start(server: ApiServer, state: &mut State, kind: Arc<Kind>, options: WatchOptions) -> Self {
        let latest = state.storage.version();
        let collection = state.storage.collection(&kind.at);
        let seconds = options.timeout_seconds.unwrap_or(TIMEOUT_DEFAULT_SECONDS).min(TIMEOUT_SECONDS_MAX);
        let now = Instant::now();
        let mut watch = Self {
            server,
            incarnation: collection.incarnation,
            changed: collection.subscribe(),
            filter: options.filter,
            bookmarks: options.bookmarks,
            representation: options.representation,
            seen: latest,
            first: None,
            deadline: now + Duration::from_secs(seconds),
            next_bookmark: now + BOOKMARK_INTERVAL,
            over: false,
            kind,
        };
        match options.start {
            Start::After(version) => watch.seen = version,
            Start::Now => {}
            Start::InitialEvents { marked } => {
                let objects = in_namespace(collection.objects(), watch.filter.namespace.as_deref());
                let mut stored: Vec<&Arc<Stored>> =
                    objects.map(|(_, stored)| stored).filter(|stored| watch.filter.matches(stored)).collect();
                stored.sort_by_key(|stored| stored.resource_version);
                let mut out = BytesMut::new();
                for stored in stored {
                    watch.write(&mut out, "ADDED", stored);
                }
                if marked {
                    watch.write_bookmark(&mut out, true);
                }
                watch.first = Some(out.freeze());
            }
        }
        watch
    }

    /// The events as lines of JSON, until the watch is over.
    pub fn into_stream(self) -> impl Stream<Item = Bytes> + Send {
        stream::unfold(self, |mut watch| async move {
            let line = watch.next().await?;
            Some((line, watch))
        })
    }

    async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take().filter(|first| !first.is_empty()) {
            return Some(first);
        }
        loop {
            if self.over {
                return None;
            }
            // Seen before reading: what is written while reading wakes us again.
            self.changed.mark_unchanged();
            let out = self.read();
            if !out.is_empty() {
                return Some(out);
            }
            if self.over {
                return None;
            }
            tokio::select! {
                biased;
                () = sleep_until(self.deadline) => self.over = true,
                changed = self.changed.changed() => self.over = changed.is_err(),
                () = sleep_until(self.next_bookmark) => {
                    self.next_bookmark += BOOKMARK_INTERVAL;
                    if let Some(out) = self.bookmark() {
                        return Some(out);
                    }
                }
            }
        }
    }

    /// What happened since the last look.
    fn read(&mut self) -> Bytes {
        let server = self.server.clone();
        let mut state = server.state();
        let latest = state.storage.version();
        let collection = state.storage.collection(&self.kind.at);
        if collection.incarnation != self.incarnation {
            self.over = true;
            return Bytes::new();
        }
        let compacted = collection.compacted();
        let mut out = BytesMut::new();
        match collection.since(self.seen) {
            None => {
                self.over = true;
                let message = format!("too old resource version: {} ({compacted})", self.seen);
                write_event(&mut out, "ERROR", &view::to_bytes(&ApiError::expired(message).to_status()));
            }
            Some(changes) => {
                for change in changes.filter(|change| self.filter.covers(&change.key)) {
                    self.write_change(&mut out, change);
                }
                // A client may ask for a version that is still to come.
                self.seen = self.seen.max(latest);
            }
        }
        out.freeze()
    }

    /// A change as this watch sees it: an object may enter or leave its selectors.
    fn write_change(&self, out: &mut BytesMut, change: &Change) {
        let before = change.before.as_ref().is_some_and(|before| self.filter.matches(before));
        let after = !change.deleted && self.filter.matches(&change.after);
        match (before, after) {
            (false, true) => self.write(out, "ADDED", &change.after),
            (true, true) => self.write(out, "MODIFIED", &change.after),
            (true, false) if change.deleted => self.write(out, "DELETED", &change.after),
            (true, false) => {
                // It left the selectors: told as it was, at the version of the change.
                if let Some(before) = &change.before {
                    let mut object = before.object.clone();
                    object["metadata"]["resourceVersion"] = change.resource_version.to_string().into();
                    let left = Stored { resource_version: change.resource_version, object, rendered: None.into() };
                    self.write(out, "DELETED", &Arc::new(left));
                }
            }
            (false, false) => {}
        }
    }

    fn write(&self, out: &mut BytesMut, event: &str, stored: &Arc<Stored>) {
        write_event(out, event, &view::text(&self.kind, stored, self.representation));
    }

    fn bookmark(&self) -> Option<Bytes> {
        self.bookmarks.then(|| {
            let mut out = BytesMut::new();
            self.write_bookmark(&mut out, false);
            out.freeze()
        })
    }

    fn write_bookmark(&self, out: &mut BytesMut, initial_events_end: bool) {
        let mut metadata = json!({ "resourceVersion": self.seen.to_string() });
        if initial_events_end {
            metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        let object = match self.representation {
            Representation::Whole => {
                json!({ "kind": self.kind.kind, "apiVersion": self.kind.api_version(), "metadata": metadata })
            }
            Representation::Metadata => view::metadata_only(&json!({ "metadata": metadata })),
        };
        write_event(out, "BOOKMARK", &view::to_bytes(&object));
    }
}

/// `type` stands before `object`, so that a client need not buffer.
fn write_event(out: &mut BytesMut, event: &str, object: &[u8]) {
    out.reserve(event.len() + object.len() + 24);
    out.put_slice(b"{\"type\":\"");
    out.put_slice(event.as_bytes());
    out.put_slice(b"\",\"object\":");
    out.put_slice(object);
    out.put_slice(b"}\n");
}
