//! What a field manager owns, in the form of managedFields: read from an
//! object, and held against what the manager would say next.
//!
//! In that form `f:x` is a field, `k:{…}` the item of a keyed list, `v:…` an
//! item of a set, `.` the value itself; a value with nothing below is owned
//! whole.

use serde_json::{Map, Value};

/// The part of `live` that is owned.
pub(super) fn project(live: &Value, owned: &Value) -> Option<Value> {
    let fields = owned.as_object()?;
    if fields.is_empty() {
        return Some(live.clone());
    }
    match live {
        Value::Object(values) => {
            let owned = values
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), project(value, fields.get(&format!("f:{name}"))?)?)));
            Some(owned.collect())
        }
        Value::Array(items) => {
            let owned = items.iter().filter_map(|item| project(item, below(fields, item)?));
            Some(owned.collect())
        }
        _ => Some(live.clone()),
    }
}

/// What is owned of one item of a list.
fn below<'a>(fields: &'a Map<String, Value>, item: &Value) -> Option<&'a Value> {
    fields.iter().find(|(path, _)| names(path, item)).map(|(_, below)| below)
}

/// Whether a path of a list names this item.
fn names(path: &str, item: &Value) -> bool {
    let parse = |text| serde_json::from_str::<Value>(text).ok();
    match path.split_once(':') {
        Some(("k", keys)) => match parse(keys) {
            Some(Value::Object(keys)) => keys.iter().all(|(key, value)| item.get(key) == Some(value)),
            _ => false,
        },
        Some(("v", value)) => parse(value).as_ref() == Some(item),
        _ => false,
    }
}

/// Whether all that is owned is said again: what is not, an apply takes away.
pub(super) fn said_again(owned: &Value, desired: &Value) -> bool {
    owned.as_object().into_iter().flatten().all(|(path, below)| match (path.split_once(':'), desired) {
        (Some(("f", name)), _) => desired.get(name).is_some_and(|desired| said_again(below, desired)),
        (Some(_), Value::Array(items)) => items.iter().any(|item| names(path, item) && said_again(below, item)),
        (Some(_), _) => false,
        (None, _) => true,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn owned() -> Value {
        json!({
            "f:ready": {},
            "f:counts": {".": {}, "f:ours": {}},
            "f:conditions": {"k:{\"type\":\"Ready\"}": {".": {}, "f:type": {}, "f:status": {}}},
            "f:names": {"v:\"a\"": {}},
            "f:gone": {},
        })
    }

    #[test]
    fn what_others_say_is_left_out() {
        let live = json!({
            "ready": [1, 2],
            "counts": {"ours": 1, "theirs": 2},
            "conditions": [{"type": "Other"}, {"type": "Ready", "status": "True", "more": 1}],
            "names": ["b", "a"],
            "theirs": true,
        });
        let ours = json!({
            "ready": [1, 2],
            "counts": {"ours": 1},
            "conditions": [{"type": "Ready", "status": "True"}],
            "names": ["a"],
        });
        assert_eq!(project(&live, &owned()), Some(ours));
    }

    #[test]
    fn what_is_not_said_again_is_noticed_at_any_depth() {
        let whole = json!({
            "ready": 1, "counts": {"ours": 2}, "names": ["x", "a"], "gone": null,
            "conditions": [{"type": "Ready", "status": "False"}],
        });
        assert!(said_again(&owned(), &whole));
        let lacks = |change: fn(&mut Value)| {
            let mut desired = whole.clone();
            change(&mut desired);
            !said_again(&owned(), &desired)
        };
        assert!(lacks(|it| it["counts"] = json!({})));
        assert!(lacks(|it| it["names"] = json!(["x"])));
        assert!(lacks(|it| it["conditions"] = json!([])));
        assert!(lacks(|it| it["conditions"][0] = json!({"type": "Ready"})));
        assert!(lacks(|it| it["conditions"] = json!(7)));
    }
}
