//! The latest calls, as they were: always on, in so many bytes. Kept in memory as
//! they are; made a document, without the values of secrets, only for who asks.
//!
//! Failures have half of the bytes for themselves, so that no flood of good calls
//! pushes them out. In each half a key's latest call is the last to go: first goes
//! what is the oldest of those that have a later one.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
};

use serde::Serialize;
use trimtab_core::id::Key;
use trimtab_wasm::{Called, Ending, Outcome, Record, RedactionKey, Request, Response};

use crate::gather::Job;

/// The latest calls of one process.
pub struct Calls {
    state: Mutex<State>,
    redaction: RedactionKey,
}

struct State {
    next: u64,
    good: Half,
    failed: Half,
}

/// Good calls, or failures.
struct Half {
    calls: BTreeMap<u64, Arc<Kept>>,
    /// The latest of each key.
    latest: BTreeMap<Key, u64>,
    /// All others.
    superseded: BTreeSet<u64>,
    bytes: usize,
    limit_bytes: usize,
}

/// One call.
struct Kept {
    key: Key,
    record: Arc<Record>,
    config_is_secret: bool,
    bytes: usize,
}

/// One call, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallView {
    /// What it is asked for by; growing.
    pub id: u64,
    /// When: RFC 3339.
    pub at: String,
    /// The file that was called, without its ending.
    pub plugin: String,
    /// `Kind.group`
    pub kind: String,
    /// Empty for cluster-scoped objects.
    pub namespace: String,
    /// Of the object.
    pub name: String,
    /// `Answered`, or why there is no answer, in one word.
    pub outcome: String,
    /// The whole reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What it takes in memory.
    pub bytes: usize,
}

impl Calls {
    /// None yet, and never more than so many bytes.
    pub fn new(limit_bytes: usize) -> Self {
        let half = || Half {
            calls: BTreeMap::new(),
            latest: BTreeMap::new(),
            superseded: BTreeSet::new(),
            bytes: 0,
            limit_bytes: limit_bytes / 2,
        };
        Self { state: Mutex::new(State { next: 1, good: half(), failed: half() }), redaction: RedactionKey::random() }
    }

    /// Keeps a call, of which it takes the tape.
    pub fn keep(&self, key: &Key, job: &Job, request: Request, called: &mut Called<Response>) -> Arc<Record> {
        let loaded = &job.generation.loaded;
        let record = Record::new(loaded.slot.stem.as_str(), loaded.identity.to_string(), request, called);
        let record = Arc::new(record);
        self.put(key, record.clone(), loaded.has_secret_config());
        record
    }

    /// The same call without the values of secrets, as all others here are told.
    pub fn redacted(&self, record: &Record, config_is_secret: bool) -> Record {
        record.redacted(&self.redaction, config_is_secret)
    }

    fn put(&self, key: &Key, record: Arc<Record>, config_is_secret: bool) {
        let bytes = record.bytes();
        let failed = is_failure(&record.ending);
        let kept = Arc::new(Kept { key: key.clone(), record, config_is_secret, bytes });
        let mut state = self.state();
        let id = state.next;
        state.next += 1;
        let half = if failed { &mut state.failed } else { &mut state.good };
        half.put(id, kept);
    }

    /// All that are kept, the latest first.
    pub fn list(&self) -> Vec<CallView> {
        let state = self.state();
        let calls = state.good.calls.iter().chain(&state.failed.calls);
        let calls = calls.map(|(id, kept)| (*id, kept.clone())).collect::<BTreeMap<_, _>>();
        drop(state);
        calls.into_iter().rev().map(|(id, kept)| kept.view(id, &self.redaction)).collect()
    }

    /// The document of one, without the values of secrets or with them.
    pub fn document(&self, id: u64, unredacted: bool) -> Option<String> {
        let state = self.state();
        let kept = state.good.calls.get(&id).or_else(|| state.failed.calls.get(&id))?.clone();
        drop(state);
        Some(if unredacted { kept.record.text() } else { kept.redacted(&self.redaction).text() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }
}

/// Waiting is no failure.
fn is_failure(ending: &Ending) -> bool {
    match ending {
        Ending::Answered(_) => false,
        Ending::Failed(failure) => failure.outcome != Outcome::Waiting,
        Ending::Stopped { reason, .. } => reason != "Waiting",
    }
}

impl Half {
    fn put(&mut self, id: u64, kept: Arc<Kept>) {
        if kept.bytes > self.limit_bytes {
            tracing::debug!(key = %kept.key, bytes = kept.bytes, "the call is too large to be kept");
            return;
        }
        if let Some(before) = self.latest.insert(kept.key.clone(), id) {
            self.superseded.insert(before);
        }
        self.bytes += kept.bytes;
        self.calls.insert(id, kept);
        while self.bytes > self.limit_bytes {
            let oldest = self.superseded.pop_first().or_else(|| self.calls.keys().next().copied());
            self.remove(oldest.expect("what it holds is of some call"));
        }
    }

    fn remove(&mut self, id: u64) {
        let Some(kept) = self.calls.remove(&id) else { return };
        self.bytes -= kept.bytes;
        if self.latest.get(&kept.key) == Some(&id) {
            self.latest.remove(&kept.key);
        }
    }
}

impl Kept {
    fn redacted(&self, key: &RedactionKey) -> Record {
        self.record.redacted(key, self.config_is_secret)
    }

    fn view(&self, id: u64, key: &RedactionKey) -> CallView {
        let (outcome, message) = match &self.record.ending {
            Ending::Answered(_) => ("Answered".to_owned(), None),
            // What it says may quote what it was given.
            Ending::Failed(_) | Ending::Stopped { .. } => match self.redacted(key).ending {
                Ending::Failed(failure) => (format!("{:?}", failure.outcome), Some(failure.message)),
                Ending::Stopped { reason, message } => (reason, Some(message)),
                Ending::Answered(_) => ("Answered".to_owned(), None),
            },
        };
        let place = &self.key.place;
        CallView {
            id,
            at: self.record.request.now.as_ref().to_owned(),
            plugin: self.record.plugin.clone(),
            kind: place.kind.to_string(),
            namespace: place.namespace.to_string(),
            name: place.name.to_string(),
            outcome,
            message,
            bytes: self.bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use trimtab_core::id::{Cluster, GroupKind, Lineage, Place};
    use trimtab_wasm::{CallError, Cost, Log, Tape};

    use super::*;

    fn key(name: &str) -> Key {
        let kind = GroupKind::new("v1", "ConfigMap");
        let place = Place { kind, namespace: "default".into(), name: name.into() };
        Key { cluster: Cluster::local(), place, lineage: Lineage::new("x").unwrap() }
    }

    fn record(text: &str, outcome: Result<Response, CallError>) -> Arc<Record> {
        let request = Request {
            cluster: "".into(),
            instance_id: None,
            now: "2026-01-02T03:04:05Z".into(),
            config: "{}".into(),
            object: text.into(),
            children: vec![],
            finalizing: false,
            extra: "{}".into(),
        };
        let (tape, log, cost) = (Tape::default(), Log::default(), Cost::default());
        let mut called = Called { outcome, looked_up: BTreeMap::new(), tape, log, connections_denied: 0, cost };
        Record::new("x", "1".into(), request, &mut called).into()
    }

    fn good(text: &str) -> Arc<Record> {
        record(text, Ok(Response::default()))
    }

    fn names(calls: &Calls) -> Vec<String> {
        calls.list().into_iter().map(|call| call.name).collect()
    }

    /// Bytes for so many small calls of each half.
    fn calls_for(calls: usize) -> Calls {
        Calls::new(2 * calls * good("{}").bytes() + 1)
    }

    #[test]
    fn a_keys_latest_call_goes_after_all_that_have_a_later_one() {
        let calls = calls_for(3);
        for name in ["a", "b", "b", "b", "b"] {
            calls.put(&key(name), good("{}"), false);
        }
        assert_eq!(names(&calls), ["b", "b", "a"]);
        for name in ["c", "d"] {
            calls.put(&key(name), good("{}"), false);
        }
        assert_eq!(names(&calls), ["d", "c", "b"], "then the oldest goes");
    }

    #[test]
    fn good_calls_push_no_failure_out_and_waiting_is_none() {
        let calls = calls_for(2);
        calls.put(&key("failed"), record("{}", Err(CallError::Host("no".into()))), false);
        for round in 0..10 {
            calls.put(&key(&format!("good-{round}")), good("{}"), false);
        }
        calls.put(&key("waits"), record("{}", Err(CallError::Waiting { why: "x".into() })), false);
        let names = names(&calls);
        assert!(names.contains(&"failed".to_owned()) && names.len() <= 3, "{names:?}");
        assert_eq!(calls.list().last().map(|call| call.outcome.clone()).as_deref(), Some("NotCalled"));
    }

    #[test]
    fn what_is_kept_never_takes_more_than_it_may() {
        let calls = calls_for(4);
        for round in 0..100_usize {
            calls.put(&key(&format!("{}", round % 7)), good(&"x".repeat(round * 37 % 3000)), false);
            let state = calls.state();
            assert!(state.good.bytes <= state.good.limit_bytes);
            assert_eq!(state.good.bytes, state.good.calls.values().map(|kept| kept.bytes).sum::<usize>());
            let known = |id: &u64| state.good.calls.contains_key(id);
            assert!(state.good.latest.values().all(known) && state.good.superseded.iter().all(known));
        }
        calls.put(&key("large"), good(&"x".repeat(1 << 20)), false);
        assert!(!names(&calls).contains(&"large".to_owned()));
        assert_eq!(calls.document(u64::MAX, false), None);
    }
}
