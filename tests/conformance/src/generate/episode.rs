//! One episode: a case of many writes to a few kinds by three managers, under
//! watches that see all of it.

use std::sync::Arc;

use fastrand::Rng;
use serde_json::{Value, json};

use super::draw::{draw, draw_part, one_of, percent, pointers, spoil, strew_nulls};
use super::shape::{Field, ListKind, Shape};
use super::sketch::{self, Target};
use crate::case::{Case, Read, Send, Step};

/// Writes in one episode: enough for managers to meet, few enough to read.
const OPERATIONS: usize = 40;
/// Built-in kinds of an episode, besides the custom one.
const BUILTIN_KINDS: usize = 2;
const NAMES: [&str; 2] = ["a", "b"];
const MANAGERS: [&str; 3] = ["one", "two", "three"];
const FINALIZERS: [&str; 2] = ["a.b/c", "a.b/d"];
/// An object that others name as their owner; it stays.
const OWNER: &str = "owner";
/// The last object of each kind: a watch is read up to it.
const LAST: &str = "last";

/// Draws episodes from a seed.
#[derive(Clone)]
pub struct Generator {
    builtin: Arc<Vec<Target>>,
}

impl Generator {
    /// One that draws for the built-in kinds of a table of sketches.
    ///
    /// # Errors
    /// Where the text is no such table.
    pub fn new(sketches: &str) -> anyhow::Result<Self> {
        Ok(Self { builtin: Arc::new(sketch::read(sketches)?) })
    }

    /// The operations of each episode.
    pub const OPERATIONS: usize = OPERATIONS;

    /// The episode of a seed.
    #[must_use]
    pub fn episode(&self, seed: u64) -> Case {
        let mut rng = Rng::with_seed(seed);
        let (custom, things) = random_kind(&mut rng);
        let mut targets = vec![custom];
        for _ in 0..BUILTIN_KINDS {
            let target = one_of(&mut rng, &self.builtin).clone();
            if targets.iter().all(|other| other.path != target.path) {
                targets.push(target);
            }
        }
        let owner = json!({ "metadata": { "name": OWNER } });
        let mut steps = vec![Step::Send(with_body("POST $core/configmaps".to_owned(), None, owner))];
        for (index, target) in targets.iter().enumerate() {
            steps.push(send(format!("GET {}", target.path)));
            let watch = format!("GET {}?watch=1&resourceVersion=$rv", target.path);
            steps.push(Step::Send(Send { send: watch, watch: Some(format!("w{index}")), ..Send::default() }));
        }
        for (target, name) in targets.iter().flat_map(|target| NAMES.map(|name| (target, name))) {
            let first = with_metadata(object(target, name, draw(&target.body, &mut rng)), &mut rng);
            steps.push(Step::Send(with_body(format!("POST {}", target.path), None, first)));
        }
        for _ in 0..OPERATIONS {
            let target = one_of(&mut rng, &targets);
            steps.push(Step::Send(operation(target, &mut rng)));
        }
        for (index, target) in targets.iter().enumerate() {
            steps.push(send(format!("GET {}", target.path)));
            let last = object(target, LAST, draw(&target.body, &mut rng));
            steps.push(Step::Send(with_body(format!("POST {}", target.path), None, last)));
            steps.push(Step::Read(Read { read: format!("w{index}"), events: None, to: Some(LAST.to_owned()) }));
        }
        Case { case: format!("drawn from seed {seed}"), things: Some(things), steps }
    }
}

/// A custom kind of a random schema, and its version of a definition.
fn random_kind(rng: &mut Rng) -> (Target, Value) {
    let field = |name: &str, shape: Shape| Field {
        name: name.to_owned(),
        shape,
        required: false,
        default: None,
        nullable: false,
    };
    let (spec, status) = (Shape::random_object(rng, 0), Shape::random_object(rng, 1));
    let has_status = percent(rng, 70);
    let whole =
        Shape::Object { fields: vec![field("spec", spec.clone()), field("status", status.clone())], atomic: false };
    let mut things = json!({ "schema": whole.schema() });
    if has_status {
        things["subresources"] = json!({ "status": {} });
    }
    let target = Target {
        kind: "Thing".to_owned(),
        api_version: "$group/v1".to_owned(),
        path: "$things".to_owned(),
        body: Shape::Object { fields: vec![field("spec", spec)], atomic: false },
        status: has_status.then_some(status),
        custom: true,
        fixed: false,
    };
    (target, things)
}

fn send(line: String) -> Step {
    Step::Send(Send { send: line, ..Send::default() })
}

fn with_body(line: String, content: Option<&str>, body: Value) -> Send {
    Send { send: line, content: content.map(str::to_owned), body: Some(body), ..Send::default() }
}

/// A whole object around what was drawn for it.
fn object(target: &Target, name: &str, body: Value) -> Value {
    let mut object = json!({ "apiVersion": target.api_version, "kind": target.kind, "metadata": { "name": name } });
    if let (Value::Object(object), Value::Object(body)) = (&mut object, body) {
        object.extend(body);
    }
    object
}

fn metadata(rng: &mut Rng) -> Value {
    let mut metadata = json!({});
    for field in ["labels", "annotations"] {
        if percent(rng, 30) {
            let map = Shape::Map { of: Box::new(Shape::Text(vec!["1".to_owned(), "2".to_owned()])), atomic: false };
            metadata[field] = draw(&map, rng);
        }
    }
    if percent(rng, 15) {
        let names = FINALIZERS.iter().filter(|_| rng.bool()).collect::<Vec<_>>();
        metadata["finalizers"] = json!(names);
    }
    if percent(rng, 10) {
        let mut owner =
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "name": OWNER, "uid": format!("$uid.{OWNER}") });
        if rng.bool() {
            owner["controller"] = json!(rng.bool());
        }
        metadata["ownerReferences"] = json!([owner]);
    }
    metadata
}

/// Adds drawn metadata to what an object has.
fn with_metadata(mut object: Value, rng: &mut Rng) -> Value {
    if let (Some(Value::Object(fields)), Value::Object(more)) = (object.get_mut("metadata"), metadata(rng)) {
        fields.extend(more);
    }
    object
}

fn operation(target: &Target, rng: &mut Rng) -> Send {
    let name = *one_of(rng, &NAMES);
    let path = format!("{}/{name}", target.path);
    let manager = *one_of(rng, &MANAGERS);
    let query = |more: &str| format!("?fieldManager={manager}{more}");
    let spoiled = |mut value: Value, rng: &mut Rng| {
        if percent(rng, 8) {
            spoil(&mut value, rng);
        }
        value
    };
    let status = target.status.as_ref().filter(|_| percent(rng, 20));
    if let Some(status) = status {
        return write_status(target, status, name, manager, rng);
    }
    let part = |rng: &mut Rng| {
        if target.fixed { json!({}) } else { draw_part(&target.body, rng, target.levels()) }
    };
    match rng.usize(0..100) {
        0..15 => {
            let whole = spoiled(draw(&target.body, rng), rng);
            let whole = with_metadata(object(target, name, whole), rng);
            with_body(format!("POST {}{}", target.path, query(options(rng))), None, whole)
        }
        15..30 if !target.fixed => {
            let whole = spoiled(draw(&target.body, rng), rng);
            let mut whole = with_metadata(object(target, name, whole), rng);
            match rng.usize(0..10) {
                0 => whole["metadata"]["resourceVersion"] = json!(format!("$rv0.{name}")),
                1 => {}
                _ => whole["metadata"]["resourceVersion"] = json!(format!("$rv.{name}")),
            }
            with_body(format!("PUT {path}{}", query(options(rng))), None, whole)
        }
        30..42 => {
            let mut patch = part(rng);
            strew_nulls(&mut patch, rng);
            patch["metadata"] = metadata(rng);
            let patch = spoiled(patch, rng);
            with_body(format!("PATCH {path}{}", query(options(rng))), Some("merge"), patch)
        }
        42..52 => {
            let patch = if target.fixed { json!([]) } else { json_patch(&draw(&target.body, rng), rng) };
            with_body(format!("PATCH {path}{}", query("")), Some("json-patch"), patch)
        }
        52..60 if !target.custom => {
            let mut patch = part(rng);
            direct(&target.body, &mut patch, rng);
            patch["metadata"] = metadata(rng);
            with_body(format!("PATCH {path}{}", query("")), Some("strategic"), patch)
        }
        60..90 => {
            let force = if percent(rng, 40) { "&force=true" } else { "" };
            let body = if percent(rng, 40) && !target.fixed { draw(&target.body, rng) } else { part(rng) };
            let applied = with_metadata(object(target, name, spoiled(body, rng)), rng);
            with_body(format!("PATCH {path}{}", query(force)), Some("apply"), applied)
        }
        90..94 => with_body(
            format!("PATCH {path}{}", query("")),
            Some("merge"),
            json!({ "metadata": { "finalizers": null } }),
        ),
        _ => delete(path, name, rng),
    }
}

fn delete(path: String, name: &str, rng: &mut Rng) -> Send {
    let preconditions = match rng.usize(0..6) {
        0 => json!({ "uid": format!("$uid.{name}") }),
        1 => json!({ "resourceVersion": format!("$rv0.{name}") }),
        2 => json!({ "resourceVersion": format!("$rv.{name}") }),
        _ => return Send { send: format!("DELETE {path}"), ..Send::default() },
    };
    with_body(format!("DELETE {path}"), None, json!({ "preconditions": preconditions }))
}

fn options(rng: &mut Rng) -> &'static str {
    const OPTIONS: [&str; 7] = ["", "", "", "", "&fieldValidation=Strict", "&fieldValidation=Ignore", "&dryRun=All"];
    OPTIONS[rng.usize(..OPTIONS.len())]
}

fn write_status(target: &Target, status: &Shape, name: &str, manager: &str, rng: &mut Rng) -> Send {
    let path = format!("{}/{name}/status?fieldManager={manager}", target.path);
    let mut body = object(target, name, json!({ "status": draw_part(status, rng, target.levels()) }));
    match rng.usize(0..3) {
        0 => with_body(format!("PATCH {path}&force=true"), Some("apply"), body),
        1 => with_body(format!("PATCH {path}"), Some("apply"), body),
        _ => {
            strew_nulls(&mut body["status"], rng);
            with_body(format!("PATCH {path}"), Some("merge"), json!({ "status": body["status"] }))
        }
    }
}

/// One to three operations at places that such an object may have.
fn json_patch(like: &Value, rng: &mut Rng) -> Value {
    let mut paths = Vec::new();
    pointers(like, String::new(), &mut paths);
    if paths.is_empty() {
        return json!([]);
    }
    let operations = (0..rng.usize(1..=3)).map(|_| {
        let path = one_of(rng, &paths).clone();
        let value = like.pointer(&path).cloned().unwrap_or_default();
        match rng.usize(0..6) {
            0 => json!({ "op": "remove", "path": path }),
            1 => json!({ "op": "test", "path": path, "value": value }),
            2 => json!({ "op": "replace", "path": path, "value": value }),
            _ => json!({ "op": "add", "path": path, "value": value }),
        }
    });
    Value::Array(operations.collect())
}

/// Puts directives of strategic merge patches in.
fn direct(shape: &Shape, patch: &mut Value, rng: &mut Rng) {
    match (shape, patch) {
        (Shape::Object { fields, .. }, Value::Object(object)) => {
            for field in fields {
                if let Some(value) = object.get_mut(&field.name) {
                    direct(&field.shape, value, rng);
                }
            }
        }
        (Shape::Map { .. }, Value::Object(map)) if percent(rng, 10) => {
            map.insert("$patch".to_owned(), json!("replace"));
        }
        (Shape::List { of, kind: ListKind::Keyed(_) }, Value::Array(items)) => {
            for item in items.iter_mut() {
                direct(of, item, rng);
                if percent(rng, 15) {
                    item["$patch"] = json!("delete");
                }
            }
            if percent(rng, 8) {
                items.push(json!({ "$patch": "replace" }));
            }
        }
        _ => {}
    }
}
