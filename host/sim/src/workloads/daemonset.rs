//! DaemonSets: one pod on each node that fits, rolled a few at a time.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Look,
    change::Change,
    cluster::Cluster,
    deployment::share,
    nodes::Node,
    object::{self, Kind, text},
    pods::{self, Ready},
    revision::{REVISION_LABEL, Revisions},
};

const GENERATION: &str = "pod-template-generation";

/// A set and its pods by their nodes.
struct Pods<'a> {
    set: &'a Value,
    /// The nodes that it should run on, each with its living pod.
    nodes: BTreeMap<&'a str, Option<&'a Value>>,
    /// On nodes where it should not run, or a second one on its node.
    misplaced: Vec<&'a Value>,
    revisions: Revisions<'a>,
    now: Timestamp,
}

pub(super) fn look(set: &Value, cluster: &Cluster, nodes: &[Node], now: Timestamp) -> Look {
    let pods = Pods::of(set, cluster, nodes, now);
    let mut look = Look::default();
    if !object::is_deleting(set) {
        look.changes = pods.revisions.keep(&[]);
        look.changes.extend(pods.place());
        look.changes.extend(pods.roll());
    }
    pods.set_status(&mut look);
    look
}

impl<'a> Pods<'a> {
    fn of(set: &'a Value, cluster: &'a Cluster, nodes: &'a [Node], now: Timestamp) -> Self {
        let selector = &set["spec"]["template"]["spec"]["nodeSelector"];
        let fitting = nodes.iter().filter(|node| node.fits(selector));
        let mut placed: BTreeMap<_, _> = fitting.map(|node| (node.name.as_str(), None)).collect();
        let mut misplaced = Vec::new();
        for pod in cluster.controlled_by(set, Kind::Pod).filter(|pod| !object::is_deleting(pod)) {
            match placed.get_mut(target(pod)) {
                Some(place @ None) => *place = Some(pod),
                _ => misplaced.push(pod),
            }
        }
        let revisions = Revisions::of(Kind::DaemonSet, set, cluster);
        Self { set, nodes: placed, misplaced, revisions, now }
    }

    fn hash(&self) -> &str {
        self.revisions.update.rsplit('-').next().unwrap_or_default()
    }

    fn is_updated(&self, pod: &Value) -> bool {
        pod["metadata"]["labels"][REVISION_LABEL] == self.hash()
    }

    /// A pod for each node, in place of one that has ended; none elsewhere.
    fn place(&self) -> Vec<Change> {
        let delete = |pod: &Value| Change::Delete(Kind::Pod, pod.clone(), None);
        let mut changes = self.misplaced.iter().map(|pod| delete(pod)).collect::<Vec<_>>();
        for (node, pod) in &self.nodes {
            match pod {
                None => changes.push(Change::Create(Kind::Pod, self.make(node))),
                Some(pod) if pods::has_ended(pod) => changes.push(delete(pod)),
                Some(_) => {}
            }
        }
        changes
    }

    /// Deletes pods of older revisions, as many as may be missing at a time.
    fn roll(&self) -> Vec<Change> {
        if text(self.set, "/spec/updateStrategy/type") == "OnDelete" {
            return Vec::new();
        }
        let all = i64::try_from(self.nodes.len()).unwrap_or(i64::MAX);
        let limit = &self.set["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"];
        let limit = limit.as_i64().unwrap_or_else(|| share(limit.as_str().unwrap_or("1"), all, true)).max(1);
        let works = |pod: &Option<&Value>| pod.is_some_and(|pod| Ready::is_available(pod, self.set, self.now));
        let missing = self.nodes.values().filter(|pod| !works(pod)).count();
        let mut may = limit - i64::try_from(missing).unwrap_or(i64::MAX);
        let mut changes = Vec::new();
        for pod in self.nodes.values().flatten().filter(|pod| !self.is_updated(pod)) {
            let idle = !works(&Some(pod));
            if idle || may > 0 {
                changes.push(Change::Delete(Kind::Pod, (*pod).clone(), None));
                may -= i64::from(!idle);
            }
        }
        changes
    }

    fn make(&self, node: &str) -> Value {
        let template = &self.set["spec"]["template"];
        let mut metadata = object::template_metadata(template);
        metadata.insert("generateName".into(), format!("{}-", object::name(self.set)).into());
        object::label(&mut metadata, REVISION_LABEL, self.hash());
        object::label(&mut metadata, GENERATION, object::generation(self.set).to_string());
        let mut pod = object::owned(Kind::Pod, Kind::DaemonSet, self.set, metadata);
        pod["spec"] = template["spec"].clone();
        pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] = json!({
            "nodeSelectorTerms": [{
                "matchFields": [{ "key": "metadata.name", "operator": "In", "values": [node] }],
            }],
        });
        pod
    }

    fn set_status(&self, look: &mut Look) {
        let placed = || self.nodes.values().filter_map(|pod| *pod);
        let ready = Ready::of(placed(), self.set, self.now);
        look.wake_in(ready.next_in);
        let wanted = i64::try_from(self.nodes.len()).unwrap_or(i64::MAX);
        let on_no_place = self.misplaced.iter().filter(|pod| !self.nodes.contains_key(target(pod))).count();
        let status = json!({
            "observedGeneration": object::generation(self.set), "desiredNumberScheduled": wanted,
            "currentNumberScheduled": placed().count(), "numberMisscheduled": on_no_place,
            "numberReady": ready.ready, "numberAvailable": ready.available,
            "numberUnavailable": wanted - ready.available,
            "updatedNumberScheduled": placed().filter(|pod| self.is_updated(pod)).count(),
        });
        let kept = ["currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady"];
        look.set_status(Kind::DaemonSet, self.set, status, &kept);
    }
}

/// The node that a pod of a DaemonSet is on, or is made for.
pub(super) fn target(pod: &Value) -> &str {
    match text(pod, "/spec/nodeName") {
        "" => {
            let terms = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
            let field = pod.pointer(terms).map(|terms| &terms[0]["matchFields"][0]);
            let field = field.filter(|field| field["key"] == "metadata.name");
            field.map(|field| text(field, "/values/0")).unwrap_or_default()
        }
        node => node,
    }
}
