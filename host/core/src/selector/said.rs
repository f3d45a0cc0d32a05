//! A selector as objects say it: `matchLabels` and `matchExpressions`.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::{BadSelector, Requirement, Rule, Selector, key, value};

const WANTED: &str = "a label selector: matchLabels, and matchExpressions of key, operator and values";
const WANTED_OPERATOR: &str = "an operator: In, NotIn, Exists or DoesNotExist";
const WANTED_VALUES: &str = "a list of values, at least one for In and NotIn, none for the others";

impl Selector {
    /// Reads the `LabelSelector` of an object; an empty one selects everything.
    pub fn said(selector: &Json) -> Result<Self, BadSelector> {
        let fields = selector.as_object().ok_or_else(|| bad(selector, WANTED))?;
        if let Some(other) = fields.keys().find(|name| !["matchLabels", "matchExpressions"].contains(&name.as_str())) {
            return Err(BadSelector { found: other.clone(), wanted: WANTED });
        }
        let labels = match fields.get("matchLabels").filter(|labels| !labels.is_null()) {
            Some(labels) => labels.as_object().ok_or_else(|| bad(labels, WANTED))?.iter().map(pair).collect(),
            None => Vec::new(),
        };
        let expressions = match fields.get("matchExpressions").filter(|expressions| !expressions.is_null()) {
            Some(list) => list.as_array().ok_or_else(|| bad(list, WANTED))?.iter().map(expression).collect(),
            None => Vec::new(),
        };
        labels.into_iter().chain(expressions).collect::<Result<_, _>>().map(Self)
    }
}

fn pair((name, wanted): (&String, &Json)) -> Result<Requirement, BadSelector> {
    Ok(Requirement { key: key(name)?, rule: Rule::In([text(wanted)?].into()) })
}

fn expression(expression: &Json) -> Result<Requirement, BadSelector> {
    let name = expression["key"].as_str().ok_or_else(|| bad(expression, WANTED))?;
    let values = match &expression["values"] {
        Json::Null => BTreeSet::new(),
        Json::Array(values) => values.iter().map(text).collect::<Result<_, _>>()?,
        other => return Err(bad(other, WANTED_VALUES)),
    };
    let rule = match (expression["operator"].as_str(), values.is_empty()) {
        (Some("In"), false) => Rule::In(values),
        (Some("NotIn"), false) => Rule::NotIn(values),
        (Some("Exists"), true) => Rule::Exists,
        (Some("DoesNotExist"), true) => Rule::Absent,
        (Some("In" | "NotIn" | "Exists" | "DoesNotExist"), _) => return Err(bad(expression, WANTED_VALUES)),
        _ => return Err(bad(expression, WANTED_OPERATOR)),
    };
    Ok(Requirement { key: key(name)?, rule })
}

fn text(json: &Json) -> Result<String, BadSelector> {
    json.as_str().map_or_else(|| Err(bad(json, super::WANTED_VALUE)), value)
}

fn bad(found: &Json, wanted: &'static str) -> BadSelector {
    BadSelector { found: found.to_string(), wanted }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_an_object_says_is_the_selector_that_kubectl_would_be_given() {
        for (said, text) in [
            (json!({}), ""),
            (json!({ "matchLabels": { "b": "2", "a.io/x": "" }, "matchExpressions": null }), "a.io/x=,b=2"),
            (json!({ "matchExpressions": [{ "key": "a", "operator": "In", "values": ["y", "x"] }] }), "a in (x,y)"),
            (json!({ "matchExpressions": [{ "key": "a", "operator": "NotIn", "values": ["x"] }] }), "a!=x"),
            (json!({ "matchExpressions": [{ "key": "a", "operator": "Exists" }] }), "a"),
            (
                json!({ "matchLabels": { "b": "1" },
                    "matchExpressions": [{ "key": "a", "operator": "DoesNotExist", "values": [] }] }),
                "b=1,!a",
            ),
        ] {
            assert_eq!(Selector::said(&said), Ok(Selector::parse(text).unwrap()), "{said}");
        }
    }

    #[test]
    fn what_is_no_label_selector_is_refused_by_the_part_that_is_wrong() {
        for (said, found) in [
            (json!(null), "null"),
            (json!({ "app": "web" }), "app"),
            (json!({ "matchLabels": ["a"] }), r#"["a"]"#),
            (json!({ "matchLabels": { "a": 1 } }), "1"),
            (json!({ "matchLabels": { "/a": "1" } }), "/a"),
            (json!({ "matchLabels": { "a": "b),c" } }), "b),c"),
            (json!({ "matchExpressions": [{ "operator": "Exists" }] }), r#"{"operator":"Exists"}"#),
            (json!({ "matchExpressions": [{ "key": "a", "operator": "In" }] }), r#"{"key":"a","operator":"In"}"#),
            (json!({ "matchExpressions": [{ "key": "a", "operator": "Is" }] }), r#"{"key":"a","operator":"Is"}"#),
            (json!({ "matchExpressions": [{ "key": "a", "operator": "In", "values": "b" }] }), r#""b""#),
        ] {
            assert_eq!(Selector::said(&said).unwrap_err().found, found, "{said}");
        }
    }
}
