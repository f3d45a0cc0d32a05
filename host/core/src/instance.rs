//! Where an object says which instance serves it: a label or an annotation, one
//! for a host and all its plugins, or another for one of them, so that objects
//! that carry the mark of another system are served as they are.

use std::{borrow::Cow, fmt};

use crate::{id::InstanceId, marks, object::Object, selector::is_label_name};

/// The label or annotation whose value is an object's instance-id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InstanceKey {
    /// A label: the API server can filter by it.
    Label(String),
    /// An annotation: every object of the kind is watched, whatever its instance.
    Annotation(String),
}

/// Why a text names no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no instance key: give the name of a label, such as example.com/shard, or annotation:NAME")]
pub struct BadKey(String);

/// What stands before the name of an annotation.
const ANNOTATION: &str = "annotation:";

impl Default for InstanceKey {
    fn default() -> Self {
        Self::Label(marks::INSTANCE_LABEL.into())
    }
}

impl InstanceKey {
    /// Reads `NAME`, a label, or `annotation:NAME`.
    pub fn parse(text: &str) -> Result<Self, BadKey> {
        let (name, key): (_, fn(String) -> Self) = match text.strip_prefix(ANNOTATION) {
            Some(name) => (name, Self::Annotation),
            None => (text, Self::Label),
        };
        if is_label_name(name) { Ok(key(name.into())) } else { Err(BadKey(text.into())) }
    }

    /// The name of the label or annotation.
    pub fn name(&self) -> &str {
        match self {
            Self::Label(name) | Self::Annotation(name) => name,
        }
    }

    /// The field of the metadata that the mark stands in.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Label(_) => "labels",
            Self::Annotation(_) => "annotations",
        }
    }

    /// The value of an object's mark; empty for the default instance.
    pub fn of<'a>(&self, object: &'a Object) -> Cow<'a, str> {
        let value = match self {
            Self::Label(name) => object.meta.label(name).map(Cow::Borrowed),
            Self::Annotation(name) => object.annotation(name),
        };
        value.unwrap_or_default()
    }

    /// The label selector by which the server leaves out the objects of all other
    /// instances than `only`; none where it cannot.
    pub fn selector(&self, only: &InstanceId) -> Option<String> {
        match self {
            Self::Label(name) if only.is_default() => Some(format!("!{name}")),
            Self::Label(name) => Some(format!("{name}={only}")),
            Self::Annotation(_) => None,
        }
    }

    /// Whether the metadata of a child of this kind may not set it: the host does.
    pub fn is_set_by_host(&self, field: &str, name: &str) -> bool {
        marks::is_mark(name) || (field == self.field() && name == self.name())
    }
}

impl fmt::Display for InstanceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label(name) => f.write_str(name),
            Self::Annotation(name) => write!(f, "{ANNOTATION}{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(metadata: &str) -> Object {
        let text = format!(r#"{{"metadata":{{"name":"a","uid":"u","resourceVersion":"1",{metadata}}}}}"#);
        Object::parse(&text, "v1", "ConfigMap").unwrap()
    }

    fn key(text: &str) -> InstanceKey {
        InstanceKey::parse(text).unwrap()
    }

    #[test]
    fn a_label_or_an_annotation_carries_the_instance_and_not_the_other() {
        let marked =
            object(r#""labels":{"x.dev/id":"blue"},"annotations":{"x.dev/id":"green","trimtab.dev/id":"own"}"#);
        assert_eq!(key("x.dev/id").of(&marked), "blue");
        assert_eq!(key("annotation:x.dev/id").of(&marked), "green");
        assert_eq!(key("annotation:trimtab.dev/id").of(&marked), "own");
        assert_eq!(key("annotation:x.dev/other").of(&marked), "");
        assert_eq!(key("annotation:x.dev/id").of(&object(r#""annotations":null"#)), "");
    }

    #[test]
    fn the_server_filters_by_a_label_alone() {
        let blue = InstanceId::new("blue").unwrap();
        assert_eq!(key("x.dev/id").selector(&blue).as_deref(), Some("x.dev/id=blue"));
        assert_eq!(key("x.dev/id").selector(&InstanceId::default_instance()).as_deref(), Some("!x.dev/id"));
        assert_eq!(key("annotation:x.dev/id").selector(&blue), None);
    }

    #[test]
    fn a_key_is_written_as_it_is_read_and_what_is_none_is_refused() {
        for text in ["id", "x.dev/id", "annotation:x.dev/id"] {
            assert_eq!(key(text).to_string(), text);
        }
        for text in ["", "a b", "annotation:", "x.dev/", "label:x"] {
            assert!(InstanceKey::parse(text).is_err(), "{text}");
        }
    }
}
