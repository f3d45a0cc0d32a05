//! Whether an object already says all that is desired of it. A "yes" spares a
//! write, so it must be certain; a wrong "no" costs one apply that changes
//! nothing and is then remembered (`fixed`).

use serde_json::{Map, Number, Value};

use crate::schema::{ListKey, Merged, Part, Schema, Shape};

/// Beyond this, floating point skips whole numbers.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// Whether `desired` is contained in `live`: what `live` says besides, in maps
/// and in lists that the server merges, is left to those who said it.
pub fn covers(schema: &Schema, live: &Value, desired: &Value) -> bool {
    contains(schema.root(), live, desired)
}

/// The same for the part of an object that `part` describes.
pub(crate) fn contains(part: Part<'_>, live: &Value, desired: &Value) -> bool {
    match (part.shape(), live, desired) {
        (Shape::Unknown | Shape::Map { atomic: false }, Value::Object(live), Value::Object(desired)) => {
            desired.iter().all(|(name, desired)| match live.get(name) {
                Some(live) => contains(part.at(name), live, desired),
                None => desired.is_null(),
            })
        }
        (Shape::List { item, merged: Merged::Set }, Value::Array(live), Value::Array(desired)) => {
            each_has_match(live, desired, |live, desired| same(item, live, desired))
        }
        (Shape::List { item, merged: Merged::ByKeys(keys) }, Value::Array(live), Value::Array(desired)) => {
            each_has_match(live, desired, |live, desired| {
                same_keys(keys, live, desired) && contains(item, live, desired)
            })
        }
        _ => same(part, live, desired),
    }
}

/// Whether each desired item has a live one that fits. Servers keep the order
/// mostly, so the item at the same place is tried first.
fn each_has_match(live: &[Value], desired: &[Value], fits: impl Fn(&Value, &Value) -> bool) -> bool {
    desired.iter().enumerate().all(|(at, desired)| {
        live.get(at).is_some_and(|live| fits(live, desired)) || live.iter().any(|live| fits(live, desired))
    })
}

/// Whether two items of a keyed list are the same one.
pub(crate) fn same_keys(keys: &[ListKey], live: &Value, desired: &Value) -> bool {
    keys.iter().all(|key| {
        let says = |item: &Value| item.get(&*key.name).or(key.default.as_ref()).cloned();
        says(live) == says(desired)
    })
}

/// Whether two values are the same to the server.
fn same(part: Part<'_>, live: &Value, desired: &Value) -> bool {
    match (live, desired) {
        (Value::Object(live), Value::Object(desired)) => same_maps(part, live, desired),
        (Value::Array(live), Value::Array(desired)) => {
            let item = if let Shape::List { item, .. } = part.shape() { item } else { part };
            live.len() == desired.len() && live.iter().zip(desired).all(|(live, desired)| same(item, live, desired))
        }
        (Value::Number(live), Value::Number(desired)) => same_numbers(live, desired),
        (Value::String(live), Value::Number(desired)) if matches!(part.shape(), Shape::Quantity) => {
            *live == desired.to_string()
        }
        _ => live == desired,
    }
}

fn same_maps(part: Part<'_>, live: &Map<String, Value>, desired: &Map<String, Value>) -> bool {
    live.len() == desired.len()
        && desired.iter().all(|(name, desired)| live.get(name).is_some_and(|live| same(part.at(name), live, desired)))
}

/// `1.0` is written back as `1`.
fn same_numbers(live: &Number, desired: &Number) -> bool {
    let (near, equal) = match (live.as_f64(), desired.as_f64()) {
        (Some(live), Some(desired)) => (live.abs() < WHOLE_MAX, live == desired),
        _ => (false, false),
    };
    live == desired || near && equal
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::schema::tests::thing;

    fn spec_covers(live: Value, desired: Value) -> bool {
        covers(&thing(), &json!({ "spec": live }), &json!({ "spec": desired }))
    }

    #[test]
    fn what_others_add_to_merged_maps_and_lists_is_left_to_them() {
        assert!(spec_covers(json!({"a": 1, "b": {"c": 1, "d": 2}}), json!({"b": {"c": 1}})));
        assert!(spec_covers(json!({"tags": ["x", "y", "z"]}), json!({"tags": ["z", "x"]})));
        let live =
            json!({"ports": [{"port": 1, "protocol": "TCP"}, {"port": 2, "protocol": "TCP", "name": "a", "more": 1}]});
        assert!(spec_covers(live, json!({"ports": [{"port": 2, "name": "a"}]})));
    }

    #[test]
    fn a_keyed_item_is_found_by_its_keys_and_their_defaults() {
        let live = json!({"ports": [{"port": 1, "protocol": "UDP"}]});
        assert!(!spec_covers(live.clone(), json!({"ports": [{"port": 1}]})));
        assert!(spec_covers(live.clone(), json!({"ports": [{"port": 1, "protocol": "UDP"}]})));
        assert!(!spec_covers(live, json!({"ports": [{"port": 2, "protocol": "UDP"}]})));
    }

    #[test]
    fn atomic_lists_and_maps_are_compared_whole() {
        assert!(!spec_covers(json!({"args": ["a", "b"]}), json!({"args": ["a"]})));
        assert!(!spec_covers(json!({"args": ["a", "b"]}), json!({"args": ["b", "a"]})));
        assert!(!spec_covers(json!({"selector": {"a": "1", "b": "2"}}), json!({"selector": {"a": "1"}})));
        assert!(spec_covers(json!({"selector": {"a": "1"}}), json!({"selector": {"a": "1"}})));
    }

    #[test]
    fn without_a_schema_maps_are_merged_and_lists_are_atomic() {
        let unknown = Schema::unknown();
        assert!(covers(&unknown, &json!({"a": {"b": 1, "c": 2}}), &json!({"a": {"b": 1}})));
        assert!(!covers(&unknown, &json!({"a": [{"b": 1, "c": 2}]}), &json!({"a": [{"b": 1}]})));
    }

    #[test]
    fn a_desired_null_is_covered_only_where_nothing_is() {
        assert!(spec_covers(json!({}), json!({"a": null})));
        assert!(spec_covers(json!({"a": null}), json!({"a": null})));
        assert!(!spec_covers(json!({"a": 1}), json!({"a": null})));
    }

    #[test]
    fn a_number_is_the_same_only_where_the_server_surely_takes_it_for_the_same() {
        assert!(spec_covers(json!({"limits": {"cpu": "1"}}), json!({"limits": {"cpu": 1}})));
        assert!(!spec_covers(json!({"limits": {"cpu": "1"}}), json!({"limits": {"cpu": "1000m"}})), "in doubt");
        assert!(!spec_covers(json!({"target": "80"}), json!({"target": 80})), "a named port");
        assert!(spec_covers(json!({"replicas": 1}), json!({"replicas": 1.0})));
        let live = json!({"big": 9_007_199_254_740_993_u64});
        assert!(!spec_covers(live, json!({"big": 9_007_199_254_740_992.0})));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-3i64..3).prop_map(Value::from),
            "[a-c]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-d]", inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    /// A spec of `thing` with something in each sort of part.
    fn any_spec() -> impl Strategy<Value = Value> {
        let port = (0..4u8, prop_oneof![Just("TCP"), Just("UDP")], "[a-c]");
        let ports = prop::collection::vec(port, 0..4);
        let words = || prop::collection::vec("[a-d]", 0..4);
        (ports, words(), words(), any_json(), any_json()).prop_map(|(ports, tags, args, free, inner)| {
            let ports = ports.iter().map(|(port, protocol, name)| json!({"port": port, "protocol": protocol, "name": name}));
            json!({"ports": ports.collect::<Vec<_>>(), "tags": tags, "args": args, "free": free, "inner": {"free": inner}})
        })
    }

    /// Adds a field to each merged map, an item to each merged list.
    fn widen(part: Part<'_>, live: &mut Value) {
        match (part.shape(), live) {
            (Shape::Unknown | Shape::Map { atomic: false }, Value::Object(fields)) => {
                fields.iter_mut().for_each(|(name, field)| widen(part.at(name), field));
                fields.insert("added".into(), json!({"by": "another"}));
            }
            (Shape::List { item, merged: Merged::ByKeys(_) }, Value::Array(items)) => {
                items.iter_mut().for_each(|live| widen(item, live));
                items.insert(0, json!({"port": 99, "protocol": "SCTP", "name": "added"}));
            }
            (Shape::List { merged: Merged::Set, .. }, Value::Array(items)) => items.insert(0, json!("added")),
            _ => {}
        }
    }

    proptest! {
        #[test]
        fn everything_covers_itself(spec in any_spec(), anything in any_json()) {
            prop_assert!(spec_covers(spec.clone(), spec));
            prop_assert!(covers(&Schema::unknown(), &anything, &anything));
        }

        #[test]
        fn what_is_added_where_the_server_merges_takes_no_cover_away(spec in any_spec()) {
            let schema = thing();
            let desired = json!({ "spec": spec });
            let mut live = desired.clone();
            widen(schema.root(), &mut live);
            prop_assert!(covers(&schema, &live, &desired), "{live} does not cover {desired}");
            prop_assert!(!covers(&schema, &desired, &live));
        }

        #[test]
        fn another_value_of_any_leaf_is_noticed(anything in any_json(), other in any_json()) {
            let unknown = Schema::unknown();
            if covers(&unknown, &anything, &other) && covers(&unknown, &other, &anything) {
                prop_assert_eq!(without_nulls(anything), without_nulls(other));
            }
        }
    }

    fn without_nulls(value: Value) -> Value {
        match value {
            Value::Object(fields) => {
                let fields = fields.into_iter().filter(|(_, field)| !field.is_null());
                fields.map(|(name, field)| (name, without_nulls(field))).collect()
            }
            other => other,
        }
    }
}
