//! What is made of a hook's answer: what the host wants of a plugin.

use serde_json::{Map, Value, json};

use crate::{controller::Role, hook::Failure};

/// By this Metacontroller knows which DecoratorController made an attachment.
const DECORATOR_MARK: &str = "metacontroller.k8s.io/decorator-controller";
/// By this, which parent a child was made for, where it generates the selector.
const PARENT_LABEL: &str = "controller-uid";
/// The host's own labels and annotations are of this domain and those in it.
const HOST_DOMAIN: &str = "trimtab.dev";

/// What comes of a run.
#[derive(Debug, PartialEq)]
pub struct Answer {
    /// Each as JSON.
    pub children: Vec<String>,
    /// The whole of it; none: it stays as it is.
    pub status: Option<Value>,
    /// Labels to set on the object, or with no value to remove.
    pub labels: Vec<(String, Option<String>)>,
    /// The same for its annotations.
    pub annotations: Vec<(String, Option<String>)>,
    /// When to look again.
    pub requeue_after_ms: Option<u32>,
    /// The object may go.
    pub finalized: bool,
}

/// Reads the answer of the hook of that name, which calls what is made so.
pub fn read(role: &Role, name: &str, made: &str, answer: &Value, object: &Value) -> Result<Answer, Failure> {
    if !answer.is_object() {
        return Err(format!("the {name} hook answers {}: it is to answer an object", what(answer)).into());
    }
    let pairs = |part: &str| match role {
        Role::Composite { .. } => Ok(Vec::new()),
        Role::Decorator { .. } => pairs(part, &answer[part]),
    };
    Ok(Answer {
        children: children(role, made, &answer[made], object)?,
        status: status(role, &answer["status"], object)?,
        labels: pairs("labels")?,
        annotations: pairs("annotations")?,
        requeue_after_ms: resync_after_ms(answer),
        finalized: answer["finalized"] == true,
    })
}

fn children(role: &Role, made: &str, answered: &Value, object: &Value) -> Result<Vec<String>, Failure> {
    let children = match answered {
        Value::Null => &Vec::new(),
        Value::Array(children) => children,
        other => return Err(format!("the hook answers {made} that are no list but {}", what(other)).into()),
    };
    let uid = &object["metadata"]["uid"];
    let child = |child: &Value| {
        let mut child = child.clone();
        // What has no metadata is for the host to refuse.
        if let Some(Value::Object(metadata)) = child.get_mut("metadata") {
            unmark(metadata, uid);
            // Metacontroller, should it come back, knows its children by these.
            match role {
                Role::Composite { generates_selector: true } => mark(metadata, "labels", PARENT_LABEL, uid),
                Role::Composite { .. } => {}
                Role::Decorator { name } => mark(metadata, "annotations", DECORATOR_MARK, &json!(name)),
            }
        }
        child.to_string()
    };
    Ok(children.iter().filter(|child| !child.is_null()).map(child).collect())
}

/// A hook may answer with a child as it was shown it. What the host has put there is
/// the host's to set.
fn unmark(metadata: &mut Map<String, Value>, owner: &Value) {
    for field in ["labels", "annotations"] {
        if let Some(Value::Object(pairs)) = metadata.get_mut(field) {
            pairs.retain(|key, _| !is_hosts(key));
        }
    }
    if let Some(Value::Array(references)) = metadata.get_mut("ownerReferences") {
        references.retain(|reference| reference["uid"] != *owner);
    }
}

fn is_hosts(key: &str) -> bool {
    let domain = key.split_once('/').and_then(|(domain, _)| domain.strip_suffix(HOST_DOMAIN));
    domain.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn mark(metadata: &mut Map<String, Value>, field: &str, key: &str, value: &Value) {
    let pairs = metadata.entry(field).or_insert(Value::Null);
    if pairs.is_null() {
        *pairs = json!({});
    }
    if let Value::Object(pairs) = pairs {
        pairs.insert(key.to_owned(), value.clone());
    }
}

/// A composite's is the whole of it, with the generation that it was made from, and
/// nothing where the hook says nothing. A decorator's stays then.
fn status(role: &Role, answered: &Value, object: &Value) -> Result<Option<Value>, Failure> {
    match (role, answered) {
        (Role::Decorator { .. }, Value::Null) => Ok(None),
        (Role::Composite { .. }, Value::Null) => Ok(Some(json!({}))),
        (Role::Decorator { .. }, Value::Object(status)) => Ok(Some(status.clone().into())),
        (Role::Composite { .. }, Value::Object(status)) => {
            let mut status = status.clone();
            status.insert("observedGeneration".to_owned(), object["metadata"]["generation"].clone());
            Ok(Some(Value::Object(status)))
        }
        (_, other) => Err(format!("the hook answers a status that is no object but {}", what(other)).into()),
    }
}

fn pairs(part: &str, answered: &Value) -> Result<Vec<(String, Option<String>)>, Failure> {
    let none = Map::new();
    let pairs = match answered {
        Value::Null => &none,
        Value::Object(pairs) => pairs,
        other => return Err(format!("the hook answers {part} that are no object but {}", what(other)).into()),
    };
    let pair = |(key, value): (&String, &Value)| match value {
        Value::Null => Ok((key.clone(), None)),
        Value::String(value) => Ok((key.clone(), Some(value.clone()))),
        other => {
            Err(format!("the hook answers {part} in which {key:?} is {}: a text or null is wanted", what(other)).into())
        }
    };
    pairs.iter().filter(|(key, _)| !is_hosts(key)).map(pair).collect()
}

/// What a value is, and nothing of what it says: that may be a secret.
fn what(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// When the hook wants its object to be looked at again, in milliseconds.
fn resync_after_ms(answer: &Value) -> Option<u32> {
    let seconds = answer["resyncAfterSeconds"].as_f64().filter(|seconds| *seconds > 0.0)?;
    // From a float `as` goes to the nearest that fits.
    Some(((seconds * 1000.0) as u32).max(1))
}
