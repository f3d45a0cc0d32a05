//! What becomes of empty values of built-in kinds, whose objects are structs in
//! the real server's memory and protobuf where they are stored.

use serde_json::Value;

use super::structs::Form;
use super::{Kind, Node, NodeId, Other, Schema};

impl Schema {
    /// Leaves of an object what is read again from protobuf, in which built-in
    /// kinds are stored: a list without items is none, and bytes that are none
    /// are no bytes. Tells whether it would be written otherwise then.
    pub(crate) fn pass_protobuf(&self, value: &mut Value) -> bool {
        self.builtin && self.pass_below(self.root, value)
    }

    /// Whether the object gives a list or a map and nothing in it.
    pub(crate) fn gives_empty(&self, value: &Value) -> bool {
        self.gives_empty_below(self.root, value)
    }

    fn gives_empty_below(&self, id: NodeId, value: &Value) -> bool {
        let node = self.node(id);
        match value {
            _ if node.form == Form::Raw => false,
            Value::Array(items) => {
                let below = |inner| items.iter().any(|item| self.gives_empty_below(inner, item));
                items.is_empty() || node.items.is_some_and(below)
            }
            Value::Object(fields) if node.fields.is_empty() => fields.is_empty(),
            Value::Object(fields) => fields.iter().any(|(name, value)| {
                name != "metadata" && node.fields.get(name).is_some_and(|&id| self.gives_empty_below(id, value))
            }),
            _ => false,
        }
    }

    fn pass_below(&self, id: NodeId, value: &mut Value) -> bool {
        let node = self.node(id);
        match value {
            _ if node.form == Form::Raw => false,
            Value::Array(items) if items.is_empty() => {
                *value = Value::Null;
                false
            }
            Value::Array(items) => match node.items {
                Some(inner) => items.iter_mut().fold(false, |other, item| other | self.pass_below(inner, item)),
                None => false,
            },
            Value::Object(fields) => fields.iter_mut().fold(false, |other, (name, value)| match node.other {
                Other::Typed(inner) if value.is_null() && self.node(inner).is_bytes() => {
                    *value = Value::from("");
                    true
                }
                _ => other | node.fields.get(name).is_some_and(|&id| self.pass_below(id, value)),
            }),
            _ => false,
        }
    }
}

impl Node {
    /// Whether this is text that stands for bytes.
    pub(super) fn is_bytes(&self) -> bool {
        self.kind == Kind::String && self.format.as_deref() == Some("byte")
    }
}
