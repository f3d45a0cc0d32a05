//! StatefulSets: numbered pods, one after the other unless they may come in
//! parallel, rolled from the highest number down to the partition.

use std::{cmp::Reverse, collections::BTreeMap, ops::Range};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    Look,
    change::Change,
    cluster::Cluster,
    object::{self, Kind, number, replicas, text},
    pods::{self, BURST_MAX, Ready},
    revision::{REVISION_LABEL, Revisions},
};

const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
const POD_INDEX: &str = "apps.kubernetes.io/pod-index";

/// A set, its pods by their numbers, and its revisions.
struct Pods<'a> {
    set: &'a Value,
    /// The numbers that are asked for.
    wanted: Range<i64>,
    /// Those of them that are there.
    present: BTreeMap<i64, &'a Value>,
    /// The others, the highest first.
    surplus: Vec<&'a Value>,
    revisions: Revisions<'a>,
    /// The name of the revision that pods below the partition have.
    current: String,
    now: Timestamp,
}

pub(super) fn look(set: &Value, cluster: &Cluster, now: Timestamp) -> Look {
    let pods = Pods::of(set, cluster, now);
    let mut look = Look::default();
    if !object::is_deleting(set) {
        look.changes = pods.revisions.keep(&[&pods.current]);
        if pods.revisions.template(&pods.revisions.update).is_some() {
            look.changes.extend(pods.scale());
        }
    }
    pods.set_status(&mut look);
    look
}

impl<'a> Pods<'a> {
    fn of(set: &'a Value, cluster: &'a Cluster, now: Timestamp) -> Self {
        let revisions = Revisions::of(Kind::StatefulSet, set, cluster);
        let current = match text(set, "/status/currentRevision") {
            "" => revisions.update.clone(),
            current => current.to_owned(),
        };
        let first = number(set, "/spec/ordinals/start").unwrap_or_default();
        let wanted = first..first.saturating_add(replicas(set));
        let (mut present, mut surplus) = (BTreeMap::new(), Vec::new());
        for pod in cluster.controlled_by(set, Kind::Pod) {
            let at = ordinal(object::name(pod));
            if wanted.contains(&at) && name(set, at) == object::name(pod) {
                present.insert(at, pod);
            } else {
                surplus.push(pod);
            }
        }
        surplus.sort_by_key(|pod| Reverse(ordinal(object::name(pod))));
        Self { set, wanted, present, surplus, revisions, current, now }
    }

    /// What to do next: one step after the other, unless pods may come and go
    /// in parallel.
    fn scale(&self) -> Vec<Change> {
        let parallel = self.set["spec"]["podManagementPolicy"] == "Parallel";
        let mut changes = Vec::new();
        for at in self.wanted.clone() {
            match self.present.get(&at) {
                None => changes.extend(self.make(at)),
                Some(pod) if object::is_deleting(pod) => {}
                Some(pod) if pods::has_ended(pod) => {
                    changes.push(Change::Delete(Kind::Pod, (*pod).clone(), None));
                }
                Some(pod) if Ready::is_available(pod, self.set, self.now) => continue,
                Some(_) => {}
            }
            if !parallel || changes.len() >= BURST_MAX {
                return changes;
            }
        }
        for &pod in &self.surplus {
            if !object::is_deleting(pod) {
                changes.push(Change::Delete(Kind::Pod, pod.clone(), None));
            }
            if !parallel {
                return changes;
            }
        }
        changes.extend(self.roll());
        changes
    }

    /// The highest pod that is of an older revision, once those above it are ready.
    fn roll(&self) -> Option<Change> {
        if text(self.set, "/spec/updateStrategy/type") == "OnDelete" {
            return None;
        }
        let partition = number(self.set, "/spec/updateStrategy/rollingUpdate/partition").unwrap_or_default();
        for at in self.wanted.clone().rev() {
            let pod = self.present.get(&at).filter(|_| at - self.wanted.start >= partition)?;
            if revision_of(pod) != self.revisions.update {
                return (!object::is_deleting(pod)).then(|| Change::Delete(Kind::Pod, (*pod).clone(), None));
            }
            if !Ready::is_available(pod, self.set, self.now) {
                return None;
            }
        }
        None
    }

    /// A pod, of the revision that its number has, and its volumes' claims.
    fn make(&self, at: i64) -> Vec<Change> {
        let name = name(self.set, at);
        let partition = number(self.set, "/spec/updateStrategy/rollingUpdate/partition").unwrap_or_default();
        let below = at - self.wanted.start < partition;
        let revision = if below { &self.current } else { &self.revisions.update };
        let template = self.revisions.template(revision).unwrap_or(&self.set["spec"]["template"]);
        let mut metadata = object::template_metadata(template);
        metadata.insert("name".into(), name.as_str().into());
        // As all controllers name what they make, though this one knows the whole name.
        metadata.insert("generateName".into(), format!("{}-", object::name(self.set)).into());
        object::label(&mut metadata, POD_NAME, name.as_str());
        object::label(&mut metadata, POD_INDEX, at.to_string());
        object::label(&mut metadata, REVISION_LABEL, revision.as_str());
        let mut pod = object::owned(Kind::Pod, Kind::StatefulSet, self.set, metadata);
        pod["spec"] = template["spec"].clone();
        pod["spec"]["hostname"] = Value::from(name.as_str());
        pod["spec"]["subdomain"] = self.set["spec"]["serviceName"].clone();
        let claims = self.set["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten();
        let mut changes = Vec::new();
        for template in claims {
            let (volume, claim) = (object::name(template), format!("{}-{name}", object::name(template)));
            let volumes = &mut pod["spec"]["volumes"];
            if volumes.is_null() {
                *volumes = json!([]);
            }
            let source = json!({ "name": volume, "persistentVolumeClaim": { "claimName": claim } });
            volumes.as_array_mut().into_iter().for_each(|volumes| volumes.push(source.clone()));
            changes.push(self.claim(template, claim));
        }
        changes.push(Change::Create(Kind::Pod, pod));
        changes
    }

    /// A claim outlives its pod and its set, so it names neither.
    fn claim(&self, template: &Value, name: String) -> Change {
        let mut metadata: Map<_, _> = object::template_metadata(template);
        for (key, value) in self.set["spec"]["selector"]["matchLabels"].as_object().into_iter().flatten() {
            object::label(&mut metadata, key, value.clone());
        }
        metadata.insert("name".into(), name.into());
        metadata.insert("namespace".into(), object::namespace(self.set).into());
        let spec = &template["spec"];
        let kind = Kind::Claim;
        let claim =
            json!({ "apiVersion": kind.api_version(), "kind": kind.name(), "metadata": metadata, "spec": spec });
        Change::Create(kind, claim)
    }

    fn set_status(&self, look: &mut Look) {
        let all = || self.present.values().copied().chain(self.surplus.iter().copied());
        let ready = Ready::of(all(), self.set, self.now);
        look.wake_in(ready.next_in);
        let live = || all().filter(|pod| !object::is_deleting(pod));
        let of = |revision: &str| live().filter(|pod| revision_of(pod) == revision).count();
        let (count, updated) = (all().count(), of(&self.revisions.update));
        let wanted = replicas(self.set);
        // All are new and work: what was the update is what is current.
        let partitioned = number(self.set, "/spec/updateStrategy/rollingUpdate/partition").unwrap_or_default() > 0;
        let all_of = |count: usize| i64::try_from(count).is_ok_and(|count| count == wanted);
        let done = !partitioned && all_of(updated) && all_of(count) && ready.ready == wanted;
        let current = if done { &self.revisions.update } else { &self.current };
        let status = json!({
            "observedGeneration": object::generation(self.set), "replicas": count, "readyReplicas": ready.ready,
            "availableReplicas": ready.available, "currentReplicas": of(current), "updatedReplicas": updated,
            "currentRevision": current, "updateRevision": self.revisions.update, "collisionCount": 0,
        });
        look.set_status(Kind::StatefulSet, self.set, status, &["replicas", "availableReplicas", "collisionCount"]);
    }
}

fn revision_of(pod: &Value) -> &str {
    pod["metadata"]["labels"][REVISION_LABEL].as_str().unwrap_or_default()
}

fn name(set: &Value, at: i64) -> String {
    format!("{}-{at}", object::name(set))
}

fn ordinal(name: &str) -> i64 {
    name.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or_default()
}
