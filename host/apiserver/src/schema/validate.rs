//! Holds values to a schema, with the paths and the words of kube-apiserver.

mod error;
mod format;
mod lists;
mod rules;

use serde_json::{Map, Value};

pub(crate) use error::FieldError;
pub(super) use rules::Rules;

use super::{Kind, Node, NodeId, Other, Schema};

/// 2^53 - 1: what a float holds exactly, with all below it.
const SAFE_MAX: f64 = 9_007_199_254_740_991.0;

impl Schema {
    /// Every way in which the value breaks the schema; empty if it does not.
    pub(crate) fn validate(&self, value: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        self.check(self.root, &mut String::new(), value, &mut errors);
        // Go structs may hold an item twice: only applying such a list fails.
        if !self.builtin {
            self.check_lists(self.root, "", value, &mut errors);
        }
        errors
    }

    /// The same for a write to the status subresource, which is held to the
    /// schema of `status` alone: the messages name the fields from there.
    pub(crate) fn validate_status(&self, value: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if let (Some(&id), Some(status)) = (self.root_node().fields.get("status"), value.get("status")) {
            self.check(id, &mut String::new(), status, &mut errors);
        }
        for error in &mut errors {
            error.nest_under("status");
        }
        self.check_lists(self.root, "", value, &mut errors);
        errors
    }

    fn check(&self, id: NodeId, path: &mut String, value: &Value, errors: &mut Vec<FieldError>) {
        let node = self.node(id);
        if !node.accepts(value) {
            errors.push(format::wrong_type(node, path, value));
        }
        if value.is_null() {
            node.rules.check_enum(path, value, errors);
            return;
        }
        self.check_alternatives(node, path, value, errors);
        match value {
            Value::String(text) => {
                node.rules.check_string(path, text, errors);
                format::check_text(node, path, text, errors);
            }
            Value::Number(number) => {
                format::check_number(node, path, number, errors);
                node.rules.check_number(path, number, errors);
            }
            Value::Array(items) => {
                if let Some(id) = node.items {
                    for (index, item) in items.iter().enumerate() {
                        let here = path.len();
                        path.push_str(&format!("[{index}]"));
                        self.check(id, path, item, errors);
                        path.truncate(here);
                    }
                }
                node.rules.check_length(path, items.len(), errors);
            }
            _ => {}
        }
        node.rules.check_enum(path, value, errors);
        if let Value::Object(fields) = value {
            self.check_fields(node, path, fields, errors);
        }
    }

    fn check_fields(&self, node: &Node, path: &mut String, fields: &Map<String, Value>, errors: &mut Vec<FieldError>) {
        node.rules.check_size(path, fields.len(), errors);
        for (name, value) in fields {
            let id = match (node.fields.get(name), node.other) {
                (Some(&id), _) | (None, Other::Typed(id)) => id,
                (None, Other::Forbidden) => {
                    errors.push(FieldError::forbidden_property(path, name));
                    continue;
                }
                (None, Other::Unstated | Other::Any) => continue,
            };
            let here = path.len();
            if here > 0 {
                path.push('.');
            }
            path.push_str(name);
            self.check(id, path, value, errors);
            path.truncate(here);
        }
        let resource = ["apiVersion", "kind"].into_iter().filter(|_| node.embedded);
        let required = node.rules.required.iter().map(String::as_str);
        for name in required.chain(resource) {
            // A struct's field is there although it is not set.
            let unset = |value: &Value| self.builtin && (value.is_null() || *value == "");
            if fields.get(name).is_none_or(unset) {
                errors.push(FieldError::required(&child(path, name)));
            }
        }
    }

    /// `anyOf`, `oneOf`, `allOf` and `not`.
    fn check_alternatives(&self, node: &Node, path: &mut String, value: &Value, errors: &mut Vec<FieldError>) {
        let failures = |ids: &[NodeId], path: &mut String| -> Vec<Vec<FieldError>> {
            let check = |&id: &NodeId| {
                let mut errors = Vec::new();
                self.check(id, path, value, &mut errors);
                errors
            };
            ids.iter().map(check).collect()
        };
        let rules = &node.rules;
        let any = failures(&rules.any_of, path);
        if !any.is_empty() && any.iter().all(|errors| !errors.is_empty()) {
            errors.push(FieldError::composite(path, "must validate at least one schema (anyOf)"));
            errors.extend(closest(any));
        }
        let one = failures(&rules.one_of, path);
        let valid = one.iter().filter(|errors| errors.is_empty()).count();
        if !one.is_empty() && valid != 1 {
            let found = match valid {
                0 => "Found none valid".to_owned(),
                many => format!("Found {many} valid alternatives"),
            };
            let rule = format!("must validate one and only one schema (oneOf). {found}");
            errors.push(FieldError::composite(path, &rule));
            if valid == 0 {
                errors.extend(closest(one));
            }
        }
        let all = failures(&rules.all_of, path);
        let valid = all.iter().filter(|errors| errors.is_empty()).count();
        if valid != all.len() {
            let none = if valid == 0 { ". None validated" } else { "" };
            errors.extend(all.into_iter().flatten());
            let rule = format!("must validate all the schemas (allOf){none}");
            errors.push(FieldError::composite(path, &rule));
        }
        if let Some(id) = rules.not
            && failures(&[id], path).iter().all(Vec::is_empty)
        {
            errors.push(FieldError::composite(path, "must not validate the schema (not)"));
        }
    }
}

/// The errors of the alternative that was missed by the least.
fn closest(alternatives: Vec<Vec<FieldError>>) -> Vec<FieldError> {
    alternatives.into_iter().min_by_key(Vec::len).unwrap_or_default()
}

fn child(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

impl Node {
    fn accepts(&self, value: &Value) -> bool {
        match (self.kind, value) {
            (Kind::Any, _) => true,
            (_, Value::Null) => self.nullable,
            (Kind::Object, Value::Object(_))
            | (Kind::Array, Value::Array(_))
            | (Kind::String | Kind::IntOrString, Value::String(_))
            | (Kind::Number, Value::Number(_))
            | (Kind::Boolean, Value::Bool(_)) => true,
            (Kind::Integer | Kind::IntOrString, Value::Number(number)) => {
                // 2.0 is an integer, as the server sees it; what an int64 cannot hold is none.
                let whole = |number: f64| number.fract() == 0.0 && number.abs() <= SAFE_MAX;
                number.is_i64() || (number.is_f64() && number.as_f64().is_some_and(whole))
            }
            _ => false,
        }
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::IntOrString => "integer,string",
        }
    }
}
