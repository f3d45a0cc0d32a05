//! What a `format` adds to a type, as far as controllers meet it: `int32`, times,
//! addresses, names of hosts, uuids and bytes. Others are not checked.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use regex::Regex;
use serde_json::{Number, Value};

use super::FieldError;
use crate::schema::{Kind, Node};

/// `2006-01-02`.
const DATE_LENGTH: usize = 10;
const UUID_DIGITS: usize = 32;
const LABEL_LENGTH_MAX: usize = 63;
const HOST_LENGTH_MAX: usize = 255;

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
        "byte" => !text.is_empty() && STANDARD.decode(text).is_ok(),
        "duration" => is_duration(text),
        "hostname" => is_hostname(text),
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

/// Some number with a unit, as Go writes it (`1h30m`, `-1.5s`) or spelt out (`2 days`).
fn is_duration(text: &str) -> bool {
    let is_unit = |word: &str| {
        let last_begins = |names: &&[&str]| names.last().is_some_and(|last| word.starts_with(last));
        UNITS.iter().any(|names| names.contains(&word) || last_begins(names))
    };
    AMOUNT.captures_iter(text).any(|amount| is_unit(&amount[1].to_lowercase())) || matches!(text, "0" | "+0" | "-0")
}

static AMOUNT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\d\s*([A-Za-zµ]+)").expect("a literal pattern"));

/// The names of units; the last of each may go on: `weeks`.
const UNITS: [&[&str]; 8] = [
    &["ns", "nano"],
    &["us", "µs", "micro"],
    &["ms", "milli"],
    &["s", "sec"],
    &["m", "min"],
    &["h", "hr", "hour"],
    &["d", "day"],
    &["w", "wk", "week"],
];

/// Single labels with at most one dash, behind the first letter; else labels
/// and a top-level domain of two letters or more.
fn is_hostname(text: &str) -> bool {
    let inside = |part: &str| !part.is_empty() && part.chars().all(char::is_alphanumeric);
    let label = |label: &str| {
        let edges = label.starts_with(char::is_alphanumeric) && label.ends_with(char::is_alphanumeric);
        edges && label.len() <= LABEL_LENGTH_MAX && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    match text.rsplit_once('.') {
        Some((labels, top)) => {
            let top_fits = (2..=LABEL_LENGTH_MAX).contains(&top.len()) && top.chars().all(char::is_alphabetic);
            text.len() <= HOST_LENGTH_MAX && top_fits && labels.split('.').all(label)
        }
        None => {
            let rest = text.char_indices().nth(1).map_or("", |(at, _)| &text[at..]);
            let rest = rest.strip_prefix('-').unwrap_or(rest);
            text.starts_with(char::is_alphanumeric)
                && (rest.is_empty() || inside(rest))
                && text.len() <= LABEL_LENGTH_MAX
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_some_number_with_a_unit() {
        for good in ["1h", "1h30m", "-1.5s", "0", "3 weeks", "5 Min", "100ms"] {
            assert!(is_duration(good), "{good}");
        }
        for bad in ["long", "", "5", "1 fortnight", "h1"] {
            assert!(!is_duration(bad), "{bad}");
        }
    }

    #[test]
    fn a_host_has_a_top_level_domain_or_one_label() {
        for good in ["a", "localhost", "a-b", "a.bc", "x-y-z.example.com", "1.com"] {
            assert!(is_hostname(good), "{good}");
        }
        for bad in ["", "a.b", "-a", "ab-c", "a..bc", "a_b.cd", "a.b1"] {
            assert!(!is_hostname(bad), "{bad}");
        }
    }
}
