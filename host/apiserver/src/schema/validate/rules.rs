//! The rules on single values: lengths, bounds, patterns, enumerations.

use regex::Regex;
use serde_json::{Map, Number, Value};

use super::FieldError;
use crate::schema::{NodeId, same};

/// What a schema demands of a value besides its type.
#[derive(Clone, Debug, Default)]
pub(in crate::schema) struct Rules {
    pub(super) required: Vec<String>,
    allowed: Vec<Value>,
    pattern: Option<Regex>,
    min_length: Option<u64>,
    max_length: Option<u64>,
    min_items: Option<u64>,
    max_items: Option<u64>,
    min_properties: Option<u64>,
    max_properties: Option<u64>,
    minimum: Option<f64>,
    maximum: Option<f64>,
    exclusive_minimum: bool,
    exclusive_maximum: bool,
    multiple_of: Option<f64>,
    pub(in crate::schema) all_of: Vec<NodeId>,
    pub(in crate::schema) any_of: Vec<NodeId>,
    pub(in crate::schema) one_of: Vec<NodeId>,
    pub(in crate::schema) not: Option<NodeId>,
}

impl Rules {
    /// Reads all but the combined schemas, which the parser fills in.
    pub(in crate::schema) fn read(schema: &Map<String, Value>) -> Result<Self, String> {
        let list = |name| schema.get(name).and_then(Value::as_array);
        let count = |name| schema.get(name).and_then(Value::as_u64);
        let number = |name| schema.get(name).and_then(Value::as_f64);
        let flag = |name| schema.get(name) == Some(&Value::Bool(true));
        let pattern = schema.get("pattern").and_then(Value::as_str);
        let required = list("required").into_iter().flatten();
        Ok(Self {
            required: required.filter_map(Value::as_str).map(str::to_owned).collect(),
            allowed: list("enum").cloned().unwrap_or_default(),
            pattern: pattern
                .filter(|pattern| !pattern.is_empty())
                .map(Regex::new)
                .transpose()
                .map_err(|error| format!("pattern: {error}"))?,
            min_length: count("minLength"),
            max_length: count("maxLength"),
            min_items: count("minItems"),
            max_items: count("maxItems"),
            min_properties: count("minProperties"),
            max_properties: count("maxProperties"),
            minimum: number("minimum"),
            maximum: number("maximum"),
            exclusive_minimum: flag("exclusiveMinimum"),
            exclusive_maximum: flag("exclusiveMaximum"),
            multiple_of: number("multipleOf"),
            ..Self::default()
        })
    }

    pub(super) fn check_enum(&self, path: &str, value: &Value, errors: &mut Vec<FieldError>) {
        // `null` matches no entry, not even a `null`: the server skips those.
        let allowed = !value.is_null() && self.allowed.iter().any(|allowed| same(allowed, value));
        if !self.allowed.is_empty() && !allowed {
            errors.push(FieldError::unsupported(path, value, &self.allowed));
        }
    }

    /// The first rule that a text breaks: the server stops there.
    pub(super) fn check_string(&self, path: &str, text: &str, errors: &mut Vec<FieldError>) {
        let length = text.chars().count() as u64;
        let value = || Value::String(text.to_owned());
        if let Some(max) = self.max_length
            && length > max
        {
            errors.push(FieldError::too_long(path, max));
        } else if let Some(min) = self.min_length
            && length < min
        {
            let rule = format!("should be at least {min} chars long");
            errors.push(FieldError::invalid(path, &value(), &rule));
        } else if let Some(pattern) = &self.pattern
            && !pattern.is_match(text)
        {
            let rule = format!("should match '{pattern}'");
            errors.push(FieldError::invalid(path, &value(), &rule));
        }
    }

    pub(super) fn check_number(&self, path: &str, number: &Number, errors: &mut Vec<FieldError>) {
        let Some(float) = number.as_f64() else {
            return;
        };
        // Integers are held to integer bounds, as the server's Go code does.
        let whole = number.is_i64() || number.is_u64();
        let bound = |bound: Option<f64>| bound.map(|bound| if whole { bound.trunc() } else { bound });
        match bound(self.multiple_of) {
            // Of a factor below one, an integer's check has nothing left.
            Some(factor) if factor < 1.0 && whole => errors.push(FieldError::no_factor(path, factor)),
            Some(factor) if (float / factor).fract() != 0.0 => {
                let value = Value::Number(number.clone());
                errors.push(FieldError::invalid(path, &value, &format!("should be a multiple of {factor}")));
            }
            _ => {}
        }
        let mut broken = |rule: String| {
            let value = Value::Number(number.clone());
            errors.push(FieldError::invalid(path, &value, &rule));
        };
        if let Some(min) = bound(self.minimum) {
            if self.exclusive_minimum && float <= min {
                broken(format!("should be greater than {min}"));
            } else if float < min {
                broken(format!("should be greater than or equal to {min}"));
            }
        }
        if let Some(max) = bound(self.maximum) {
            if self.exclusive_maximum && float >= max {
                broken(format!("should be less than {max}"));
            } else if float > max {
                broken(format!("should be less than or equal to {max}"));
            }
        }
    }

    /// The number of a list's items.
    pub(super) fn check_length(&self, path: &str, length: usize, errors: &mut Vec<FieldError>) {
        check_count(path, length, (self.min_items, self.max_items), "items", errors);
    }

    /// The number of an object's fields.
    pub(super) fn check_size(&self, path: &str, size: usize, errors: &mut Vec<FieldError>) {
        let range = (self.min_properties, self.max_properties);
        check_count(path, size, range, "properties", errors);
    }
}

fn check_count(
    path: &str,
    count: usize,
    (min, max): (Option<u64>, Option<u64>),
    what: &str,
    errors: &mut Vec<FieldError>,
) {
    if let Some(min) = min
        && (count as u64) < min
    {
        let rule = format!("should have at least {min} {what}");
        errors.push(FieldError::invalid(path, &Value::from(count), &rule));
    }
    if let Some(max) = max
        && (count as u64) > max
    {
        errors.push(FieldError::too_many(path, count, max));
    }
}
