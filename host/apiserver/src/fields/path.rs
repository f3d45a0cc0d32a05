//! One step of a path into an object, as managed fields name it: a field of a
//! map, an item of a keyed list, or a value of a set.

use std::cmp::Ordering;
use std::fmt;

use serde_json::{Map, Value};

/// One step from a value to a part of it. Lists without keys have no steps:
/// they are owned as a whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PathElement {
    /// A field of a map.
    Field(String),
    /// An item of a keyed list, by its key fields in the order of their names.
    Key(Vec<(String, Scalar)>),
    /// A value of a set.
    Value(Scalar),
}

impl PathElement {
    pub(crate) fn field(name: &str) -> Self {
        Self::Field(name.to_owned())
    }

    /// The step to a list item with these key fields.
    pub(crate) fn key(mut fields: Vec<(String, Scalar)>) -> Self {
        fields.sort();
        Self::Key(fields)
    }

    /// The name that `FieldsV1` gives this step.
    pub(crate) fn encode(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(fields) => {
                let fields: Map<String, Value> =
                    fields.iter().map(|(name, value)| (name.clone(), value.0.clone())).collect();
                format!("k:{}", Value::Object(fields))
            }
            Self::Value(value) => format!("v:{}", value.0),
        }
    }

    /// Reads a step from its `FieldsV1` name. `Ok(None)` is a kind of step that
    /// this server does not know: it is skipped, as a later one may know it.
    pub(crate) fn decode(text: &str) -> Result<Option<Self>, String> {
        let malformed = |reason: &dyn fmt::Display| format!("path element `{text}`: {reason}");
        let (tag, rest) = text.split_once(':').ok_or_else(|| malformed(&"missing colon"))?;
        match tag {
            "f" => Ok(Some(Self::field(rest))),
            "v" => {
                let value = serde_json::from_str(rest).map_err(|error| malformed(&error))?;
                Ok(Some(Self::Value(Scalar(value))))
            }
            "k" => {
                let fields: Map<String, Value> = serde_json::from_str(rest).map_err(|error| malformed(&error))?;
                let fields = fields.into_iter().map(|(k, v)| (k, Scalar(v))).collect();
                Ok(Some(Self::key(fields)))
            }
            _ => Ok(None),
        }
    }
}

/// As conflicts and typed errors write it: `.name`, `[key="value"]`, `[="value"]`.
impl fmt::Display for PathElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Value(value) => write!(f, "[={}]", value.0),
            Self::Key(fields) => {
                f.write_str("[")?;
                for (index, (name, value)) in fields.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(f, "{comma}{name}={}", value.0)?;
                }
                f.write_str("]")
            }
        }
    }
}

/// A JSON value that identifies a list item, in the total order that the server
/// sorts by: numbers, strings, booleans, then anything else.
#[derive(Clone, Debug)]
pub(crate) struct Scalar(pub(crate) Value);

impl Scalar {
    fn rank(&self) -> u8 {
        match self.0 {
            Value::Number(_) => 0,
            Value::String(_) => 1,
            Value::Bool(_) => 2,
            Value::Array(_) => 3,
            Value::Object(_) => 4,
            Value::Null => 5,
        }
    }
}

impl Ord for Scalar {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
                (Some(a), Some(b)) => a.cmp(&b),
                // JSON has no NaN, so every number compares.
                _ => a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal),
            },
            (Value::String(a), Value::String(b)) => a.cmp(b),
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            // The server forbids lists and maps as keys; any fixed order does.
            (a, b) => self.rank().cmp(&other.rank()).then_with(|| a.to_string().cmp(&b.to_string())),
        }
    }
}

impl PartialOrd for Scalar {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scalar {}
