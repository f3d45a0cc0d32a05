//! What controllers see of their pods.

use std::cmp::Reverse;

use jiff::Timestamp;
use serde_json::Value;

use super::object::{self, text};

/// Pods that are made in one look at most, as controllers do: more come with the
/// next look, so that a slip in a number leaves time to mend it.
pub(super) const BURST_MAX: usize = 500;

/// Neither ended nor being deleted.
pub(super) fn is_active(pod: &Value) -> bool {
    !object::is_deleting(pod) && !has_ended(pod)
}

pub(super) fn has_ended(pod: &Value) -> bool {
    matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
}

fn ready_since(pod: &Value) -> Option<Timestamp> {
    let conditions = pod["status"]["conditions"].as_array()?;
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready" && condition["status"] == "True")?;
    object::time(ready, "/lastTransitionTime")
}

pub(super) fn is_ready(pod: &Value) -> bool {
    !object::is_deleting(pod) && ready_since(pod).is_some()
}

/// How many of these pods are ready, how many of them for long enough, and
/// when the next one will be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Ready {
    pub ready: i64,
    pub available: i64,
    pub next_in: Option<std::time::Duration>,
}

impl Ready {
    /// Of pods whose workload asks for `minReadySeconds`.
    pub fn of<'a>(pods: impl Iterator<Item = &'a Value>, workload: &Value, now: Timestamp) -> Self {
        let least = object::seconds(workload, "/spec/minReadySeconds").unwrap_or_default();
        let mut counted = Self::default();
        for since in pods.filter(|pod| !object::is_deleting(pod)).filter_map(ready_since) {
            counted.ready += 1;
            let left = least - now.duration_since(since);
            match std::time::Duration::try_from(left) {
                Ok(left) if !left.is_zero() => {
                    counted.next_in = Some(counted.next_in.map_or(left, |next| next.min(left)));
                }
                _ => counted.available += 1,
            }
        }
        counted
    }

    pub fn is_available(pod: &Value, workload: &Value, now: Timestamp) -> bool {
        Self::of(std::iter::once(pod), workload, now).available == 1
    }
}

/// The order in which pods are given up: those that are least of a loss first,
/// and of equals the youngest.
pub(super) fn loss(pod: &Value) -> impl Ord + use<> {
    let assigned = !text(pod, "/spec/nodeName").is_empty();
    let runs = text(pod, "/status/phase") == "Running";
    let made = text(pod, "/metadata/creationTimestamp").to_owned();
    (assigned, runs, is_ready(pod), Reverse(made), object::name(pod).to_owned())
}

/// What its first container waits for.
pub(super) fn waits_for(pod: &Value) -> Option<&str> {
    pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"].as_str()
}
