//! Changes objects along their schema: lays one over another, and takes fields
//! out.

use std::collections::VecDeque;

use serde_json::{Map, Value};

use super::typed::{fields_in, items_in, steps, under};
use crate::fields::{FieldSet, PathElement};
use crate::schema::{ListType, ListView, MapView, NodeId, Schema, Shape};

/// The object with the fields of another laid over it. Nothing is removed.
pub(super) fn merge(schema: &Schema, id: NodeId, live: &Value, applied: &Value) -> Value {
    match schema.shape_of(id, applied) {
        Shape::Scalar => applied.clone(),
        Shape::Map => {
            let map = schema.map_of(id).filter(|map| !map.atomic);
            let (live, laid) = (fields_in(Some(live)), fields_in(Some(applied)));
            match map {
                Some(map) if live.or(laid).is_some() => merge_maps(schema, &map, live, laid),
                // Both are empty: the last word is whether that is `{}` or null.
                _ => applied.clone(),
            }
        }
        Shape::List => {
            let list = schema.list_of(id).filter(|list| *list.kind != ListType::Atomic);
            let (live, laid) = (items_in(Some(live)), items_in(Some(applied)));
            match list {
                Some(list) if !live.is_empty() || !laid.is_empty() => merge_lists(schema, &list, live, laid),
                _ => applied.clone(),
            }
        }
    }
}

fn merge_maps(
    schema: &Schema,
    map: &MapView<'_>,
    live: Option<&Map<String, Value>>,
    applied: Option<&Map<String, Value>>,
) -> Value {
    let mut merged = live.cloned().unwrap_or_default();
    for (name, theirs) in applied.into_iter().flatten() {
        let value = match (merged.get(name), map.field(name)) {
            (Some(ours), Some(id)) => merge(schema, id, ours, theirs),
            _ => theirs.clone(),
        };
        merged.insert(name.clone(), value);
    }
    Value::Object(merged)
}

/// Items of both lists come in the applied order; an item that only the live
/// list has stays before the common item that it stood before.
fn merge_lists(schema: &Schema, list: &ListView<'_>, live: &[Value], applied: &[Value]) -> Value {
    let live = steps(schema, list, live);
    let applied = steps(schema, list, applied);
    let lay = |step: &PathElement, theirs: &Value| match under(&live, step).as_slice() {
        [ours] => merge(schema, list.items, ours, theirs),
        // New, or there more than once and so not to be merged with.
        _ => theirs.clone(),
    };
    let mut common: VecDeque<_> =
        applied.iter().map(|(step, _)| step).filter(|step| live.iter().any(|(other, _)| other == *step)).collect();
    let mut rest = applied.iter();
    let mut merged = Vec::with_capacity(live.len().max(applied.len()));
    for (step, ours) in &live {
        if !applied.iter().any(|(other, _)| other == step) {
            merged.push((*ours).clone());
        } else if common.front() == Some(&step) {
            common.pop_front();
            for (next, theirs) in rest.by_ref() {
                merged.push(lay(next, theirs));
                if next == step {
                    break;
                }
            }
        }
    }
    merged.extend(rest.map(|(step, theirs)| lay(step, theirs)));
    Value::Array(merged)
}

/// The value without these fields. What loses all it had becomes `null`.
pub(super) fn remove(schema: &Schema, id: NodeId, value: &Value, fields: &FieldSet) -> Value {
    match schema.shape_of(id, value) {
        Shape::Scalar => value.clone(),
        Shape::Map => remove_fields(schema, id, value, fields),
        Shape::List => remove_items(schema, id, value, fields),
    }
}

fn remove_fields(schema: &Schema, id: NodeId, value: &Value, fields: &FieldSet) -> Value {
    let Some(map) = schema.map_of(id).filter(|map| !map.atomic) else {
        return Value::Null;
    };
    let mut left = Map::new();
    for (name, value) in fields_in(Some(value)).into_iter().flatten() {
        let step = PathElement::field(name);
        if fields.has(&step) {
            continue;
        }
        let value = match (fields.below(&step), map.field(name)) {
            (Some(fields), Some(id)) => remove(schema, id, value, fields),
            _ => value.clone(),
        };
        left.insert(name.clone(), value);
    }
    if left.is_empty() { Value::Null } else { Value::Object(left) }
}

fn remove_items(schema: &Schema, id: NodeId, value: &Value, fields: &FieldSet) -> Value {
    let list = schema.list_of(id).filter(|list| *list.kind != ListType::Atomic);
    let Some(list) = list else {
        return Value::Null;
    };
    let left: Vec<_> = steps(schema, &list, items_in(Some(value)))
        .into_iter()
        .filter(|(step, _)| !fields.has(step))
        .map(|(step, item)| match fields.below(&step) {
            Some(fields) => remove(schema, list.items, item, fields),
            None => item.clone(),
        })
        .collect();
    if left.is_empty() { Value::Null } else { Value::Array(left) }
}
