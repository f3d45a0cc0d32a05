//! The bodies of writes, in JSON and in YAML: read into values, with the fields
//! that are there twice, and with the words in which Go's parsers refuse them.

use std::cell::RefCell;
use std::fmt;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// What a refused body is quoted up to.
const QUOTED_BYTES_MAX: usize = 30;

/// In what a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Yaml,
}

/// A body as a value.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    pub value: Value,
    body: &'a [u8],
    format: Format,
    /// Some field is there twice.
    repeats: bool,
}

impl<'a> Document<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// In the words of Go's parser.
    pub fn read(body: &'a [u8], format: Format) -> Result<Self, String> {
        let seen = RefCell::default();
        let value = parse(body, format, Node { path: None, seen: &seen })?;
        let repeats = seen.into_inner().repeats;
        Ok(Self { value, body, format, repeats })
    }

    /// A value that nobody wrote as text.
    pub fn of(value: Value) -> Self {
        Self { value, body: &[], format: Format::Json, repeats: false }
    }

    /// What a strict reader says of the body: the fields that are there twice,
    /// and the `unknown` ones, in the order in which they stand there.
    pub fn complaints(&self, unknown: &[String]) -> Vec<String> {
        let unknown_fields = || unknown.iter().map(|field| format!("unknown field {field:?}")).collect();
        if !self.repeats && (unknown.len() < 2 || self.body.is_empty()) {
            return unknown_fields();
        }
        if self.format == Format::Yaml {
            // YAML is made JSON first, which sorts its fields.
            return self.yaml_repeat().into_iter().chain::<Vec<String>>(unknown_fields()).collect();
        }
        let seen = RefCell::default();
        let root = Node { path: Some(String::new()), seen: &seen };
        if parse(self.body, self.format, root).is_err() {
            return unknown_fields();
        }
        let mut said = Vec::new();
        for (path, repeated) in seen.into_inner().fields {
            let complaint = match repeated {
                true => format!("duplicate field {path:?}"),
                false if unknown.contains(&path) => format!("unknown field {path:?}"),
                false => continue,
            };
            // A field that is unknown is not said to be there twice.
            let said_otherwise = repeated && unknown.contains(&path);
            if !said_otherwise && !said.contains(&complaint) {
                said.push(complaint);
            }
        }
        said
    }

    /// The first key that a YAML document has twice, and its line.
    fn yaml_repeat(&self) -> Option<String> {
        let options = serde_saphyr::options! { duplicate_keys: serde_saphyr::DuplicateKeyPolicy::Error };
        let text = std::str::from_utf8(self.body).ok()?;
        let error = serde_saphyr::from_str_with_options::<Value>(text, options).err()?;
        let line = error.location()?.line();
        let key = text.lines().nth(usize::try_from(line).ok()?.checked_sub(1)?)?.split(':').next()?.trim();
        Some(format!("line {line}: key {:?} already set in map", key.trim_matches(['"', '\''])))
    }
}

/// A body as errors quote it: an object as it is, anything else in hexadecimal.
pub(crate) fn quoted(body: &[u8]) -> String {
    let (head, dots) = match body.get(..QUOTED_BYTES_MAX) {
        Some(head) if body.len() > QUOTED_BYTES_MAX => (head, " ..."),
        _ => (body, ""),
    };
    match body.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{dots}", String::from_utf8_lossy(head)),
        Some(_) => head.iter().map(|byte| format!("{byte:02x}")).chain([dots.to_owned()]).collect(),
    }
}

/// The type of a value, as Go's decoder calls it.
pub(crate) fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn parse(body: &[u8], format: Format, root: Node<'_>) -> Result<Value, String> {
    match format {
        Format::Json => {
            let mut deserializer = serde_json::Deserializer::from_slice(body);
            let value = root.deserialize(&mut deserializer).map_err(|error| json_error(body, &error))?;
            deserializer.end().map_err(|error| json_error(body, &error))?;
            Ok(value)
        }
        Format::Yaml => {
            let options = serde_saphyr::options! {
                duplicate_keys: serde_saphyr::DuplicateKeyPolicy::PassThrough,
                legacy_octal_numbers: true,
                with_snippet: false,
            };
            let text = std::str::from_utf8(body).map_err(|_| "yaml: invalid leading UTF-8 octet".to_owned())?;
            serde_saphyr::with_deserializer_from_str_with_options(text, options, |deserializer| {
                root.deserialize(deserializer)
            })
            .map_err(|error| format!("yaml: {error}"))
        }
    }
}

/// The place of an error in a JSON text, as Go's parser says it.
fn json_error(body: &[u8], error: &serde_json::Error) -> String {
    if error.is_eof() {
        return "unexpected end of JSON input".to_owned();
    }
    let line = body.split(|byte| *byte == b'\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    let found = line.get(error.column().saturating_sub(1)).copied().map_or('\0', char::from);
    let said = error.to_string();
    let place = match () {
        () if said.starts_with("key must be a string") => "looking for beginning of object key string",
        () if said.starts_with("expected `:`") => "after object key",
        () if said.starts_with("expected `,` or `}`") => "after object key:value pair",
        () if said.starts_with("expected `,` or `]`") => "after array element",
        () if said.starts_with("trailing characters") => "after top-level value",
        () if said.starts_with("trailing comma") && found == '}' => "looking for beginning of object key string",
        () => "looking for beginning of value",
    };
    format!("invalid character {found:?} {place}")
}

/// What was met while reading.
#[derive(Default)]
struct Seen {
    repeats: bool,
    /// Every field in its order, and whether it was there already. Only kept
    /// where paths are.
    fields: Vec<(String, bool)>,
}

/// One value to be read.
struct Node<'a> {
    /// Where it stands; none where nobody wants to know.
    path: Option<String>,
    seen: &'a RefCell<Seen>,
}

impl Node<'_> {
    fn below(&self, path: impl FnOnce(&str) -> String) -> Node<'_> {
        Node { path: self.path.as_deref().map(path), seen: self.seen }
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number must be finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(self.below(|path| format!("{path}[{}]", items.len())))? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            let repeated = fields.contains_key(&name);
            let node = self.below(|path| if path.is_empty() { name.clone() } else { format!("{path}.{name}") });
            let mut seen = self.seen.borrow_mut();
            seen.repeats |= repeated;
            if let Some(path) = &node.path {
                seen.fields.push((path.clone(), repeated));
            }
            drop(seen);
            let value = access.next_value_seed(node)?;
            fields.insert(name, value);
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_and_yaml_are_read_to_the_same() {
        let json = Document::read(br#"{"a":{"b":[1,true,null,"x"]}}"#, Format::Json).unwrap();
        let yaml = Document::read(b"a:\n  b: [1, yes, ~, x]\n", Format::Yaml).unwrap();
        assert_eq!(json.value, json!({ "a": { "b": [1, true, null, "x"] } }));
        assert_eq!(json.value, yaml.value);
    }

    #[test]
    fn what_is_there_twice_or_unknown_is_said_in_the_order_of_the_text() {
        let body = br#"{"m":{"z":1,"l":{"x":1,"x":2}},"l":[{"i":1,"i":2}],"f":1,"d":1,"d":2,"f":2}"#;
        let document = Document::read(body, Format::Json).unwrap();
        let said = document.complaints(&["f".to_owned(), "m.z".to_owned()]);
        let expected = [
            "unknown field \"m.z\"",
            "duplicate field \"m.l.x\"",
            "duplicate field \"l[0].i\"",
            "unknown field \"f\"",
            "duplicate field \"d\"",
        ];
        assert_eq!(said, expected);
        let body = b"data:\n  a: 1\n  a: 2\nfoo: 1\n";
        let document = Document::read(body, Format::Yaml).unwrap();
        assert_eq!(document.value["data"]["a"], 2);
        let said = document.complaints(&["foo".to_owned()]);
        assert_eq!(said, ["line 3: key \"a\" already set in map", "unknown field \"foo\""]);
    }

    #[test]
    fn a_broken_text_is_refused_in_gos_words() {
        for (body, said) in [
            ("", "unexpected end of JSON input"),
            ("{", "unexpected end of JSON input"),
            ("x", "invalid character 'x' looking for beginning of value"),
            ("{a", "invalid character 'a' looking for beginning of object key string"),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            ("{\"a\":1 2}", "invalid character '2' after object key:value pair"),
            ("[1 2]", "invalid character '2' after array element"),
            ("{} x", "invalid character 'x' after top-level value"),
        ] {
            assert_eq!(Document::read(body.as_bytes(), Format::Json).unwrap_err(), said, "{body}");
        }
    }

    #[test]
    fn a_refused_body_is_quoted_up_to_a_point() {
        assert_eq!(quoted(b""), "<empty>");
        assert_eq!(quoted(b"[1]"), "5b315d");
        assert_eq!(quoted(b"{\"a\":1}"), "{\"a\":1}");
        assert_eq!(quoted(b"{\"metadata\":{\"name\":\"a-long-name\"}}"), "{\"metadata\":{\"name\":\"a-long-na ...");
    }
}
