//! How a patch changes an object: JSON patches, and strategic merges by the
//! merge keys of the built-in kinds.

use std::collections::VecDeque;

use json_patch::{Patch, PatchOperation};
use serde_json::{Map, Value};

use crate::kinds::Builtin;
use crate::status_error::ApiError;

/// The real server's limit on the operations of one JSON patch.
const OPERATIONS_MAX: usize = 10_000;

pub(crate) fn json_operations(body: &[u8]) -> Result<Vec<PatchOperation>, ApiError> {
    let Patch(operations) = serde_json::from_slice(body)
        .map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}")))?;
    if operations.len() > OPERATIONS_MAX {
        return Err(ApiError::too_large(OPERATIONS_MAX));
    }
    Ok(operations)
}

pub(crate) fn json(object: &mut Value, operations: &[PatchOperation]) -> Result<(), ApiError> {
    json_patch::patch(object, operations).map_err(|_| ApiError::patch_failed())
}

/// Merges a strategic patch: lists that have a merge key by that key, others as a whole.
pub(crate) fn strategic(object: &mut Value, patch: &Value, builtin: Option<&Builtin>) -> Result<(), ApiError> {
    let nothing = Map::new();
    let components = builtin.map_or(&nothing, |builtin| &*builtin.components);
    let schema = builtin.and_then(|builtin| components.get(&builtin.component));
    Schemas(components).merge(object, patch, schema)
}

/// The components that a schema may refer to.
struct Schemas<'a>(&'a Map<String, Value>);

impl<'a> Schemas<'a> {
    fn resolve(&self, schema: Option<&'a Value>) -> Option<&'a Value> {
        let schema = schema?;
        match schema.get("$ref").and_then(Value::as_str) {
            Some(reference) => self.0.get(reference.rsplit('/').next()?),
            None => Some(schema),
        }
    }

    /// The schema of a field, with what stands beside the reference.
    fn field(&self, schema: Option<&'a Value>, name: &str) -> Option<&'a Value> {
        let schema = self.resolve(schema)?;
        schema.get("properties").and_then(|fields| fields.get(name)).or_else(|| schema.get("additionalProperties"))
    }

    fn merge(&self, target: &mut Value, patch: &Value, schema: Option<&'a Value>) -> Result<(), ApiError> {
        let Value::Object(patch) = patch else {
            *target = patch.clone();
            return Ok(());
        };
        if patch.get("$patch").and_then(Value::as_str) == Some("replace") {
            let mut whole = patch.clone();
            whole.remove("$patch");
            *target = Value::Object(whole);
            return Ok(());
        }
        if !target.is_object() {
            *target = Value::Object(Map::new());
        }
        let fields = target.as_object_mut().expect("made an object above");
        if let Some(Value::Array(kept)) = patch.get("$retainKeys") {
            fields.retain(|name, _| kept.iter().any(|one| one == name));
        }
        for (name, value) in patch {
            if let Some(of) = name.strip_prefix("$deleteFromPrimitiveList/") {
                remove_values(fields.get_mut(of), value);
            } else if !name.starts_with('$') {
                self.merge_field(fields, name, value, self.field(schema, name))?;
            }
        }
        Ok(())
    }

    fn merge_field(
        &self,
        fields: &mut Map<String, Value>,
        name: &str,
        value: &Value,
        schema: Option<&'a Value>,
    ) -> Result<(), ApiError> {
        match value {
            Value::Null => {
                fields.remove(name);
            }
            Value::Object(patch) if patch.get("$patch").and_then(Value::as_str) == Some("delete") => {
                fields.remove(name);
            }
            Value::Object(_) => {
                let target = fields.entry(name).or_insert_with(|| Value::Object(Map::new()));
                self.merge(target, value, schema)?;
            }
            Value::Array(items) if merges(schema) => {
                let key = schema.and_then(|schema| schema.get("x-kubernetes-patch-merge-key")).and_then(Value::as_str);
                let target = fields.entry(name).or_insert_with(|| Value::Array(Vec::new()));
                if !target.is_array() {
                    *target = Value::Array(Vec::new());
                }
                let list = target.as_array_mut().expect("made a list above");
                let item = schema.and_then(|schema| schema.get("items"));
                self.merge_list(list, items, key, item)?;
            }
            other => {
                fields.insert(name.to_owned(), other.clone());
            }
        }
        Ok(())
    }

    fn merge_list(
        &self,
        list: &mut Vec<Value>,
        items: &[Value],
        key: Option<&str>,
        schema: Option<&'a Value>,
    ) -> Result<(), ApiError> {
        let directive = |item: &Value, wanted| item.get("$patch").and_then(Value::as_str) == Some(wanted);
        if items.iter().any(|item| directive(item, "replace")) {
            *list = items.iter().filter(|item| !directive(item, "replace")).cloned().collect();
            return Ok(());
        }
        let order = list.clone();
        for item in items {
            let Some(key) = key else {
                if !list.contains(item) {
                    list.push(item.clone());
                }
                continue;
            };
            let value = item.get(key).ok_or_else(|| {
                ApiError::bad_request(format!("map: {item} does not contain declared merge key: {key}"))
            })?;
            let found = list.iter().position(|one| one.get(key) == Some(value));
            match found {
                Some(at) if directive(item, "delete") => {
                    list.remove(at);
                }
                Some(at) => self.merge(&mut list[at], item, schema)?,
                None if directive(item, "delete") => {}
                None => {
                    let mut new = Value::Object(Map::new());
                    self.merge(&mut new, item, schema)?;
                    list.push(new);
                }
            }
        }
        let same = |a: &Value, b: &Value| key.map_or(a == b, |key| a.get(key) == b.get(key));
        *list = ordered(std::mem::take(list), items, &order, same);
        Ok(())
    }
}

/// The server's order of a merged list: what the patch names, in its order,
/// runs ahead of the rest, unless both were there before the other way round.
fn ordered(merged: Vec<Value>, patch: &[Value], before: &[Value], same: impl Fn(&Value, &Value) -> bool) -> Vec<Value> {
    let place = |list: &[Value], item: &Value| list.iter().position(|one| same(one, item));
    let (mut named, rest): (Vec<Value>, Vec<Value>) = merged.into_iter().partition(|item| place(patch, item).is_some());
    named.sort_by_key(|item| place(patch, item));
    let (mut named, mut rest) = (VecDeque::from(named), VecDeque::from(rest));
    let mut out = Vec::with_capacity(named.len() + rest.len());
    while let (Some(left), Some(right)) = (named.front(), rest.front()) {
        let swapped = match (place(before, left), place(before, right)) {
            (Some(left), Some(right)) => right < left,
            _ => false,
        };
        out.extend(if swapped { rest.pop_front() } else { named.pop_front() });
    }
    out.extend(named);
    out.extend(rest);
    out
}

fn merges(schema: Option<&Value>) -> bool {
    let strategy = schema.and_then(|schema| schema.get("x-kubernetes-patch-strategy")).and_then(Value::as_str);
    strategy.is_some_and(|strategy| strategy.split(',').any(|one| one == "merge"))
}

fn remove_values(list: Option<&mut Value>, values: &Value) {
    if let (Some(Value::Array(list)), Some(values)) = (list, values.as_array()) {
        list.retain(|item| !values.contains(item));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::Registry;

    fn patched(mut object: Value, patch: Value) -> Value {
        let registry = Registry::builtin();
        let kind = registry.find("apps", "v1", "deployments").unwrap();
        strategic(&mut object, &patch, kind.builtin.as_ref()).unwrap();
        object
    }

    #[test]
    fn a_strategic_patch_merges_containers_by_name_and_keeps_the_rest() {
        let pod = |containers: Value| json!({ "spec": { "template": { "spec": { "containers": containers } } } });
        let live = pod(json!([{ "name": "a", "image": "1", "args": ["x"] }, { "name": "b", "image": "1" }]));
        let merged = patched(live.clone(), pod(json!([{ "name": "a", "image": "2", "args": ["y"] }])));
        assert_eq!(merged, pod(json!([{ "name": "a", "image": "2", "args": ["y"] }, { "name": "b", "image": "1" }])));
        let fewer = patched(live, pod(json!([{ "name": "a", "$patch": "delete" }])));
        assert_eq!(fewer, pod(json!([{ "name": "b", "image": "1" }])));
    }

    #[test]
    fn finalizers_merge_as_a_set_and_null_removes() {
        let live = json!({ "metadata": { "finalizers": ["a/b"], "labels": { "x": "1", "y": "2" } } });
        let patch = json!({ "metadata": { "finalizers": ["c/d"], "labels": { "x": null } } });
        let merged = patched(live, patch);
        assert_eq!(merged, json!({ "metadata": { "finalizers": ["c/d", "a/b"], "labels": { "y": "2" } } }));
        let fewer = patched(merged, json!({ "metadata": { "$deleteFromPrimitiveList/finalizers": ["a/b"] } }));
        assert_eq!(fewer["metadata"]["finalizers"], json!(["c/d"]));
    }
}
