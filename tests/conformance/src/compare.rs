//! Where two answers differ.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

/// Longer values are cut where differences are printed.
const SHOWN_MAX: usize = 600;

/// One place where the answers of a case differ.
#[derive(Debug, Clone)]
pub struct Difference {
    /// The step, counted from 1; its place in the case.
    pub step: usize,
    /// What the step does.
    pub request: String,
    /// The place in the answer: `body.metadata.labels`.
    pub path: String,
    /// What the real server says there.
    pub real: Option<Value>,
    /// What the one in memory says.
    pub memory: Option<Value>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: &Option<Value>| {
            let mut text = value.as_ref().map_or("nothing".to_owned(), Value::to_string);
            if text.len() > SHOWN_MAX {
                text = text.chars().take(SHOWN_MAX).chain("…".chars()).collect();
            }
            text
        };
        writeln!(f, "    step {}, {}: {}", self.step, self.request, self.path)?;
        writeln!(f, "      real:   {}", text(&self.real))?;
        write!(f, "      memory: {}", text(&self.memory))
    }
}

/// All paths at which two answers differ; the whole body where one is a success
/// and the other is not.
pub(crate) fn differences(real: &Value, memory: &Value) -> Vec<(String, Option<Value>, Option<Value>)> {
    let mut found = Vec::new();
    if real["code"] == memory["code"] {
        walk("", Some(real), Some(memory), &mut found);
    } else {
        let told = |answer: &Value| Some(answer["body"].get("message").unwrap_or(&answer["body"]).clone());
        found.push(("code".to_owned(), Some(real["code"].clone()), Some(memory["code"].clone())));
        found.push(("body".to_owned(), told(real), told(memory)));
    }
    found
}

fn walk(
    path: &str,
    real: Option<&Value>,
    memory: Option<&Value>,
    found: &mut Vec<(String, Option<Value>, Option<Value>)>,
) {
    match (real, memory) {
        (Some(Value::Object(left)), Some(Value::Object(right))) => {
            let keys: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            for key in keys {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                walk(&path, left.get(key), right.get(key), found);
            }
        }
        (Some(Value::Array(left)), Some(Value::Array(right))) if left.len() == right.len() => {
            for (index, (left, right)) in left.iter().zip(right).enumerate() {
                walk(&format!("{path}[{index}]"), Some(left), Some(right), found);
            }
        }
        (real, memory) if real == memory => {}
        (real, memory) => found.push((path.to_owned(), real.cloned(), memory.cloned())),
    }
}
