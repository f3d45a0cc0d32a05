//! An object as the host keeps it: compact JSON text without managedFields,
//! beside it the few metadata fields that decisions need. No tree of the whole
//! is kept: the text is an eighth of its size, and plugins want text.

use std::{borrow::Cow, fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    hash::Hash,
    id::{GroupKind, Place, Uid, split_api_version},
    marks,
};

/// Why a text is no Kubernetes object.
#[derive(Debug, thiserror::Error)]
pub enum BadObject {
    /// Not JSON, or a field of another type than the API conventions say.
    #[error("not a Kubernetes object: {0}")]
    Json(#[from] serde_json::Error),
    /// A field that each stored object has.
    #[error("not a Kubernetes object: {0} is missing")]
    Missing(&'static str),
    /// Resource versions are decimal numbers that grow (KEP-5504).
    #[error("resourceVersion {0:?} is not a number")]
    ResourceVersion(String),
}

/// One object, as it was at one resource version.
#[derive(Debug, Clone)]
pub struct Object {
    /// What decisions need.
    pub meta: Meta,
    /// The object as compact JSON, managedFields left out.
    pub text: Arc<str>,
    /// Of everything but the resource version: equal means that a plugin would
    /// be given the same. A changed default alters an object at the same
    /// resource version, so that number would not do.
    pub content: Hash,
    /// Of everything but the resource version and the status.
    pub body: Hash,
}

/// Names with their values, sorted by name.
pub type Pairs = Box<[(Box<str>, Box<str>)]>;

/// The metadata that is kept beside the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Group and kind, namespace and name.
    pub place: Place,
    /// The version that the text is in: `v1` of `apps/v1`.
    pub version: Box<str>,
    /// Which object of that name this is.
    pub uid: Uid,
    /// Grows with every stored change.
    pub resource_version: u64,
    /// Grows with every change of the spec; 0 where the kind has none.
    pub generation: i64,
    /// Has a deletionTimestamp.
    pub deleting: bool,
    /// All labels, by name.
    pub labels: Pairs,
    /// The annotations under [`marks::PREFIX`], by name.
    pub marks: Pairs,
    /// `metadata.ownerReferences`
    pub owners: Box<[OwnerReference]>,
    /// `metadata.finalizers`
    pub finalizers: Box<[Box<str>]>,
    /// The apiVersion of the managedFields entry that is the oldest: the
    /// version in which the object was made.
    pub created_in: Option<Box<str>>,
    /// The apiVersion in which a status manager of ours wrote last.
    pub status_in: Option<Box<str>>,
    /// Which fields of the status that manager owns, in the form of
    /// managedFields: what the plugin answered last is read by it.
    pub status_fields: Option<Box<str>>,
}

/// One entry of `metadata.ownerReferences`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnerReference {
    /// The owner's apiVersion.
    pub api_version: Box<str>,
    /// The owner's kind.
    pub kind: Box<str>,
    /// The owner's name; its namespace is the object's own.
    pub name: Box<str>,
    /// The owner's uid.
    pub uid: Box<str>,
    /// The one owner that manages the object.
    #[serde(default)]
    pub controller: bool,
}

impl Object {
    /// Reads a stored object. `api_version` and `kind` are written into the
    /// text where the server leaves them out, as it does in lists.
    pub fn parse(text: &str, api_version: &str, kind: &str) -> Result<Self, BadObject> {
        let Fields(fields) = serde_json::from_str(text)?;
        let metadata = fields.iter().find(|(name, _)| name == "metadata").ok_or(BadObject::Missing("metadata"))?.1;
        let metadata = Metadata::read(metadata)?;

        let head = [
            format!(r#""apiVersion":{}"#, quote(api_version)),
            format!(r#""kind":{}"#, quote(kind)),
            format!(r#""metadata":{}"#, metadata.text),
        ];
        let rest = fields
            .iter()
            .filter(|(name, _)| !matches!(name.as_ref(), "apiVersion" | "kind" | "metadata"))
            .map(|(name, value)| (name.as_ref(), format!("{}:{}", quote(name), value.get())))
            .collect::<Vec<_>>();
        let whole = head.iter().chain(rest.iter().map(|(_, text)| text)).map(String::as_str).collect::<Vec<_>>();

        let hashed = |with_status: bool| {
            let rest =
                rest.iter().filter(|(name, _)| with_status || *name != "status").map(|(_, text)| text.as_bytes());
            Hash::of([head[0].as_bytes(), head[1].as_bytes(), metadata.stable.as_bytes()].into_iter().chain(rest))
        };
        Ok(Self {
            content: hashed(true),
            body: hashed(false),
            text: format!("{{{}}}", whole.join(",")).into(),
            meta: metadata.into_meta(api_version, kind)?,
        })
    }

    /// The whole object as a tree, for the length of one decision.
    pub fn value(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).expect("the text was read as JSON when the object was made")
    }
}

impl Meta {
    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        find(&self.labels, name)
    }

    /// The value of an annotation under [`marks::PREFIX`].
    pub fn mark(&self, name: &str) -> Option<&str> {
        find(&self.marks, name)
    }

    /// The owner that manages this object, if there is one.
    pub fn controller(&self) -> Option<&OwnerReference> {
        self.owners.iter().find(|owner| owner.controller)
    }
}

fn find<'a>(pairs: &'a [(Box<str>, Box<str>)], name: &str) -> Option<&'a str> {
    pairs.binary_search_by(|(key, _)| key.as_ref().cmp(name)).ok().map(|at| pairs[at].1.as_ref())
}

/// An object's fields in their order, their values unread.
struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::with_capacity(8);
                while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                    fields.push((name, value));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(FieldsVisitor)
    }
}

/// One entry of managedFields, its set of fields unread.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manager<'a> {
    #[serde(borrow, default)]
    manager: Cow<'a, str>,
    #[serde(borrow, default)]
    api_version: Cow<'a, str>,
    #[serde(borrow, default)]
    subresource: Cow<'a, str>,
    #[serde(borrow, default)]
    time: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    fields_v1: Option<&'a RawValue>,
}

impl Manager<'_> {
    fn status_fields(&self) -> Result<Option<Box<str>>, BadObject> {
        let Some(fields) = self.fields_v1 else { return Ok(None) };
        let Fields(fields) = serde_json::from_str(fields.get())?;
        Ok(fields.iter().find(|(name, _)| name == "f:status").map(|(_, fields)| fields.get().into()))
    }
}

/// The metadata while an object is read.
struct Metadata<'a> {
    text: String,
    /// The text without the resource version.
    stable: String,
    fields: Vec<(Cow<'a, str>, &'a RawValue)>,
    managers: Vec<Manager<'a>>,
}

impl<'a> Metadata<'a> {
    fn read(raw: &'a RawValue) -> Result<Self, BadObject> {
        let Fields(fields) = serde_json::from_str(raw.get())?;
        let write = |left_out: &[&str]| {
            let kept = fields.iter().filter(|(name, _)| !left_out.contains(&name.as_ref()));
            let kept = kept.map(|(name, value)| format!("{}:{}", quote(name), value.get())).collect::<Vec<_>>();
            format!("{{{}}}", kept.join(","))
        };
        let text = write(&["managedFields"]);
        let stable = write(&["managedFields", "resourceVersion"]);
        let managers = fields.iter().find(|(name, _)| name == "managedFields");
        let managers = managers.map(|(_, value)| serde_json::from_str(value.get())).transpose()?;
        Ok(Self { text, stable, managers: managers.unwrap_or_default(), fields })
    }

    fn field<T: Deserialize<'a>>(&self, name: &str) -> Result<Option<T>, BadObject> {
        let field = self.fields.iter().find(|(field, _)| field == name);
        Ok(field.map(|(_, value)| serde_json::from_str::<Option<T>>(value.get())).transpose()?.flatten())
    }

    fn pairs(&self, name: &str, keep: impl Fn(&str) -> bool) -> Result<Pairs, BadObject> {
        let pairs = self.field::<std::collections::BTreeMap<Box<str>, Box<str>>>(name)?.unwrap_or_default();
        Ok(pairs.into_iter().filter(|(key, _)| keep(key)).collect())
    }

    fn into_meta(self, api_version: &str, kind: &str) -> Result<Meta, BadObject> {
        let name = self.field::<Cow<'_, str>>("name")?.ok_or(BadObject::Missing("metadata.name"))?;
        let uid = self.field::<Cow<'_, str>>("uid")?.ok_or(BadObject::Missing("metadata.uid"))?;
        let version = self.field::<Cow<'_, str>>("resourceVersion")?;
        let version = version.ok_or(BadObject::Missing("metadata.resourceVersion"))?;
        let main = self.managers.iter().filter(|entry| entry.subresource.is_empty());
        let ours = |entry: &&Manager<'_>| entry.manager.starts_with("trimtab/") && entry.manager.ends_with("/status");
        let status = self.managers.iter().find(ours);
        Ok(Meta {
            place: Place {
                kind: GroupKind::new(api_version, kind),
                namespace: self.field::<Cow<'_, str>>("namespace")?.unwrap_or_default().into(),
                name: name.into(),
            },
            version: split_api_version(api_version).1.into(),
            uid: Uid::new(&uid),
            resource_version: version.parse().map_err(|_| BadObject::ResourceVersion(version.to_string()))?,
            generation: self.field("generation")?.unwrap_or_default(),
            deleting: self.field::<&RawValue>("deletionTimestamp")?.is_some(),
            labels: self.pairs("labels", |_| true)?,
            marks: self.pairs("annotations", |key| key.starts_with(marks::PREFIX))?,
            owners: self.field("ownerReferences")?.unwrap_or_default(),
            finalizers: self.field("finalizers")?.unwrap_or_default(),
            created_in: main.min_by(|a, b| a.time.cmp(&b.time)).map(|entry| entry.api_version.as_ref().into()),
            status_in: status.map(|entry| entry.api_version.as_ref().into()),
            status_fields: status.map(Manager::status_fields).transpose()?.flatten(),
        })
    }
}

fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str = r#"{"metadata":{"name":"a","namespace":"b","uid":"u","resourceVersion":"7","labels":{"y":"2","x":"1"},
        "annotations":{"trimtab.dev/owner":"{}","other":"long"},
        "managedFields":[{"manager":"kubectl","operation":"Update","apiVersion":"v1","time":"2026-01-02T00:00:00Z","fieldsV1":{"f:spec":{}}},
        {"manager":"trimtab/site/status","operation":"Apply","apiVersion":"v2","subresource":"status","time":"2026-01-01T00:00:00Z",
            "fieldsV1":{"f:status":{"f:b":{}}}}]},
        "spec":{"a":"\u00e9"},"status":{"b":1}}"#;

    #[test]
    fn managed_fields_are_dropped_and_what_routing_needs_of_them_is_kept() {
        let pod = Object::parse(POD, "v1", "Pod").unwrap();
        assert!(!pod.text.contains("managedFields"));
        assert_eq!(pod.meta.created_in.as_deref(), Some("v1"));
        assert_eq!(pod.meta.status_in.as_deref(), Some("v2"));
        assert_eq!(pod.meta.status_fields.as_deref(), Some(r#"{"f:b":{}}"#));
        assert_eq!(pod.meta.label("x"), Some("1"));
        assert_eq!(pod.meta.mark(marks::OWNER), Some("{}"));
        assert_eq!(pod.meta.mark("other"), None);
    }

    #[test]
    fn list_items_get_the_api_version_and_kind_that_the_server_leaves_out() {
        let pod = Object::parse(POD, "v1", "Pod").unwrap().value();
        assert_eq!((pod["apiVersion"].as_str(), pod["kind"].as_str()), (Some("v1"), Some("Pod")));
        assert_eq!(pod["spec"]["a"], "é");
    }

    #[test]
    fn a_new_resource_version_alone_changes_no_hash_and_a_new_status_only_one() {
        let old = Object::parse(POD, "v1", "Pod").unwrap();
        let same = Object::parse(&POD.replace(r#""7""#, r#""8""#), "v1", "Pod").unwrap();
        assert_eq!((old.content, old.body), (same.content, same.body));
        let status = Object::parse(&POD.replace(r#""b":1"#, r#""b":2"#), "v1", "Pod").unwrap();
        assert_ne!(old.content, status.content);
        assert_eq!(old.body, status.body);
    }

    #[test]
    fn what_is_no_object_is_refused_with_the_field_that_lacks() {
        let missing = Object::parse(r#"{"metadata":{"name":"a"}}"#, "v1", "Pod").unwrap_err();
        assert_eq!(missing.to_string(), "not a Kubernetes object: metadata.uid is missing");
        assert!(Object::parse("[]", "v1", "Pod").is_err());
    }
}
