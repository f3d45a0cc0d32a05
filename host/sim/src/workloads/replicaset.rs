//! ReplicaSets: as many pods as are asked for.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Look,
    change::Change,
    cluster::Cluster,
    object::{self, Kind},
    pods::{self, BURST_MAX, Ready},
};

pub(super) fn look(set: &Value, cluster: &Cluster, now: Timestamp) -> Look {
    let owned = cluster.controlled_by(set, Kind::Pod).collect::<Vec<_>>();
    let mut active = owned.iter().copied().filter(|pod| pods::is_active(pod)).collect::<Vec<_>>();
    let mut look = Look::default();
    if !object::is_deleting(set) {
        let (has, wants) = (active.len(), usize::try_from(object::replicas(set)).unwrap_or_default());
        if has < wants {
            look.changes.extend((has..wants).take(BURST_MAX).map(|_| Change::Create(Kind::Pod, pod(set))));
        } else {
            active.sort_by_cached_key(|pod| pods::loss(pod));
            let surplus = &active[..has - wants];
            look.changes.extend(surplus.iter().map(|&pod| Change::Delete(Kind::Pod, pod.clone(), None)));
        }
    }
    let ready = Ready::of(active.iter().copied(), set, now);
    look.again_in = ready.next_in;
    let labels = set["spec"]["template"]["metadata"]["labels"].as_object();
    let labelled = active.iter().filter(|pod| {
        labels.into_iter().flatten().all(|(key, value)| pod["metadata"]["labels"].get(key) == Some(value))
    });
    let ending = owned.iter().filter(|pod| object::is_deleting(pod) && !pods::has_ended(pod)).count();
    let status = json!({
        "replicas": active.len(), "fullyLabeledReplicas": labelled.count(), "readyReplicas": ready.ready,
        "availableReplicas": ready.available, "terminatingReplicas": ending,
        "observedGeneration": object::generation(set),
    });
    look.set_status(Kind::ReplicaSet, set, status, &["replicas", "terminatingReplicas"]);
    look
}

fn pod(set: &Value) -> Value {
    let template = &set["spec"]["template"];
    let mut metadata = object::template_metadata(template);
    metadata.insert("generateName".into(), format!("{}-", object::name(set)).into());
    let mut pod = object::owned(Kind::Pod, Kind::ReplicaSet, set, metadata);
    pod["spec"] = template["spec"].clone();
    pod
}
