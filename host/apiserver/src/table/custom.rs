//! The columns that a CustomResourceDefinition gives its kind
//! (`additionalPrinterColumns`).

use jiff::Timestamp;
use serde_json::{Value, json};

use super::age;
use super::jsonpath::JsonPath;
use super::read::text;

/// One column; its cell is what its path finds first.
#[derive(Debug, Clone)]
pub(crate) struct PrinterColumn {
    definition: Value,
    of: String,
    path: Option<JsonPath>,
}

impl PrinterColumn {
    /// The columns of a definition's version; without any, the age is shown.
    pub fn of_version(version: &Value) -> Vec<Self> {
        let age = json!([{ "name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp" }]);
        let given = version["additionalPrinterColumns"].as_array().filter(|columns| !columns.is_empty());
        given.or(age.as_array()).into_iter().flatten().map(Self::new).collect()
    }

    fn new(column: &Value) -> Self {
        let path = text(column, "/jsonPath");
        let said = text(column, "/description");
        let description = if said.is_empty() {
            format!("Custom resource definition column (in JSONPath format): {path}")
        } else {
            said.to_owned()
        };
        let of = text(column, "/type").to_owned();
        let definition = json!({
            "name": text(column, "/name"), "type": of, "format": text(column, "/format"),
            "description": description, "priority": column["priority"].as_i64().unwrap_or_default(),
        });
        Self { definition, of, path: JsonPath::parse(path) }
    }

    fn cell(&self, object: &Value, now: Timestamp) -> Value {
        let Some(value) = self.path.as_ref().and_then(|path| path.first(object)) else { return Value::Null };
        match (self.of.as_str(), value) {
            (_, Value::Null) => Value::Null,
            ("string", Value::String(text)) => Value::from(text.as_str()),
            ("string", other) => Value::from(other.to_string()),
            ("integer", Value::Number(number)) => whole(number),
            ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) => value.clone(),
            ("date", Value::String(text)) => {
                let known = text.parse::<Timestamp>();
                Value::from(known.map_or_else(|_| "<invalid>".to_owned(), |then| age::between(then, now)))
            }
            _ => Value::Null,
        }
    }
}

/// A number without its fraction.
fn whole(number: &serde_json::Number) -> Value {
    #[allow(clippy::cast_possible_truncation, reason = "as Go converts it")]
    let cut = || number.as_f64().map(|number| number as i64);
    number.as_i64().or_else(cut).map_or(Value::Null, Value::from)
}

pub(super) fn definitions(columns: &[PrinterColumn]) -> Value {
    let name = json!({ "name": "Name", "type": "string", "format": "name", "description": "", "priority": 0 });
    std::iter::once(name).chain(columns.iter().map(|column| column.definition.clone())).collect()
}

pub(super) fn cells(columns: &[PrinterColumn], object: &Value, now: Timestamp) -> Vec<Value> {
    let name = Value::from(text(object, "/metadata/name"));
    std::iter::once(name).chain(columns.iter().map(|column| column.cell(object, now))).collect()
}
