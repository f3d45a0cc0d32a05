//! What is known of a kind's fields: read from a CRD's structural schema or
//! from a server's OpenAPI components, and asked in three ways: which fields
//! are kept and defaulted (`prune`), which values are allowed (`validate`),
//! (with `expressions`), and how parts merge (`shape`). Built-in kinds are Go structs besides
//! (`structs`).

mod empties;
mod expressions;
mod parse;
mod prune;
mod shape;
mod structs;
mod validate;

use std::collections::BTreeMap;

use serde_json::Value;

pub(crate) use expressions::compile;
pub(crate) use shape::{ListView, MapView, ScalarType, Shape};
pub(crate) use validate::FieldError;

use expressions::Expression;
use structs::{Form, Zero};
use validate::Rules;

/// The schema of one version of one kind. Types may refer to each other in
/// circles, so they lie in one arena and name each other by place.
#[derive(Clone, Debug)]
pub(crate) struct Schema {
    nodes: Vec<Node>,
    root: NodeId,
    builtin: bool,
}

/// The place of a type in its schema's arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeId(usize);

/// Anything, of which nothing is known: maps merge by field, lists as a whole.
const DEDUCED: NodeId = NodeId(0);
/// Anything, merged as a whole.
const UNTYPED: NodeId = NodeId(1);

/// One type.
#[derive(Clone, Debug, Default)]
struct Node {
    kind: Kind,
    format: Option<String>,
    nullable: bool,
    default: Option<Value>,
    fields: BTreeMap<String, NodeId>,
    /// `apiVersion`, `kind` and `metadata` of a resource, which its schema need
    /// not state. Empty for what is no resource.
    implied: BTreeMap<String, NodeId>,
    /// `x-kubernetes-embedded-resource`.
    embedded: bool,
    other: Other,
    items: Option<NodeId>,
    /// Unknown fields are kept here: `x-kubernetes-preserve-unknown-fields`.
    preserves: bool,
    /// The same, here or in a type around it: merging takes that as enough.
    preserves_below: bool,
    list: ListType,
    /// `x-kubernetes-map-type: atomic`.
    atomic_map: bool,
    rules: Rules,
    /// `x-kubernetes-validations`.
    expressions: Vec<Expression>,
    /// The name of the Go type, for what has one: `v1.PodSpec`.
    name: Option<String>,
    zero: Zero,
    form: Form,
}

/// What JSON type a schema states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Any,
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
    /// `x-kubernetes-int-or-string`.
    IntOrString,
}

/// What a map may hold besides its stated fields: `additionalProperties`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Other {
    #[default]
    Unstated,
    Forbidden,
    Any,
    Typed(NodeId),
}

/// How a list's items are told apart: `x-kubernetes-list-type`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum ListType {
    /// Not at all: the list is one value.
    #[default]
    Atomic,
    /// By their value.
    Set,
    /// By these fields of theirs.
    Map(Vec<String>),
}

impl Schema {
    /// Has it rules that are expressions?
    pub(crate) fn has_expressions(&self) -> bool {
        self.nodes.iter().any(|node| !node.expressions.is_empty())
    }

    pub(crate) fn root(&self) -> NodeId {
        self.root
    }

    /// Does it describe a Go struct, not a custom resource?
    pub(crate) fn is_builtin(&self) -> bool {
        self.builtin
    }

    fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    fn root_node(&self) -> &Node {
        self.node(self.root)
    }
}

/// Are two values equal, with 1 and 1.0 the same number?
pub(crate) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) if a.is_f64() || b.is_f64() => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            let equal = |(name, a)| b.get(name).is_some_and(|b| same(a, b));
            a.len() == b.len() && a.iter().all(equal)
        }
        (a, b) => a == b,
    }
}

/// The two types at the start of every arena: [`DEDUCED`] and [`UNTYPED`].
fn unknown_types() -> Vec<Node> {
    let unknown = |other, atomic_map| Node {
        nullable: true,
        other: Other::Typed(other),
        items: Some(UNTYPED),
        preserves: true,
        preserves_below: true,
        atomic_map,
        form: Form::Raw,
        ..Node::default()
    };
    vec![unknown(DEDUCED, false), unknown(UNTYPED, true)]
}

#[cfg(test)]
mod tests;
