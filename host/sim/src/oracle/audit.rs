//! Rules that hold for each single write of a host, whatever goes wrong:
//!
//! - Whoever sends a write for an instance leads it by the API's own order: his
//!   last renewal has reached the API within the deadline, and no other host
//!   has taken the Lease since.
//! - What is not ours keeps all but its status and its metadata. What belongs to
//!   nobody may become ours, where a policy says that its kind is adopted, and what
//!   another controller made under an owner of ours, where it is inherited.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::Value;
use trimtab_core::{election::Timings, marks};

/// How much longer than its deadline a leader may believe to lead: its clock
/// may be slow by a hundredth.
const CLOCK_RATE_PARTS: u32 = 100;

/// The Lease of one instance, as the API has it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Held {
    /// The process that holds it; none: nobody or a stranger.
    holder: Option<u32>,
    /// When a write of a process that held it last reached the API.
    confirmed: BTreeMap<u32, Duration>,
    /// When it was deleted by somebody else: who starts then may make it at
    /// once, which an election does not rule out.
    deleted: Option<Duration>,
}

/// The Leases of all instances at one moment.
pub(crate) type Leases = BTreeMap<String, Held>;

/// Watches all writes of a world.
#[derive(Default)]
pub(crate) struct Audit(Mutex<State>);

#[derive(Default)]
struct State {
    leases: Leases,
    broken: Option<String>,
}

/// One write of a host that the API has accepted.
pub(crate) struct Accepted<'a> {
    pub process: u32,
    pub place: &'a str,
    /// When it was sent.
    pub sent: Duration,
    /// The Leases then.
    pub leases: &'a Leases,
    /// What was sent.
    pub body: &'a Value,
    /// Whether a policy adopts what is of its kind.
    pub adopted: bool,
    /// Whether a policy inherits what is of its kind.
    pub inherited: bool,
    /// What was there before.
    pub before: Option<&'a Value>,
    /// What is there now.
    pub after: Option<&'a Value>,
}

impl Audit {
    /// The Leases as they are.
    pub fn leases(&self) -> Leases {
        self.state().leases.clone()
    }

    /// The first rule that was broken.
    pub fn broken(&self) -> Option<String> {
        self.state().broken.clone()
    }

    /// A host's write of a Lease was accepted.
    pub fn lease_written(&self, process: u32, lease: &Value, now: Duration) {
        let state = &mut *self.state();
        let held = state.leases.entry(instance_of_lease(lease)).or_default();
        if lease["spec"]["holderIdentity"].is_string() {
            held.holder = Some(process);
            held.confirmed.insert(process, now);
        } else {
            held.holder = None;
            held.confirmed.remove(&process);
        }
    }

    /// Somebody else has written or deleted a Lease.
    pub fn lease_lost(&self, lease: &Value, deleted: bool, now: Duration) {
        let state = &mut *self.state();
        let held = state.leases.entry(instance_of_lease(lease)).or_default();
        held.holder = None;
        if deleted {
            held.deleted = Some(now);
        }
    }

    /// Holds a write to the rules.
    pub fn accepted(&self, write: &Accepted<'_>) {
        let broken = [leads(write), spares_others(write)].into_iter().find_map(Result::err);
        if let Some(why) = broken {
            let Accepted { process, place, sent, .. } = write;
            let why = format!("host {process} wrote {place}, sent at {:.3} s: {why}", sent.as_secs_f64());
            self.state().broken.get_or_insert(why);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is complete before the guard goes.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn instance_of_lease(lease: &Value) -> String {
    lease["metadata"]["annotations"][marks::INSTANCE_LABEL].as_str().unwrap_or_default().to_owned()
}

fn leads(write: &Accepted<'_>) -> Result<(), String> {
    match instance_of(write) {
        Some(instance) => leads_instance(write, instance),
        // A child of an object that may have moved since: whoever leads may be right.
        None => {
            let all = write.leases.keys().map(|instance| leads_instance(write, instance)).collect::<Vec<_>>();
            if all.iter().any(Result::is_ok) { Ok(()) } else { all.into_iter().collect() }
        }
    }
}

/// For which instance a write was made, where it can be told: an apply says it
/// itself, what is let go was held by it, a canary's objects are moved by who leads where
/// they come from, and what else is written of an object was
/// decided on the object's mark.
fn instance_of<'a>(write: &Accepted<'a>) -> Option<&'a str> {
    let label = |object: &'a Value| object["metadata"]["labels"][marks::INSTANCE_LABEL].as_str().unwrap_or_default();
    if write.body["kind"].is_string() && write.body["metadata"]["labels"].is_object() {
        return Some(label(write.body));
    }
    let both = write.before.zip(write.after);
    if let Some(home) = both.and_then(|(before, after)| moved_by_canary(before, after)) {
        return Some(home);
    }
    let let_go = both.and_then(|(before, after)| let_go(before, after));
    let_go.or_else(|| write.before.filter(|before| !is_marked(before)).map(label))
}

/// Where an object came from that a canary moves: that is set, changed and taken off with
/// the move alone.
fn moved_by_canary<'a>(before: &'a Value, after: &'a Value) -> Option<&'a str> {
    let [was, is] = [before, after].map(|object| object["metadata"]["annotations"][marks::CANARY].as_str());
    let mark = is.or(was).filter(|_| was != is)?;
    let (_, from) = mark.split_once(r#""from":""#)?;
    Some(from.split_once('"')?.0)
}

/// The instance that held an object, and does no more.
fn let_go<'a>(before: &'a Value, after: &Value) -> Option<&'a str> {
    let mut labels = before["metadata"]["labels"].as_object()?.iter();
    let stays = |name: &String| after["metadata"]["labels"].get(name).is_some();
    labels.find(|(name, _)| name.starts_with(marks::HOLD_PREFIX) && !stays(name))?.1.as_str()
}

fn leads_instance(write: &Accepted<'_>, instance: &str) -> Result<(), String> {
    let Accepted { process, sent, leases, .. } = write;
    let held = leases.get(instance).ok_or_else(|| format!("nobody ever led instance {instance:?}"))?;
    let timings = Timings::default();
    let deadline = timings.renew_deadline + timings.renew_deadline / CLOCK_RATE_PARTS;
    let confirmed = held.confirmed.get(process);
    if confirmed.is_none_or(|confirmed| *confirmed + deadline < *sent) {
        return Err(format!("its Lease of instance {instance:?} was over: {held:?}"));
    }
    let unruly = held.deleted.is_some_and(|deleted| deleted + timings.lease + timings.retry >= *sent);
    match held.holder {
        Some(other) if other != *process && !unruly => Err(format!("host {other} led instance {instance:?}")),
        _ => Ok(()),
    }
}

fn spares_others(write: &Accepted<'_>) -> Result<(), String> {
    let Some(before) = write.before.filter(|before| !is_marked(before)) else { return Ok(()) };
    let Some(after) = write.after else {
        // Whoever takes the last finalizer away ends what somebody else has asked for.
        let asked_for = before["metadata"]["deletionTimestamp"].is_string();
        let inherited = write.inherited && controller(before).is_some();
        return if asked_for || inherited { Ok(()) } else { Err("it was not ours to delete".to_owned()) };
    };
    let taken = match controller(before) {
        None => write.adopted,
        owner => write.inherited && owner == controller(after),
    };
    if taken && is_marked(after) {
        return Ok(());
    }
    let fields = [before, after].into_iter().filter_map(Value::as_object).flat_map(serde_json::Map::keys);
    let ours = |field: &str| ["metadata", "status"].contains(&field);
    match fields.into_iter().find(|field| !ours(field) && before.get(field) != after.get(field)) {
        Some(field) => Err(format!("its {field} was not ours to change")),
        None => Ok(()),
    }
}

/// The uid of an object's controller.
fn controller(object: &Value) -> Option<&Value> {
    let mut owners = object["metadata"]["ownerReferences"].as_array()?.iter();
    owners.find(|owner| owner["controller"] == true).map(|owner| &owner["uid"])
}

/// Whether an object says that a plugin made it.
fn is_marked(object: &Value) -> bool {
    let metadata = &object["metadata"];
    metadata["labels"][marks::PLUGIN_LABEL].is_string() || metadata["annotations"][marks::OWNER].is_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn lease(instance: &str, holder: Option<&str>) -> Value {
        json!({ "metadata": { "annotations": { marks::INSTANCE_LABEL: instance } }, "spec": { "holderIdentity": holder } })
    }

    /// What is said of a write of `process` at `sent_s` that made `after` of `before`.
    fn said(audit: &Audit, process: u32, sent_s: u32, before: &Value, after: Option<&Value>) -> Option<String> {
        let leases = audit.leases();
        let body = json!({});
        let (sent, before) = (SECOND * sent_s, Some(before));
        audit.accepted(&Accepted {
            process,
            place: "/a",
            sent,
            leases: &leases,
            body: &body,
            adopted: false,
            inherited: false,
            before,
            after,
        });
        audit.broken()
    }

    /// What is said of a status that `process` writes at `sent_s`.
    fn said_of_status(audit: &Audit, process: u32, sent_s: u32, instance: &str) -> Option<String> {
        let object = json!({ "metadata": { "labels": { marks::INSTANCE_LABEL: instance } } });
        said(audit, process, sent_s, &object, Some(&object))
    }

    fn led() -> Audit {
        let audit = Audit::default();
        audit.lease_written(1, &lease("", Some("host-1")), SECOND);
        audit
    }

    #[test]
    fn a_leader_writes_until_its_deadline_and_for_its_instance_only() {
        assert_eq!(said_of_status(&led(), 1, 11, ""), None);
        assert!(said_of_status(&led(), 1, 12, "").is_some());
        assert!(said_of_status(&led(), 2, 2, "").is_some());
        assert!(said_of_status(&led(), 1, 2, "canary").is_some());
    }

    #[test]
    fn who_has_released_its_lease_or_lost_it_to_another_host_writes_no_more() {
        let audit = led();
        audit.lease_written(1, &lease("", None), SECOND);
        assert!(said_of_status(&audit, 1, 2, "").is_some());
        let audit = led();
        audit.lease_written(2, &lease("", Some("host-2")), SECOND * 2);
        assert!(said_of_status(&audit, 1, 3, "").is_some());
        let audit = led();
        audit.lease_lost(&lease("", Some("stranger")), false, SECOND * 2);
        assert_eq!(said_of_status(&audit, 1, 3, ""), None, "it cannot know yet");
    }

    #[test]
    fn a_child_whose_owner_has_moved_is_written_by_whoever_leads_the_new_instance() {
        let audit = led();
        let moved =
            json!({ "metadata": { "labels": { marks::PLUGIN_LABEL: "site", marks::INSTANCE_LABEL: "canary" } } });
        assert_eq!(said(&audit, 1, 2, &moved, None), None);
        assert!(said(&audit, 2, 2, &moved, None).is_some());
    }

    #[test]
    fn of_what_is_not_ours_only_status_and_metadata_change() {
        let object = |spec: i32, status: i32| json!({ "metadata": {}, "spec": spec, "status": status });
        assert_eq!(said(&led(), 1, 2, &object(1, 1), Some(&object(1, 2))), None);
        assert!(said(&led(), 1, 2, &object(1, 1), Some(&object(2, 1))).is_some());
        assert!(said(&led(), 1, 2, &object(1, 1), None).is_some());
    }

    #[test]
    fn what_somebody_deletes_goes_with_the_finalizer_that_a_host_takes_away() {
        let deleted = json!({ "metadata": { "deletionTimestamp": "2026-01-02T03:04:05Z", "finalizers": ["ours"] } });
        assert_eq!(said(&led(), 1, 2, &deleted, None), None);
    }
}
