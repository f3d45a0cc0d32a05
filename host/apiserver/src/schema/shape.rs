//! How parts of an object merge: the schema as server-side apply sees it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::structs::Zero;
use super::{DEDUCED, Kind, ListType, Node, NodeId, Other, Schema, UNTYPED};

/// As what a value of some type is merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Scalar,
    List,
    Map,
}

/// What a scalar may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScalarType {
    Numeric,
    String,
    Boolean,
    Untyped,
}

/// A type seen as a map.
pub(crate) struct MapView<'a> {
    fields: &'a BTreeMap<String, NodeId>,
    implied: &'a BTreeMap<String, NodeId>,
    /// Is the map one value?
    pub(crate) atomic: bool,
    /// The type of undeclared fields; `None` where there may be none.
    pub(crate) other: Option<NodeId>,
}

impl MapView<'_> {
    /// The type of a field that the schema names.
    pub(crate) fn declared(&self, name: &str) -> Option<NodeId> {
        self.implied.get(name).or_else(|| self.fields.get(name)).copied()
    }

    /// The type of any field, declared or not.
    pub(crate) fn field(&self, name: &str) -> Option<NodeId> {
        self.declared(name).or(self.other)
    }
}

/// A type seen as a list.
pub(crate) struct ListView<'a> {
    pub(crate) kind: &'a ListType,
    pub(crate) items: NodeId,
}

impl Node {
    fn is_any(&self) -> bool {
        matches!(self.kind, Kind::Any | Kind::IntOrString)
    }
}

impl Schema {
    /// The type as a map, if it may be one.
    pub(crate) fn map_of(&self, id: NodeId) -> Option<MapView<'_>> {
        let node = self.node(id);
        if !node.is_any() && node.kind != Kind::Object {
            return None;
        }
        let stated = node.fields.len() + node.implied.len();
        let other = match node.other {
            Other::Typed(other) => Some(other),
            Other::Any => Some(DEDUCED),
            Other::Unstated if node.preserves_below || stated == 0 => Some(DEDUCED),
            Other::Unstated | Other::Forbidden => None,
        };
        Some(MapView { fields: &node.fields, implied: &node.implied, atomic: node.atomic_map, other })
    }

    /// The type as a list, if it may be one.
    pub(crate) fn list_of(&self, id: NodeId) -> Option<ListView<'_>> {
        let node = self.node(id);
        (node.is_any() || node.kind == Kind::Array)
            .then(|| ListView { kind: &node.list, items: node.items.unwrap_or(UNTYPED) })
    }

    /// The type as a scalar, if it may be one.
    pub(crate) fn scalar_of(&self, id: NodeId) -> Option<ScalarType> {
        let node = self.node(id);
        match node.kind {
            Kind::Any | Kind::IntOrString => Some(ScalarType::Untyped),
            Kind::Integer | Kind::Number => Some(ScalarType::Numeric),
            Kind::Boolean => Some(ScalarType::Boolean),
            Kind::String => match node.format.as_deref() {
                None | Some("" | "byte") => Some(ScalarType::String),
                // The server merges texts of a format as whatever they are.
                Some(_) => Some(ScalarType::Untyped),
            },
            Kind::Object | Kind::Array => None,
        }
    }

    /// As what a value of this type merges. Where the type leaves it open the
    /// value decides; `null` fits every form and counts as a map if it may.
    pub(crate) fn shape_of(&self, id: NodeId, value: &Value) -> Shape {
        let node = self.node(id);
        match (node.kind, value) {
            (Kind::Object, _) => Shape::Map,
            (Kind::Array, _) => Shape::List,
            (Kind::Any | Kind::IntOrString, Value::Array(_)) => Shape::List,
            (Kind::Any | Kind::IntOrString, Value::Object(_) | Value::Null) => Shape::Map,
            _ => Shape::Scalar,
        }
    }

    /// What the items of a keyed list have in a key field that they leave out:
    /// its default, or what a struct's field shows although it is not set.
    pub(crate) fn key_default(&self, items: NodeId, key: &str) -> Option<Value> {
        let field = self.map_of(items)?.declared(key)?;
        let default = self.node(field).default.clone();
        default.or_else(|| (self.node(field).zero == Zero::Shown).then(|| self.zero(field)))
    }
}
