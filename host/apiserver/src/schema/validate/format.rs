//! What a `format` adds to a type, as far as controllers meet it: `int32`, times,
//! addresses and uuids. Others are not checked.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Number, Value};

use super::FieldError;
use crate::schema::{Kind, Node};

/// `2006-01-02`.
const DATE_LENGTH: usize = 10;
const UUID_DIGITS: usize = 32;

/// A value of the wrong type. The server names a format instead of the type
/// where there is one, unless the value is a text.
pub(super) fn wrong_type(node: &Node, path: &str, value: &Value) -> FieldError {
    match (node.format.as_deref(), value) {
        (None | Some(""), _) | (_, Value::Null | Value::String(_)) => {
            FieldError::wrong_type(path, node.kind.name(), type_name(value))
        }
        (Some(format), value) => FieldError::wrong_type(path, format, go_format(value)),
    }
}

/// Checks a text against the format of its type.
pub(super) fn check_text(node: &Node, path: &str, text: &str, errors: &mut Vec<FieldError>) {
    let (Kind::String, Some(format)) = (node.kind, node.format.as_deref()) else { return };
    let fits = match format {
        "date-time" => is_time(text),
        "date" => text.parse::<jiff::civil::Date>().is_ok() && text.len() == DATE_LENGTH,
        "email" => text.split_once('@').is_some_and(|(who, host)| !who.is_empty() && !host.is_empty()),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "uuid" => is_uuid(text),
        _ => true,
    };
    if !fits {
        errors.push(FieldError::wrong_type(path, format, text));
    }
}

/// With its dashes or without.
fn is_uuid(text: &str) -> bool {
    let digits = text.replace('-', "");
    digits.len() == UUID_DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Checks a number against an integer type and its format.
pub(super) fn check_number(node: &Node, path: &str, number: &Number, errors: &mut Vec<FieldError>) {
    if node.kind != Kind::Integer {
        return;
    }
    let too_large = number.is_u64() && !number.is_i64();
    let whole = number.as_f64().filter(|number| number.fract() == 0.0 && !too_large);
    let range = match node.format.as_deref() {
        Some("int32") => f64::from(i32::MIN)..=f64::from(i32::MAX),
        _ => f64::MIN..=f64::MAX,
    };
    if !whole.is_some_and(|number| range.contains(&number)) {
        let format = match node.format.as_deref() {
            Some(format @ ("int32" | "int64")) => format!("with format {format}"),
            _ => "(default format)".to_owned(),
        };
        errors.push(FieldError::out_of_format(path, &format));
    }
}

fn is_time(text: &str) -> bool {
    text.contains(['T', 't']) && text.parse::<jiff::Timestamp>().is_ok()
}

fn is_integer(number: &Number) -> bool {
    number.is_i64()
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if is_integer(number) => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The format that Go's type of a value stands for, if it stands for one.
fn go_format(value: &Value) -> &'static str {
    match value {
        Value::Number(number) if is_integer(number) => "int64",
        Value::Number(_) => "float64",
        _ => "",
    }
}
