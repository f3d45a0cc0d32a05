//! Watches: a place in a collection's history and what the client has been
//! told so far. Nothing is queued for a watch; it reads on when it is polled,
//! and is told 410 when it fell behind the history.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures::stream::{self, Stream};
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::field_selector::FieldSelector;
use crate::kinds::Kind;
use crate::selector::LabelSelector;
use crate::server::{ApiServer, State};
use crate::status_error::ApiError;
use crate::storage::{Change, Stored, in_namespace};
use crate::table::Printer;
use crate::view::{self, Representation};

/// How often an idle watch is told where it stands; the real server's interval.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);
/// How long before its end a watch is told once more, so that the next one can
/// go on from there.
const BOOKMARK_BEFORE_END: Duration = Duration::from_secs(2);
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
        (self.labels.is_empty() || self.labels.matches(&stored.labels()))
            && self.fields.matches(&stored.key, || stored.object())
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
    /// With what exists, as additions, and where bookmarks are wanted, with one
    /// that says that this is all.
    InitialEvents {
        at_least: u64,
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
    /// A table's columns have been told.
    has_columns: bool,
    /// Everything up to this version has been told.
    seen: u64,
    changed: Arc<Notify>,
    /// What was collected when the watch began.
    first: Option<Bytes>,
    deadline: Instant,
    /// None where the end is too near for another.
    next_bookmark: Option<Instant>,
    over: bool,
}

impl Watch {
    pub fn start(server: ApiServer, state: &mut State, kind: Arc<Kind>, options: WatchOptions) -> Self {
        let latest = state.storage.version();
        let time = state.now;
        let collection = state.storage.collection(kind.place());
        let seconds = options.timeout_seconds.unwrap_or(TIMEOUT_DEFAULT_SECONDS).min(TIMEOUT_SECONDS_MAX);
        let now = Instant::now();
        let mut watch = Self {
            server,
            incarnation: collection.incarnation,
            changed: collection.changed(),
            filter: options.filter,
            bookmarks: options.bookmarks,
            representation: options.representation,
            has_columns: false,
            seen: latest,
            first: None,
            deadline: now + Duration::from_secs(seconds),
            next_bookmark: None,
            over: false,
            kind,
        };
        watch.next_bookmark = watch.bookmark_after(now);
        match options.start {
            Start::After(version) => watch.seen = version,
            Start::Now => {}
            Start::InitialEvents { at_least } if at_least > latest => {
                let mut out = BytesMut::new();
                let error = ApiError::too_new(at_least, latest);
                write_event(&mut out, "ERROR", &view::to_bytes(&error.to_status()));
                watch.first = Some(out.freeze());
                watch.over = true;
            }
            Start::InitialEvents { .. } => {
                let objects = in_namespace(collection.objects(), watch.filter.namespace.as_deref());
                let mut stored: Vec<&Arc<Stored>> = objects.filter(|stored| watch.filter.matches(stored)).collect();
                stored.sort_by_key(|stored| stored.resource_version);
                let mut out = BytesMut::new();
                for stored in stored {
                    watch.write(&mut out, "ADDED", stored, time);
                }
                if watch.bookmarks {
                    watch.write_bookmark(&mut out, true, time);
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
            // Made before reading: what is written while reading wakes us again.
            let changed = Arc::clone(&self.changed).notified_owned();
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
                () = changed => {}
                () = sleep_until(self.next_bookmark.unwrap_or(self.deadline)) => {
                    self.next_bookmark = self.next_bookmark.and_then(|at| self.bookmark_after(at));
                    return Some(self.bookmark());
                }
            }
        }
    }

    /// What happened since the last look.
    fn read(&mut self) -> Bytes {
        let server = self.server.clone();
        let mut state = server.state();
        let (latest, now) = (state.storage.version(), state.now);
        let collection = state.storage.collection(self.kind.place());
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
                for change in changes {
                    if self.filter.covers(&change.after.key) {
                        self.write_change(&mut out, change, now);
                    }
                }
                // A client may ask for a version that is still to come.
                self.seen = self.seen.max(latest);
            }
        }
        out.freeze()
    }

    /// A change as this watch sees it: an object may enter or leave its selectors.
    fn write_change(&mut self, out: &mut BytesMut, change: &Change, now: Timestamp) {
        let before = change.before.as_ref().is_some_and(|before| self.filter.matches(before));
        let after = !change.deleted && self.filter.matches(&change.after);
        match (before, after) {
            (false, true) => self.write(out, "ADDED", &change.after, now),
            (true, true) => self.write(out, "MODIFIED", &change.after, now),
            (true, false) if change.deleted => self.write(out, "DELETED", &change.after, now),
            (true, false) => {
                // It left the selectors: told as it was, at the version of the change.
                if let Some(before) = &change.before {
                    let mut object = before.object();
                    object["metadata"]["resourceVersion"] = change.resource_version.to_string().into();
                    let left = Stored::new(Arc::clone(&before.at), &before.key, change.resource_version, &object);
                    self.write(out, "DELETED", &left, now);
                }
            }
            (false, false) => {}
        }
    }

    fn write(&mut self, out: &mut BytesMut, event: &str, stored: &Stored, now: Timestamp) {
        let text = match self.printer(now) {
            Some(printer) => printer.one(&view::of(&self.kind, stored), !self.has_columns),
            None => view::text(&self.kind, stored, self.representation, now),
        };
        self.has_columns = true;
        write_event(out, event, &text);
    }

    /// Set where the events are tables.
    fn printer(&self, now: Timestamp) -> Option<Printer<'_>> {
        match self.representation {
            Representation::Table(version, row_object) => Some(Printer { kind: &self.kind, version, row_object, now }),
            _ => None,
        }
    }

    fn bookmark(&mut self) -> Bytes {
        let now = self.server.state().now;
        let mut out = BytesMut::new();
        self.write_bookmark(&mut out, false, now);
        out.freeze()
    }

    /// When the next bookmark is due; none where they are not wanted.
    fn bookmark_after(&self, last: Instant) -> Option<Instant> {
        let before_end = self.deadline.checked_sub(BOOKMARK_BEFORE_END)?;
        let next = before_end.min(last + BOOKMARK_INTERVAL);
        (self.bookmarks && next > last).then_some(next)
    }

    fn write_bookmark(&mut self, out: &mut BytesMut, initial_events_end: bool, now: Timestamp) {
        let mut metadata = json!({ "resourceVersion": self.seen.to_string() });
        if initial_events_end {
            metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        let object = json!({ "kind": self.kind.kind, "apiVersion": self.kind.api_version(), "metadata": metadata });
        let text = match (self.printer(now), self.representation) {
            (Some(printer), _) => printer.one(&object, !self.has_columns),
            (None, Representation::Metadata(version)) => view::to_bytes(&view::metadata_only(&object, version)),
            _ => view::to_bytes(&object),
        };
        self.has_columns = true;
        write_event(out, "BOOKMARK", &text);
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
