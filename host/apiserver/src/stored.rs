//! An object as it is kept: its text, and where in it lies what is looked at
//! without reading the whole. A tree of values takes several times as much.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::kinds::GroupResource;
use crate::meta;

/// An object at one resourceVersion, in its stored version.
#[derive(Debug)]
pub(crate) struct Stored {
    pub resource_version: u64,
    pub at: Arc<GroupResource>,
    /// `namespace/name` or `name`.
    pub key: Box<str>,
    pub text: Text,
    deleting: bool,
    /// See [`Stored::is_unlike_read`].
    unlike_read: AtomicBool,
    /// The text that was last sent for a kind whose objects read otherwise than
    /// they are stored, and its id; a list and a hundred watches then share it.
    rendered: Mutex<Option<Box<(u64, Bytes)>>>,
}

impl Stored {
    /// `object` says its resourceVersion already.
    pub fn new(at: Arc<GroupResource>, key: &str, resource_version: u64, object: &Value) -> Self {
        let deleting = object.pointer("/metadata/deletionTimestamp").is_some();
        let (text, unlike_read) = (Text::of(object), AtomicBool::new(false));
        Self { resource_version, at, key: key.into(), text, deleting, unlike_read, rendered: Mutex::new(None) }
    }

    pub fn object(&self) -> Value {
        serde_json::from_slice(&self.text.whole).expect("the text was written from a value")
    }

    pub fn uid(&self) -> &str {
        let quoted = std::str::from_utf8(self.text.at(&self.text.uid)).expect("the text was written from a value");
        quoted.trim_matches('"')
    }

    pub fn is_deleting(&self) -> bool {
        self.deleting
    }

    /// Whether the real server stores a built-in object otherwise than it is
    /// read, and so than it is kept here: a write that changes nothing moves its
    /// resourceVersion then.
    pub fn is_unlike_read(&self) -> bool {
        self.unlike_read.load(Ordering::Relaxed)
    }

    pub fn set_unlike_read(&self, unlike_read: bool) {
        self.unlike_read.store(unlike_read, Ordering::Relaxed);
    }

    pub fn labels(&self) -> Value {
        self.text.value(&self.text.labels)
    }

    /// The uids of its owners.
    pub fn owner_uids(&self) -> Vec<String> {
        let owners = self.text.value(&self.text.owners);
        let owners = owners.as_array().into_iter().flatten();
        owners.filter_map(|owner| Some(owner.get("uid")?.as_str()?.to_owned())).collect()
    }

    pub fn cached_text(&self, kind_id: u64) -> Option<Bytes> {
        let rendered = self.rendered.lock().unwrap_or_else(PoisonError::into_inner);
        rendered.as_ref().filter(|one| one.0 == kind_id).map(|one| one.1.clone())
    }

    /// Keeps what was rendered; one text where that is what is stored.
    pub fn cache_text(&self, kind_id: u64, text: Bytes) -> Bytes {
        let text = if text == self.text.whole { self.text.whole.clone() } else { text };
        *self.rendered.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new((kind_id, text.clone())));
        text
    }
}

/// Where something lies in a text; empty where it is not there.
type Span = Range<u32>;

/// An object as JSON: its type first, then its fields by name.
#[derive(Debug)]
pub(crate) struct Text {
    pub whole: Bytes,
    /// Behind the type, and the comma after it.
    rest: u32,
    metadata: Span,
    labels: Span,
    owners: Span,
    uid: Span,
    /// Whether an apply has left a list or map of the metadata empty.
    has_empty_metadata: bool,
}

impl Text {
    pub fn of(object: &Value) -> Self {
        let mut writer = Writer(Vec::with_capacity(512));
        let none = Map::new();
        let fields = object.as_object().unwrap_or(&none);
        writer.0.push(b'{');
        for name in TYPE {
            if let Some(value) = fields.get(name) {
                writer.field(name, value);
            }
        }
        let (metadata, labels, owners, uid) = (0..0, 0..0, 0..0, 0..0);
        let mut text = Self { whole: Bytes::new(), rest: 0, metadata, labels, owners, uid, has_empty_metadata: false };
        text.rest = writer.begun();
        for (name, value) in fields.iter().filter(|(name, _)| !TYPE.contains(&name.as_str())) {
            match value.as_object().filter(|_| name == "metadata") {
                Some(metadata) => text.write_metadata(&mut writer, metadata),
                None => drop(writer.field(name, value)),
            }
        }
        writer.0.push(b'}');
        writer.0.shrink_to_fit();
        text.whole = Bytes::from(writer.0);
        text
    }

    fn write_metadata(&mut self, writer: &mut Writer, metadata: &Map<String, Value>) {
        writer.name("metadata");
        let start = writer.end();
        writer.0.push(b'{');
        for (name, value) in metadata {
            let span = writer.field(name, value);
            self.has_empty_metadata |= meta::is_empty_collection(name, value);
            match name.as_str() {
                "labels" => self.labels = span,
                "ownerReferences" => self.owners = span,
                "uid" => self.uid = span,
                _ => {}
            }
        }
        writer.0.push(b'}');
        self.metadata = start..writer.end();
    }

    /// The object without its type, but for the brace before it.
    pub fn without_type(&self) -> &[u8] {
        &self.whole[self.rest as usize..]
    }

    /// As it is stored; it does not read so where [`Text::has_empty_metadata`].
    pub fn metadata(&self) -> &[u8] {
        self.at(&self.metadata)
    }

    pub fn has_empty_metadata(&self) -> bool {
        self.has_empty_metadata
    }

    fn at(&self, span: &Span) -> &[u8] {
        &self.whole[span.start as usize..span.end as usize]
    }

    fn value(&self, span: &Span) -> Value {
        if span.is_empty() {
            return Value::Null;
        }
        serde_json::from_slice(self.at(span)).expect("the text was written from a value")
    }
}

const TYPE: [&str; 2] = ["apiVersion", "kind"];

struct Writer(Vec<u8>);

impl Writer {
    fn end(&self) -> u32 {
        u32::try_from(self.0.len()).expect("a body of 4 GiB is refused before it is read")
    }

    /// Where the next field will begin, with the comma before it written.
    fn begun(&mut self) -> u32 {
        if !self.0.ends_with(b"{") {
            self.0.push(b',');
        }
        self.end()
    }

    fn name(&mut self, name: &str) {
        if !self.0.ends_with(b"{") && !self.0.ends_with(b",") {
            self.0.push(b',');
        }
        self.json(name);
        self.0.push(b':');
    }

    fn field(&mut self, name: &str, value: &Value) -> Span {
        self.name(name);
        let start = self.end();
        self.json(value);
        start..self.end()
    }

    fn json(&mut self, value: &(impl Serialize + ?Sized)) {
        serde_json::to_writer(&mut self.0, value).expect("JSON values have text keys and finite numbers");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stored(object: &Value) -> Stored {
        Stored::new(Arc::new(GroupResource::new("", "things")), "n/a", 7, object)
    }

    #[test]
    fn an_object_reads_as_it_was_stored() {
        let metadata = json!({ "name": "a\"b", "uid": "u", "labels": { "a": "b", "c": "ü" }, "generation": 1,
                               "ownerReferences": [{ "uid": "one" }, { "name": "none" }, { "uid": "two" }] });
        let object = json!({ "kind": "K", "apiVersion": "v1", "data": { "x": "\u{1}" }, "metadata": metadata, "z": 1 });
        let stored = stored(&object);
        assert_eq!(stored.object(), object);
        assert_eq!((stored.uid(), stored.labels()), ("u", metadata["labels"].clone()));
        assert_eq!(stored.owner_uids(), ["one", "two"]);
        let read = |text: &[u8]| serde_json::from_slice::<Value>(text).unwrap();
        assert_eq!(read(stored.text.metadata()), metadata);
        let mut untyped = object.clone();
        untyped.as_object_mut().unwrap().retain(|name, _| !TYPE.contains(&name.as_str()));
        assert_eq!(read(&[b"{", stored.text.without_type()].concat()), untyped);
    }

    #[test]
    fn what_is_not_there_is_nothing() {
        for object in [json!({}), json!({ "metadata": {} }), json!({ "kind": "K" }), json!({ "metadata": null })] {
            let stored = stored(&object);
            assert_eq!((stored.uid(), stored.labels(), stored.owner_uids().len()), ("", Value::Null, 0), "{object}");
        }
    }
}
