//! Strategic merge patches: merges that know a built-in kind's lists by their
//! merge keys, and take directives: `$patch`, `$retainKeys`,
//! `$deleteFromPrimitiveList/…` and `$setElementOrder/…`.

use std::collections::VecDeque;

use serde_json::{Map, Value};

use crate::go_print::GoPrint;
use crate::kinds::Builtin;
use crate::status_error::ApiError;

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const SET_ORDER: &str = "$setElementOrder/";

/// Merges a patch into an object of a built-in kind.
pub(crate) fn merge(object: &mut Value, patch: &Value, builtin: &Builtin) -> Result<(), ApiError> {
    let schema = builtin.components.get(&builtin.component);
    let schemas = Schemas(&builtin.components);
    let Value::Object(patch) = patch else { return Ok(()) };
    if let Some(fields) = object.as_object_mut() {
        schemas.merge_map(fields, patch, schema)?;
    }
    Ok(())
}

/// How the items of a list are told apart.
struct List<'a> {
    /// The merge key; none for a list of plain values.
    key: Option<&'a str>,
    items: Option<&'a Value>,
}

impl List<'_> {
    fn same(&self, a: &Value, b: &Value) -> bool {
        self.key.map_or(a == b, |key| a.get(key) == b.get(key))
    }

    fn place(&self, list: &[Value], item: &Value) -> Option<usize> {
        list.iter().position(|one| self.same(one, item))
    }

    /// An item's merge key, which it must have.
    fn check_key(&self, item: &Value) -> Result<(), ApiError> {
        match self.key {
            Some(key) if item.get(key).is_none() => Err(no_merge_key(item, key)),
            _ => Ok(()),
        }
    }
}

fn no_merge_key(item: &Value, key: &str) -> ApiError {
    ApiError::internal(format!("map: {} does not contain declared merge key: {key}", GoPrint(item)))
}

fn unknown_directive(directive: &Value, map: Value) -> ApiError {
    ApiError::internal(format!("unknown patch type: {} in map: {}", GoPrint(directive), GoPrint(&map)))
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

    fn merge_map(
        &self,
        target: &mut Map<String, Value>,
        patch: &Map<String, Value>,
        schema: Option<&'a Value>,
    ) -> Result<(), ApiError> {
        match patch.get(DIRECTIVE) {
            None => {}
            Some(directive) if directive == "replace" => {
                *target = patch.clone();
                target.remove(DIRECTIVE);
                return Ok(());
            }
            Some(directive) if directive == "delete" => {
                target.clear();
                return Ok(());
            }
            Some(directive) => return Err(unknown_directive(directive, Value::Object(patch.clone()))),
        }
        retain_keys(target, patch)?;
        for (name, value) in patch {
            if name == RETAIN_KEYS {
                continue;
            }
            if let Some(of) = name.strip_prefix(SET_ORDER) {
                self.merge_ordered(target, patch, of, value, schema)?;
            } else if let Some(of) = name.strip_prefix(DELETE_FROM) {
                if let (Some(Value::Array(list)), Some(values)) = (target.get_mut(of), value.as_array()) {
                    list.retain(|item| !values.contains(item));
                }
            } else if !patch.contains_key(&format!("{SET_ORDER}{name}")) || !value.is_array() {
                self.merge_field(target, name, value, self.field(schema, name))?;
            }
        }
        Ok(())
    }

    fn merge_field(
        &self,
        target: &mut Map<String, Value>,
        name: &str,
        value: &Value,
        schema: Option<&'a Value>,
    ) -> Result<(), ApiError> {
        let strategies = strategies(schema);
        match (target.get_mut(name), value) {
            (_, Value::Null) => {
                target.remove(name);
            }
            (Some(Value::Object(_)), Value::Object(_)) if strategies.contains(&"replace") => {
                target.insert(name.to_owned(), value.clone());
            }
            (Some(Value::Object(fields)), Value::Object(patch)) => self.merge_map(fields, patch, schema)?,
            (Some(Value::Array(list)), Value::Array(patch)) if strategies.contains(&"merge") => {
                *list = self.merge_list(list, patch, &list_of(schema))?;
            }
            (Some(Value::Array(list)), Value::Array(patch)) => list.clone_from(patch),
            _ => match without_directives(value) {
                Some(value) => {
                    target.insert(name.to_owned(), value);
                }
                None => {
                    target.remove(name);
                }
            },
        }
        Ok(())
    }

    /// A list whose whole order the patch states.
    fn merge_ordered(
        &self,
        target: &mut Map<String, Value>,
        patch: &Map<String, Value>,
        name: &str,
        order: &Value,
        schema: Option<&'a Value>,
    ) -> Result<(), ApiError> {
        let schema = self.field(schema, name);
        let list = list_of(schema);
        let expected = || ApiError::internal("expected a []interface {}, but received another type");
        let order = order.as_array().ok_or_else(expected)?;
        let before = target.get(name).map(|value| value.as_array().cloned().ok_or_else(expected)).transpose()?;
        let items = patch.get(name).map(|value| value.as_array().ok_or_else(expected)).transpose()?;
        if let Some(items) = items {
            check_order(items, order, &list)?;
        }
        let merged = match (&before, items) {
            (None, None) => return Ok(()),
            (Some(before), None) => before.clone(),
            (None, Some(items)) => items.iter().filter_map(without_directives).collect(),
            (Some(before), Some(items)) if strategies(schema).contains(&"merge") => {
                self.merge_list(before, items, &list)?
            }
            (Some(_), Some(items)) => items.clone(),
        };
        let ordered = in_order(merged, order, &before.unwrap_or_default(), &list)?;
        target.insert(name.to_owned(), Value::Array(ordered));
        Ok(())
    }

    fn merge_list(&self, before: &[Value], patch: &[Value], list: &List<'a>) -> Result<Vec<Value>, ApiError> {
        if !before.iter().chain(patch).any(Value::is_object) {
            let mut merged: Vec<Value> = Vec::with_capacity(before.len() + patch.len());
            for item in before.iter().chain(patch) {
                if !merged.contains(item) {
                    merged.push(item.clone());
                }
            }
            return in_order(merged, patch, before, &List { key: None, items: None });
        }
        let Some(key) = list.key else {
            return Err(ApiError::internal("cannot merge lists without merge key"));
        };
        let (mut merged, patch) = special_items(before, patch, key)?;
        let Some(patch) = patch else { return Ok(merged) };
        let left = merged.clone();
        for item in &patch {
            list.check_key(item)?;
            match list.place(&merged, item) {
                Some(at) => {
                    if let (Some(fields), Value::Object(patch)) = (merged[at].as_object_mut(), item) {
                        self.merge_map(fields, patch, list.items)?;
                    }
                }
                None => merged.push(item.clone()),
            }
        }
        in_order(merged, &patch, &left, list)
    }
}

/// Does what the `$patch` items of a list say. What is left: the list, and the
/// items to be merged into it; none where the list was replaced.
fn special_items(before: &[Value], patch: &[Value], key: &str) -> Result<(Vec<Value>, Option<Vec<Value>>), ApiError> {
    let mut left = before.to_vec();
    let (mut plain, mut replaces) = (Vec::new(), false);
    for item in patch {
        match item.get(DIRECTIVE) {
            None => plain.push(item.clone()),
            Some(directive) if directive == "delete" => {
                let value = item.get(key).ok_or_else(|| no_merge_key(item, key))?;
                left.retain(|one| one.get(key) != Some(value));
            }
            Some(directive) if directive == "replace" => replaces = true,
            Some(directive) if directive == "merge" => {
                return Err(ApiError::internal("merging lists cannot yet be specified in the patch"));
            }
            Some(directive) => return Err(unknown_directive(directive, item.clone())),
        }
    }
    Ok(if replaces { (plain, None) } else { (left, Some(plain)) })
}

/// Keeps the fields that `$retainKeys` names, among which all others of the
/// patch must be.
fn retain_keys(target: &mut Map<String, Value>, patch: &Map<String, Value>) -> Result<(), ApiError> {
    let Some(kept) = patch.get(RETAIN_KEYS) else { return Ok(()) };
    let malformed = || ApiError::bad_request("invalid patch format of retainKeys");
    let kept = kept.as_array().ok_or_else(malformed)?;
    let is_kept = |name: &str| kept.iter().any(|one| one == name);
    let stray = |(name, value): (&String, &Value)| {
        let directive = name == RETAIN_KEYS || name.starts_with(DELETE_FROM) || name.starts_with(SET_ORDER);
        !directive && !value.is_null() && !is_kept(name)
    };
    if patch.iter().any(stray) {
        return Err(malformed());
    }
    target.retain(|name, _| is_kept(name));
    Ok(())
}

/// The patch's items must come in the order that it states.
fn check_order(items: &[Value], order: &[Value], list: &List<'_>) -> Result<(), ApiError> {
    if order.is_empty() {
        return Ok(());
    }
    let mut rest = order.iter();
    for item in items.iter().filter(|item| item.get(DIRECTIVE).is_none()) {
        list.check_key(item)?;
        if !rest.any(|one| list.same(one, item)) {
            let (items, order) = (Value::from(items), Value::from(order));
            let (items, order) = (GoPrint(&items), GoPrint(&order));
            return Err(ApiError::internal(format!(
                "The order in patch list:\n{items}\n doesn't match $setElementOrder list:\n{order}\n"
            )));
        }
    }
    Ok(())
}

/// The server's order of a merged list: what the patch names, in its order,
/// runs ahead of the rest, unless both were there before the other way round.
fn in_order(merged: Vec<Value>, patch: &[Value], before: &[Value], list: &List<'_>) -> Result<Vec<Value>, ApiError> {
    patch.iter().try_for_each(|item| list.check_key(item))?;
    let (mut named, rest): (Vec<Value>, Vec<Value>) =
        merged.into_iter().partition(|item| list.place(patch, item).is_some());
    named.sort_by_key(|item| list.place(patch, item));
    let (mut named, mut rest) = (VecDeque::from(named), VecDeque::from(rest));
    let mut out = Vec::with_capacity(named.len() + rest.len());
    while let (Some(left), Some(right)) = (named.front(), rest.front()) {
        let swapped = match (list.place(before, left), list.place(before, right)) {
            (Some(left), Some(right)) => right < left,
            _ => false,
        };
        out.extend(if swapped { rest.pop_front() } else { named.pop_front() });
    }
    out.extend(named);
    out.extend(rest);
    Ok(out)
}

/// A value that is put where none was, so that there is nothing for its
/// directives to do; none where it is nothing but one.
fn without_directives(value: &Value) -> Option<Value> {
    Some(match value {
        Value::Object(fields) if fields.contains_key(DIRECTIVE) => return None,
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(_, value)| !value.is_null());
            kept.filter_map(|(name, value)| Some((name.clone(), without_directives(value)?))).collect()
        }
        Value::Array(items) => items.iter().filter_map(without_directives).collect(),
        other => other.clone(),
    })
}

fn list_of(schema: Option<&Value>) -> List<'_> {
    List {
        key: schema.and_then(|schema| schema.get("x-kubernetes-patch-merge-key")).and_then(Value::as_str),
        items: schema.and_then(|schema| schema.get("items")),
    }
}

fn strategies(schema: Option<&Value>) -> Vec<&str> {
    let strategy = schema.and_then(|schema| schema.get("x-kubernetes-patch-strategy")).and_then(Value::as_str);
    strategy.into_iter().flat_map(|strategy| strategy.split(',')).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::Registry;

    fn patched(object: Value, patch: Value) -> Value {
        try_patch(object, patch).unwrap()
    }

    fn try_patch(mut object: Value, patch: Value) -> Result<Value, ApiError> {
        let kind = Registry::builtin().find("apps", "v1", "deployments").unwrap();
        merge(&mut object, &patch, kind.builtin.as_ref().unwrap())?;
        Ok(object)
    }

    fn pod(spec: Value) -> Value {
        json!({ "spec": { "template": { "spec": spec } } })
    }

    fn containers(containers: Value) -> Value {
        pod(json!({ "containers": containers }))
    }

    #[test]
    fn containers_merge_by_name_and_the_rest_is_kept() {
        let live = containers(json!([{ "name": "a", "image": "1", "args": ["x"] }, { "name": "b", "image": "1" }]));
        let merged = patched(live.clone(), containers(json!([{ "name": "a", "image": "2", "args": ["y"] }])));
        let expected = json!([{ "name": "a", "image": "2", "args": ["y"] }, { "name": "b", "image": "1" }]);
        assert_eq!(merged, containers(expected));
        let fewer = patched(live, containers(json!([{ "name": "a", "$patch": "delete" }])));
        assert_eq!(fewer, containers(json!([{ "name": "b", "image": "1" }])));
    }

    #[test]
    fn plain_values_merge_as_a_set_and_null_removes() {
        let live = json!({ "metadata": { "finalizers": ["a/b"], "labels": { "x": "1", "y": "2" } } });
        let patch = json!({ "metadata": { "finalizers": ["c/d"], "labels": { "x": null } } });
        let merged = patched(live, patch);
        assert_eq!(merged, json!({ "metadata": { "finalizers": ["c/d", "a/b"], "labels": { "y": "2" } } }));
        let fewer = patched(merged, json!({ "metadata": { "$deleteFromPrimitiveList/finalizers": ["a/b"] } }));
        assert_eq!(fewer["metadata"]["finalizers"], json!(["c/d"]));
    }

    #[test]
    fn a_map_or_a_list_is_replaced_or_emptied_where_the_patch_says_so() {
        let live = json!({ "metadata": { "labels": { "x": "1" } } });
        let replaced = patched(live.clone(), json!({ "metadata": { "labels": { "$patch": "replace", "y": "2" } } }));
        assert_eq!(replaced["metadata"]["labels"], json!({ "y": "2" }));
        let emptied = patched(live, json!({ "metadata": { "labels": { "$patch": "delete" } } }));
        assert_eq!(emptied["metadata"]["labels"], json!({}));
        let live = containers(json!([{ "name": "a" }, { "name": "b" }]));
        let replaced = patched(live, containers(json!([{ "$patch": "replace" }, { "name": "c" }])));
        assert_eq!(replaced, containers(json!([{ "name": "c" }])));
    }

    #[test]
    fn retained_keys_drop_the_others() {
        let live = json!({ "spec": { "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 1 } } } });
        let patch = json!({ "spec": { "strategy": { "$retainKeys": ["type"], "type": "Recreate" } } });
        assert_eq!(patched(live.clone(), patch)["spec"]["strategy"], json!({ "type": "Recreate" }));
        let wrong = json!({ "spec": { "strategy": { "$retainKeys": ["a"], "type": "Recreate" } } });
        assert_eq!(try_patch(live, wrong).unwrap_err().message, "invalid patch format of retainKeys");
    }

    #[test]
    fn a_stated_order_is_kept_and_what_it_does_not_name_stays_where_it_was() {
        let named = |names: &[&str]| names.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>();
        let live = pod(json!({ "containers": named(&["a", "x", "b"]) }));
        let patch = json!({ "spec": { "template": { "spec": {
            "$setElementOrder/containers": named(&["b", "a", "c"]), "containers": [{ "name": "c" }] } } } });
        let merged = patched(live, patch);
        assert_eq!(merged, pod(json!({ "containers": named(&["x", "b", "a", "c"]) })));
        let order = json!({ "metadata": { "$setElementOrder/finalizers": ["a", "b"], "finalizers": ["c"] } });
        assert!(
            try_patch(json!({ "metadata": {} }), order)
                .unwrap_err()
                .message
                .starts_with("The order in patch list:\n[c]\n")
        );
    }

    #[test]
    fn what_lands_where_nothing_was_has_no_directives_and_no_nulls() {
        let patch = json!({ "metadata": { "labels": { "a": "1", "b": null } }, "spec": { "strategy": { "$patch": "delete" } } });
        assert_eq!(patched(json!({}), patch), json!({ "metadata": { "labels": { "a": "1" } }, "spec": {} }));
    }

    #[test]
    fn an_item_without_its_key_and_an_unknown_directive_are_refused() {
        let live = containers(json!([{ "name": "a" }]));
        let error = try_patch(live.clone(), containers(json!([{ "image": "i" }]))).unwrap_err();
        assert_eq!(error.message, "map: map[image:i] does not contain declared merge key: name");
        let error = try_patch(live, containers(json!([{ "name": "a", "$patch": "x" }]))).unwrap_err();
        assert_eq!(error.message, "unknown patch type: x in map: map[$patch:x name:a]");
    }
}
