//! The rules that the schema of a custom kind must keep: that it is structural,
//! and that its extensions, defaults and patterns make sense. In the words of
//! the real server.

use regex::Regex;
use serde_json::{Map, Value, json};

use crate::schema::{self, Schema};
use crate::status_error::Cause;

/// What a schema is the schema of, which decides what it must say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Root,
    Field,
    Item,
    /// A value in a map of undeclared fields.
    Entry,
}

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
/// What a schema inside of `anyOf` and its like may not say.
const NOT_IN_JUNCTORS: [&str; 6] = ["type", "title", "description", "nullable", "additionalProperties", "format"];

/// Everything that is wrong with the schema of a version.
pub(super) fn check(schema: &Value, path: &str) -> Vec<Cause> {
    let mut checker = Checker { causes: Vec::new() };
    checker.visit(schema, path, Of::Root);
    checker.causes
}

struct Checker {
    causes: Vec<Cause>,
}

impl Checker {
    fn visit(&mut self, schema: &Value, path: &str, of: Of) {
        let Some(fields) = schema.as_object() else {
            self.causes.push(Cause::invalid(path, schema.clone(), "must be an object"));
            return;
        };
        if fields.contains_key("$ref") {
            self.causes.push(Cause::forbidden(format!("{path}.$ref"), "$ref is not supported"));
            return;
        }
        self.check_type(fields, path, of);
        self.check_forbidden(fields, path);
        self.check_extensions(fields, path);
        self.check_list(fields, path);
        self.check_embedded(fields, path);
        self.check_expressions(fields, path);
        self.check_values(schema, fields, path);
        if of == Of::Root {
            self.check_metadata(fields, path);
        }
        self.visit_below(fields, path);
    }

    fn visit_below(&mut self, fields: &Map<String, Value>, path: &str) {
        for (name, property) in fields.get("properties").and_then(Value::as_object).into_iter().flatten() {
            self.visit(property, &format!("{path}.properties[{name}]"), Of::Field);
        }
        if let Some(items) = fields.get("items") {
            self.visit(items, &format!("{path}.items"), Of::Item);
        }
        if let Some(other) = fields.get("additionalProperties").filter(|other| other.is_object()) {
            self.visit(other, &format!("{path}.additionalProperties"), Of::Entry);
        }
        let int_or_string = is_on(fields, "x-kubernetes-int-or-string");
        for junctor in ["allOf", "anyOf", "oneOf"] {
            for (index, inner) in list(fields, junctor).iter().enumerate() {
                // Where a type is both, its alternatives may name them.
                let both = int_or_string && inner.as_object().is_some_and(|inner| inner.len() == 1);
                if !both {
                    self.visit_junctor(inner, &format!("{path}.{junctor}[{index}]"), int_or_string);
                }
            }
        }
        if let Some(inner) = fields.get("not") {
            self.visit_junctor(inner, &format!("{path}.not"), false);
        }
    }

    /// A part of `anyOf` and its like only restricts what is declared outside.
    fn visit_junctor(&mut self, schema: &Value, path: &str, int_or_string: bool) {
        let Some(fields) = schema.as_object() else { return };
        for name in NOT_IN_JUNCTORS.into_iter().filter(|name| *name != "format") {
            if fields.get(name).is_some_and(|value| *value != "" && *value != false) && !int_or_string {
                self.causes.push(Cause::forbidden(format!("{path}.{name}"), "must be empty to be structural"));
            }
        }
        if fields.contains_key("default") {
            self.causes.push(Cause::forbidden(format!("{path}.default"), "must be undefined to be structural"));
        }
        for (name, property) in fields.get("properties").and_then(Value::as_object).into_iter().flatten() {
            self.visit_junctor(property, &format!("{path}.properties[{name}]"), false);
        }
        if let Some(items) = fields.get("items") {
            self.visit_junctor(items, &format!("{path}.items"), false);
        }
        for junctor in ["allOf", "anyOf", "oneOf"] {
            for (index, inner) in list(fields, junctor).iter().enumerate() {
                self.visit_junctor(inner, &format!("{path}.{junctor}[{index}]"), int_or_string);
            }
        }
    }

    fn check_type(&mut self, fields: &Map<String, Value>, path: &str, of: Of) {
        let field = format!("{path}.type");
        let given = text(fields, "type");
        let open = is_on(fields, "x-kubernetes-int-or-string") || is_on(fields, "x-kubernetes-preserve-unknown-fields");
        if given.is_empty() {
            let what = match of {
                Of::Root => "must not be empty at the root",
                Of::Field | Of::Entry => "must not be empty for specified object fields",
                Of::Item => "must not be empty for specified array items",
            };
            if of == Of::Root || !open {
                self.causes.push(Cause::required(field, what));
            }
        } else if !TYPES.contains(&given) {
            self.causes.push(Cause::unsupported(field, &Value::from(given), &TYPES));
        } else if of == Of::Root && given != "object" {
            self.causes.push(Cause::invalid(field, given, "must be object at the root"));
        }
        if given == "array" && !fields.contains_key("items") {
            self.causes.push(Cause::required(format!("{path}.items"), "must be specified"));
        }
    }

    fn check_forbidden(&mut self, fields: &Map<String, Value>, path: &str) {
        let has_properties = fields.get("properties").and_then(Value::as_object).is_some_and(|all| !all.is_empty());
        if has_properties && fields.get("additionalProperties").is_some_and(|other| *other != false) {
            let why = "additionalProperties and properties are mutual exclusive";
            self.causes.push(Cause::forbidden(format!("{path}.additionalProperties"), why));
        }
        if is_on(fields, "uniqueItems") {
            let why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
            self.causes.push(Cause::forbidden(format!("{path}.uniqueItems"), why));
        }
    }

    fn check_extensions(&mut self, fields: &Map<String, Value>, path: &str) {
        let given = text(fields, "type");
        if fields.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
            let field = format!("{path}.x-kubernetes-preserve-unknown-fields");
            self.causes.push(Cause::invalid(field, false, "must be true or undefined"));
        }
        let map_type = text(fields, "x-kubernetes-map-type");
        if !map_type.is_empty() && given != "object" {
            let wrong = "must be object if x-kubernetes-map-type is specified";
            self.causes.push(Cause::invalid(format!("{path}.type"), given, wrong));
        } else if !matches!(map_type, "" | "atomic" | "granular") {
            let field = format!("{path}.x-kubernetes-map-type");
            self.causes.push(Cause::unsupported(field, &Value::from(map_type), &["atomic", "granular"]));
        }
    }

    fn check_list(&mut self, fields: &Map<String, Value>, path: &str) {
        let (given, kind) = (text(fields, "type"), text(fields, "x-kubernetes-list-type"));
        let keys = list(fields, "x-kubernetes-list-map-keys");
        let keys_field = format!("{path}.x-kubernetes-list-map-keys");
        let items = fields.get("items").and_then(Value::as_object);
        if !kind.is_empty() && given != "array" {
            let wrong = "must be array if x-kubernetes-list-type is specified";
            self.causes.push(Cause::invalid(format!("{path}.type"), given, wrong));
            return;
        }
        if !matches!(kind, "" | "atomic" | "set" | "map") {
            let field = format!("{path}.x-kubernetes-list-type");
            self.causes.push(Cause::unsupported(field, &Value::from(kind), &["atomic", "set", "map"]));
        }
        if kind != "map" && !keys.is_empty() {
            let why = "must be map if x-kubernetes-list-map-keys is non-empty";
            self.causes.push(Cause::required(format!("{path}.x-kubernetes-list-type"), why));
        }
        let Some(items) = items else { return };
        let item_type = text(items, "type");
        if kind == "set" && item_type == "object" && text(items, "x-kubernetes-map-type") != "atomic" {
            let value = items.get("x-kubernetes-map-type").cloned().unwrap_or_default();
            let wrong = "must be atomic as item of a list with x-kubernetes-list-type=set";
            self.causes.push(Cause::invalid(format!("{path}.items.x-kubernetes-map-type"), value, wrong));
        }
        if kind != "map" {
            return;
        }
        if keys.is_empty() {
            self.causes.push(Cause::required(keys_field, "must not be empty if x-kubernetes-list-type is map"));
        } else if item_type != "object" {
            let wrong = "must be object if parent array's x-kubernetes-list-type is map";
            self.causes.push(Cause::invalid(format!("{path}.items.type"), item_type, wrong));
        } else {
            self.check_keys(items, keys, path, keys_field);
        }
    }

    /// What tells items apart must be there.
    fn check_keys(&mut self, items: &Map<String, Value>, keys: &[Value], path: &str, field: String) {
        let names: Vec<&str> = keys.iter().filter_map(Value::as_str).collect();
        let property = |name: &str| items.get("properties").and_then(|all| all.get(name));
        if names.iter().any(|name| property(name).is_none()) {
            self.causes.push(Cause::invalid(field, keys.to_vec(), "entries must all be names of item properties"));
            return;
        }
        for name in names {
            let required = list(items, "required").iter().any(|one| one == name);
            let defaulted = property(name).is_some_and(|property| property.get("default").is_some());
            if !required && !defaulted {
                let field = format!("{path}.items.properties[{name}].default");
                let why = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
                self.causes.push(Cause::required(field, why));
            }
        }
    }

    fn check_embedded(&mut self, fields: &Map<String, Value>, path: &str) {
        if !is_on(fields, "x-kubernetes-embedded-resource") {
            return;
        }
        if !is_on(fields, "x-kubernetes-preserve-unknown-fields") && !fields.contains_key("properties") {
            let why = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
            self.causes.push(Cause::required(format!("{path}.properties"), why));
        }
        let given = text(fields, "type");
        if given != "object" {
            let wrong = "must be object if x-kubernetes-embedded-resource is true";
            self.causes.push(Cause::invalid(format!("{path}.type"), given, wrong));
        }
    }

    /// Patterns must be such, and defaults must be allowed.
    fn check_values(&mut self, schema: &Value, fields: &Map<String, Value>, path: &str) {
        let pattern = text(fields, "pattern");
        if let Err(error) = Regex::new(pattern) {
            let wrong = format!("must be a valid regular expression, but isn't: {error}");
            self.causes.push(Cause::invalid(format!("{path}.pattern"), pattern, &wrong));
            return;
        }
        let (Some(default), Ok(read)) = (fields.get("default"), Schema::from_crd(schema)) else { return };
        let field = format!("{path}.default");
        if default.is_null() {
            return;
        }
        if !read.unknown_fields(default).is_empty() {
            self.causes.push(Cause::invalid(field, default.clone(), "must not have unknown fields"));
            return;
        }
        for mut error in read.validate(default) {
            error.field = if error.field.is_empty() { field.clone() } else { format!("{field}.{}", error.field) };
            self.causes.push(error.into());
        }
    }

    /// Rules must be expressions. What they may speak of is not checked.
    fn check_expressions(&mut self, fields: &Map<String, Value>, path: &str) {
        for (index, rule) in list(fields, "x-kubernetes-validations").iter().enumerate() {
            let (source, field) = (text_of(rule, "rule"), format!("{path}.x-kubernetes-validations[{index}].rule"));
            if source.trim().is_empty() {
                self.causes.push(Cause::required(field, "rule is not specified"));
            } else if let Err(error) = schema::compile(source) {
                let shown = json!({
                    "Rule": source, "Message": text_of(rule, "message"),
                    "MessageExpression": text_of(rule, "messageExpression"), "Reason": rule["reason"],
                    "FieldPath": text_of(rule, "fieldPath"), "OptionalOldSelf": rule["optionalOldSelf"],
                });
                self.causes.push(Cause::invalid(field, shown, &format!("compilation failed: {error}")));
            }
        }
    }

    fn check_metadata(&mut self, fields: &Map<String, Value>, path: &str) {
        let metadata = fields.get("properties").and_then(|all| all.get("metadata")).and_then(Value::as_object);
        let Some(metadata) = metadata else { return };
        let known = |name: &String| matches!(name.as_str(), "name" | "generateName");
        let properties = metadata.get("properties").and_then(Value::as_object);
        let stray = properties.into_iter().flatten().any(|(name, _)| !known(name));
        let says = |name: &String| !matches!(name.as_str(), "type" | "properties" | "description");
        if stray || metadata.keys().any(says) {
            let why =
                "must not specify anything other than name and generateName, but metadata is implicitly specified";
            self.causes.push(Cause::forbidden(format!("{path}.properties[metadata]"), why));
        }
    }
}

fn text_of<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> &'a str {
    fields.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(fields: &'a Map<String, Value>, name: &str) -> &'a [Value] {
    fields.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn is_on(fields: &Map<String, Value>, name: &str) -> bool {
    fields.get(name) == Some(&Value::Bool(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The field, without the schema's path, and the message of what is wrong
    /// with a schema of `spec`.
    fn wrong(spec: Value) -> Vec<String> {
        let schema = json!({ "type": "object", "properties": { "spec": spec } });
        let causes = check(&schema, "s");
        let line =
            |cause: Cause| format!("{}: {}", cause.field.trim_start_matches("s.properties[spec]"), cause.message);
        causes.into_iter().map(line).collect()
    }

    #[test]
    fn every_field_and_item_has_a_type() {
        let required = "Required value: must not be empty for specified";
        assert_eq!(wrong(json!({})), [format!(".type: {required} object fields")]);
        assert_eq!(wrong(json!({ "type": "array", "items": {} })), [format!(".items.type: {required} array items")]);
        assert_eq!(wrong(json!({ "type": "array" })), [".items: Required value: must be specified"]);
        assert_eq!(
            wrong(json!({ "type": "foo" })),
            [
                ".type: Unsupported value: \"foo\": supported values: \"array\", \"boolean\", \"integer\", \"number\", \"object\", \"string\""
            ]
        );
        for open in ["x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields"] {
            assert_eq!(wrong(json!({ open: true })), [""; 0]);
        }
    }

    #[test]
    fn what_tells_items_apart_is_a_field_that_is_there() {
        let list = |keys: Value, required: Value| {
            let items = json!({ "type": "object", "required": required, "properties": { "a": { "type": "string" } } });
            wrong(
                json!({ "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys, "items": items }),
            )
        };
        assert_eq!(list(json!(["a"]), json!(["a"])), [""; 0]);
        assert_eq!(
            list(json!(["z"]), json!(["a"])),
            [".x-kubernetes-list-map-keys: Invalid value: [\"z\"]: entries must all be names of item properties"]
        );
        assert_eq!(list(json!(["a"]), json!([])).len(), 1);
        assert_eq!(list(json!([]), json!([])).len(), 1);
    }

    #[test]
    fn a_default_is_a_value_of_its_type() {
        assert_eq!(
            wrong(json!({ "type": "string", "default": 5 })),
            [".default: Invalid value: \"integer\":  in body must be of type string: \"integer\""]
        );
        let object = json!({ "type": "object", "default": { "z": 1 }, "properties": { "a": { "type": "string" } } });
        assert_eq!(wrong(object), [".default: Invalid value: {\"z\":1}: must not have unknown fields"]);
    }

    #[test]
    fn alternatives_only_restrict() {
        let schema = json!({ "type": "object", "anyOf": [{ "type": "string" }], "not": { "description": "x" } });
        assert_eq!(
            wrong(schema),
            [
                ".anyOf[0].type: Forbidden: must be empty to be structural",
                ".not.description: Forbidden: must be empty to be structural"
            ]
        );
        let both =
            json!({ "x-kubernetes-int-or-string": true, "anyOf": [{ "type": "integer" }, { "type": "string" }] });
        assert_eq!(wrong(both), [""; 0]);
    }
}
