//! `Table`: the answer from which kubectl prints. A kind says which columns it
//! has; a row has their cells and, unless the client wants none, the object.

mod age;
mod cells;
mod custom;
mod jsonpath;
mod metrics;
mod pod;
mod read;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

pub(crate) use custom::PrinterColumn;

use crate::kinds::Kind;
use crate::view::{self, MetaVersion};

/// What of the object a row carries (`includeObject`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum RowObject {
    None,
    #[default]
    Metadata,
    Whole,
}

/// One table, from its kind.
pub(crate) struct Printer<'a> {
    pub kind: &'a Kind,
    pub version: MetaVersion,
    pub row_object: RowObject,
    /// Ages are told as of now.
    pub now: Timestamp,
}

impl Printer<'_> {
    /// The table of several objects.
    pub fn list<'v>(&self, objects: impl Iterator<Item = &'v Value>, metadata: &Value) -> Bytes {
        let mut metadata = metadata.clone();
        if let Some(fields) = metadata.as_object_mut() {
            fields.retain(|_, value| value != "");
        }
        self.table(&metadata, self.columns(), objects.map(|object| self.row(object)).collect())
    }

    /// The table of one object. A watch tells the columns once.
    pub fn one(&self, object: &Value, with_columns: bool) -> Bytes {
        let metadata = json!({ "resourceVersion": object["metadata"]["resourceVersion"] });
        let columns = if with_columns { self.columns() } else { Value::Null };
        self.table(&metadata, columns, vec![self.row(object)])
    }

    fn table(&self, metadata: &Value, columns: Value, rows: Vec<Value>) -> Bytes {
        view::to_bytes(&json!({
            "kind": "Table", "apiVersion": self.version.api_version(), "metadata": metadata,
            "columnDefinitions": columns, "rows": rows,
        }))
    }

    fn row(&self, object: &Value) -> Value {
        let mut row = Map::new();
        let cells = match &self.kind.custom {
            Some(custom) => custom::cells(&custom.columns, object, self.now),
            None => cells::of(self.kind, object, self.now),
        };
        row.insert("cells".to_owned(), Value::from(cells));
        if self.kind.is("", "pods")
            && let Some(condition) = pod::completed(object)
        {
            row.insert("conditions".to_owned(), json!([condition]));
        }
        match self.row_object {
            RowObject::None => {}
            RowObject::Metadata => {
                row.insert("object".to_owned(), view::metadata_only(object, self.version));
            }
            RowObject::Whole => {
                row.insert("object".to_owned(), object.clone());
            }
        }
        Value::Object(row)
    }

    fn columns(&self) -> Value {
        match &self.kind.custom {
            Some(custom) => custom::definitions(&custom.columns),
            None => cells::columns(self.kind).iter().map(|column| definition(column)).collect(),
        }
    }
}

/// A column is written as `Name`, `Name:type`, or with a plus sign before it
/// where only `-o wide` shows it.
fn definition(column: &str) -> Value {
    let wide = column.starts_with('+');
    let (name, of) =
        column.trim_start_matches('+').split_once(':').unwrap_or((column.trim_start_matches('+'), "string"));
    let format = if name == "Name" { "name" } else { "" };
    json!({ "name": name, "type": of, "format": format, "description": "", "priority": i32::from(wide) })
}

#[cfg(test)]
mod tests;
