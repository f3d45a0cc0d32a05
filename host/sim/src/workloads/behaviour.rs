//! How a pod is to behave: set times, and what annotations ask for.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Settings, cluster::Cluster, object::controller};

/// How a pod fails: `crash`, `image` or `unschedulable`.
pub const FAIL: &str = "sim.trimtab.dev/fail";
/// How long a pod takes until it is ready: `2s`, `500ms`, `1m`, or `never`.
pub const READY_AFTER: &str = "sim.trimtab.dev/ready-after";
/// How long the pod of a job works once it is ready, until it has succeeded or failed.
pub const COMPLETE_AFTER: &str = "sim.trimtab.dev/complete-after";
/// How long a deleted pod takes to end, within its grace.
pub const STOP_AFTER: &str = "sim.trimtab.dev/stop-after";

const ALL: [&str; 4] = [FAIL, READY_AFTER, COMPLETE_AFTER, STOP_AFTER];

/// Longer than any run: `never`.
const NEVER: Duration = Duration::from_secs(3600 * 24 * 365);

/// What goes wrong with a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fail {
    /// Its container ends with an error: it is restarted, or the pod has failed.
    Crash,
    /// Its image cannot be pulled.
    Image,
    /// No node takes it.
    Unschedulable,
}

/// How one pod behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Behaviour {
    pub fail: Option<Fail>,
    pub ready_after: Duration,
    pub complete_after: Duration,
    pub stop_after: Duration,
}

impl Behaviour {
    /// Of a pod: each annotation counts on the pod, or else on what controls
    /// it, the nearest first. So a workload can be made to fail by annotating
    /// it, without a change of its template. What a Deployment has written onto
    /// its ReplicaSets is a copy, which stays there when it is taken away above.
    pub fn of(pod: &Value, cluster: &Cluster, settings: &Settings) -> Self {
        let is_copy = |object: &Value| object["kind"] == "ReplicaSet" && controller(object).is_some();
        let own = || cluster.lineage(pod).filter(|object| !is_copy(object));
        let annotation = |key| own().find_map(|object| object["metadata"]["annotations"][key].as_str());
        let time = |key, default| annotation(key).map_or(default, |text| duration(text).unwrap_or(default));
        Self {
            fail: annotation(FAIL).and_then(fail),
            ready_after: time(READY_AFTER, settings.ready_after),
            complete_after: time(COMPLETE_AFTER, settings.complete_after),
            stop_after: time(STOP_AFTER, settings.stop_after),
        }
    }
}

/// The annotations by which the pods of a workload are ready at once, or fail.
pub fn asked_for(ready: bool) -> Value {
    if ready { json!({ FAIL: "", READY_AFTER: "0s" }) } else { json!({ FAIL: "crash" }) }
}

/// Whether two states of an object ask for different behaviour.
pub(super) fn differs(before: &Value, after: &Value) -> bool {
    let of = |object: &Value, key: &str| object["metadata"]["annotations"][key].clone();
    ALL.iter().any(|key| of(before, key) != of(after, key))
}

fn fail(text: &str) -> Option<Fail> {
    match text {
        "crash" => Some(Fail::Crash),
        "image" => Some(Fail::Image),
        "unschedulable" => Some(Fail::Unschedulable),
        // An empty text takes back what stands further up.
        "" => None,
        other => {
            tracing::warn!(fail = other, "{FAIL} takes crash, image or unschedulable; nothing fails");
            None
        }
    }
}

fn duration(text: &str) -> Option<Duration> {
    if text == "never" {
        return Some(NEVER);
    }
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().ok()?;
    let ms = match unit {
        "ms" => number,
        "s" => number.checked_mul(1_000)?,
        "m" => number.checked_mul(60_000)?,
        _ => return None,
    };
    Some(Duration::from_millis(ms).min(NEVER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit_or_is_never() {
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("2s"), Some(Duration::from_secs(2)));
        assert_eq!(duration("1m"), Some(Duration::from_secs(60)));
        assert_eq!(duration("never"), Some(NEVER));
        for wrong in ["", "2", "s", "-1s", "1h", "99999999999999999999s"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }
}
