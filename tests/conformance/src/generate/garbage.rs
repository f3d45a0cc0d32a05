//! An episode about owners: objects that own each other, deleted in all ways.
//! The real server's collector comes to the end of it a moment later, and in
//! no order that can be told, so what is compared is what is left each time. For
//! that not to depend on the order too, owners form trees; what has a second
//! owner has the same one, which stays.

use fastrand::Rng;
use serde_json::{Value, json};

use super::draw::{one_of, percent};
use crate::case::{Case, Send, Step};

const OBJECTS: usize = 8;
/// Deletions and changes of owners.
const CHANGES: usize = 10;
const FINALIZER: &str = "a.b/c";
/// The object that stays.
const KEEPER: usize = 0;
/// The uid of nothing.
const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

/// A kind that owns and is owned: kind, apiVersion, path of its collection.
struct Kind(&'static str, &'static str, &'static str);

const NAMESPACED: [Kind; 4] = [
    Kind("ConfigMap", "v1", "$core/configmaps"),
    Kind("Secret", "v1", "$core/secrets"),
    Kind("ServiceAccount", "v1", "$core/serviceaccounts"),
    Kind("ReplicaSet", "apps/v1", "$apps/replicasets"),
];
const OF_CLUSTER: Kind =
    Kind("ClusterRole", "rbac.authorization.k8s.io/v1", "/apis/rbac.authorization.k8s.io/v1/clusterroles");

struct Object {
    kind: &'static Kind,
    name: String,
}

impl Object {
    fn nth(index: usize, rng: &mut Rng) -> Self {
        if index == KEEPER {
            return Self { kind: &NAMESPACED[0], name: format!("o{index}") };
        }
        // One in a few is of the whole cluster: it may own, and is not owned.
        let of_cluster = percent(rng, 12);
        let kind = if of_cluster { &OF_CLUSTER } else { one_of(rng, &NAMESPACED) };
        Self { kind, name: if of_cluster { format!("$ns-o{index}") } else { format!("o{index}") } }
    }

    fn of_cluster(&self) -> bool {
        self.name.starts_with('$')
    }

    /// What `$uid.` is followed by.
    fn short(&self) -> &str {
        self.name.trim_start_matches("$ns-")
    }

    fn path(&self) -> String {
        format!("{}/{}", self.kind.2, self.name)
    }
}

pub(super) fn episode(seed: u64, rng: &mut Rng) -> Case {
    let objects: Vec<Object> = (0..OBJECTS).map(|index| Object::nth(index, rng)).collect();
    let mut steps = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        let create = create(object, &objects[..index], rng);
        steps.push(Step::Send(create));
    }
    look(&mut steps, &objects);
    for _ in 0..CHANGES {
        steps.push(Step::Send(change(&objects, rng)));
        look(&mut steps, &objects);
    }
    Case { case: format!("owners drawn from seed {seed}"), things: None, steps }
}

/// What is left.
fn look(steps: &mut Vec<Step>, objects: &[Object]) {
    let later = |line: String| Step::Send(Send { send: line, later: true, ..Send::default() });
    steps.extend(NAMESPACED.iter().map(|kind| later(format!("GET {}", kind.2))));
    steps.extend(
        objects.iter().filter(|object| object.of_cluster()).map(|object| later(format!("GET {}", object.path()))),
    );
}

fn create(object: &Object, before: &[Object], rng: &mut Rng) -> Send {
    let Kind(kind, api_version, path) = object.kind;
    let mut metadata = json!({ "name": object.name });
    if !object.of_cluster() {
        metadata["ownerReferences"] = owners(before, rng);
    }
    if percent(rng, 15) {
        metadata["finalizers"] = json!([FINALIZER]);
    }
    let mut body = json!({ "apiVersion": api_version, "kind": kind, "metadata": metadata });
    if *kind == "ReplicaSet" {
        let template = json!({ "metadata": { "labels": { "a": "x" } }, "spec": { "containers": [{ "name": "c", "image": "i" }] } });
        body["spec"] = json!({ "selector": { "matchLabels": { "a": "x" } }, "template": template });
    }
    Send { send: format!("POST {path}"), body: Some(body), ..Send::default() }
}

/// None or one owner, now and then one that is not there, and the keeper.
fn owners(objects: &[Object], rng: &mut Rng) -> Value {
    let mut owners = Vec::new();
    if objects.len() > 1 && percent(rng, 75) {
        let mut owner = reference(one_of(rng, &objects[KEEPER + 1..]), rng);
        if percent(rng, 8) {
            owner["uid"] = json!(NOBODY);
        }
        if percent(rng, 40) {
            owner["controller"] = json!(true);
        }
        owners.push(owner);
    }
    if !objects.is_empty() && percent(rng, 25) {
        owners.push(reference(&objects[KEEPER], rng));
    }
    Value::Array(owners)
}

fn reference(owner: &Object, rng: &mut Rng) -> Value {
    let Kind(kind, api_version, _) = owner.kind;
    let uid = format!("$uid.{}", owner.short());
    let mut reference = json!({ "apiVersion": api_version, "kind": kind, "name": owner.name, "uid": uid });
    if percent(rng, 50) {
        reference["blockOwnerDeletion"] = json!(rng.bool());
    }
    reference
}

fn change(objects: &[Object], rng: &mut Rng) -> Send {
    let index = rng.usize(KEEPER + 1..objects.len());
    let object = &objects[index];
    let merge = |metadata: Value| Send {
        send: format!("PATCH {}", object.path()),
        content: Some("merge".to_owned()),
        body: Some(json!({ "metadata": metadata })),
        ..Send::default()
    };
    let options = |rng: &mut Rng| match rng.usize(0..8) {
        0 | 1 => None,
        2 | 3 => Some(json!({ "propagationPolicy": "Foreground" })),
        4 | 5 => Some(json!({ "propagationPolicy": "Orphan" })),
        6 => Some(json!({ "orphanDependents": true })),
        _ => Some(json!({ "propagationPolicy": "Background" })),
    };
    match rng.usize(0..100) {
        0..60 => Send { send: format!("DELETE {}", object.path()), body: options(rng), ..Send::default() },
        60..80 => merge(json!({ "finalizers": null })),
        80..93 if !object.of_cluster() => merge(json!({ "ownerReferences": owners(&objects[..index], rng) })),
        _ => create(object, &objects[..index], rng),
    }
}
