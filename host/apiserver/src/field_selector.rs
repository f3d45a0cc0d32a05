//! Field selectors: parsing with the server's refusals, which fields a kind can
//! be selected by, and matching.

use std::borrow::Cow;
use std::cell::LazyCell;

use serde_json::Value;

use crate::kinds::Kind;
use crate::status_error::ApiError;

/// A parsed field selector; empty matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FieldSelector(Vec<Term>);

/// A field that equals, or does not equal, a text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    /// Where the field is; of several places, the first that is not empty.
    places: Vec<String>,
    /// How the field reads where it is not set.
    unset: &'static str,
    equal: bool,
    value: String,
}

/// Fields whose name is not where they are, or that read as something where
/// they are not set: (kind, name, places, unset).
const SPECIAL: [(&str, &str, &[&str], &str); 14] = [
    ("Job", "status.successful", &["status.succeeded"], "0"),
    ("ReplicationController", "status.replicas", &["status.replicas"], "0"),
    ("Pod", "spec.hostNetwork", &["spec.hostNetwork"], "false"),
    ("Pod", "status.podIP", &["status.podIP", "status.podIPs.0.ip"], ""),
    ("Node", "spec.unschedulable", &["spec.unschedulable"], "false"),
    // Events are stored as the core group writes them.
    ("Event", "regarding.kind", &["involvedObject.kind"], ""),
    ("Event", "regarding.namespace", &["involvedObject.namespace"], ""),
    ("Event", "regarding.name", &["involvedObject.name"], ""),
    ("Event", "regarding.uid", &["involvedObject.uid"], ""),
    ("Event", "regarding.apiVersion", &["involvedObject.apiVersion"], ""),
    ("Event", "regarding.resourceVersion", &["involvedObject.resourceVersion"], ""),
    ("Event", "regarding.fieldPath", &["involvedObject.fieldPath"], ""),
    ("Event", "reportingController", &["reportingComponent"], ""),
    ("Event", "source", &["source.component", "reportingComponent"], ""),
];

/// The fields that a built-in kind can be selected by, besides name and
/// namespace; the server has them in code, not in its documents.
pub(crate) fn of_builtin(kind: &str, group: &str) -> &'static [&'static str] {
    match kind {
        "Pod" => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
        "Event" if group.is_empty() => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        "Event" => &[
            "regarding.kind",
            "regarding.namespace",
            "regarding.name",
            "regarding.uid",
            "regarding.apiVersion",
            "regarding.resourceVersion",
            "regarding.fieldPath",
            "reason",
            "reportingController",
            "type",
        ],
        "Secret" => &["type"],
        "Namespace" => &["status.phase"],
        "Node" => &["spec.unschedulable"],
        "ReplicationController" => &["status.replicas"],
        "Job" => &["status.successful"],
        "Service" => &["spec.clusterIP", "spec.type"],
        "CertificateSigningRequest" => &["spec.signerName"],
        _ => &[],
    }
}

impl FieldSelector {
    pub fn parse(text: &str, kind: &Kind) -> Result<Self, ApiError> {
        let mut terms = Vec::new();
        for term in split(text).into_iter().filter(|term| !term.is_empty()) {
            let Some((field, equal, value)) = operands(term) else {
                return Err(ApiError::bad_request(format!("invalid selector: '{text}'; can't understand '{term}'")));
            };
            let value = unescape(value)?;
            if field.is_empty() && value.is_empty() {
                continue;
            }
            check(field, kind)?;
            let special = SPECIAL.iter().find(|(of, name, ..)| *of == kind.kind && *name == field);
            let itself = [field];
            let (places, unset) = special.map_or((&itself[..], ""), |(_, _, places, unset)| (*places, *unset));
            let places = places.iter().map(|place| (*place).to_owned()).collect();
            terms.push(Term { places, unset, equal, value });
        }
        Ok(Self(terms))
    }

    /// Only the object of this name.
    pub fn add_name(&mut self, name: &str) {
        let places = vec!["metadata.name".to_owned()];
        self.0.push(Term { places, unset: "", equal: true, value: name.to_owned() });
    }

    /// Whether it selects one name, and so an object that is read alone.
    pub fn is_one_name(&self) -> bool {
        self.0.iter().any(|term| term.equal && term.places == ["metadata.name"])
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The object is read only where its key does not tell.
    pub fn matches(&self, key: &str, object: impl FnOnce() -> Value) -> bool {
        let object = LazyCell::new(object);
        self.0.iter().all(|term| {
            let text = match term.text_of_key(key) {
                Some(text) => Cow::Borrowed(text),
                None => Cow::Owned(term.text(&object)),
            };
            (text == term.value) == term.equal
        })
    }
}

impl Term {
    fn text_of_key<'a>(&self, key: &'a str) -> Option<&'a str> {
        let (namespace, name) = key.split_once('/').unwrap_or(("", key));
        match self.places.as_slice() {
            [place] if place == "metadata.name" => Some(name),
            [place] if place == "metadata.namespace" => Some(namespace),
            _ => None,
        }
    }

    fn text(&self, object: &Value) -> String {
        let found = self.places.iter().map(|place| text_at(object, place)).find(|text| !text.is_empty());
        found.unwrap_or_else(|| self.unset.to_owned())
    }
}

/// The terms; a comma may be escaped.
fn split(text: &str) -> Vec<&str> {
    let (mut terms, mut start, mut escaped) = (Vec::new(), 0, false);
    for (at, char) in text.char_indices() {
        if char == ',' && !escaped {
            terms.push(&text[start..at]);
            start = at + 1;
        }
        escaped = char == '\\' && !escaped;
    }
    terms.push(&text[start..]);
    terms
}

/// Field, whether it has to be equal, and value.
fn operands(term: &str) -> Option<(&str, bool, &str)> {
    let at = term.find(['=', '!'])?;
    let (field, rest) = term.split_at(at);
    [("!=", false), ("==", true), ("=", true)]
        .into_iter()
        .find_map(|(sign, equal)| rest.strip_prefix(sign).map(|value| (field, equal, value)))
}

fn unescape(value: &str) -> Result<String, ApiError> {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => match chars.next() {
                Some(escaped @ ('\\' | ',' | '=')) => out.push(escaped),
                other => {
                    let other = other.map(String::from).unwrap_or_default();
                    return Err(ApiError::bad_request(format!(
                        "invalid field selector: invalid escape sequence: \\{other}"
                    )));
                }
            },
            // The server names the character by its number.
            ',' | '=' => {
                return Err(ApiError::bad_request(format!(
                    "invalid field selector: unescaped character in value: {}",
                    u32::from(char)
                )));
            }
            other => out.push(other),
        }
    }
    Ok(out)
}

/// Kinds with fields of their own refuse others in words of their own.
fn check(field: &str, kind: &Kind) -> Result<(), ApiError> {
    let everywhere = field == "metadata.name" || (kind.namespaced && field == "metadata.namespace");
    if everywhere || kind.selectable.iter().any(|known| known == field) {
        return Ok(());
    }
    let message = if kind.is("batch", "jobs") {
        format!("field label {field:?} not supported for Job")
    } else if kind.custom.is_some() || !kind.selectable.is_empty() {
        format!("field label not supported: {field}")
    } else {
        format!("{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
    };
    Err(ApiError::bad_request(message))
}

/// What a selector compares: scalars as text, anything absent as the empty text.
fn text_at(object: &Value, field: &str) -> String {
    let mut parts = field.trim_start_matches('.').split('.');
    let found = parts.try_fold(object, |at, part| match at {
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        other => other.get(part),
    });
    match found {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Bool(flag)) => flag.to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::Registry;

    fn parse(group: &str, plural: &str, text: &str) -> Result<FieldSelector, ApiError> {
        FieldSelector::parse(text, &Registry::builtin().find(group, "v1", plural).unwrap())
    }

    fn refusal(group: &str, plural: &str, text: &str) -> String {
        parse(group, plural, text).unwrap_err().message
    }

    #[test]
    fn an_unknown_field_is_refused_in_the_words_of_its_kind() {
        let plain = "\"nope\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"";
        assert_eq!(refusal("", "configmaps", "nope=b"), plain);
        assert_eq!(refusal("apps", "replicasets", "nope=b"), plain);
        assert_eq!(refusal("", "pods", "nope=b"), "field label not supported: nope");
        assert_eq!(refusal("batch", "jobs", "nope=b"), "field label \"nope\" not supported for Job");
    }

    #[test]
    fn a_malformed_selector_is_refused() {
        let maps = |text| refusal("", "configmaps", text);
        assert_eq!(maps("metadata.name"), "invalid selector: 'metadata.name'; can't understand 'metadata.name'");
        assert_eq!(maps("metadata.name=a=b"), "invalid field selector: unescaped character in value: 61");
        assert_eq!(maps(r"metadata.name=a\b"), r"invalid field selector: invalid escape sequence: \b");
        assert!(parse("", "configmaps", "=").unwrap().is_empty());
        assert!(parse("", "configmaps", ",").unwrap().is_empty());
    }

    #[test]
    fn fields_match_as_text_and_read_as_something_where_they_are_not_set() {
        let pod = json!({ "metadata": { "name": "p" }, "spec": { "nodeName": "n" } });
        for (text, matches) in [
            ("spec.nodeName!=,metadata.name=p", true),
            ("spec.nodeName==n", true),
            ("spec.nodeName=", false),
            ("spec.hostNetwork=false", true),
            (r"metadata.name=p\,q", false),
        ] {
            assert_eq!(parse("", "pods", text).unwrap().matches("n/p", || pod.clone()), matches, "{text}");
        }
        let job = json!({ "metadata": { "name": "j" }, "status": { "succeeded": 2 } });
        assert!(parse("batch", "jobs", "status.successful=2").unwrap().matches("n/j", || job));
        let event = json!({ "source": {}, "reportingComponent": "c" });
        assert!(parse("", "events", "source=c").unwrap().matches("n/e", || event));
    }
}
