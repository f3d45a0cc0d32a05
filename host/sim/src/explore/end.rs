//! What is there at the end of a run, and how the ends of two runs differ.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{api::Refused, scenario::Cluster};

/// All objects of a cluster, by kind, namespace and name, without what differs
/// between any two runs.
#[derive(Debug, Default, PartialEq)]
pub struct End(BTreeMap<String, Object>);

#[derive(Debug, PartialEq)]
struct Object {
    value: Value,
    /// A plugin has made it.
    is_child: bool,
}

impl End {
    /// The state of a cluster now.
    pub async fn of(cluster: &Cluster) -> Result<Self, Refused> {
        let all = cluster.everything().await?.into_iter();
        let object = |(value, is_child)| (place(&value), Object { value: in_order(value), is_child });
        Ok(Self(all.map(object).collect()))
    }

    /// Each difference from the end that should be, as a line, and whether some
    /// plugin's object is there that should not be.
    pub fn differences(&self, should_be: &Self) -> (Vec<String>, bool) {
        let places = self.0.keys().chain(should_be.0.keys()).collect::<BTreeSet<_>>();
        let (mut lines, mut leaked) = (Vec::new(), false);
        for place in places {
            match (self.0.get(place), should_be.0.get(place)) {
                (Some(object), None) => {
                    leaked |= object.is_child;
                    let made = if object.is_child { ", left over by a plugin" } else { "" };
                    lines.push(format!("{place} is there and should not be{made}"));
                }
                (None, Some(_)) => lines.push(format!("{place} is not there and should be")),
                (Some(is), Some(should_be)) => compare(place, "", &is.value, &should_be.value, &mut lines),
                (None, None) => {}
            }
        }
        (lines, leaked)
    }
}

/// Conditions are told apart by their types, and stand in the order in which
/// they came.
fn in_order(mut object: Value) -> Value {
    if let Some(conditions) = object.pointer_mut("/status/conditions").and_then(Value::as_array_mut) {
        conditions.sort_by_key(|condition| condition["type"].to_string());
    }
    object
}

/// `Site/anna`, `Site/staging/anna`
fn place(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    match text("/metadata/namespace") {
        "" | "default" => format!("{}/{}", text("/kind"), text("/metadata/name")),
        namespace => format!("{}/{namespace}/{}", text("/kind"), text("/metadata/name")),
    }
}

fn compare(place: &str, path: &str, is: &Value, should_be: &Value, lines: &mut Vec<String>) {
    match (is, should_be) {
        (is, should_be) if is == should_be => {}
        (Value::Object(is), Value::Object(should_be)) => {
            let fields = is.keys().chain(should_be.keys().filter(|field| !is.contains_key(*field)));
            for field in fields {
                let below = if path.is_empty() { field.clone() } else { format!("{path}.{field}") };
                let of = |map: &serde_json::Map<String, Value>| map.get(field).cloned().unwrap_or_default();
                compare(place, &below, &of(is), &of(should_be), lines);
            }
        }
        (Value::Array(is), Value::Array(should_be)) if is.len() == should_be.len() => {
            for (index, (is, should_be)) in is.iter().zip(should_be).enumerate() {
                compare(place, &format!("{path}[{index}]"), is, should_be, lines);
            }
        }
        (is, should_be) => lines.push(format!("{place} {path} is {is} and should be {should_be}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn end(objects: &[(Value, bool)]) -> End {
        let object =
            |(value, is_child): &(Value, bool)| (place(value), Object { value: value.clone(), is_child: *is_child });
        End(objects.iter().map(object).collect())
    }

    #[test]
    fn each_difference_is_a_line_and_left_over_children_are_told_from_the_rest() {
        let map = |name: &str, data: Value| json!({ "kind": "ConfigMap", "metadata": { "name": name }, "data": data });
        let should_be = end(&[(map("a", json!({ "x": [1, 2] })), true), (map("b", json!({})), true)]);
        let is = end(&[(map("a", json!({ "x": [1, 3], "y": 1 })), true), (map("c", json!({})), true)]);
        let expected = [
            "ConfigMap/a data.x[1] is 3 and should be 2",
            "ConfigMap/a data.y is 1 and should be null",
            "ConfigMap/b is not there and should be",
            "ConfigMap/c is there and should not be, left over by a plugin",
        ];
        let (lines, leaked) = is.differences(&should_be);
        assert_eq!((lines.iter().map(String::as_str).collect::<Vec<_>>(), leaked), (expected.to_vec(), true));
        assert_eq!(is.differences(&is), (Vec::new(), false));
    }
}
