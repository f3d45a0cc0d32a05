//! JSON merge patches (RFC 7386), with what the real server's library does
//! besides: nulls inside of lists that come new are taken out of their objects
//! too, and a list that takes an object's place stays as it was sent.

use serde_json::Value;

/// Merges `patch` into `target`.
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let (Value::Object(fields), Value::Object(changes)) = (&mut *target, patch) else {
        let was_object = target.is_object();
        *target = patch.clone();
        if !was_object {
            take_out_nulls(target);
        }
        return;
    };
    for (name, change) in changes {
        match fields.get_mut(name).filter(|live| !live.is_null()) {
            _ if change.is_null() => {
                fields.remove(name);
            }
            Some(live) => merge(live, change),
            None => {
                let mut new = change.clone();
                take_out_nulls(&mut new);
                fields.insert(name.clone(), new);
            }
        }
    }
}

/// Takes the fields that are null out of all objects; a list keeps its items.
fn take_out_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(take_out_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(take_out_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merged(mut target: Value, patch: Value) -> Value {
        merge(&mut target, &patch);
        target
    }

    #[test]
    fn a_null_removes_and_an_object_is_merged() {
        let live = json!({ "a": 1, "b": { "c": 1, "d": 1 } });
        assert_eq!(merged(live, json!({ "a": null, "b": { "c": 2 } })), json!({ "b": { "c": 2, "d": 1 } }));
    }

    #[test]
    fn nulls_of_a_new_list_are_taken_out_of_its_objects() {
        let patch = json!({ "l": [null, { "a": null, "b": 1 }] });
        assert_eq!(merged(json!({}), patch), json!({ "l": [null, { "b": 1 }] }));
    }

    #[test]
    fn a_list_in_place_of_an_object_stays_as_sent() {
        assert_eq!(merged(json!({ "a": {} }), json!({ "a": [{ "b": null }] })), json!({ "a": [{ "b": null }] }));
    }
}
