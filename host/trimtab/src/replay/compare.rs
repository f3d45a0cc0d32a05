//! What a replay answers otherwise than the record, as a plan reads: which children
//! it would make, change and leave out, field by field, and what else differs.

use std::collections::BTreeMap;

use serde_json::Value;
use trimtab_wasm::{Ending, Record, Response};

/// What stands for a value of a Secret in a redacted record: chance was another one.
const REDACTED: &str = "(a value)";

/// What came of a comparison.
pub struct Compared {
    /// In one line.
    pub summary: String,
    /// Each difference.
    pub lines: Vec<String>,
    /// There is none.
    pub is_same: bool,
}

/// Compares what was recorded with what came of it now.
pub fn compare(record: &Record, ending: &Ending, asked: &[String]) -> Compared {
    let mut lines = asked.iter().map(|difference| format!("! {difference}")).collect::<Vec<_>>();
    if record.tape.cut {
        lines.push("! the record holds not all that the call was told: it was too much".to_owned());
    }
    let is_exact = record.ending == *ending;
    match (&record.ending, ending) {
        _ if is_exact => {}
        (Ending::Answered(before), Ending::Answered(after)) => {
            lines.extend(differences(&Plan::of(before, record.redacted), &Plan::of(after, record.redacted)));
        }
        (before, after) => {
            lines.push(format!("- {}", said(before)));
            lines.push(format!("+ {}", said(after)));
        }
    }
    let what = if ending.is_answer() { "the answer" } else { "the failure" };
    let summary = match lines.is_empty() {
        true if is_exact && ending.is_answer() => "the same answer, byte for byte".to_owned(),
        true if is_exact => format!("the same failure: {}", said(ending)),
        true => "the same plan".to_owned(),
        false => format!("{what} differs"),
    };
    Compared { summary, is_same: lines.is_empty(), lines }
}

fn said(ending: &Ending) -> String {
    match ending {
        Ending::Answered(answer) => format!("an answer with {} children", answer.children.len()),
        Ending::Failed(failure) => format!("{:?}: {}", failure.outcome, failure.message),
        Ending::Stopped { reason, message } => format!("{reason}: {message}"),
    }
}

/// An answer by what it is about: the fields of each, by their paths.
struct Plan(BTreeMap<String, BTreeMap<String, String>>);

impl Plan {
    fn of(answer: &Response, redacted: bool) -> Self {
        let mut plan = BTreeMap::new();
        for child in &answer.children {
            let value = read(child);
            let mut fields = flat(&value);
            if redacted && value["kind"] == "Secret" {
                let is_value = |path: &str| path.starts_with("data.") || path.starts_with("stringData.");
                fields
                    .iter_mut()
                    .filter(|(path, _)| is_value(path))
                    .for_each(|(_, field)| *field = REDACTED.to_owned());
            }
            plan.insert(name(&value), fields);
        }
        if let Some(status) = &answer.status {
            plan.insert("status".to_owned(), flat(&read(status)));
        }
        for (what, pairs) in [("labels", &answer.labels), ("annotations", &answer.annotations)] {
            let field =
                |(name, value): &(String, Option<String>)| (name.clone(), Value::from(value.clone()).to_string());
            plan.insert(what.to_owned(), pairs.iter().map(field).collect());
        }
        let events = answer.events.iter().map(|event| (event.reason.clone(), Value::from(&*event.message).to_string()));
        plan.insert("events".to_owned(), events.collect());
        let rest = [
            ("requeueAfterMs", answer.requeue_after_ms.map(|ms| ms.to_string())),
            ("finalized", answer.finalized.then(|| "true".to_owned())),
            ("extra", answer.extra.clone()),
        ];
        let rest = rest.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        plan.insert("answer".to_owned(), rest.collect());
        Self(plan)
    }
}

/// What is only in one of them, and what differs in both.
fn differences(before: &Plan, after: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    let names = before.0.keys().chain(after.0.keys()).collect::<std::collections::BTreeSet<_>>();
    for name in names {
        match (before.0.get(name), after.0.get(name)) {
            (Some(before), Some(after)) if before != after => {
                lines.push(format!("~ {name}"));
                lines.extend(fields(before, after));
            }
            (Some(_), None) => lines.push(format!("- {name}")),
            (None, Some(after)) => {
                lines.push(format!("+ {name}"));
                lines.extend(fields(&BTreeMap::new(), after));
            }
            _ => {}
        }
    }
    lines
}

fn fields(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<String> {
    let gone = before.iter().filter(|(path, value)| after.get(*path) != Some(*value)).map(|field| (field, '-'));
    let new = after.iter().filter(|(path, value)| before.get(*path) != Some(*value)).map(|field| (field, '+'));
    let mut changed = gone.chain(new).collect::<Vec<_>>();
    changed.sort_by(|((a, _), x), ((b, _), y)| (a, *x == '+').cmp(&(b, *y == '+')));
    changed.into_iter().map(|((path, value), sign)| format!("{sign}   {path}: {value}")).collect()
}

/// A text that is no JSON is compared as it is.
fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

/// `ConfigMap default/web`
fn name(child: &Value) -> String {
    let text = |pointer: &str| child.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let namespace = child.pointer("/metadata/namespace").and_then(Value::as_str);
    let namespace = namespace.map(|namespace| format!("{namespace}/")).unwrap_or_default();
    format!("{} {namespace}{}", text("/kind"), text("/metadata/name"))
}

/// Each scalar by its path; what is empty counts as one.
fn flat(value: &Value) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    add(&mut fields, String::new(), value);
    fields
}

fn add(fields: &mut BTreeMap<String, String>, path: String, value: &Value) {
    match value {
        Value::Object(map) if !map.is_empty() => map.iter().for_each(|(key, value)| {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            add(fields, path, value);
        }),
        Value::Array(items) if !items.is_empty() => {
            items.iter().enumerate().for_each(|(at, item)| add(fields, format!("{path}[{at}]"), item));
        }
        scalar => _ = fields.insert(path, scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(children: &[Value], ready: bool) -> Response {
        Response {
            children: children.iter().map(Value::to_string).collect(),
            status: Some(json!({ "ready": ready }).to_string()),
            ..Response::default()
        }
    }

    fn map(name: &str, data: Value) -> Value {
        json!({ "kind": "ConfigMap", "metadata": { "name": name }, "data": data })
    }

    #[test]
    fn each_child_that_differs_is_told_with_its_fields() {
        let before = answer(&[map("a", json!({ "x": "1", "y": "2" })), map("b", json!({}))], false);
        let after = answer(&[map("a", json!({ "x": "1", "y": "3" })), map("c", json!({ "z": [1] }))], true);
        let [before, after] = [before, after].map(|answer| Plan::of(&answer, false));
        let expected = [
            "~ ConfigMap a",
            "-   data.y: \"2\"",
            "+   data.y: \"3\"",
            "- ConfigMap b",
            "+ ConfigMap c",
            "+   data.z[0]: 1",
            "+   kind: \"ConfigMap\"",
            "+   metadata.name: \"c\"",
            "~ status",
            "-   ready: false",
            "+   ready: true",
        ];
        assert_eq!(differences(&before, &after), expected);
        assert!(differences(&after, &after).is_empty());
    }

    #[test]
    fn what_a_redacted_secret_holds_is_not_compared_but_its_keys_are() {
        let secret = |data: Value| json!({ "kind": "Secret", "metadata": { "name": "s" }, "data": data });
        let plan = |data: Value| Plan::of(&answer(&[secret(data)], true), true);
        assert!(differences(&plan(json!({ "a": "x" })), &plan(json!({ "a": "y" }))).is_empty());
        let told = differences(&plan(json!({ "a": "x" })), &plan(json!({ "b": "x" })));
        assert_eq!(told, ["~ Secret s", "-   data.a: (a value)", "+   data.b: (a value)"]);
    }
}
