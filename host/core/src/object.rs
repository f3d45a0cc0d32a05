//! An object as the host keeps it: compact JSON text without managedFields,
//! beside it the few metadata fields that decisions need. No tree of the whole
//! is kept: the text is an eighth of its size, and plugins want text.

use std::{borrow::Cow, cmp::Ordering, fmt, marker::PhantomData, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    hash::{Hash, Hasher},
    id::{GroupKind, Lineage, Place, Uid, split_api_version},
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

/// Names with their values, in two allocations: each object in the cache has
/// two of these.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pairs {
    /// All names and values, sorted by name, one after the other.
    text: Box<str>,
    /// Where each ends.
    ends: Box<[u32]>,
}

impl Pairs {
    fn pack(mut pairs: Vec<(Cow<'_, str>, Text<'_>)>) -> Self {
        pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut text = String::with_capacity(pairs.iter().map(|(name, Text(value))| name.len() + value.len()).sum());
        let mut ends = Vec::with_capacity(pairs.len() * 2);
        for part in pairs.iter().flat_map(|(name, Text(value))| [name, value]) {
            text.push_str(part);
            ends.push(u32::try_from(text.len()).expect("the server takes no object of over 4 GiB"));
        }
        Self { text: text.into(), ends: ends.into() }
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let (mut from, mut to) = (0, self.ends.len() / 2);
        while from < to {
            let middle = from.midpoint(to);
            match self.part(middle * 2).cmp(name) {
                Ordering::Less => from = middle + 1,
                Ordering::Equal => return Some(self.part(middle * 2 + 1)),
                Ordering::Greater => to = middle,
            }
        }
        None
    }

    /// All names with their values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        (0..self.ends.len() / 2).map(|at| (self.part(at * 2), self.part(at * 2 + 1)))
    }

    fn part(&self, at: usize) -> &str {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start as usize..self.ends[at] as usize]
    }
}

/// The metadata that is kept beside the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Group and kind, namespace and name.
    pub place: Place,
    /// The version that the text is in: `v1` of `apps/v1`.
    pub version: Arc<str>,
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
    /// The host's own annotations ([`marks::is_mark`]), by name.
    pub marks: Pairs,
    /// `metadata.ownerReferences`
    pub owners: Box<[OwnerReference]>,
    /// `metadata.finalizers`
    pub finalizers: Box<[Box<str>]>,
    /// The apiVersion of the managedFields entry that is the oldest: the
    /// version in which the object was made, unless who made it has written again
    /// since. An entry carries the time of its last write, so that then nothing in
    /// the object tells any more, and the oldest one left is as good as there is.
    pub created_in: Option<Arc<str>>,
    /// What our status managers wrote last: one for each lineage.
    pub statuses: Box<[StatusWritten]>,
    /// Managers of the children of other lineages than the one that the label names,
    /// which still own fields of this one: they had it before.
    pub former: Box<[Box<str>]>,
}

/// What one of our status managers wrote last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusWritten {
    /// The manager, see [`Lineage::status_manager`].
    pub manager: Box<str>,
    /// In which apiVersion it wrote.
    pub api_version: Arc<str>,
    /// Which fields of the status it owns, in the form of managedFields: what the
    /// plugin answered last is read by it.
    pub fields: Option<Box<str>>,
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
    #[serde(deserialize_with = "uid")]
    pub uid: Uid,
    /// The one owner that manages the object.
    #[serde(default)]
    pub controller: bool,
}

fn uid<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uid, D::Error> {
    Text::deserialize(deserializer).map(|Text(uid)| Uid::new(&uid))
}

impl Object {
    /// Reads a stored object. `api_version` and `kind` are written into the
    /// text where the server leaves them out, as it does in lists.
    pub fn parse(text: &str, api_version: &str, kind: &str) -> Result<Self, BadObject> {
        Unread::of(text)?.read(&Typed::of(api_version, kind))
    }

    /// The value of any annotation. The host's own are at hand;
    /// for another the metadata is read.
    pub fn annotation(&self, name: &str) -> Option<Cow<'_, str>> {
        if marks::is_mark(name) {
            return self.meta.mark(name).map(Cow::Borrowed);
        }
        let metadata = Unread::of(&self.text).ok()?.metadata;
        let Fields(annotations) = metadata.field::<Fields<'_, Text<'_>>>("annotations").ok()??;
        annotations.into_iter().find(|(key, _)| key == name).map(|(_, Text(value))| value)
    }

    /// The whole object as a tree, for the length of one decision.
    pub fn value(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).expect("the text was read as JSON when the object was made")
    }
}

impl Meta {
    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name)
    }

    /// The value of an annotation under [`marks::PREFIX`].
    pub fn mark(&self, name: &str) -> Option<&str> {
        self.marks.get(name)
    }

    /// Whether people have asked that nobody serves it for now.
    pub fn is_paused(&self) -> bool {
        self.mark(marks::PAUSED) == Some("true")
    }

    /// What the status manager of a lineage wrote last.
    pub fn status_of(&self, lineage: &Lineage) -> Option<&StatusWritten> {
        let manager = lineage.status_manager();
        self.statuses.iter().find(|written| *written.manager == *manager)
    }

    /// The owner that manages this object, if there is one.
    pub fn controller(&self) -> Option<&OwnerReference> {
        self.owners.iter().find(|owner| owner.controller)
    }
}

/// A string that is not copied where it stands in the text as it is.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// An object's fields in their order.
struct Fields<'a, T = &'a RawValue>(Vec<(Cow<'a, str>, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Fields<'de, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for FieldsVisitor<T> {
            type Value = Fields<'de, T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::with_capacity(8);
                while let Some((Text(name), value)) = map.next_entry::<Text<'de>, T>()? {
                    fields.push((name, value));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(FieldsVisitor(PhantomData))
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
    /// Whether a lineage other than this one owns fields as those of its child.
    fn is_of_child_beside(&self, lineage: &str) -> bool {
        let of_lineage = self.manager.strip_prefix("trimtab/").filter(|rest| !rest.contains('/'));
        self.subresource.is_empty()
            && of_lineage.is_some_and(|other| other != lineage)
            && self.fields_v1.is_some_and(|fields| fields.get() != "{}")
    }

    fn status_fields(&self) -> Result<Option<Box<str>>, BadObject> {
        let Some(fields) = self.fields_v1 else { return Ok(None) };
        let Fields::<&RawValue>(fields) = serde_json::from_str(fields.get())?;
        Ok(fields.iter().find(|(name, _)| name == "f:status").map(|(_, fields)| fields.get().into()))
    }
}

/// What the objects of one kind and version have in common, kept once for all.
#[derive(Debug, Clone)]
pub struct Typed {
    api_version: Arc<str>,
    version: Arc<str>,
    kind: GroupKind,
}

impl Typed {
    /// From the two fields that say it.
    pub fn of(api_version: &str, kind: &str) -> Self {
        let version = split_api_version(api_version).1.into();
        Self { api_version: api_version.into(), version, kind: GroupKind::new(api_version, kind) }
    }

    /// An apiVersion, which is mostly the common one.
    fn api_version(&self, text: &str) -> Arc<str> {
        if *text == *self.api_version { self.api_version.clone() } else { text.into() }
    }
}

/// A stored object's text, taken apart as far as it takes to tell whether the
/// object is known already.
pub struct Unread<'a> {
    length: usize,
    fields: Vec<(Cow<'a, str>, &'a RawValue)>,
    metadata: Metadata<'a>,
}

impl<'a> Unread<'a> {
    /// Takes a text apart.
    pub fn of(text: &'a str) -> Result<Self, BadObject> {
        let Fields::<&RawValue>(fields) = serde_json::from_str(text)?;
        let metadata = fields.iter().find(|(name, _)| name == "metadata").ok_or(BadObject::Missing("metadata"))?.1;
        let Fields(metadata) = serde_json::from_str(metadata.get())?;
        Ok(Self { length: text.len(), fields, metadata: Metadata(metadata) })
    }

    /// Whether this is a state that has been read before.
    pub fn is(&self, known: &Meta) -> bool {
        self.metadata.uid().is_ok_and(|uid| *uid == *known.uid.as_str())
            && self.metadata.resource_version().is_ok_and(|version| version == known.resource_version)
    }

    /// Where the object lies in its kind: namespace, empty where it has none,
    /// and name.
    pub fn place(&self) -> Result<(Cow<'a, str>, Cow<'a, str>), BadObject> {
        Ok((self.metadata.namespace()?, self.metadata.name()?))
    }

    /// Reads the rest, see [`Object::parse`].
    pub fn read(&self, typed: &Typed) -> Result<Object, BadObject> {
        let mut hasher = Hasher::default();
        let mut text = Compact::with_capacity(self.length + typed.api_version.len() + typed.kind.kind.len());
        hasher.part(text.string("apiVersion", &typed.api_version));
        hasher.part(text.string("kind", &typed.kind.kind));
        text.open("metadata");
        for (name, value) in self.metadata.0.iter().filter(|(name, _)| name != "managedFields") {
            let field = text.field(name, value);
            if name != "resourceVersion" {
                hasher.part(field);
            }
        }
        text.close();
        let rest = self.fields.iter().filter(|(name, _)| !matches!(&**name, "apiVersion" | "kind" | "metadata"));
        let (status, rest): (Vec<_>, Vec<_>) = rest.partition(|(name, _)| name == "status");
        rest.into_iter().for_each(|(name, value)| hasher.part(text.field(name, value)));
        let body = hasher.clone().hash();
        status.into_iter().for_each(|(name, value)| hasher.part(text.field(name, value)));
        Ok(Object { content: hasher.hash(), body, text: text.finish(), meta: self.metadata.read(typed)? })
    }
}

/// An object's text while it is written, without any space.
struct Compact(Vec<u8>);

impl Compact {
    fn with_capacity(length: usize) -> Self {
        // A list's item lacks `"apiVersion":"",` and `"kind":"",`.
        let mut text = Vec::with_capacity(length + 32);
        text.push(b'{');
        Self(text)
    }

    /// Writes a field; returns what was written.
    fn field(&mut self, name: &str, value: &RawValue) -> &[u8] {
        let start = self.name(name);
        self.0.extend_from_slice(value.get().as_bytes());
        &self.0[start..]
    }

    fn string(&mut self, name: &str, value: &str) -> &[u8] {
        let start = self.name(name);
        self.quoted(value);
        &self.0[start..]
    }

    fn open(&mut self, name: &str) {
        self.name(name);
        self.0.push(b'{');
    }

    fn close(&mut self) {
        self.0.push(b'}');
    }

    fn finish(mut self) -> Arc<str> {
        self.close();
        str::from_utf8(&self.0).expect("it is made of strings").into()
    }

    /// Returns where the name starts.
    fn name(&mut self, name: &str) -> usize {
        if self.0.last() != Some(&b'{') {
            self.0.push(b',');
        }
        let start = self.0.len();
        self.quoted(name);
        self.0.push(b':');
        start
    }

    fn quoted(&mut self, text: &str) {
        serde_json::to_writer(&mut self.0, text).expect("a string is written into memory");
    }
}

/// The fields of the metadata, their values unread.
struct Metadata<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Metadata<'a> {
    fn field<T: Deserialize<'a>>(&self, name: &str) -> Result<Option<T>, BadObject> {
        let field = self.0.iter().find(|(field, _)| field == name);
        Ok(field.map(|(_, value)| serde_json::from_str::<Option<T>>(value.get())).transpose()?.flatten())
    }

    fn text(&self, name: &str) -> Result<Option<Cow<'a, str>>, BadObject> {
        Ok(self.field::<Text<'a>>(name)?.map(|Text(text)| text))
    }

    fn name(&self) -> Result<Cow<'a, str>, BadObject> {
        self.text("name")?.ok_or(BadObject::Missing("metadata.name"))
    }

    fn namespace(&self) -> Result<Cow<'a, str>, BadObject> {
        Ok(self.text("namespace")?.unwrap_or_default())
    }

    fn uid(&self) -> Result<Cow<'a, str>, BadObject> {
        self.text("uid")?.ok_or(BadObject::Missing("metadata.uid"))
    }

    fn resource_version(&self) -> Result<u64, BadObject> {
        let version = self.text("resourceVersion")?.ok_or(BadObject::Missing("metadata.resourceVersion"))?;
        version.parse().map_err(|_| BadObject::ResourceVersion(version.into_owned()))
    }

    fn pairs(&self, name: &str, keep: impl Fn(&str) -> bool) -> Result<Pairs, BadObject> {
        let Some(Fields(mut pairs)) = self.field::<Fields<'a, Text<'a>>>(name)? else { return Ok(Pairs::default()) };
        pairs.retain(|(key, _)| keep(key));
        Ok(Pairs::pack(pairs))
    }

    fn read(&self, typed: &Typed) -> Result<Meta, BadObject> {
        let managers = self.field::<Vec<Manager<'a>>>("managedFields")?.unwrap_or_default();
        let main = managers.iter().filter(|entry| entry.subresource.is_empty());
        let ours = |entry: &&Manager<'_>| entry.manager.starts_with("trimtab/") && entry.manager.ends_with("/status");
        let statuses = managers.iter().filter(ours).map(|entry| {
            Ok::<_, BadObject>(StatusWritten {
                manager: (*entry.manager).into(),
                api_version: typed.api_version(&entry.api_version),
                fields: entry.status_fields()?,
            })
        });
        let labels = self.pairs("labels", |_| true)?;
        let lineage = labels.get(marks::PLUGIN_LABEL);
        let former = managers.iter().filter(|entry| lineage.is_some_and(|lineage| entry.is_of_child_beside(lineage)));
        let former = former.map(|entry| (*entry.manager).into()).collect();
        Ok(Meta {
            place: Place { kind: typed.kind.clone(), namespace: self.namespace()?.into(), name: self.name()?.into() },
            version: typed.version.clone(),
            uid: Uid::new(&self.uid()?),
            resource_version: self.resource_version()?,
            generation: self.field("generation")?.unwrap_or_default(),
            deleting: self.field::<&RawValue>("deletionTimestamp")?.is_some(),
            labels,
            marks: self.pairs("annotations", marks::is_mark)?,
            owners: self.field("ownerReferences")?.unwrap_or_default(),
            finalizers: self.field("finalizers")?.unwrap_or_default(),
            created_in: main.min_by(|a, b| a.time.cmp(&b.time)).map(|entry| typed.api_version(&entry.api_version)),
            statuses: statuses.collect::<Result<_, _>>()?,
            former,
        })
    }
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
        let site = pod.meta.status_of(&Lineage::new("site").unwrap()).unwrap();
        assert_eq!((&*site.api_version, site.fields.as_deref()), ("v2", Some(r#"{"f:b":{}}"#)));
        assert_eq!(pod.meta.status_of(&Lineage::new("other").unwrap()), None);
        assert_eq!(pod.meta.label("x"), Some("1"));
        assert_eq!(pod.meta.mark(marks::OWNER), Some("{}"));
        assert_eq!(pod.meta.mark("other"), None);
    }

    #[test]
    fn who_had_a_child_before_is_known_as_long_as_he_owns_fields_of_it() {
        let entry = |manager: &str, fields: &str| {
            let fields: serde_json::Value = serde_json::from_str(fields).unwrap();
            serde_json::json!({ "manager": manager, "operation": "Apply", "apiVersion": "v1", "fieldsV1": fields })
        };
        let managers = serde_json::json!([
            entry("trimtab/site", r#"{"f:data":{}}"#),
            entry("trimtab/page", r#"{"f:data":{}}"#),
            entry("trimtab/gone", "{}"),
            entry("trimtab/team/metadata", r#"{"f:metadata":{}}"#),
            entry("kubectl", r#"{"f:data":{}}"#),
        ]);
        let former = |labels: serde_json::Value| {
            let metadata = serde_json::json!({ "name": "a", "uid": "u", "resourceVersion": "7", "labels": labels,
                "managedFields": managers });
            let object = serde_json::json!({ "metadata": metadata });
            Object::parse(&object.to_string(), "v1", "ConfigMap").unwrap().meta.former
        };
        assert_eq!(*former(serde_json::json!({ marks::PLUGIN_LABEL: "site" })), ["trimtab/page".into()]);
        assert!(former(serde_json::json!({})).is_empty());
    }

    fn created_in(managers: serde_json::Value) -> Option<Arc<str>> {
        let site = serde_json::json!({
            "metadata": { "name": "a", "uid": "u", "resourceVersion": "7", "creationTimestamp": "2026-01-01T00:00:00Z",
                "managedFields": managers },
        });
        Object::parse(&site.to_string(), "example.dev/v1", "Site").unwrap().meta.created_in
    }

    #[test]
    fn the_oldest_entry_says_in_which_version_an_object_was_made_until_its_maker_writes_again() {
        let entry = |version: &str, time: &str| {
            let (version, time) = (format!("example.dev/{version}"), format!("2026-01-01T00:00:{time}Z"));
            serde_json::json!({ "manager": version, "operation": "Update", "apiVersion": version, "time": time })
        };
        let made_in = |managers| created_in(managers).unwrap().to_string();
        assert_eq!(made_in(serde_json::json!([entry("v2", "09"), entry("v1", "00")])), "example.dev/v1");
        // The same second: whichever the server lists first, which is by operation and manager.
        assert_eq!(made_in(serde_json::json!([entry("v1", "00"), entry("v2", "00")])), "example.dev/v1");
        assert_eq!(made_in(serde_json::json!([entry("v1", "10"), entry("v2", "09")])), "example.dev/v2");
        assert_eq!(created_in(serde_json::json!([])), None);
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
