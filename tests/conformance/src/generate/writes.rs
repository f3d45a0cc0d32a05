//! The writes of an episode: every verb, four patches by three managers, some
//! of them wrong in one of the listed ways.

use fastrand::Rng;
use serde_json::{Value, json};

use super::draw::{draw, draw_part, one_of, percent, pointers, spoil, strew_nulls};
use super::shape::{ListKind, Shape};
use super::sketch::Target;
use crate::case::Send;

const MANAGERS: [&str; 3] = ["one", "two", "three"];
const FINALIZERS: [&str; 2] = ["a.b/c", "a.b/d"];
/// An object that others name as their owner; it stays.
pub(super) const OWNER: &str = "owner";

pub(super) fn with_body(line: String, content: Option<&str>, body: Value) -> Send {
    Send { send: line, content: content.map(str::to_owned), body: Some(body), ..Send::default() }
}

/// A whole object around what was drawn for it.
pub(super) fn object(target: &Target, name: &str, body: Value) -> Value {
    let mut object = json!({ "apiVersion": target.api_version, "kind": target.kind, "metadata": { "name": name } });
    if let (Value::Object(object), Value::Object(body)) = (&mut object, body) {
        object.extend(body);
    }
    object
}

fn metadata(target: &Target, rng: &mut Rng) -> Value {
    let mut metadata = json!({});
    for field in ["labels", "annotations"] {
        if percent(rng, 30) {
            let of = Box::new(Shape::Text(vec!["1".to_owned(), "2".to_owned()]));
            metadata[field] = draw(&Shape::Map { of, atomic: false, least: 1 }, rng);
        }
    }
    if target.kept {
        metadata["annotations"]["changed"] = json!(rng.u32(..).to_string());
    }
    if percent(rng, 15) {
        // None at all is drawn as a removal; no client writes an empty list.
        let first = rng.usize(..FINALIZERS.len());
        let last = rng.usize(first..FINALIZERS.len());
        metadata["finalizers"] = json!(FINALIZERS[first..=last]);
    }
    // What is of the whole cluster has no owner in a namespace.
    if !target.cluster && percent(rng, 10) {
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
pub(super) fn with_metadata(target: &Target, mut object: Value, rng: &mut Rng) -> Value {
    if let (Some(Value::Object(fields)), Value::Object(more)) = (object.get_mut("metadata"), metadata(target, rng)) {
        fields.extend(more);
    }
    object
}

/// One write to one of the target's objects.
pub(super) fn operation(target: &Target, rng: &mut Rng) -> Send {
    let name = one_of(rng, &target.names).as_str();
    let (path, short) = (format!("{}/{name}", target.path), target.short(name));
    let manager = *one_of(rng, &MANAGERS);
    let query = |more: &str| format!("?fieldManager={manager}{more}");
    let spoiled = |mut value: Value, rng: &mut Rng| {
        if !target.kept && percent(rng, 8) {
            spoil(&mut value, target.custom, rng);
        }
        value
    };
    let status = target.status.as_ref().filter(|_| percent(rng, 20));
    if let Some(status) = status {
        return write_status(target, status, name, manager, rng);
    }
    if target.scaled && percent(rng, 12) {
        return scale(target, name, manager, rng);
    }
    let part = |rng: &mut Rng| {
        if target.fixed { json!({}) } else { draw_part(&target.body, rng, target.levels()) }
    };
    match rng.usize(0..100) {
        0..15 => {
            let whole = spoiled(draw(&target.body, rng), rng);
            let whole = with_metadata(target, object(target, name, whole), rng);
            with_body(format!("POST {}{}", target.path, query(options(rng))), None, whole)
        }
        15..30 if !target.fixed => {
            let whole = spoiled(draw(&target.body, rng), rng);
            let mut whole = with_metadata(target, object(target, name, whole), rng);
            match rng.usize(0..10) {
                0 => whole["metadata"]["resourceVersion"] = json!(format!("$rv0.{short}")),
                1 => {}
                _ => whole["metadata"]["resourceVersion"] = json!(format!("$rv.{short}")),
            }
            with_body(format!("PUT {path}{}", query(options(rng))), None, whole)
        }
        30..42 => {
            let mut patch = part(rng);
            strew_nulls(&mut patch, rng);
            patch["metadata"] = metadata(target, rng);
            let patch = spoiled(patch, rng);
            with_body(format!("PATCH {path}{}", query(options(rng))), Some("merge"), patch)
        }
        42..52 => {
            let patch = match target {
                Target { kept: true, .. } => {
                    json!([{ "op": "add", "path": "/metadata", "value": metadata(target, rng) }])
                }
                Target { fixed: true, .. } => json!([]),
                _ => json_patch(&draw(&target.body, rng), rng),
            };
            with_body(format!("PATCH {path}{}", query("")), Some("json-patch"), patch)
        }
        52..60 if !target.custom => {
            let mut patch = part(rng);
            direct(&target.body, &mut patch, rng);
            patch["metadata"] = metadata(target, rng);
            with_body(format!("PATCH {path}{}", query("")), Some("strategic"), patch)
        }
        60..90 => {
            let force = if percent(rng, 40) { "&force=true" } else { "" };
            let body = if percent(rng, 40) && !target.fixed { draw(&target.body, rng) } else { part(rng) };
            let applied = with_metadata(target, object(target, name, spoiled(body, rng)), rng);
            with_body(format!("PATCH {path}{}", query(force)), Some("apply"), applied)
        }
        90..94 if !target.kept => with_body(
            format!("PATCH {path}{}", query("")),
            Some("merge"),
            json!({ "metadata": { "finalizers": null } }),
        ),
        94..96 if !target.shared() && !target.kept => Send {
            send: format!("DELETE {}?labelSelector=a%3D{}", target.path, one_of(rng, &["1", "2"])),
            ..Send::default()
        },
        _ if !target.kept => delete(path, short, rng),
        _ => Send { send: format!("GET {path}"), ..Send::default() },
    }
}

fn delete(path: String, short: &str, rng: &mut Rng) -> Send {
    let preconditions = match rng.usize(0..6) {
        0 => json!({ "uid": format!("$uid.{short}") }),
        1 => json!({ "resourceVersion": format!("$rv0.{short}") }),
        2 => json!({ "resourceVersion": format!("$rv.{short}") }),
        _ => return Send { send: format!("DELETE {path}"), ..Send::default() },
    };
    with_body(format!("DELETE {path}"), None, json!({ "preconditions": preconditions }))
}

/// A change, or a look, through the `scale` subresource.
fn scale(target: &Target, name: &str, manager: &str, rng: &mut Rng) -> Send {
    let path = format!("{}/{name}/scale", target.path);
    let query = format!("?fieldManager={manager}");
    let replicas = rng.u8(0..5);
    match rng.usize(0..6) {
        0 => Send { send: format!("GET {path}"), ..Send::default() },
        1 => {
            let place = json!({ "name": name, "namespace": "$ns" });
            let mut body = json!({ "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": place, "spec": { "replicas": replicas } });
            if target.cluster {
                body["metadata"] = json!({ "name": name });
            }
            if rng.bool() {
                body["metadata"]["resourceVersion"] = json!(format!("$rv.{}", target.short(name)));
            }
            with_body(format!("PUT {path}{query}"), None, body)
        }
        3 => {
            let force = if rng.bool() { "&force=true" } else { "" };
            let body = json!({
                "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": { "name": name }, "spec": { "replicas": replicas } });
            with_body(format!("PATCH {path}{query}{force}"), Some("apply"), body)
        }
        2 => {
            let patch = json!([{ "op": "replace", "path": "/spec/replicas", "value": replicas }]);
            with_body(format!("PATCH {path}{query}"), Some("json-patch"), patch)
        }
        _ => with_body(format!("PATCH {path}{query}"), Some("merge"), json!({ "spec": { "replicas": replicas } })),
    }
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
        (Shape::List { of, kind: ListKind::Keyed(_), .. }, Value::Array(items)) => {
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
