//! What differs between two objects, as sets of fields.

use serde_json::{Map, Value};

use super::typed::{fields_in, items_in, steps, under};
use crate::fields::{FieldSet, PathElement};
use crate::schema::{ListType, ListView, MapView, NodeId, Schema, Shape, same};

/// The fields that a change took away, altered and brought.
#[derive(Clone, Debug, Default)]
pub(super) struct Comparison {
    pub(super) removed: FieldSet,
    pub(super) modified: FieldSet,
    pub(super) added: FieldSet,
}

impl Comparison {
    /// The fields that the new object has from this change.
    pub(super) fn written(&self) -> FieldSet {
        self.modified.union(&self.added)
    }

    /// The comparison without these fields and what is below them.
    pub(super) fn without(&self, fields: &FieldSet) -> Self {
        Self {
            removed: self.removed.recursive_difference(fields),
            modified: self.modified.recursive_difference(fields),
            added: self.added.recursive_difference(fields),
        }
    }
}

/// Compares two objects that have passed `check`.
pub(super) fn compare(schema: &Schema, old: &Value, new: &Value) -> Comparison {
    let mut comparer = Comparer { schema, path: Vec::new(), found: Comparison::default() };
    comparer.visit(schema.root(), Some(old), Some(new));
    comparer.found
}

struct Comparer<'a> {
    schema: &'a Schema,
    path: Vec<PathElement>,
    found: Comparison,
}

impl Comparer<'_> {
    fn visit(&mut self, id: NodeId, old: Option<&Value>, new: Option<&Value>) {
        let shape = |value: Option<&Value>| value.map(|value| self.schema.shape_of(id, value));
        let (before, after) = (shape(old), shape(new));
        let mut leaf = false;
        // A value that changed its form is a loss of the one and a gain of the other.
        if let Some(shape) = before
            && after != before
        {
            leaf = self.visit_as(shape, id, old, new);
        }
        if let Some(shape) = after {
            leaf = self.visit_as(shape, id, old, new);
        }
        match (old, new) {
            _ if leaf => {}
            (None, _) => self.found.added.insert(&self.path),
            (_, None) => self.found.removed.insert(&self.path),
            _ => {}
        }
    }

    /// Compares as this form, and tells whether that was as one value.
    fn visit_as(&mut self, shape: Shape, id: NodeId, old: Option<&Value>, new: Option<&Value>) -> bool {
        let schema = self.schema;
        match shape {
            Shape::Scalar => {}
            Shape::Map => {
                let (before, after) = (fields_in(old), fields_in(new));
                let map = schema.map_of(id).filter(|map| !map.atomic);
                if let Some(map) = map.filter(|_| before.or(after).is_some()) {
                    self.visit_fields(&map, before, after);
                    return false;
                }
            }
            Shape::List => {
                let (before, after) = (items_in(old), items_in(new));
                let list = schema.list_of(id).filter(|list| *list.kind != ListType::Atomic);
                if let Some(list) = list.filter(|_| !before.is_empty() || !after.is_empty()) {
                    self.visit_items(&list, before, after);
                    return false;
                }
            }
        }
        self.visit_leaf(old, new);
        true
    }

    fn visit_leaf(&mut self, old: Option<&Value>, new: Option<&Value>) {
        match (old, new) {
            (None, _) => self.found.added.insert(&self.path),
            (_, None) => self.found.removed.insert(&self.path),
            (Some(old), Some(new)) if !same(old, new) => self.found.modified.insert(&self.path),
            _ => {}
        }
    }

    fn below(&mut self, step: PathElement, visit: impl FnOnce(&mut Self)) {
        self.path.push(step);
        visit(self);
        self.path.pop();
    }

    fn visit_fields(&mut self, map: &MapView<'_>, old: Option<&Map<String, Value>>, new: Option<&Map<String, Value>>) {
        let value_in = |fields: Option<&'_ Map<String, Value>>, name: &String| {
            fields.is_some_and(|fields| fields.contains_key(name))
        };
        let gone = old.into_iter().flatten().filter(|(name, _)| !value_in(new, name));
        for (name, _) in new.into_iter().flatten().chain(gone) {
            if let Some(id) = map.field(name) {
                let value = old.and_then(|fields| fields.get(name));
                let now = new.and_then(|fields| fields.get(name));
                self.below(PathElement::field(name), |comparer| comparer.visit(id, value, now));
            }
        }
    }

    fn visit_items(&mut self, list: &ListView<'_>, old: &[Value], new: &[Value]) {
        let old = steps(self.schema, list, old);
        let new = steps(self.schema, list, new);
        let mut seen: Vec<&PathElement> = Vec::new();
        for (step, _) in old.iter().chain(&new) {
            if seen.contains(&step) {
                continue;
            }
            seen.push(step);
            let (before, after) = (under(&old, step), under(&new, step));
            self.below(step.clone(), |comparer| {
                comparer.visit_item(list.items, &before, &after);
            });
        }
    }

    /// Compares what two lists have under one key: a single item field by
    /// field, several of them as one value.
    fn visit_item(&mut self, id: NodeId, old: &[&Value], new: &[&Value]) {
        match (old, new) {
            ([] | [_], [] | [_]) => self.visit(id, old.first().copied(), new.first().copied()),
            ([] | [_], _) => {
                if let Some(old) = old.first() {
                    self.visit(id, Some(old), None);
                }
                self.found.added.insert(&self.path);
            }
            (_, [] | [_]) => {
                if let Some(new) = new.first() {
                    self.visit(id, None, Some(new));
                }
                self.found.removed.insert(&self.path);
            }
            _ => {
                let equal = old.len() == new.len() && old.iter().zip(new).all(|(a, b)| same(a, b));
                if !equal {
                    self.found.modified.insert(&self.path);
                }
            }
        }
    }
}
