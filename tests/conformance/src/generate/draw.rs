//! Draws values of a shape: whole ones, parts for patches and applies, and the
//! listed ways in which a value can be wrong.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use super::shape::{ListKind, Shape};

/// The keys of maps: few, so that writers meet.
const KEYS: [&str; 3] = ["a", "b", "c"];
const ITEMS_MAX: usize = 3;

pub(super) fn one_of<'a, T>(rng: &mut Rng, items: &'a [T]) -> &'a T {
    &items[rng.usize(0..items.len())]
}

/// Whether one of `hundred` cases is drawn.
pub(super) fn percent(rng: &mut Rng, hundred: u8) -> bool {
    rng.u8(0..100) < hundred
}

/// A whole value: what is required is there.
pub(super) fn draw(shape: &Shape, rng: &mut Rng) -> Value {
    draw_part(shape, rng, 0)
}

/// A part of a value: down to `levels`, what is required may be missing, but for keys.
pub(super) fn draw_part(shape: &Shape, rng: &mut Rng, levels: usize) -> Value {
    let deeper = levels.saturating_sub(1);
    match shape {
        Shape::Text(choices) => json!(one_of(rng, choices)),
        Shape::Whole(least, most) => json!(rng.i64(*least..=*most)),
        Shape::Truth => json!(rng.bool()),
        Shape::Either => {
            if rng.bool() {
                json!(rng.u8(1..4))
            } else {
                json!("50%")
            }
        }
        Shape::Free => free(rng),
        Shape::Map { of, least, .. } => {
            let mut keys = KEYS.iter().filter(|_| rng.bool()).collect::<Vec<_>>();
            if keys.len() < *least {
                keys.push(one_of(rng, &KEYS));
            }
            Value::Object(keys.into_iter().map(|key| ((*key).to_owned(), draw_part(of, rng, deeper))).collect())
        }
        Shape::Object { fields, .. } => {
            let mut object = Map::new();
            for field in fields {
                let needed = field.required && levels == 0;
                if needed || percent(rng, 55) {
                    let mut value = draw_part(&field.shape, rng, deeper);
                    // A list that has to be there mostly has to hold something.
                    while needed && value.as_array().is_some_and(Vec::is_empty) {
                        value = draw_part(&field.shape, rng, deeper);
                    }
                    object.insert(field.name.clone(), value);
                }
            }
            Value::Object(object)
        }
        Shape::List { of, kind, least } => list(of, kind, *least, rng, deeper),
    }
}

fn free(rng: &mut Rng) -> Value {
    match rng.usize(0..4) {
        0 => json!({}),
        1 => json!({ "a": 1, "deep": { "b": [1, "two", { "c": null }] } }),
        2 => json!({ "a": "text", "b": false }),
        _ => json!({ "list": [], "number": 1.5 }),
    }
}

fn list(of: &Shape, kind: &ListKind, least: usize, rng: &mut Rng, levels: usize) -> Value {
    let mut items: Vec<Value> = Vec::new();
    for _ in 0..rng.usize(least..=ITEMS_MAX) {
        let mut item = draw_part(of, rng, levels);
        match kind {
            ListKind::Atomic => items.push(item),
            ListKind::Set if items.contains(&item) => {}
            ListKind::Set => items.push(item),
            ListKind::Keyed(keys) => {
                complete_key(of, keys, &mut item, rng);
                if !items.iter().any(|other| keys.iter().all(|key| other[key] == item[key])) {
                    items.push(item);
                }
            }
        }
    }
    Value::Array(items)
}

/// An item of a keyed list always has its keys.
fn complete_key(of: &Shape, keys: &[String], item: &mut Value, rng: &mut Rng) {
    let Shape::Object { fields, .. } = of else { return };
    for field in fields.iter().filter(|field| keys.contains(&field.name)) {
        if item.get(&field.name).is_none() {
            item[&field.name] = field.default.clone().unwrap_or_else(|| draw(&field.shape, rng));
        }
    }
}

/// Makes one place of a value wrong, in one of the listed ways. Only where
/// `lists` says so is an item of a list nulled, as no Go client can write that,
/// or there twice, of which built-in kinds only warn.
pub(super) fn spoil(value: &mut Value, lists: bool, rng: &mut Rng) {
    let mut paths = Vec::new();
    pointers(value, String::new(), &mut paths);
    if paths.is_empty() {
        return;
    }
    let path = one_of(rng, &paths).clone();
    let is_item = path.rsplit('/').next().is_some_and(|step| step.parse::<usize>().is_ok());
    let Some(place) = value.pointer_mut(&path) else { return };
    match (rng.usize(0..5), &mut *place) {
        (0, place) if lists || !is_item => *place = Value::Null,
        (1, Value::Object(fields)) => {
            fields.insert("unknown".to_owned(), json!("field"));
        }
        (2, Value::Array(items)) if lists && !items.is_empty() => items.push(items[0].clone()),
        (3, Value::Object(fields)) if !fields.is_empty() => {
            let name = one_of(rng, &fields.keys().cloned().collect::<Vec<_>>()).clone();
            fields.remove(&name);
        }
        (_, place) => *place = wrong_type(place),
    }
}

fn wrong_type(value: &Value) -> Value {
    match value {
        Value::String(_) => json!(7),
        Value::Number(_) => json!("seven"),
        Value::Bool(_) => json!("yes"),
        Value::Array(_) => json!({ "not": "a list" }),
        Value::Object(_) => json!(["not a map"]),
        Value::Null => json!("something"),
    }
}

/// The JSON pointers of all that is in a value, but for the whole of it.
pub(super) fn pointers(value: &Value, at: String, found: &mut Vec<String>) {
    if !at.is_empty() {
        found.push(at.clone());
    }
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                pointers(field, format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointers(item, format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

/// Turns some of what a merge patch says into removals.
pub(super) fn strew_nulls(value: &mut Value, rng: &mut Rng) {
    let Value::Object(fields) = value else { return };
    for field in fields.values_mut() {
        if percent(rng, 12) {
            *field = Value::Null;
        } else {
            strew_nulls(field, rng);
        }
    }
}
