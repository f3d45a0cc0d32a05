//! An object without what differs between any two runs that came to the same end.

use std::collections::BTreeMap;

use serde_json::Value;
use trimtab_core::marks;

/// What a server gives to an object by when it was written.
const OF_THE_WRITE: [&str; 3] = ["uid", "resourceVersion", "creationTimestamp"];
/// What a server gives to the spec of a Service, in the order of creation.
const ADDRESSES: [&str; 2] = ["clusterIP", "clusterIPs"];
/// The length of a uid as text.
const UID_BYTES: usize = 36;

/// Whose each uid is: a place that is the same in each run.
pub(super) type Uids = BTreeMap<String, String>;

/// The object as it is compared.
pub(super) fn normal(mut object: Value, uids: &Uids) -> Value {
    name_uids(&mut object, uids);
    let metadata = &mut object["metadata"];
    if metadata["labels"][marks::PLUGIN_LABEL].is_string() {
        // How often its spec was changed: a run may come to the same spec in fewer steps.
        remove(metadata, "generation");
    }
    OF_THE_WRITE.iter().for_each(|field| remove(metadata, field));
    if let Some(entries) = metadata.get_mut("managedFields").and_then(Value::as_array_mut) {
        // Who else has written here, and who wrote a mark, tells of the way and not of the end.
        entries.retain(|entry| entry["manager"].as_str().is_some_and(is_of_state));
        entries.iter_mut().for_each(|entry| remove(entry, "time"));
        // The server sorts them by time.
        entries.sort_by_cached_key(Value::to_string);
    }
    let annotations = metadata.get_mut("annotations");
    if let Some(Value::String(intent)) = annotations.and_then(|annotations| annotations.get_mut(marks::INTENT)) {
        // The second hash is of what holds the owner's uid; what it is of is compared itself.
        intent.truncate(intent.find('.').unwrap_or(intent.len()));
    }
    if let Some(spec) = object.get_mut("spec") {
        ADDRESSES.iter().for_each(|field| remove(spec, field));
    }
    let conditions = object.get_mut("status").and_then(|status| status.get_mut("conditions"));
    for condition in conditions.and_then(Value::as_array_mut).into_iter().flatten() {
        remove(condition, "lastTransitionTime");
    }
    object
}

fn remove(value: &mut Value, field: &str) {
    if let Some(fields) = value.as_object_mut() {
        fields.remove(field);
    }
}

/// Puts the place of an object where its uid stands, also in the keys that
/// managed fields have for items of lists.
fn name_uids(value: &mut Value, uids: &Uids) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(|field| name_uids(field, uids));
            let holds_uid = |key: &&String| find_uid(key, uids).is_some();
            for key in fields.keys().filter(holds_uid).cloned().collect::<Vec<_>>() {
                let field = fields.remove(&key).unwrap_or_default();
                fields.insert(named(key, uids), field);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| name_uids(item, uids)),
        Value::String(text) => *text = named(std::mem::take(text), uids),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn named(mut text: String, uids: &Uids) -> String {
    while let Some((uid, place)) = find_uid(&text, uids) {
        text = text.replace(&uid, &format!("uid of {place}"));
    }
    text
}

fn find_uid<'a>(text: &str, uids: &'a Uids) -> Option<(String, &'a str)> {
    let starts = 0..(text.len() + 1).saturating_sub(UID_BYTES);
    let candidates = starts.filter_map(|start| text.get(start..start + UID_BYTES));
    // Looking each of them up would take longer than the rest of the comparison.
    let mut candidates = candidates.filter(|part| part.as_bytes()[8] == b'-' && part.as_bytes()[13] == b'-');
    candidates.find_map(|uid| Some((uid.to_owned(), uids.get(uid)?.as_str())))
}

/// Whether a field manager is one of those by which a host says what should be.
fn is_of_state(manager: &str) -> bool {
    manager.starts_with("trimtab/") && !manager.ends_with("/metadata")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const UID: &str = "00000000-1111-4222-8333-444444444444";

    #[test]
    fn a_uid_reads_as_the_place_that_it_is_of_wherever_it_stands() {
        let uids = Uids::from([(UID.to_owned(), "sites a".to_owned())]);
        let object = json!({ "metadata": {
            "uid": "other",
            "ownerReferences": [{ "uid": UID }],
            "managedFields": [{ "manager": "trimtab/site", format!("k:{UID}"): {} }],
            "annotations": { "owner": format!("{{\"uid\":\"{UID}\"}}") },
        }});
        let named = json!({ "metadata": {
            "ownerReferences": [{ "uid": "uid of sites a" }],
            "managedFields": [{ "manager": "trimtab/site", "k:uid of sites a": {} }],
            "annotations": { "owner": "{\"uid\":\"uid of sites a\"}" },
        }});
        assert_eq!(normal(object, &uids), named);
    }

    #[test]
    fn what_a_plugin_made_may_have_come_there_in_more_steps_but_what_a_person_made_may_not() {
        let object = |labels: Value| json!({ "metadata": { "generation": 3, "labels": labels } });
        let ours = normal(object(json!({ marks::PLUGIN_LABEL: "site" })), &Uids::new());
        assert_eq!(ours["metadata"].get("generation"), None);
        assert_eq!(normal(object(json!({})), &Uids::new())["metadata"]["generation"], 3);
    }

    #[test]
    fn managers_are_compared_in_whatever_order_they_came() {
        let entry = |manager: &str, time: &str| json!({ "manager": manager, "time": time });
        let object = |entries: [Value; 2]| json!({ "metadata": { "managedFields": entries } });
        let one = normal(object([entry("trimtab/a", "1"), entry("trimtab/b", "2")]), &Uids::new());
        assert_eq!(one, normal(object([entry("trimtab/b", "1"), entry("trimtab/a", "2")]), &Uids::new()));
    }
}
