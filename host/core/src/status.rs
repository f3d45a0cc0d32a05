//! The status of an object: the plugin's answer and the host's conditions,
//! applied as one by one manager, since what a manager leaves out of an apply
//! is taken away: conditions alone would delete the rest.
//!
//! Where a run gave no answer, the last one is read from the object: the part
//! of its status that our status manager owns. The cache keeps no managedFields
//! but this one set ([`crate::object::Meta::statuses`]), so that what
//! other managers say in the same status is never taken for ours, a restart
//! forgets nothing, and no request is needed.
//!
//! A decorator writes into the status of somebody else's object: nothing but
//! what it answers, and nothing that another manager has set.

mod owned;

use serde_json::{Map, Value, json};

use crate::{
    answer::StatusIntent,
    covers::contains,
    description::Role,
    fixed::{FixedPoints, status_intent},
    id::{GroupKind, Lineage},
    kind::Kind,
    object::Object,
    plan::Plan,
    rollout::{Counts, Progress},
    schema::{Part, Schema, Shape},
    write::{Action, Seen, Write},
};

/// The type of the host's condition.
pub const RECONCILED: &str = "Reconciled";
/// The type of the one for those who wait for any object, unless the plugin keeps it.
pub const READY: &str = "Ready";
/// The type of the one that it keeps beside, where children roll.
pub const UPDATED: &str = "Updated";

/// Longest message of the host's condition: what people read in one look. A
/// plugin's failure may carry a page.
const MESSAGE_BYTES_MAX: usize = 1024;

/// Most obstacles that a message names; the rest is counted.
const NAMED_MAX: usize = 3;

/// Reasons of the host's condition; tools match on them.
pub mod reason {
    /// All that the answer asks for is written.
    pub const SETTLED: &str = "Settled";
    /// A place that is wanted is taken by someone else's object.
    pub const CONFLICT: &str = "Conflict";
    /// Something must come or go first.
    pub const WAITING: &str = "Waiting";
    /// The plugin failed, or was stopped at a limit.
    pub const PLUGIN_FAILED: &str = "PluginFailed";
    /// The plugin answered what may not be written.
    pub const ANSWER_REFUSED: &str = "AnswerRefused";
    /// The object does not say which children are its.
    pub const SELECTOR_REFUSED: &str = "SelectorRefused";
    /// More children would be deleted than may be unasked.
    pub const DELETIONS_HELD: &str = "DeletionsHeld";
    /// The server refused a write.
    pub const WRITE_FAILED: &str = "WriteFailed";
    /// Of readiness: all that the answer asks for is written, and ready.
    pub const CHILDREN_READY: &str = "ChildrenReady";
    /// Of readiness: a child is not.
    pub const CHILDREN_NOT_READY: &str = "ChildrenNotReady";
    /// Of readiness: see the other condition.
    pub const NOT_RECONCILED: &str = "NotReconciled";
    /// Of a rollout: it goes on when a child is ready.
    pub const ROLLOUT_WAITING: &str = "RolloutWaiting";
    /// Of a rollout: children are being moved.
    pub const ROLLOUT_PROGRESSING: &str = "RolloutProgressing";
    /// Of a rollout: all children are what is wanted now.
    pub const ON_LATEST_REVISION: &str = "OnLatestRevision";
}

/// What the host has to say of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The condition's status.
    pub reconciled: bool,
    /// One of [`reason`].
    pub reason: &'static str,
    /// For people. Must be the same for the same state: a text that differs
    /// from run to run makes a write, and so another run, each time.
    pub message: String,
    /// The children that are not ready, and why, in the same words for the same state.
    pub unready: Vec<String>,
    /// How far the rollout is, where children roll and the run knows.
    pub progress: Option<Progress>,
    /// What is wrong is no fault of the plugin's build.
    pub unblamed: bool,
}

impl Verdict {
    /// The verdict on a plan whose writes have all succeeded.
    pub fn of_plan(plan: &Plan) -> Self {
        Self { progress: plan.progress.clone(), ..Self::of_children(plan) }
    }

    fn of_children(plan: &Plan) -> Self {
        let conflicts =
            plan.conflicts.iter().map(|conflict| format!("{} is not ours: {}", conflict.place, conflict.whose));
        let waiting = plan.waiting.iter().map(|waiting| format!("{}: {}", waiting.place, waiting.why));
        if !plan.conflicts.is_empty() {
            Self::not(reason::CONFLICT, named(conflicts))
        } else if !plan.waiting.is_empty() {
            Self::not(reason::WAITING, named(waiting))
        } else {
            let message = "all children are as desired".into();
            Self { reconciled: true, ..Self::not(reason::SETTLED, message) }
        }
    }

    /// The verdict on a run that did not get through.
    pub fn not(reason: &'static str, message: String) -> Self {
        Self { reconciled: false, reason, message, unready: Vec::new(), progress: None, unblamed: false }
    }
}

/// A condition of the host's, in words.
struct Said {
    kind: &'static str,
    holds: bool,
    reason: &'static str,
    message: String,
}

impl Said {
    fn of(verdict: &Verdict) -> impl Iterator<Item = Self> {
        let Verdict { reconciled, reason, message, progress, .. } = verdict.clone();
        let reconciled = Self { kind: RECONCILED, holds: reconciled, reason, message };
        [reconciled, Self::of_readiness(verdict)].into_iter().chain(progress.as_ref().map(Self::of_rollout))
    }

    fn of_readiness(verdict: &Verdict) -> Self {
        let (reason, message) = match &verdict.unready[..] {
            _ if !verdict.reconciled => (reason::NOT_RECONCILED, verdict.message.clone()),
            [] => (reason::CHILDREN_READY, "all children are ready".into()),
            unready => (reason::CHILDREN_NOT_READY, named(unready.iter().cloned())),
        };
        Self { kind: READY, holds: reason == reason::CHILDREN_READY, reason, message }
    }

    /// Whether a condition is one of the host's. That of readiness may be the
    /// plugin's own, which its reason tells.
    fn is_ours(&self, condition: &Value) -> bool {
        let ready = [reason::CHILDREN_READY, reason::CHILDREN_NOT_READY, reason::NOT_RECONCILED];
        condition["type"] == self.kind && (self.kind != READY || ready.iter().any(|ours| condition["reason"] == *ours))
    }

    fn of_rollout(progress: &Progress) -> Self {
        let Counts { all, latest, moving } = progress.counts;
        let reached = format!("{latest} of {all} children are on the latest revision");
        let (reason, message) = match &progress.waits_for {
            _ if latest == all => (reason::ON_LATEST_REVISION, "all children are on the latest revision".into()),
            Some(place) if moving == 0 => (reason::ROLLOUT_WAITING, format!("{reached}, {place} is not ready")),
            _ => (reason::ROLLOUT_PROGRESSING, reached),
        };
        Self { kind: UPDATED, holds: latest == all, reason, message }
    }
}

fn named(mut obstacles: impl ExactSizeIterator<Item = String>) -> String {
    let more = obstacles.len().saturating_sub(NAMED_MAX);
    let named = obstacles.by_ref().take(NAMED_MAX).collect::<Vec<_>>().join("; ");
    if more > 0 { format!("{named}; and {more} more") } else { named }
}

/// What the status is decided from.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The object as observed.
    pub object: &'a Object,
    /// Its kind; tells whether there is a status subresource.
    pub kind: &'a Kind,
    /// Who writes.
    pub lineage: &'a Lineage,
    /// What that one is to the object.
    pub role: Role,
    /// The schema of the version that `object` is in. The unknown one only
    /// where the server publishes none: without conditions in the schema, ours
    /// are taken away.
    pub schema: &'a Schema,
    /// What the run answered; `Keep` also where it gave no answer.
    pub answer: &'a StatusIntent,
    /// What the host has to say.
    pub verdict: &'a Verdict,
    /// What it adds to its condition for a canary, see `canary::mark`.
    pub sign: Option<&'a str>,
    /// RFC 3339, for `lastTransitionTime`.
    pub now: &'a str,
    /// What earlier writes for this key have taught.
    pub fixed: &'a FixedPoints,
}

/// A status was answered for a kind that has none to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the answer has a status, but {kind} in version {version} has no status subresource: \
     add `subresources: {{status: {{}}}}` to its definition or answer without a status"
)]
pub struct NoStatus {
    /// The object's kind.
    pub kind: GroupKind,
    /// The version that was looked at.
    pub version: String,
}

/// The write that brings the status up to date, if one is needed.
pub fn decide(input: &Input<'_>) -> Result<Option<Write>, NoStatus> {
    let meta = &input.object.meta;
    if !input.kind.version(&meta.version).is_some_and(|version| version.status) {
        return match input.answer {
            StatusIntent::Set(status) if !status.is_empty() => {
                Err(NoStatus { kind: input.kind.id.clone(), version: meta.version.to_string() })
            }
            _ => Ok(None),
        };
    }
    if input.role == Role::Decorator && *input.answer == StatusIntent::Keep {
        return Ok(None);
    }
    let live = input.object.value().get_mut("status").map_or(json!({}), Value::take);
    let fields = meta.status_of(input.lineage).and_then(|written| written.fields.as_deref());
    let owned = fields.and_then(|fields| serde_json::from_str(fields).ok()).unwrap_or(json!({}));
    let status = desired(input, &live, &owned);
    if input.fixed.holds(&meta.place, status_intent(&status), input.object.content) {
        return Ok(None);
    }
    let status = Value::Object(status);
    if contains(input.schema.root().at("status"), &live, &status) && owned::said_again(&owned, &status) {
        return Ok(None);
    }
    let Value::Object(status) = status else { return Ok(None) };
    Ok(Some(Write {
        place: meta.place.clone(),
        version: meta.version.to_string(),
        manager: input.lineage.status_manager(),
        action: Action::Status { seen: Seen::of(meta), status, force: input.role == Role::Composite },
    }))
}

/// Whether an object says that its last run got through, as the host has told it; none
/// where it says nothing of that, or only waits.
pub fn says_reconciled(object: &Object) -> Option<bool> {
    let object = serde_json::from_str::<Value>(&object.text).ok()?;
    let mut conditions = object["status"]["conditions"].as_array()?.iter();
    let told = conditions.find(|condition| condition["type"] == RECONCILED)?;
    (told["reason"] != reason::WAITING).then(|| told["status"] == "True")
}

/// The write by which another lineage, whose object this is no more, says nothing
/// in its status any more, where it still does.
pub fn withdraw(object: &Object, former: &Lineage) -> Option<Write> {
    let meta = &object.meta;
    let fields = meta.status_of(former).and_then(|written| written.fields.as_deref());
    fields.filter(|fields| *fields != "{}").map(|_| Write {
        place: meta.place.clone(),
        version: meta.version.to_string(),
        manager: former.status_manager(),
        action: Action::Status { seen: Seen::of(meta), status: Map::new(), force: false },
    })
}

/// The write in place of one that says nothing any more and that the server refuses
/// as invalid, where nobody else says anything: it would leave a status of null.
pub fn cleared(refused: &Write, object: &Object) -> Option<Write> {
    let Action::Status { seen, status, .. } = &refused.action else { return None };
    let written = object.meta.statuses.iter().find(|written| *written.manager == *refused.manager);
    let owned = serde_json::from_str(written?.fields.as_deref()?).ok()?;
    let live = object.value()["status"].take();
    let says_all = Value::Object(last_answer(&live, &owned)) == live;
    (status.is_empty() && says_all)
        .then(|| Write { action: Action::ClearStatus { seen: seen.clone() }, ..refused.clone() })
}

/// The whole of what our status manager has to say.
fn desired(input: &Input<'_>, live: &Value, owned: &Value) -> Map<String, Value> {
    let mut status = match input.answer {
        StatusIntent::Set(status) => status.clone(),
        StatusIntent::Keep => last_answer(live, owned),
    };
    if input.role == Role::Decorator {
        return status;
    }
    let Some(part) = input.schema.root().declared("status") else { return status };
    let condition = conditions_item(part);
    if let Some(item) = condition {
        let conditions = status.remove("conditions");
        let said = Said::of(input.verdict).collect::<Vec<_>>();
        let is_ours = |it: &&Value| said.iter().any(|said| said.is_ours(it));
        let theirs = conditions.iter().filter_map(Value::as_array).flatten().filter(|it| !is_ours(it));
        // Without a reason nothing would tell the host's readiness from the plugin's.
        let tells = |said: &&Said| said.kind != READY || item.declared("reason").is_some();
        let others = others_conditions(live, owned);
        let left = |said: &&Said| {
            theirs.clone().chain(others.iter().copied()).all(|it| it["type"] != said.kind || said.is_ours(it))
        };
        let said = said.iter().filter(tells).filter(left);
        let ours = said.map(|said| condition_of(input, said, item, live));
        status.insert("conditions".into(), theirs.clone().cloned().chain(ours).collect());
    }
    // Without a condition to say so, a generation that failed must not pass
    // for one that is done.
    let told = condition.is_some() || matches!(input.answer, StatusIntent::Set(_));
    if told && part.declared("observedGeneration").is_some() && input.object.meta.generation > 0 {
        status.insert("observedGeneration".into(), input.object.meta.generation.into());
    }
    status
}

/// The live conditions whose reason somebody else gives: another controller may keep
/// a condition that has the name of one of the host's.
fn others_conditions<'a>(live: &'a Value, owned: &Value) -> Vec<&'a Value> {
    let last = last_answer(live, owned);
    let ours = last.get("conditions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let is_ours = |it: &Value| ours.iter().any(|our| our["type"] == it["type"] && our.get("reason").is_some());
    live["conditions"].as_array().into_iter().flatten().filter(|it| !is_ours(it)).collect()
}

/// What the status says by our manager, so by the last answer. An empty set
/// is that of a manager that never wrote, not one that owns the whole.
fn last_answer(live: &Value, owned: &Value) -> Map<String, Value> {
    match owned::project(live, owned) {
        Some(Value::Object(last)) if owned.as_object().is_some_and(|fields| !fields.is_empty()) => last,
        _ => Map::new(),
    }
}

/// Whether the host keeps conditions in a status.
pub fn keeps_conditions(role: Role, schema: &Schema) -> bool {
    role == Role::Composite && schema.root().declared("status").and_then(conditions_item).is_some()
}

/// Whether a canary's sign can be read off the host's condition (`canary::mark`): there is
/// a status to write, and its conditions say why and in which words.
pub fn keeps_sign(role: Role, schema: &Schema, kind: &Kind, version: &str) -> bool {
    let item = schema.root().declared("status").and_then(conditions_item);
    let tells = item.is_some_and(|item| ["reason", "message"].iter().all(|name| item.declared(name).is_some()));
    role == Role::Composite && tells && kind.version(version).is_some_and(|version| version.status)
}

/// The item of `status.conditions`, where the schema has such a list.
fn conditions_item(status: Part<'_>) -> Option<Part<'_>> {
    match status.declared("conditions")?.shape() {
        Shape::List { item, .. } => {
            item.declared("type")?;
            item.declared("status")?;
            Some(item)
        }
        _ => None,
    }
}

/// A condition of the host's, of those fields that the schema declares.
fn condition_of(input: &Input<'_>, said: &Said, item: Part<'_>, live: &Value) -> Value {
    let status = if said.holds { "True" } else { "False" };
    let live = live["conditions"].as_array().into_iter().flatten().find(|it| it["type"] == said.kind);
    let since = live.filter(|live| live["status"] == status).and_then(|live| live["lastTransitionTime"].as_str());
    let fields = [
        ("type", json!(said.kind)),
        ("status", json!(status)),
        ("reason", json!(said.reason)),
        ("message", json!(message(input, said))),
        ("lastTransitionTime", json!(since.unwrap_or(input.now))),
        ("observedGeneration", json!(input.object.meta.generation)),
    ];
    let declared = fields.into_iter().filter(|(name, _)| item.declared(name).is_some());
    declared.map(|(name, value)| (name.to_owned(), value)).collect()
}

fn message(input: &Input<'_>, said: &Said) -> String {
    let sign = input.sign.filter(|_| said.kind == RECONCILED).unwrap_or_default();
    format!("{}{sign}", shortened(&said.message))
}

fn shortened(message: &str) -> &str {
    &message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)]
}
