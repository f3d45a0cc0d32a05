//! What one look at a canary finds: itself, the objects of both instances, and what it has
//! made there.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use serde::Deserialize;
use serde_json::{Value, json};
use trimtab_cluster::{spec::WatchSpec, store::Store};
use trimtab_core::{
    canary::{BadSpec, FINALIZER, Member, Phase, Spec, Status, mark},
    id::{InstanceId, Place, Uid},
    object::Object,
    status,
};

use super::leader;
use crate::{generation::Generation, serving::Serving, settings::Settings};

/// Of what a canary has made, so many are named.
const NAMED_MAX: usize = 20;
/// The installation of those that name none.
const INSTALLATION: &str = "trimtab";
/// The type of the condition that people wait for.
const PASSED: &str = "Passed";

/// One `Canary`.
pub struct Canary {
    pub object: Arc<Object>,
    /// Of one that has begun and cannot be read any more, what it takes to bring back what
    /// it has moved.
    pub spec: Result<Spec, BadSpec>,
    /// Why its spec cannot be followed.
    broken: Option<String>,
    /// The instance whose leader looks after it.
    pub from: InstanceId,
    pub status: Status,
    /// The same as it is written.
    pub said: Value,
    /// When it was made.
    created: String,
}

/// Those of an installation: those that have begun, then the oldest first.
pub fn canaries(store: &Store, watch: &WatchSpec, installation: &str) -> Vec<Canary> {
    let canaries = store.list(watch).into_iter().filter_map(|object| {
        let value = object.value();
        let of = value["spec"]["installation"].as_str().unwrap_or(INSTALLATION);
        (of == installation).then(|| Canary::of(object, &value))
    });
    let mut canaries = canaries.collect::<Vec<_>>();
    canaries.sort_by(|a, b| a.age().cmp(&b.age()));
    canaries
}

impl Canary {
    fn of(object: Arc<Object>, value: &Value) -> Self {
        let spec = Spec::parse(&value["spec"]);
        let broken = spec.as_ref().err().map(ToString::to_string);
        let spec = if is_held(&object) {
            spec.or_else(|error| Spec::parse_for_return(&value["spec"]).map_err(|_| error))
        } else {
            spec
        };
        Self {
            spec,
            broken,
            from: leader(&value["spec"]),
            status: Status::deserialize(&value["status"]).unwrap_or_default(),
            said: value["status"].clone(),
            created: value["metadata"]["creationTimestamp"].as_str().unwrap_or_default().to_owned(),
            object,
        }
    }

    /// Whether it bears our finalizer: it has begun.
    pub fn is_held(&self) -> bool {
        is_held(&self.object)
    }

    /// Whether nothing is left to be done for its spec.
    pub fn has_ended(&self) -> bool {
        let meta = &self.object.meta;
        self.status.phase.is_over() && self.status.observed_generation == meta.generation && !meta.deleting
    }

    fn age(&self) -> (bool, &str, &str) {
        (!self.is_held(), &self.created, &self.object.meta.place.name)
    }
}

fn is_held(canary: &Object) -> bool {
    canary.meta.finalizers.iter().any(|it| **it == *FINALIZER)
}

/// What a canary's decision rests on.
pub struct Seen<'a> {
    pub spec: &'a Spec,
    /// The one that serves the objects at home.
    pub generation: &'a Arc<Generation>,
    /// The watches of those that the server leaves out.
    pub left_out: Vec<WatchSpec>,
    serving: &'a Serving,
}

impl<'a> Seen<'a> {
    /// The error is why nothing can be seen.
    pub fn of(canary: &'a Canary, serving: &'a Serving, settings: &Settings) -> Result<Self, String> {
        let spec = canary.spec.as_ref().map_err(ToString::to_string)?;
        let Spec { lineage, kind, from, to, .. } = spec;
        let generation = serving_in(serving, from, spec).ok_or_else(|| {
            format!("no plugin of the lineage {lineage} serves {kind} in the instance {:?}", from.as_str())
        })?;
        let key = &generation.needs.instance_key;
        let filtered = settings.object_selector(key).is_some();
        let labels = key.selector(to).filter(|_| filtered);
        let left_out = labels.into_iter().flat_map(|labels| {
            let watches = generation.needs.object(kind).watches.iter();
            watches.map(move |spec| WatchSpec { labels: Some(labels.as_str().into()), ..spec.clone() })
        });
        Ok(Self { spec, generation, left_out: left_out.collect(), serving })
    }

    /// What shows the objects at home.
    pub fn watches(&self) -> &[WatchSpec] {
        &self.generation.needs.object(&self.spec.kind).watches
    }

    pub fn is_synced(&self, served: &Store, own: &Store) -> bool {
        self.watches().iter().all(|spec| served.health(spec).is_synced())
            && self.left_out.iter().all(|spec| own.health(spec).is_synced())
    }

    /// Whether it may begin or go on, as far as this process knows by itself.
    pub fn may(&self, canary: &Canary, all: &[Canary]) -> Result<(), String> {
        if let Some(why) = &canary.broken {
            return Err(why.clone());
        }
        let same = |other: &&Canary| {
            other.spec.as_ref().is_ok_and(|spec| spec.lineage == self.spec.lineage && spec.kind == self.spec.kind)
        };
        if let Some(older) = all.iter().filter(same).find(|other| other.age() < canary.age()) {
            return Err(format!(
                "{} has begun before or is older, and moves the same objects: delete one of them",
                older.object.meta.place.name
            ));
        }
        let needs = self.generation.needs.object(&self.spec.kind);
        let role = self.generation.loaded.description.role;
        if !status::keeps_sign(role, &needs.schema, &needs.kind, &needs.version) {
            return Err(format!(
                "a canary is judged by the reason and message of the condition {}, which {} cannot hold: its \
                 definition needs a status subresource with such conditions, and its plugin to be a composite's",
                status::RECONCILED,
                self.spec.kind
            ));
        }
        match serving_in(self.serving, &self.spec.to, self.spec) {
            Some(tried) if tried.needs.instance_key != self.generation.needs.instance_key => {
                Err("its plugins look for the instance at different places: see instance_key in their policies".into())
            }
            _ => Ok(()),
        }
    }

    /// The build that serves at home, as a sign names it; nothing while it may still be
    /// taken back.
    pub fn stable(&self) -> String {
        let loaded = &self.generation.loaded;
        if loaded.observed.is_watched() { String::new() } else { mark::short(loaded.unconfirmed) }
    }

    /// Whether a plugin in this process's folder serves the other instance.
    pub fn is_served_here(&self) -> bool {
        serving_in(self.serving, &self.spec.to, self.spec).is_some()
    }

    /// The objects of both instances, each as new as it is known.
    pub fn objects(&self, served: &Store, own: &Store) -> Vec<Arc<Object>> {
        let here = self.watches().iter().flat_map(|spec| served.list(spec));
        let there = self.left_out.iter().flat_map(|spec| own.list(spec));
        let mut newest = BTreeMap::<Place, Arc<Object>>::new();
        for object in here.chain(there) {
            match newest.entry(object.meta.place.clone()) {
                Entry::Vacant(entry) => _ = entry.insert(object),
                Entry::Occupied(mut entry) if entry.get().meta.resource_version < object.meta.resource_version => {
                    entry.insert(object);
                }
                Entry::Occupied(_) => {}
            }
        }
        newest.into_values().collect()
    }

    /// What the machine knows of an object.
    pub fn member(&self, canary: &Uid, object: &Object) -> Member {
        let kind = self.generation.loaded.description.object(&self.spec.kind);
        let selected = kind.is_some_and(|kind| kind.selects(object));
        Member::of(object, canary, self.spec, &self.generation.needs.instance_key, selected)
    }
}

fn serving_in<'a>(serving: &'a Serving, instance: &'a InstanceId, spec: &Spec) -> Option<&'a Arc<Generation>> {
    let of_kind =
        |it: &&Arc<Generation>| it.loaded.lineage == spec.lineage && it.loaded.description.object(&spec.kind).is_some();
    serving.of_instance(instance).find(of_kind)
}

/// The children that were made since their objects were moved, as far as this process sees
/// them: those that the stable instance does not want are deleted when the objects return.
pub fn made(store: &Store, members: &[Member]) -> Value {
    let moved = members.iter().filter_map(|member| Some((&member.uid, member.mark.as_ref()?)));
    let made = moved.flat_map(|(uid, mark)| {
        let since = |child: &Arc<Object>| {
            child.value()["metadata"]["creationTimestamp"].as_str().is_some_and(|made| *made >= *mark.since)
        };
        store.children(uid).into_iter().filter(since).map(|child| child.meta.place.to_string())
    });
    let made = made.collect::<std::collections::BTreeSet<_>>();
    json!({ "count": made.len(), "names": made.iter().take(NAMED_MAX).collect::<Vec<_>>() })
}

/// The whole status. What was made is kept through the attempt; which objects cannot be
/// moved is told beside the message.
pub fn said(canary: &Canary, status: &Status, made: Option<Value>, stuck: Option<String>, now: &str) -> Value {
    let before = &canary.said;
    let mut said = json!(status);
    let kept = || if status.attempt == canary.status.attempt { before["made"].clone() } else { Value::Null };
    let made = made.unwrap_or_else(kept);
    said["made"] = if made.is_null() { json!({ "count": 0, "names": [] }) } else { made };
    let passed =
        if matches!(status.phase, Phase::Passed | Phase::Promoting | Phase::Promoted) { "True" } else { "False" };
    let condition = &before["conditions"][0];
    let since = condition["lastTransitionTime"].as_str().filter(|_| condition["status"] == passed);
    let message = [status.message.clone()].into_iter().chain(stuck).collect::<Vec<_>>().join("; ");
    said["conditions"] = json!([{ "type": PASSED, "status": passed, "reason": status.phase, "message": message,
        "observedGeneration": status.observed_generation, "lastTransitionTime": since.unwrap_or(now) }]);
    said
}
