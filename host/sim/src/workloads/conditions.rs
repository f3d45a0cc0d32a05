//! Conditions as the controllers of workloads keep them: changed in place, and
//! only where something has changed.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::object::time_text;

/// One condition, to be set.
pub(super) struct Condition<'a> {
    pub r#type: &'a str,
    pub status: bool,
    pub reason: &'a str,
    pub message: String,
}

/// The conditions of a status.
pub(super) struct Conditions(Vec<Value>);

impl Conditions {
    pub fn of(object: &Value) -> Self {
        Self(object["status"]["conditions"].as_array().cloned().unwrap_or_default())
    }

    pub fn get(&self, r#type: &str) -> Option<&Value> {
        self.0.iter().find(|condition| condition["type"] == r#type)
    }

    /// Whether there is one of this type that is true.
    pub fn holds(&self, r#type: &str) -> bool {
        self.get(r#type).is_some_and(|condition| condition["status"] == "True")
    }

    /// Sets one as controllers of deployments do, with the time of its last
    /// update: at the end, unless status and reason stay as they are.
    pub fn set_updated(&mut self, new: Condition<'_>, now: Timestamp) {
        let status = status(new.status);
        let at = self.0.iter().position(|condition| condition["type"] == new.r#type);
        let before = at.map(|at| self.0[at].clone());
        if before.as_ref().is_some_and(|before| before["status"] == status && before["reason"] == new.reason) {
            return;
        }
        self.replace(new, before, now);
    }

    /// The same, with a new time of the update even where nothing else is new.
    pub fn touch_updated(&mut self, new: Condition<'_>, now: Timestamp) {
        let before = self.get(new.r#type).cloned();
        self.replace(new, before, now);
    }

    fn replace(&mut self, new: Condition<'_>, before: Option<Value>, now: Timestamp) {
        let (status, now) = (status(new.status), time_text(now));
        let kept = before.filter(|before| before["status"] == status);
        let since = kept.map_or_else(|| Value::from(now.as_str()), |before| before["lastTransitionTime"].clone());
        self.0.retain(|condition| condition["type"] != new.r#type);
        self.0.push(json!({
            "type": new.r#type, "status": status, "reason": new.reason, "message": new.message,
            "lastUpdateTime": now, "lastTransitionTime": since,
        }));
    }

    /// Sets one of a pod or a job, in its place; what is empty is left out.
    /// Pods know no time of the last probe, and say so.
    pub fn set(&mut self, new: Condition<'_>, now: Timestamp, probed: Value) {
        let status = status(new.status);
        let before = self.0.iter_mut().find(|condition| condition["type"] == new.r#type);
        let since = before.as_ref().filter(|before| before["status"] == status);
        let since = since.map_or_else(|| Value::from(time_text(now)), |before| before["lastTransitionTime"].clone());
        let mut condition = json!({
            "type": new.r#type, "status": status, "lastProbeTime": probed, "lastTransitionTime": since,
        });
        for (field, text) in [("reason", new.reason), ("message", &new.message)] {
            if !text.is_empty() {
                condition[field] = Value::from(text);
            }
        }
        match before {
            Some(before) => *before = condition,
            None => self.0.push(condition),
        }
    }

    pub fn into_value(self) -> Value {
        Value::Array(self.0)
    }
}

fn status(holds: bool) -> &'static str {
    if holds { "True" } else { "False" }
}
