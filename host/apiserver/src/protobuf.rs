//! Protobuf request bodies, which Go's typed clients send for built-in kinds
//! without asking whether they are understood: turned into JSON as the clients
//! would have written it. Answers are JSON, which all of these clients accept.

mod wire;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use wire::{Item, Reader};

pub(crate) const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// Written by `data/messages/main.go` from the Go types.
const MESSAGES: &str = include_str!("../data/messages.json");
/// What each body begins with.
const MAGIC: &[u8] = b"k8s\0";
/// Messages within messages; as deep as JSON may be.
const DEPTH_MAX: usize = 128;
/// The message of a schema, which three shapes have inside.
const SCHEMA: &str = "apiextensions.v1.JSONSchemaProps";

/// Why a body is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("the body does not begin as Kubernetes protobuf does")]
    Magic,
    #[error("the body ends within a field or has one of no known form")]
    Malformed,
    #[error("messages are nested deeper than {DEPTH_MAX}")]
    TooDeep,
    #[error("a field holds no UTF-8, JSON or time where it has to")]
    Content,
    #[error("no kind {0} is known in protobuf")]
    UnknownKind(String),
}

/// The JSON of a protobuf body.
pub(crate) fn to_json(body: &[u8]) -> Result<Bytes, Error> {
    let mut envelope = Envelope::default();
    let mut reader = Reader::new(body.strip_prefix(MAGIC).ok_or(Error::Magic)?);
    while let Some((number, item)) = reader.next()? {
        match number {
            1 => (envelope.api_version, envelope.kind) = texts(item)?,
            2 => envelope.raw = item.bytes()?,
            _ => {}
        }
    }
    let name = format!("{}/{}", envelope.api_version, envelope.kind);
    let layouts = Layouts::get();
    let message = layouts.kinds.get(name.as_str()).ok_or(Error::UnknownKind(name))?;
    let Value::Object(fields) = layouts.message(message, envelope.raw, 0)? else { return Err(Error::Content) };
    let mut object = Map::new();
    object.insert("apiVersion".to_owned(), Value::from(envelope.api_version));
    object.insert("kind".to_owned(), Value::from(envelope.kind));
    object.extend(fields);
    Ok(crate::view::to_bytes(&object))
}

/// Around each object: its type, and its message.
#[derive(Default)]
struct Envelope<'a> {
    api_version: String,
    kind: String,
    raw: &'a [u8],
}

/// How each message is laid out, parsed at the first body.
struct Layouts {
    kinds: BTreeMap<&'static str, &'static str>,
    messages: BTreeMap<&'static str, BTreeMap<u32, Field>>,
}

/// One field of a message.
struct Field {
    /// In JSON; `=` where the fields of the struct inside are the parent's own.
    name: &'static str,
    shape: Shape,
    how: How,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Once,
    /// Left out where it is zero.
    OnceUnlessZero,
    Repeated,
    Map,
}

#[derive(Clone, Copy)]
enum Shape {
    Text,
    Bytes,
    Bool,
    Int,
    Double,
    Time,
    MicroTime,
    /// JSON as text.
    Json,
    Quantity,
    IntOrString,
    /// One schema or several.
    Schemas,
    SchemaOrBool,
    SchemaOrStrings,
    Message(&'static str),
}

impl Layouts {
    fn get() -> &'static Self {
        #[derive(Deserialize)]
        struct Data {
            #[serde(borrow)]
            kinds: BTreeMap<&'static str, &'static str>,
            #[serde(borrow)]
            messages: BTreeMap<&'static str, &'static str>,
        }
        static LAYOUTS: OnceLock<Layouts> = OnceLock::new();
        LAYOUTS.get_or_init(|| {
            let data: Data = serde_json::from_str(MESSAGES).expect("data/messages.json is generated and tested");
            let messages = data.messages.into_iter().map(|(name, fields)| (name, layout(fields))).collect();
            Self { kinds: data.kinds, messages }
        })
    }

    fn message(&self, name: &str, bytes: &[u8], depth: usize) -> Result<Value, Error> {
        if depth > DEPTH_MAX {
            return Err(Error::TooDeep);
        }
        let layout = self.messages.get(name).ok_or_else(|| Error::UnknownKind(name.to_owned()))?;
        let mut out = Map::new();
        let mut reader = Reader::new(bytes);
        while let Some((number, item)) = reader.next()? {
            // What a newer client knows is dropped, as the server does it.
            if let Some(field) = layout.get(&number) {
                self.put(&mut out, field, item, depth)?;
            }
        }
        // A list that is a message of its own.
        let is_list = layout.values().any(|field| field.name == "=" && field.how == How::Repeated);
        Ok(if is_list { out.remove("=").unwrap_or_default() } else { Value::Object(out) })
    }

    fn put(&self, out: &mut Map<String, Value>, field: &Field, item: Item<'_>, depth: usize) -> Result<(), Error> {
        let name = field.name.to_owned();
        match field.how {
            How::Repeated => {
                let items = out.entry(name).or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(items) = items {
                    items.push(self.value(field.shape, item, depth)?);
                }
            }
            How::Map => {
                let (key, value) = self.entry(field.shape, item, depth)?;
                let entries = out.entry(name).or_insert_with(|| Value::Object(Map::new()));
                entries[key.as_str()] = value;
            }
            How::Once | How::OnceUnlessZero => {
                let value = self.value(field.shape, item, depth)?;
                match value {
                    Value::Object(fields) if field.name == "=" => out.extend(fields),
                    value if field.how == How::OnceUnlessZero && is_zero(&value) => {}
                    value => {
                        out.insert(name, value);
                    }
                }
            }
        }
        Ok(())
    }

    fn entry(&self, shape: Shape, item: Item<'_>, depth: usize) -> Result<(String, Value), Error> {
        let (mut key, mut value) = (String::new(), Item::Bytes(&[]));
        let mut reader = Reader::new(item.bytes()?);
        while let Some((number, item)) = reader.next()? {
            match number {
                1 => key = text(item)?,
                2 => value = item,
                _ => {}
            }
        }
        Ok((key, self.value(shape, value, depth)?))
    }

    fn value(&self, shape: Shape, item: Item<'_>, depth: usize) -> Result<Value, Error> {
        Ok(match shape {
            Shape::Text => Value::from(text(item)?),
            Shape::Bytes => Value::from(STANDARD.encode(item.bytes()?)),
            Shape::Bool => Value::from(item.number()? != 0),
            Shape::Int => Value::from(item.number()?),
            Shape::Double => double(item.double()?),
            Shape::Time => time(item, "%Y-%m-%dT%H:%M:%SZ")?,
            Shape::MicroTime => time(item, "%Y-%m-%dT%H:%M:%S%.6fZ")?,
            Shape::Json => serde_json::from_slice(first(item)?.bytes()?).map_err(|_| Error::Content)?,
            Shape::Quantity => Value::from(text(first(item)?)?),
            Shape::IntOrString => int_or_string(item)?,
            Shape::Schemas | Shape::SchemaOrBool | Shape::SchemaOrStrings => self.schema(shape, item, depth)?,
            Shape::Message(name) => self.message(name, item.bytes()?, depth + 1)?,
        })
    }

    /// A schema, or what may stand in its place.
    fn schema(&self, shape: Shape, item: Item<'_>, depth: usize) -> Result<Value, Error> {
        let mut instead =
            if matches!(shape, Shape::SchemaOrBool) { Value::Bool(false) } else { Value::from(Vec::<Value>::new()) };
        let mut reader = Reader::new(item.bytes()?);
        while let Some((number, item)) = reader.next()? {
            match (number, shape) {
                (1, Shape::SchemaOrBool) => instead = Value::from(item.number()? != 0),
                (1, _) | (2, Shape::SchemaOrBool) => return self.message(SCHEMA, item.bytes()?, depth + 1),
                (2, _) => {
                    let one = match shape {
                        Shape::Schemas => self.message(SCHEMA, item.bytes()?, depth + 1)?,
                        _ => Value::from(text(item)?),
                    };
                    instead.as_array_mut().ok_or(Error::Content)?.push(one);
                }
                _ => {}
            }
        }
        Ok(instead)
    }
}

/// `NUMBER NAME SHAPE [repeated|map|drop]`, separated by semicolons.
fn layout(fields: &'static str) -> BTreeMap<u32, Field> {
    let parse = |field: &'static str| {
        let mut parts = field.split(' ');
        let number = parts.next()?.parse().ok()?;
        let name = parts.next()?;
        let shape = match parts.next()? {
            "string" => Shape::Text,
            "bytes" => Shape::Bytes,
            "bool" => Shape::Bool,
            "int" => Shape::Int,
            "double" => Shape::Double,
            "time" => Shape::Time,
            "microtime" => Shape::MicroTime,
            "json" => Shape::Json,
            "quantity" => Shape::Quantity,
            "intstr" => Shape::IntOrString,
            "schemas" => Shape::Schemas,
            "schemaorbool" => Shape::SchemaOrBool,
            "schemaorstrings" => Shape::SchemaOrStrings,
            message => Shape::Message(message),
        };
        let how = match parts.next() {
            Some("repeated") => How::Repeated,
            Some("map") => How::Map,
            Some(_) => How::OnceUnlessZero,
            None => How::Once,
        };
        Some((number, Field { name, shape, how }))
    };
    fields.split("; ").filter_map(parse).collect()
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(_) | Value::Object(_) => false,
    }
}

fn text(item: Item<'_>) -> Result<String, Error> {
    String::from_utf8(item.bytes()?.to_vec()).map_err(|_| Error::Content)
}

/// The first two fields of a message, both texts.
fn texts(item: Item<'_>) -> Result<(String, String), Error> {
    let mut found = (String::new(), String::new());
    let mut reader = Reader::new(item.bytes()?);
    while let Some((number, item)) = reader.next()? {
        match number {
            1 => found.0 = text(item)?,
            2 => found.1 = text(item)?,
            _ => {}
        }
    }
    Ok(found)
}

/// The first field of a message that wraps one value.
fn first(item: Item<'_>) -> Result<Item<'_>, Error> {
    let mut reader = Reader::new(item.bytes()?);
    while let Some((number, item)) = reader.next()? {
        if number == 1 {
            return Ok(item);
        }
    }
    Ok(Item::Bytes(&[]))
}

/// Go writes a whole number without its fraction.
fn double(number: f64) -> Value {
    #[allow(clippy::cast_possible_truncation, reason = "it is whole and small enough")]
    if number.fract() == 0.0 && number.abs() < 1e15 { Value::from(number as i64) } else { Value::from(number) }
}

/// A time; the zero one has no fields.
fn time(item: Item<'_>, format: &str) -> Result<Value, Error> {
    let (mut seconds, mut nanos) = (None, 0);
    let mut reader = Reader::new(item.bytes()?);
    while let Some((number, item)) = reader.next()? {
        match number {
            1 => seconds = Some(item.number()?),
            2 => nanos = item.number()?,
            _ => {}
        }
    }
    let Some(seconds) = seconds else { return Ok(Value::Null) };
    let nanos = i32::try_from(nanos).map_err(|_| Error::Content)?;
    let at = Timestamp::new(seconds, nanos).map_err(|_| Error::Content)?;
    Ok(Value::from(at.strftime(format).to_string()))
}

fn int_or_string(item: Item<'_>) -> Result<Value, Error> {
    let (mut is_text, mut number, mut word) = (false, 0, String::new());
    let mut reader = Reader::new(item.bytes()?);
    while let Some((at, item)) = reader.next()? {
        match at {
            1 => is_text = item.number()? == 1,
            2 => number = item.number()?,
            3 => word = text(item)?,
            _ => {}
        }
    }
    Ok(if is_text { Value::from(word) } else { Value::from(number) })
}

#[cfg(test)]
mod tests;
