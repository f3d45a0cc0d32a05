//! One broken rule, as the server reports it: a cause of an `Invalid` status.

use std::fmt;

use serde_json::{Value, json};

/// The field of an error that the server reports without one.
const NO_FIELD: &str = "<nil>";

/// A field that breaks a rule. Printed as `field: message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldError {
    /// The path of the field, for example `spec.ports[0].name`.
    pub(crate) field: String,
    /// The reason of the status cause, for example `FieldValueRequired`.
    pub(crate) reason: &'static str,
    /// What is wrong, without the path: the message of the status cause.
    pub(crate) message: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

impl FieldError {
    fn new(field: &str, reason: &'static str, message: String) -> Self {
        Self { field: field.to_owned(), reason, message }
    }

    /// Puts the field, not the message, under another one.
    pub(super) fn nest_under(&mut self, parent: &str) {
        match self.field.as_str() {
            NO_FIELD => {}
            "" => self.field = parent.to_owned(),
            field => self.field = format!("{parent}.{field}"),
        }
    }

    pub(super) fn required(field: &str) -> Self {
        Self::new(field, "FieldValueRequired", "Required value".to_owned())
    }

    /// `expected` and `found` are names of types or of formats; of a text in the
    /// wrong format, what is found is the text.
    pub(super) fn wrong_type(field: &str, expected: &str, found: &str) -> Self {
        let found = json!(found);
        let message = format!("Invalid value: {found}: {field} in body must be of type {expected}: {found}");
        Self::new(field, "FieldValueTypeInvalid", message)
    }

    /// `rule` follows `field in body`, for example `should match '^a$'`.
    pub(super) fn invalid(field: &str, value: &Value, rule: &str) -> Self {
        let message = format!("Invalid value: {value}: {field} in body {rule}");
        Self::new(field, "FieldValueInvalid", message)
    }

    /// An expression that does not hold. A value that is no more than that is quoted.
    pub(in crate::schema) fn failed(field: &str, reason: &'static str, value: &Value, why: &str) -> Self {
        let message = match reason {
            "FieldValueForbidden" => format!("Forbidden: {why}"),
            "FieldValueRequired" => format!("Required value: {why}"),
            "FieldValueDuplicate" => format!("Duplicate value: {why}"),
            _ if value.is_object() || value.is_array() => format!("Invalid value: {why}"),
            _ => format!("Invalid value: {value}: {why}"),
        };
        Self::new(field, reason, message)
    }

    /// Whether expressions cannot be held against an object that has this.
    pub(crate) fn blocks(&self) -> bool {
        ["FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany", "FieldValueTypeInvalid"].contains(&self.reason)
    }

    /// What is said where expressions were not looked at.
    pub(crate) fn unchecked() -> Self {
        let why = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";
        Self::new(NO_FIELD, "FieldValueInvalid", format!("Invalid value: null: {why}"))
    }

    pub(super) fn not_an_object(field: &str, value: &Value) -> Self {
        let rule = "must be an object for an array of list-type map";
        let message = format!("Invalid value: {value}: {rule}");
        Self::new(field, "FieldValueInvalid", message)
    }

    /// A factor that is nothing once it is made an integer.
    pub(super) fn no_factor(field: &str, factor: f64) -> Self {
        let message =
            format!("Invalid value: {factor}: factor MultipleOf declared for {field} must be positive: {factor}");
        Self::new(field, "FieldValueInvalid", message)
    }

    pub(super) fn forbidden_property(field: &str, name: &str) -> Self {
        let message = format!("Invalid value: {}: {field}.{name} in body is a forbidden property", json!(name));
        Self::new(field, "FieldValueInvalid", message)
    }

    /// A combination of schemas that is not met. The server reports these
    /// without a field.
    pub(super) fn composite(field: &str, rule: &str) -> Self {
        let message = format!("Invalid value: \"\": \"{field}\" {rule}");
        Self::new(NO_FIELD, "FieldValueInvalid", message)
    }

    /// What the server says of a number that its type cannot hold.
    pub(super) fn out_of_format(field: &str, format: &str) -> Self {
        let message = format!("Invalid value: \"\": Checked value must be of type integer {format} in {field}");
        Self::new(NO_FIELD, "FieldValueInvalid", message)
    }

    pub(super) fn unsupported(field: &str, value: &Value, supported: &[Value]) -> Self {
        let supported: Vec<_> = supported
            .iter()
            .map(|value| match value {
                Value::String(_) => value.to_string(),
                other => json!(other.to_string()).to_string(),
            })
            .collect();
        let supported = supported.join(", ");
        let message = format!("Unsupported value: {value}: supported values: {supported}");
        Self::new(field, "FieldValueNotSupported", message)
    }

    pub(super) fn duplicate(field: &str, value: &Value) -> Self {
        let message = format!("Duplicate value: {value}");
        Self::new(field, "FieldValueDuplicate", message)
    }

    pub(super) fn too_long(field: &str, max: u64) -> Self {
        let bytes = if max == 1 { "byte" } else { "bytes" };
        let message = format!("Too long: may not be more than {max} {bytes}");
        Self::new(field, "FieldValueTooLong", message)
    }

    pub(super) fn too_many(field: &str, found: usize, max: u64) -> Self {
        let items = if max == 1 { "item" } else { "items" };
        let message = format!("Too many: {found}: must have at most {max} {items}");
        Self::new(field, "FieldValueTooMany", message)
    }
}
