//! Short ways into an object: what is absent reads as empty.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// A text, by JSON pointer.
pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn number(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
}

pub(super) fn flag(object: &Value, pointer: &str) -> bool {
    object.pointer(pointer).and_then(Value::as_bool).unwrap_or_default()
}

pub(super) fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

pub(super) fn texts<'a>(object: &'a Value, pointer: &str) -> Vec<&'a str> {
    list(object, pointer).iter().filter_map(Value::as_str).collect()
}

pub(super) fn entries<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
    object.pointer(pointer).and_then(Value::as_object).into_iter().flat_map(Map::iter)
}

/// A scalar as text, whatever its type.
pub(super) fn scalar(object: &Value, pointer: &str) -> Option<String> {
    match object.pointer(pointer)? {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        other => Some(other.to_string()),
    }
}

pub(super) fn or<'a>(text: &'a str, instead: &'a str) -> &'a str {
    if text.is_empty() { instead } else { text }
}

/// `a,b,c + 2 more...`
pub(super) fn shortened(all: &[String], shown_max: usize) -> String {
    let shown = all[..all.len().min(shown_max)].join(",");
    if all.len() > shown_max { format!("{shown} + {} more...", all.len() - shown_max) } else { shown }
}

/// `a=1,b=2`; labels are sorted.
pub(super) fn labels(object: &Value, pointer: &str) -> String {
    let labels: Vec<String> =
        entries(object, pointer).map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    or(&labels.join(","), "<none>").to_owned()
}

/// A label selector in its textual form; empty where there is none.
pub(super) fn selector(object: &Value, pointer: &str) -> String {
    let equalities = entries(object, &format!("{pointer}/matchLabels"))
        .map(|(key, value)| (key.as_str(), format!("{key}={}", value.as_str().unwrap_or_default())));
    let expressions = list(object, &format!("{pointer}/matchExpressions")).iter().map(|expression| {
        let key = text(expression, "/key");
        let values: BTreeSet<&str> = texts(expression, "/values").into_iter().collect();
        let values = values.into_iter().collect::<Vec<_>>().join(",");
        let written = match text(expression, "/operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        };
        (key, written)
    });
    let mut terms: Vec<(&str, String)> = equalities.chain(expressions).collect();
    terms.sort_by_key(|(key, _)| *key);
    terms.into_iter().map(|(_, term)| term).collect::<Vec<_>>().join(",")
}
