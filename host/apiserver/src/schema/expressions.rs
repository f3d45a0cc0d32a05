//! The rules of a custom kind that are written as expressions
//! (`x-kubernetes-validations`), in CEL.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use cel::objects::Key;
use cel::{Context, Env, ExecutionError, Program, Value as Cel, extensions};
use serde_json::{Map, Value};

use super::{FieldError, Kind, ListType, Node, NodeId, Other, Schema};

/// The functions that expressions may use.
static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    for extension in [extensions::strings, extensions::lists] {
        env.add_extension(extension).expect("the extensions do not overlap");
    }
    Arc::new(env)
});

/// One rule of one type.
#[derive(Clone)]
pub(super) struct Expression {
    rule: String,
    program: Arc<Program>,
    message: Option<String>,
    message_program: Option<Arc<Program>>,
    reason: &'static str,
    /// The field that is blamed, below the one that has the rule.
    blamed: String,
    /// It compares with what was there before, so it needs something that was.
    compares: bool,
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rule)
    }
}

impl Expression {
    /// Reads the rules of a schema. Those that ask for an optional `oldSelf`
    /// are not looked at.
    ///
    /// # Errors
    /// Says which rule is no expression.
    pub(super) fn read(schema: &Map<String, Value>) -> Result<Vec<Self>, String> {
        let rules = schema.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten();
        rules.filter(|rule| rule["optionalOldSelf"] != true).map(Self::parse).collect()
    }

    fn parse(rule: &Value) -> Result<Self, String> {
        let text = |field: &str| rule[field].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let source = text("rule").unwrap_or_default();
        let program = compile(&source)?;
        Ok(Self {
            compares: program.references().has_variable("oldSelf"),
            program: Arc::new(program),
            rule: source,
            message: text("message"),
            message_program: text("messageExpression").map(|source| compile(&source).map(Arc::new)).transpose()?,
            reason: match rule["reason"].as_str() {
                Some("FieldValueForbidden") => "FieldValueForbidden",
                Some("FieldValueRequired") => "FieldValueRequired",
                Some("FieldValueDuplicate") => "FieldValueDuplicate",
                _ => "FieldValueInvalid",
            },
            blamed: text("fieldPath").unwrap_or_default(),
        })
    }

    /// What is wrong with a value, if something is.
    fn check(&self, context: &Context<'_, '_>, path: &str, value: &Value) -> Option<FieldError> {
        let field = format!("{path}{}", self.blamed);
        let field = field.trim_start_matches('.');
        match self.program.execute(context) {
            Ok(Cel::Bool(true)) => None,
            Ok(Cel::Bool(false)) => Some(FieldError::failed(field, self.reason, value, &self.message(context))),
            Ok(_) => Some(FieldError::failed(field, self.reason, value, "cel expression must evaluate to a bool")),
            Err(error) => {
                let message = format!("{} evaluating rule: {}", in_gos_words(&error), self.rule);
                Some(FieldError::failed(field, "FieldValueInvalid", value, &message))
            }
        }
    }

    fn message(&self, context: &Context<'_, '_>) -> String {
        if let Some(Ok(Cel::String(text))) = self.message_program.as_ref().map(|program| program.execute(context)) {
            return text.to_string();
        }
        self.message.clone().unwrap_or_else(|| format!("failed rule: {}", self.rule.trim()))
    }
}

/// Compiles an expression.
///
/// # Errors
/// In the words of the compiler.
pub(crate) fn compile(source: &str) -> Result<Program, String> {
    ENV.compile(source).map_err(|error| error.to_string())
}

fn in_gos_words(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("no such key: {key}"),
        other => other.to_string(),
    }
}

impl Schema {
    /// The expressions that a value breaks; `old` is what was there before.
    pub(crate) fn check_expressions(&self, value: &Value, old: Option<&Value>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if self.has_expressions() {
            self.evaluate(self.root, "", value, old, &mut errors);
        }
        errors
    }

    fn evaluate(&self, id: NodeId, path: &str, value: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
        let node = self.node(id);
        // What an update leaves as it was is not held against it.
        if value.is_null() || old == Some(value) {
            return;
        }
        if !node.expressions.is_empty() {
            let mut context = Context::with_env(Arc::clone(&ENV));
            context.add_variable_from_value("self", self.to_cel(id, value));
            if let Some(old) = old {
                context.add_variable_from_value("oldSelf", self.to_cel(id, old));
            }
            let rules = node.expressions.iter().filter(|rule| old.is_some() || !rule.compares);
            errors.extend(rules.filter_map(|rule| rule.check(&context, path, value)));
        }
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let old = old.and_then(|old| old.get(name));
                    match (node.fields.get(name), node.other) {
                        (Some(&id), _) => self.evaluate(id, &format!("{path}.{name}"), value, old, errors),
                        (None, Other::Typed(id)) => {
                            self.evaluate(id, &format!("{path}[{name}]"), value, old, errors);
                        }
                        _ => {}
                    }
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let old = old.and_then(|old| counterpart(node, item, old));
                    if let Some(id) = node.items {
                        self.evaluate(id, &format!("{path}[{index}]"), item, old, errors);
                    }
                }
            }
            _ => {}
        }
    }

    /// A value as expressions see it: by its type, with the names of fields
    /// made identifiers.
    fn to_cel(&self, id: NodeId, value: &Value) -> Cel {
        let node = self.node(id);
        match (node.kind, value) {
            (_, Value::Null) => Cel::Null,
            (_, Value::Bool(value)) => Cel::Bool(*value),
            (_, Value::String(text)) => Cel::from(text.as_str()),
            (Kind::Number, Value::Number(number)) => Cel::Float(number.as_f64().unwrap_or_default()),
            (_, Value::Number(number)) => match number.as_i64() {
                Some(whole) => Cel::Int(whole),
                None => Cel::Float(number.as_f64().unwrap_or_default()),
            },
            (_, Value::Array(items)) => {
                let item = |item: &Value| node.items.map_or_else(|| untyped(item), |id| self.to_cel(id, item));
                Cel::from(items.iter().map(item).collect::<Vec<_>>())
            }
            (_, Value::Object(fields)) => {
                let entry = |(name, value): (&String, &Value)| -> (Key, Cel) {
                    let declared = node.fields.get(name).or_else(|| node.implied.get(name));
                    match (declared, node.other) {
                        (Some(&id), _) => (Key::from(identifier(name)), self.to_cel(id, value)),
                        (None, Other::Typed(id)) => (Key::from(name.as_str()), self.to_cel(id, value)),
                        _ => (Key::from(name.as_str()), untyped(value)),
                    }
                };
                Cel::from(fields.iter().map(entry).collect::<HashMap<_, _>>())
            }
        }
    }
}

fn untyped(value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(value) => Cel::Bool(*value),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Cel::Int(whole),
            None => Cel::Float(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => Cel::from(text.as_str()),
        Value::Array(items) => Cel::from(items.iter().map(untyped).collect::<Vec<_>>()),
        Value::Object(fields) => {
            let entry = |(name, value): (&String, &Value)| (Key::from(name.as_str()), untyped(value));
            Cel::from(fields.iter().map(entry).collect::<HashMap<_, _>>())
        }
    }
}

/// The item that was there before under the same key. Lists without keys have
/// none: they are compared as a whole.
fn counterpart<'a>(node: &Node, item: &Value, old: &'a Value) -> Option<&'a Value> {
    let ListType::Map(keys) = &node.list else { return None };
    let same = |one: &&Value| keys.iter().all(|key| one.get(key) == item.get(key));
    old.as_array()?.iter().find(same)
}

/// A field's name as an identifier.
fn identifier(name: &str) -> String {
    const RESERVED: [&str; 21] = [
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ];
    if RESERVED.contains(&name) {
        return format!("__{name}__");
    }
    name.replace("__", "__underscores__").replace('.', "__dot__").replace('-', "__dash__").replace('/', "__slash__")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema(rules: Value) -> Schema {
        let spec = json!({
            "type": "object", "x-kubernetes-validations": rules,
            "properties": {
                "min": { "type": "integer" }, "max": { "type": "integer" }, "share": { "type": "number" },
                "namespace": { "type": "string" }, "a-b": { "type": "string" },
                "names": { "type": "array", "items": { "type": "string" } },
            },
        });
        Schema::from_crd(&json!({ "type": "object", "properties": { "spec": spec } })).unwrap()
    }

    fn broken(rule: &str, spec: Value, old: Option<Value>) -> Vec<String> {
        let schema = schema(json!([{ "rule": rule }]));
        let old = old.map(|spec| json!({ "spec": spec }));
        let errors = schema.check_expressions(&json!({ "spec": spec }), old.as_ref());
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_rule_that_is_broken_is_named() {
        let rule = "self.min <= self.max";
        assert_eq!(broken(rule, json!({ "min": 1, "max": 2 }), None), [""; 0]);
        let expected = "spec: Invalid value: failed rule: self.min <= self.max";
        assert_eq!(broken(rule, json!({ "min": 3, "max": 2 }), None), [expected]);
        assert_eq!(
            broken(rule, json!({ "min": 3 }), None),
            ["spec: Invalid value: no such key: max evaluating rule: self.min <= self.max"]
        );
    }

    #[test]
    fn values_have_their_types_and_fields_their_identifiers() {
        for rule in [
            "self.share > 0.5",
            "self.__namespace__ == 'x'",
            "self.a__dash__b.startsWith('y')",
            "self.names.all(name, name.matches('^[a-z]+$'))",
            "has(self.min) && !has(self.max)",
            "'b' in self.names && size(self.names) == 2",
        ] {
            let spec = json!({ "share": 1, "namespace": "x", "a-b": "yz", "names": ["a", "b"], "min": 1 });
            assert_eq!(broken(rule, spec, None), [""; 0], "{rule}");
        }
    }

    #[test]
    fn a_rule_on_a_change_needs_one() {
        let rule = "self.min >= oldSelf.min";
        assert_eq!(broken(rule, json!({ "min": 1 }), None), [""; 0]);
        assert_eq!(broken(rule, json!({ "min": 2 }), Some(json!({ "min": 1 }))), [""; 0]);
        assert_eq!(broken(rule, json!({ "min": 1 }), Some(json!({ "min": 2 }))).len(), 1);
    }

    #[test]
    fn a_rule_says_its_own_message_reason_and_field() {
        let rules = json!([{ "rule": "self.min > 5", "message": "too few", "reason": "FieldValueForbidden", "fieldPath": ".min" },
                           { "rule": "self.min > 6", "messageExpression": "'not ' + string(self.min)" }]);
        let errors = schema(rules).check_expressions(&json!({ "spec": { "min": 1 } }), None);
        let said: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(said, ["spec.min: Forbidden: too few", "spec: Invalid value: not 1"]);
    }
}
