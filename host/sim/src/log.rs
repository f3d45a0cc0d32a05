//! What went over the wires of a world, in the order in which the API decided it.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::Method;
use trimtab_core::hash::Hash;

/// One request of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The age of the world when it reached the API, or was lost.
    pub at: Duration,
    /// The number of the host process.
    pub process: u32,
    /// What was asked.
    pub method: Method,
    /// Of what: path and query.
    pub path: String,
    /// With which body.
    pub body: Hash,
    /// The API's answer; none where the request never reached it.
    pub status: Option<u16>,
}

impl Entry {
    /// Whether it may change anything.
    pub fn writes(&self) -> bool {
        writes(&self.method)
    }

    /// The request in the words of a person: when, who, what and the answer, but
    /// for managers, preconditions and other queries.
    pub fn in_short(&self) -> String {
        let place = self.path.split('?').next().unwrap_or_default();
        let answer = self.status.map_or_else(|| "lost".to_owned(), |status| status.to_string());
        format!("{:>9.3} s  host {}  {} {place}: {answer}", self.at.as_secs_f64(), self.process, self.method)
    }

    /// The plural name of what it watches, if it is a watch.
    pub fn watches(&self) -> Option<&str> {
        let (place, query) = self.path.split_once('?')?;
        query.contains("watch=true").then(|| place.rsplit('/').next().unwrap_or_default())
    }

    /// Whether it is about an Event.
    pub fn is_about_an_event(&self) -> bool {
        self.path.starts_with("/apis/events.k8s.io/")
    }

    /// Whether it is about a Lease.
    pub fn is_about_a_lease(&self) -> bool {
        is_about_a_lease(&self.path)
    }
}

pub(crate) fn writes(method: &Method) -> bool {
    method != Method::GET
}

pub(crate) fn is_about_a_lease(path: &str) -> bool {
    path.starts_with("/apis/coordination.k8s.io/")
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, process, method, path, status, .. } = self;
        let status = status.map_or_else(|| "lost".to_owned(), |status| status.to_string());
        write!(f, "{:>12.6} s  host {process}  {status:>4}  {method} {path}", at.as_secs_f64())
    }
}

/// All requests of all hosts of a world. It grows with the run and is for runs
/// of some simulated hours: an hour is about ten thousand requests.
#[derive(Debug, Default)]
pub struct Log(Mutex<Vec<Entry>>);

impl Log {
    pub(crate) fn add(&self, entry: Entry) {
        tracing::trace!("{entry}");
        self.lock().push(entry);
    }

    /// All entries.
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().clone()
    }

    /// The writes but those of Leases that were made at `since` or later.
    pub fn writes_since(&self, since: Duration) -> Vec<Entry> {
        let entries = self.lock();
        let from = entries.partition_point(|entry| entry.at < since);
        entries[from..].iter().filter(|entry| entry.writes() && !entry.is_about_a_lease()).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        // No caller's code runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
