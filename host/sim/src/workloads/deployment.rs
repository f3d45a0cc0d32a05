//! Deployments: a ReplicaSet for each template, rolled from the older ones to
//! the newest within the bounds of the strategy, and the conditions that say
//! how far that is.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{
    Look,
    change::Change,
    cluster::Cluster,
    conditions::{Condition, Conditions},
    object::{self, Kind, number, replicas, text},
    revision,
};

const REVISION: &str = "deployment.kubernetes.io/revision";
const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
const MAX: &str = "deployment.kubernetes.io/max-replicas";
const HASH: &str = "pod-template-hash";
/// Annotations that a ReplicaSet does not take over.
const NOT_COPIED: [&str; 4] = [REVISION, DESIRED, MAX, "kubectl.kubernetes.io/last-applied-configuration"];

/// A deployment and its ReplicaSets, sorted out.
struct Sets<'a> {
    deployment: &'a Value,
    /// Of the template as it is now.
    new: Option<&'a Value>,
    /// The others, the oldest first.
    old: Vec<&'a Value>,
    hash: String,
}

pub(super) fn look(deployment: &Value, cluster: &Cluster, now: Timestamp) -> Look {
    let sets = Sets::of(deployment, cluster);
    let mut look = Look::default();
    if object::is_deleting(deployment) {
        sets.set_status(&mut look, now);
        return look;
    }
    if deployment["spec"]["paused"] == true {
        sets.scale_active(&mut look);
    } else if text(deployment, "/spec/strategy/type") == "Recreate" {
        sets.recreate(&mut look, cluster);
    } else {
        sets.roll(&mut look);
    }
    sets.clean_up(&mut look);
    sets.set_status(&mut look, now);
    look
}

impl<'a> Sets<'a> {
    fn of(deployment: &'a Value, cluster: &'a Cluster) -> Self {
        let hash = revision::hash(&deployment["spec"]["template"]);
        let (new, mut old): (Vec<_>, Vec<_>) = cluster
            .controlled_by(deployment, Kind::ReplicaSet)
            .partition(|set| set["metadata"]["labels"][HASH] == hash.as_str());
        old.sort_by_key(|set| revision_of(set));
        Self { deployment, new: new.first().copied(), old, hash }
    }

    fn all(&self) -> impl Iterator<Item = &'a Value> + Clone {
        self.old.iter().copied().chain(self.new)
    }

    fn asked_for(&self) -> i64 {
        self.all().map(replicas).sum()
    }

    /// The number of the newest revision: the new set's, if that is the newest.
    fn revision(&self) -> i64 {
        let newest_old = self.old.iter().map(|set| revision_of(set)).max().unwrap_or_default();
        self.new.map(revision_of).filter(|new| *new > newest_old).unwrap_or(newest_old + 1)
    }

    /// The deployment with the number of its newest revision, which is written
    /// along with the status.
    fn revised(&self) -> Value {
        let mut revised = self.deployment.clone();
        if self.new.is_some() {
            object::annotate(&mut revised, REVISION, self.revision().to_string());
        }
        revised
    }

    /// How many pods there may be beyond, and how many may be missing from,
    /// what is asked for.
    fn bounds(&self) -> (i64, i64) {
        let wanted = replicas(self.deployment);
        let of = |field: &str, up| {
            let value = &self.deployment["spec"]["strategy"]["rollingUpdate"][field];
            let count = value.as_i64().unwrap_or_else(|| share(value.as_str().unwrap_or("25%"), wanted, up));
            count.clamp(0, i32::MAX.into())
        };
        match (of("maxSurge", true), of("maxUnavailable", false)) {
            (0, 0) => (0, 1),
            (surge, unavailable) => (surge, unavailable.min(wanted)),
        }
    }

    /// Makes the new set, or brings what is written on it up to date.
    fn keep_new(&self, look: &mut Look, count: i64) {
        let Some(set) = self.new else {
            look.changes.push(Change::Create(Kind::ReplicaSet, self.make(count)));
            return;
        };
        let mut kept = set.clone();
        self.annotate(&mut kept);
        kept["spec"]["replicas"] = Value::from(count);
        if kept != *set {
            look.changes.push(Change::Update(Kind::ReplicaSet, kept));
        }
    }

    fn make(&self, count: i64) -> Value {
        let template = &self.deployment["spec"]["template"];
        let mut metadata = object::template_metadata(template);
        metadata.remove("annotations");
        metadata.remove("finalizers");
        object::label(&mut metadata, HASH, self.hash.as_str());
        let name = format!("{}-{}", object::name(self.deployment), self.hash);
        metadata.insert("name".into(), name.into());
        let mut set = object::owned(Kind::ReplicaSet, Kind::Deployment, self.deployment, metadata);
        let (mut template, mut selector) = (template.clone(), self.deployment["spec"]["selector"].clone());
        template["metadata"]["labels"][HASH] = Value::from(self.hash.as_str());
        selector["matchLabels"][HASH] = Value::from(self.hash.as_str());
        set["spec"] = json!({ "replicas": count, "selector": selector, "template": template });
        if let Some(seconds) = number(self.deployment, "/spec/minReadySeconds").filter(|seconds| *seconds > 0) {
            set["spec"]["minReadySeconds"] = Value::from(seconds);
        }
        self.annotate(&mut set);
        set
    }

    fn annotate(&self, set: &mut Value) {
        let annotations = self.deployment["metadata"]["annotations"].as_object();
        for (key, value) in annotations.into_iter().flatten().filter(|(key, _)| !NOT_COPIED.contains(&key.as_str())) {
            set["metadata"]["annotations"][key] = value.clone();
        }
        let wanted = replicas(self.deployment);
        object::annotate(set, REVISION, self.revision().to_string());
        object::annotate(set, DESIRED, wanted.to_string());
        object::annotate(set, MAX, (wanted + self.bounds().0).to_string());
    }

    fn roll(&self, look: &mut Look) {
        let wanted = replicas(self.deployment);
        let (surge, unavailable) = self.bounds();
        let has = self.new.map_or(0, replicas);
        let room = (wanted + surge - self.asked_for()).max(0);
        let count = if has >= wanted { wanted } else { has + room.min(wanted - has) };
        self.keep_new(look, count);

        let least = wanted - unavailable;
        let new_unavailable = has - self.new.map_or(0, available);
        let mut spare = self.asked_for() - least - new_unavailable;
        if spare <= 0 {
            return;
        }
        let mut left = self.old.iter().map(|set| replicas(set)).collect::<Vec<_>>();
        // First those that do no work, then the oldest.
        for (set, count) in self.old.iter().zip(&mut left) {
            let idle = (*count - available(set)).clamp(0, spare);
            (*count, spare) = (*count - idle, spare - idle);
        }
        let mut surplus = (self.all().map(available).sum::<i64>() - least).max(0);
        for count in &mut left {
            let down = (*count).min(surplus);
            (*count, surplus) = (*count - down, surplus - down);
        }
        self.scale_old(look, &left);
    }

    /// First all of the old, then the new.
    fn recreate(&self, look: &mut Look, cluster: &Cluster) {
        self.scale_old(look, &vec![0; self.old.len()]);
        let mut pods = self.old.iter().flat_map(|set| cluster.controlled_by(set, Kind::Pod));
        if self.old.iter().all(|set| replicas(set) == 0) && pods.next().is_none() {
            self.keep_new(look, replicas(self.deployment));
        }
    }

    /// A paused deployment rolls nothing, but is scaled all the same.
    fn scale_active(&self, look: &mut Look) {
        let active = self.new.or_else(|| self.old.iter().copied().rfind(|set| replicas(set) > 0));
        if let Some(active) = active.filter(|active| replicas(active) != replicas(self.deployment)) {
            look.changes.push(scaled(active, replicas(self.deployment)));
        }
    }

    fn scale_old(&self, look: &mut Look, counts: &[i64]) {
        let changed = self.old.iter().zip(counts).filter(|(set, count)| replicas(set) != **count);
        look.changes.extend(changed.map(|(set, count)| scaled(set, *count)));
    }

    /// Forgets the oldest revisions beyond the limit.
    fn clean_up(&self, look: &mut Look) {
        let limit = number(self.deployment, "/spec/revisionHistoryLimit").unwrap_or(10);
        let surplus = self.old.len().saturating_sub(usize::try_from(limit).unwrap_or_default());
        let empty = |set: &&&Value| {
            replicas(set) == 0 && number(set, "/status/replicas") == Some(0) && !object::is_deleting(set)
        };
        let forgotten = self.old[..surplus].iter().filter(empty);
        look.changes.extend(forgotten.map(|set| Change::Delete(Kind::ReplicaSet, (*set).clone(), None)));
    }

    fn set_status(&self, look: &mut Look, now: Timestamp) {
        let of = |field: &str| self.all().filter_map(|set| number(set, &format!("/status/{field}"))).sum::<i64>();
        let available = of("availableReplicas");
        let updated = self.new.and_then(|set| number(set, "/status/replicas")).unwrap_or_default();
        let mut status = json!({
            "observedGeneration": object::generation(self.deployment), "replicas": of("replicas"),
            "updatedReplicas": updated, "readyReplicas": of("readyReplicas"), "availableReplicas": available,
            "unavailableReplicas": (self.asked_for() - available).max(0),
            "terminatingReplicas": of("terminatingReplicas"),
        });
        let mut conditions = Conditions::of(self.deployment);
        self.set_available(&mut conditions, available, now);
        look.wake_in(self.set_progress(&mut conditions, &status, now));
        status["conditions"] = conditions.into_value();
        let new = object::with_status(&self.revised(), status, &["terminatingReplicas"]);
        if new != *self.deployment {
            look.changes.push(Change::Status(Kind::Deployment, new));
        }
    }

    fn set_available(&self, conditions: &mut Conditions, available: i64, now: Timestamp) {
        let enough = available >= replicas(self.deployment) - self.bounds().1;
        let (reason, message) = if enough {
            ("MinimumReplicasAvailable", "Deployment has minimum availability.")
        } else {
            ("MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
        };
        let new = Condition { r#type: "Available", status: enough, reason, message: message.into() };
        conditions.set_updated(new, now);
    }

    /// How far the rollout is, and when it will have taken too long.
    fn set_progress(&self, conditions: &mut Conditions, status: &Value, now: Timestamp) -> Option<Duration> {
        const TYPE: &str = "Progressing";
        let deadline =
            number(self.deployment, "/spec/progressDeadlineSeconds").filter(|it| (0..i32::MAX.into()).contains(it))?;
        let new_name = self.new.map(object::name);
        let says = |status, reason, message: String| Condition { r#type: TYPE, status, reason, message };
        let Some(name) = new_name else {
            let name = format!("{}-{}", object::name(self.deployment), self.hash);
            let created = says(true, "NewReplicaSetCreated", format!("Created new replica set {name:?}"));
            conditions.set_updated(created, now);
            return None;
        };
        let before = conditions.get(TYPE).cloned().unwrap_or_default();
        let count = |field: &str| status[field].as_i64().unwrap_or_default();
        let was = |field: &str| number(&self.deployment["status"], &format!("/{field}")).unwrap_or_default();
        let wanted = replicas(self.deployment);
        if count("replicas") == count("updatedReplicas") && before["reason"] == "NewReplicaSetAvailable" {
            return None;
        }
        if ["updatedReplicas", "replicas", "availableReplicas"].iter().all(|field| count(field) == wanted) {
            let message = format!("ReplicaSet {name:?} has successfully progressed.");
            conditions.set_updated(says(true, "NewReplicaSetAvailable", message), now);
            return None;
        }
        let fewer_old = count("replicas") - count("updatedReplicas") < was("replicas") - was("updatedReplicas");
        let more = ["updatedReplicas", "readyReplicas", "availableReplicas"].iter().any(|it| count(it) > was(it));
        if more || fewer_old {
            let message = format!("ReplicaSet {name:?} is progressing.");
            conditions.touch_updated(says(true, "ReplicaSetUpdated", message), now);
            return Some(Duration::from_secs(deadline.unsigned_abs()));
        }
        let Some(since) = object::time(&before, "/lastUpdateTime") else {
            let found = says(true, "FoundNewReplicaSet", format!("Found new replica set {name:?}"));
            conditions.set_updated(found, now);
            return None;
        };
        let left = SignedDuration::from_secs(deadline) - now.duration_since(since);
        match Duration::try_from(left) {
            Ok(left) if !left.is_zero() => Some(left),
            _ => {
                let message = format!("ReplicaSet {name:?} has timed out progressing.");
                conditions.set_updated(says(false, "ProgressDeadlineExceeded", message), now);
                None
            }
        }
    }
}

fn revision_of(object: &Value) -> i64 {
    object["metadata"]["annotations"][REVISION].as_str().and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn available(set: &Value) -> i64 {
    number(set, "/status/availableReplicas").unwrap_or_default()
}

fn scaled(set: &Value, count: i64) -> Change {
    let mut set = set.clone();
    set["spec"]["replicas"] = Value::from(count);
    Change::Update(Kind::ReplicaSet, set)
}

/// `25%` of a number, rounded up or down.
pub(super) fn share(percent: &str, of: i64, up: bool) -> i64 {
    let percent: i64 = percent.trim_end_matches('%').parse().unwrap_or_default();
    of.saturating_mul(percent).saturating_add(if up { 99 } else { 0 }) / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_as_it_is_asked_for() {
        assert_eq!((share("25%", 2, true), share("25%", 2, false)), (1, 0));
        assert_eq!((share("25%", 4, true), share("25%", 4, false)), (1, 1));
        assert_eq!(share("0%", 4, true), 0);
        assert_eq!(share("9223372036854775807%", 4, true), i64::MAX / 100, "it is as much as there can be");
    }
}
