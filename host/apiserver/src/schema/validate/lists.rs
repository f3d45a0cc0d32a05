//! That no two items of a set or of a keyed list are the same.

use serde_json::{Map, Value};

use super::{FieldError, child};
use crate::schema::{ListType, NodeId, Other, Schema, same};

impl Schema {
    /// Checks every set and keyed list of a value.
    pub(super) fn check_lists(&self, id: NodeId, path: &str, value: &Value, errors: &mut Vec<FieldError>) {
        let node = self.node(id);
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match (node.fields.get(name), node.other) {
                        (Some(&id), _) => self.check_lists(id, &child(path, name), value, errors),
                        (None, Other::Typed(id)) => {
                            self.check_lists(id, &format!("{path}[{name}]"), value, errors);
                        }
                        _ => {}
                    }
                }
            }
            Value::Array(items) => {
                match &node.list {
                    ListType::Atomic => {}
                    ListType::Set => check_unique(path, items, errors),
                    ListType::Map(keys) => check_keys(path, keys, items, errors),
                }
                if let Some(id) = node.items {
                    for (index, item) in items.iter().enumerate() {
                        self.check_lists(id, &format!("{path}[{index}]"), item, errors);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Reports each value that repeats, once, where it repeats first.
fn check_unique(path: &str, items: &[Value], errors: &mut Vec<FieldError>) {
    for (index, item) in items.iter().enumerate() {
        let before = items[..index].iter().filter(|other| same(other, item));
        if before.count() == 1 {
            errors.push(FieldError::duplicate(&format!("{path}[{index}]"), item));
        }
    }
}

fn check_keys(path: &str, keys: &[String], items: &[Value], errors: &mut Vec<FieldError>) {
    let stray = |item: &Value| !item.is_null() && !item.is_object();
    if let Some(index) = items.iter().position(stray) {
        let field = format!("{path}[{index}]");
        errors.push(FieldError::not_an_object(&field, &items[index]));
        return;
    }
    let key_of = |item: &Value| -> Value {
        let fields = keys.iter().filter_map(|key| Some((key.clone(), item.get(key)?.clone())));
        Value::Object(fields.collect::<Map<_, _>>())
    };
    let found: Vec<_> = items.iter().map(key_of).collect();
    check_unique(path, &found, errors);
}
