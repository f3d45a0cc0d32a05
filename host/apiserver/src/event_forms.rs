//! Events are one resource under two groups: those of events.k8s.io are stored
//! as the core group writes them, so that each group reads what the other wrote.

use serde_json::{Map, Value, json};

use crate::kinds::GroupResource;

/// How fields are called in the core group and in events.k8s.io.
const NAMES: [(&str, &str); 7] = [
    ("count", "deprecatedCount"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("involvedObject", "regarding"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
];

/// Where the kind's objects are stored, if not under its own group.
pub(crate) fn stored_at(group: &str, plural: &str) -> Option<GroupResource> {
    (group == "events.k8s.io" && plural == "events").then(|| GroupResource::new("", "events"))
}

/// The stored event as events.k8s.io writes it.
pub(crate) fn to_new(event: &mut Value) {
    let shown = json!({
        "deprecatedFirstTimestamp": null, "deprecatedLastTimestamp": null, "deprecatedSource": {}, "eventTime": null,
        "regarding": {},
    });
    let Some(fields) = event.as_object_mut() else { return };
    rename(fields, |(core, new)| (core, new));
    // The core group shows these where they are empty, and this one does not.
    for field in ["reportingController", "reportingInstance"] {
        if fields.get(field).is_some_and(|value| value == "") {
            fields.remove(field);
        }
    }
    complete(fields, shown, "events.k8s.io/v1");
}

/// An event of events.k8s.io as it is stored.
pub(crate) fn to_stored(event: &mut Value) {
    let shown = json!({
        "eventTime": null, "firstTimestamp": null, "involvedObject": {}, "lastTimestamp": null,
        "reportingComponent": "", "reportingInstance": "", "source": {},
    });
    let Some(fields) = event.as_object_mut() else { return };
    rename(fields, |(core, new)| (new, core));
    complete(fields, shown, "v1");
}

fn rename(
    fields: &mut Map<String, Value>,
    order: impl Fn((&'static str, &'static str)) -> (&'static str, &'static str),
) {
    for (from, to) in NAMES.map(order) {
        if let Some(value) = fields.remove(from) {
            fields.insert(to.to_owned(), value);
        }
    }
}

/// Fields that show although they are not set.
fn complete(fields: &mut Map<String, Value>, shown: Value, api_version: &str) {
    fields.insert("apiVersion".to_owned(), Value::from(api_version));
    for (field, value) in shown.as_object().into_iter().flatten() {
        fields.entry(field.clone()).or_insert_with(|| value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_reads_in_both_groups() {
        let written = json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": { "name": "e" },
            "eventTime": "2026-01-02T03:04:05.000000Z", "reportingController": "c", "regarding": { "name": "p" },
            "note": "it is", "reason": "Is", "deprecatedCount": 2,
        });
        let mut event = written.clone();
        to_stored(&mut event);
        let stored = json!({
            "apiVersion": "v1", "kind": "Event", "metadata": { "name": "e" },
            "eventTime": "2026-01-02T03:04:05.000000Z", "reportingComponent": "c", "reportingInstance": "",
            "involvedObject": { "name": "p" }, "message": "it is", "reason": "Is", "count": 2, "source": {},
            "firstTimestamp": null, "lastTimestamp": null,
        });
        assert_eq!(event, stored);
        to_new(&mut event);
        let mut read = written;
        for (field, value) in [
            ("deprecatedSource", json!({})),
            ("deprecatedFirstTimestamp", json!(null)),
            ("deprecatedLastTimestamp", json!(null)),
        ] {
            read[field] = value;
        }
        assert_eq!(event, read);
    }
}
