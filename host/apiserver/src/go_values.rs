//! What follows from built-in kinds being Go structs: an object that was never
//! set still has its struct fields, and empty lists and maps do not show.

use serde_json::{Map, Value};

/// A struct inside of a struct; deeper nesting than any built-in kind has.
const DEPTH_MAX: usize = 32;

/// The object of a kind that nobody has written anything to: what a create is
/// compared with to find what it wrote.
pub(crate) fn unwritten(components: &Map<String, Value>, name: &str) -> Value {
    zero(components, name, 0)
}

fn zero(components: &Map<String, Value>, name: &str, depth: usize) -> Value {
    let mut fields = Map::new();
    let Some(schema) = components.get(name).filter(|_| depth < DEPTH_MAX) else { return Value::Object(fields) };
    let required = schema["required"].as_array();
    let is_required = |field: &str| required.is_some_and(|names| names.iter().any(|name| name == field));
    for (field, property) in schema["properties"].as_object().into_iter().flatten() {
        // A struct that is no pointer is always there.
        let is_struct = property["default"].is_object();
        match referred(property) {
            Some(inner) if is_struct => {
                fields.insert(field.clone(), zero(components, inner, depth + 1));
            }
            // Text and times that show although they are not set.
            _ if property.get("default").is_some_and(|default| default.is_null() || default == "") => {
                fields.insert(field.clone(), property["default"].clone());
            }
            _ if is_required(field) => {
                fields.insert(field.clone(), Value::Null);
            }
            _ => {}
        }
    }
    Value::Object(fields)
}

/// Takes out the lists and maps that are empty and need not be there.
pub(crate) fn drop_empty(components: &Map<String, Value>, name: &str, value: &mut Value) {
    let (Some(schema), Some(fields)) = (components.get(name), value.as_object_mut()) else { return };
    let required = schema["required"].as_array();
    let properties = &schema["properties"];
    fields.retain(|field, value| {
        let property = &properties[field];
        drop_empty_below(components, property, value);
        let is_map = property["additionalProperties"].is_object();
        let empty = match value {
            Value::Array(items) => items.is_empty(),
            Value::Object(entries) => is_map && entries.is_empty(),
            _ => false,
        };
        !empty || required.is_some_and(|names| names.iter().any(|name| name == field))
    });
}

fn drop_empty_below(components: &Map<String, Value>, property: &Value, value: &mut Value) {
    if let Some(name) = referred(property) {
        drop_empty(components, name, value);
        return;
    }
    match value {
        Value::Array(items) => {
            for item in items {
                drop_empty_below(components, &property["items"], item);
            }
        }
        Value::Object(entries) => {
            for (_, entry) in entries {
                drop_empty_below(components, &property["additionalProperties"], entry);
            }
        }
        _ => {}
    }
}

/// The component that a property refers to.
fn referred(property: &Value) -> Option<&str> {
    property["$ref"].as_str()?.rsplit('/').next()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::Registry;

    #[test]
    fn an_unwritten_deployment_has_its_structs_and_no_more() {
        let registry = Registry::builtin();
        let object = unwritten(registry.components(), "io.k8s.api.apps.v1.Deployment");
        assert_eq!(
            object,
            json!({
                "metadata": {}, "status": {},
                "spec": { "selector": null, "strategy": {},
                          "template": { "metadata": {}, "spec": { "containers": null } } },
            })
        );
    }

    #[test]
    fn empty_maps_and_lists_go_and_empty_structs_stay() {
        let registry = Registry::builtin();
        let mut pod = json!({ "metadata": { "labels": {} }, "spec": {
            "nodeSelector": {}, "containers": [], "volumes": [{ "name": "v", "emptyDir": {} }] } });
        drop_empty(registry.components(), "io.k8s.api.core.v1.Pod", &mut pod);
        let expected = json!({ "metadata": {}, "spec": {
            "containers": [], "volumes": [{ "name": "v", "emptyDir": {} }] } });
        assert_eq!(pod, expected);
    }
}
