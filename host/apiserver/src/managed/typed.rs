//! Objects seen through their schema: whether they fit it well enough to be
//! merged, which fields they have, and how list items are told apart.

use std::fmt;

use serde_json::{Map, Value};

use crate::fields::{FieldSet, PathElement, Scalar};
use crate::go_print::GoPrint;
use crate::schema::{ListType, ListView, NodeId, ScalarType, Schema, Shape};

/// A part of an object that does not fit its type.
pub(super) struct Misfit {
    path: String,
    problem: String,
}

/// In the words of the server: one alone, several as a list.
pub(super) struct Misfits(Vec<Misfit>);

impl fmt::Display for Misfits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.0.as_slice() {
            return write!(f, "{}: {}", only.path, only.problem);
        }
        f.write_str("errors:")?;
        for misfit in &self.0 {
            write!(f, "\n  {}: {}", misfit.path, misfit.problem)?;
        }
        Ok(())
    }
}

/// May a keyed list or a set hold an item twice? An applied object's may not;
/// one that already lives may have got in before the rule.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Duplicates {
    Refused,
    Allowed,
}

/// Does the object fit its schema, as far as merging is concerned?
pub(super) fn check(schema: &Schema, value: &Value, duplicates: Duplicates) -> Result<(), Misfits> {
    let mut checker = Checker { schema, duplicates, path: String::new(), found: Vec::new() };
    checker.visit(schema.root(), value);
    if checker.found.is_empty() { Ok(()) } else { Err(Misfits(checker.found)) }
}

struct Checker<'a> {
    schema: &'a Schema,
    duplicates: Duplicates,
    /// Where the value stands that is looked at.
    path: String,
    found: Vec<Misfit>,
}

impl Checker<'_> {
    fn report(&mut self, problem: String) {
        let path = self.path.clone();
        self.found.push(Misfit { path, problem });
    }

    fn below(&mut self, step: &[&str], visit: impl FnOnce(&mut Self)) {
        let here = self.path.len();
        self.path.extend(step.iter().copied());
        visit(self);
        self.path.truncate(here);
    }

    fn visit(&mut self, id: NodeId, value: &Value) {
        match (self.schema.shape_of(id, value), value) {
            // `null` is a valid value of every type.
            (_, Value::Null) => {}
            (Shape::Map, Value::Object(fields)) => self.visit_map(id, fields),
            (Shape::List, Value::Array(items)) => self.visit_list(id, items),
            (Shape::Map, other) => self.report(format!("expected map, got {}", go(other))),
            (Shape::List, other) => self.report(format!("expected list, got {}", go(other))),
            (Shape::Scalar, value) => self.visit_scalar(id, value),
        }
    }

    fn visit_scalar(&mut self, id: NodeId, value: &Value) {
        let problem = match (self.schema.scalar_of(id), value) {
            (Some(ScalarType::Numeric), Value::Number(_))
            | (Some(ScalarType::String), Value::String(_))
            | (Some(ScalarType::Boolean), Value::Bool(_)) => return,
            (Some(ScalarType::Untyped), value) if !value.is_array() && !value.is_object() => return,
            (Some(ScalarType::Numeric), value) => {
                format!("expected numeric (int or float), got {}", go_type(value))
            }
            (Some(ScalarType::String), value) => {
                format!("expected string, got &value.valueUnstructured{{Value:{value}}}")
            }
            (Some(ScalarType::Boolean), value) => format!("expected boolean, got {}", go(value)),
            (_, value) => format!("expected any scalar, got {}", go(value)),
        };
        self.report(problem);
    }

    fn visit_map(&mut self, id: NodeId, fields: &Map<String, Value>) {
        let schema = self.schema;
        let Some(map) = schema.map_of(id) else {
            return;
        };
        for (name, value) in fields {
            self.below(&[".", name], |checker| match map.field(name) {
                Some(id) => checker.visit(id, value),
                None => checker.report("field not declared in schema".to_owned()),
            });
        }
    }

    fn visit_list(&mut self, id: NodeId, items: &[Value]) {
        let schema = self.schema;
        let Some(list) = schema.list_of(id) else {
            return;
        };
        let mut seen = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let step = if *list.kind == ListType::Atomic {
                format!("[{index}]")
            } else {
                match step(schema, &list, item) {
                    Ok(step) => {
                        if self.duplicates == Duplicates::Refused && seen.contains(&step) {
                            self.report(format!("duplicate entries for key {step}"));
                        }
                        let text = step.to_string();
                        seen.push(step);
                        text
                    }
                    Err(problem) => {
                        self.report(format!("element {index}: {problem}"));
                        return;
                    }
                }
            };
            self.below(&[&step], |checker| checker.visit(list.items, item));
        }
    }
}

/// What tells this item of a set or of a keyed list from the others.
pub(super) fn step(schema: &Schema, list: &ListView<'_>, item: &Value) -> Result<PathElement, String> {
    match (list.kind, item) {
        (ListType::Atomic, _) => Err("invalid indexing of non-associative list".to_owned()),
        (ListType::Map(_), Value::Null) => Err("associative list with keys may not have a null element".to_owned()),
        (ListType::Map(keys), Value::Object(fields)) => {
            let value_of = |key: &String| {
                let value = fields.get(key).cloned().or_else(|| schema.key_default(list.items, key))?;
                Some((key.clone(), Scalar(value)))
            };
            let found: Vec<_> = keys.iter().filter_map(value_of).collect();
            if found.is_empty() {
                let keys: Vec<_> = keys.iter().map(|key| format!("\"{key}\"")).collect();
                return Err(format!(
                    "associative list with keys has an element that omits all key fields [{}] \
                     (and doesn't have default values for any key fields)",
                    keys.join(" ")
                ));
            }
            Ok(PathElement::key(found))
        }
        (ListType::Map(_), _) => Err("associative list with keys may not have non-map elements".to_owned()),
        (ListType::Set, Value::Object(_)) => {
            Err("associative list without keys has an element that's a map type".to_owned())
        }
        (ListType::Set, Value::Array(_)) => Err("not supported: associative list with lists as elements".to_owned()),
        (ListType::Set, Value::Null) => {
            Err("associative list without keys has an element that's an explicit null".to_owned())
        }
        (ListType::Set, value) => Ok(PathElement::Value(Scalar(value.clone()))),
    }
}

/// The items of a checked list with what tells them apart.
pub(super) fn steps<'a>(schema: &Schema, list: &ListView<'_>, items: &'a [Value]) -> Vec<(PathElement, &'a Value)> {
    // An item without an identity was refused by `check`, so none is lost here.
    let with_step = |item| Some((step(schema, list, item).ok()?, item));
    items.iter().filter_map(with_step).collect()
}

/// What a list has under one key.
pub(super) fn under<'a>(items: &[(PathElement, &'a Value)], step: &PathElement) -> Vec<&'a Value> {
    let matching = items.iter().filter(|(other, _)| other == step);
    matching.map(|(_, item)| *item).collect()
}

/// The fields of a map that has any.
pub(super) fn fields_in(value: Option<&Value>) -> Option<&Map<String, Value>> {
    value?.as_object().filter(|fields| !fields.is_empty())
}

/// The items of a list; none of what is no list.
pub(super) fn items_in(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Every field and item that a checked object has, as its owner would own it.
pub(super) fn field_set(schema: &Schema, value: &Value) -> FieldSet {
    fields_of(schema, schema.root(), value).1
}

/// Whether the value itself is owned, as a leaf is, and what is owned below it.
fn fields_of(schema: &Schema, id: NodeId, value: &Value) -> (bool, FieldSet) {
    let mut below = FieldSet::default();
    match schema.shape_of(id, value) {
        Shape::Scalar => return (true, below),
        Shape::List => {
            let Some(list) = schema.list_of(id) else {
                return (true, below);
            };
            if *list.kind == ListType::Atomic {
                return (true, below);
            }
            let items = steps(schema, &list, items_in(Some(value)));
            for (step, item) in &items {
                // Of an item that is there twice, nothing is told apart.
                let children = match under(&items, step).as_slice() {
                    [_] => fields_of(schema, list.items, item).1,
                    _ => FieldSet::default(),
                };
                below.put(step.clone(), true, children);
            }
        }
        Shape::Map => {
            let Some(map) = schema.map_of(id) else {
                return (true, below);
            };
            if map.atomic {
                return (true, below);
            }
            for (name, value) in value.as_object().into_iter().flatten() {
                let Some(id) = map.field(name) else {
                    continue;
                };
                let (leaf, children) = fields_of(schema, id, value);
                let hollow = value.is_null() || value.as_object().is_some_and(Map::is_empty);
                let owned = leaf || hollow || map.declared(name).is_none();
                below.put(PathElement::field(name), owned, children);
            }
        }
    }
    (false, below)
}

/// A value as Go prints a pointer to it.
fn go(value: &Value) -> String {
    format!("&{{{}}}", GoPrint(value))
}

/// The Go type of a value that is no number.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "bool",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        _ => "map[string]interface {}",
    }
}
