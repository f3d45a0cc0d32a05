//! What a plugin says of itself, checked against every rule of the published
//! schema and those that a schema cannot say. All broken rules are reported at
//! once, each with the place in the JSON, what was found and what is allowed.

use std::{collections::BTreeSet, fmt, time::Duration};

use serde_json::{Map, Value};

use crate::{
    id::{GroupKind, LABEL_BYTES_MAX, Lineage, split_api_version},
    selector::{Selector, is_subdomain},
};

/// Child kinds in one description: each is a watch on the API server.
pub const CHILDREN_MAX: usize = 32;
/// Read kinds in one description: each may become a watch.
pub const READS_MAX: usize = 32;
/// A week: the longest resync.
pub const RESYNC_SECONDS_MAX: u64 = 604_800;

/// A valid description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// What the plugin reconciles.
    pub object: ObjectKind,
    /// What its answers may contain, each kind once.
    pub children: Vec<ChildKind>,
    /// What its look-ups may name.
    pub reads: Vec<ReadKind>,
    /// Whether it is asked before its object goes.
    pub finalizes: bool,
    /// How often each object is looked at even if nothing has changed.
    pub resync: Option<Duration>,
}

/// The kind that a composite reconciles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectKind {
    /// Its group and kind.
    pub kind: GroupKind,
    /// The version in which the plugin wants it: `v1` of `apps/v1`.
    pub version: String,
    /// Which objects; absent: all.
    pub selector: Option<Selector>,
}

/// A kind that answers may contain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildKind {
    /// Its group and kind.
    pub kind: GroupKind,
    /// The version that the plugin writes and is given.
    pub version: String,
    /// How a difference is removed.
    pub update: Update,
}

/// A kind that look-ups may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadKind {
    /// Its group and kind.
    pub kind: GroupKind,
    /// The version that the plugin is given.
    pub version: String,
    /// Only this namespace; absent: all that the host serves.
    pub namespace: Option<String>,
}

/// How a child that differs from what is desired is made equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Update {
    /// It is changed where it lies.
    #[default]
    InPlace,
    /// It is deleted, and made anew when it is gone.
    Recreate,
    /// It stays as it is until somebody deletes it.
    OnDelete,
}

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: found {found}, allowed: {allowed}")]
pub struct DescriptionError {
    /// Where: `$.children[1].update`.
    pub path: String,
    /// What stands there.
    pub found: String,
    /// What may stand there.
    pub allowed: String,
}

impl Description {
    /// Reads what `describe` answered.
    pub fn parse(json: &str) -> Result<Self, Vec<DescriptionError>> {
        let value = serde_json::from_str::<Value>(json).map_err(|error| {
            vec![DescriptionError { path: "$".into(), found: format!("{error}"), allowed: "a JSON object".into() }]
        })?;
        let mut check = Check::default();
        let description = check.description(&value);
        match description {
            Some(description) if check.errors.is_empty() => Ok(description),
            _ => Err(check.errors),
        }
    }

    /// The declared child of a kind.
    pub fn child(&self, kind: &GroupKind) -> Option<&ChildKind> {
        self.children.iter().find(|child| child.kind == *kind)
    }
}

impl Update {
    /// All of them, by the names that descriptions and policies use.
    pub const NAMES: [(&'static str, Self); 3] =
        [("in-place", Self::InPlace), ("recreate", Self::Recreate), ("on-delete", Self::OnDelete)];

    /// The strategy of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, update)| *update)
    }
}

impl fmt::Display for Update {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, _) = Self::NAMES.iter().find(|(_, update)| update == self).expect("every strategy has a name");
        f.write_str(name)
    }
}

/// A walk over the JSON that goes on after a broken rule.
#[derive(Default)]
struct Check {
    errors: Vec<DescriptionError>,
}

impl Check {
    fn wrong<T>(&mut self, path: &str, found: impl fmt::Display, allowed: impl fmt::Display) -> Option<T> {
        self.errors.push(DescriptionError {
            path: path.into(),
            found: found.to_string(),
            allowed: allowed.to_string(),
        });
        None
    }

    fn description(&mut self, value: &Value) -> Option<Description> {
        let known = ["role", "objects", "children", "reads", "finalizes", "resyncSeconds"];
        let map = self.object("$", value, &known)?;
        match map.get("role") {
            Some(Value::String(role)) if role == "composite" => {}
            other => _ = self.wrong::<()>("$.role", found(other), "\"composite\""),
        }
        let objects = match map.get("objects") {
            Some(objects) => self.list("$.objects", objects, Self::object_kind),
            None => self.wrong("$.objects", "nothing", "a list of exactly one kind"),
        };
        if let Some(Value::Array(items)) = map.get("objects")
            && items.len() != 1
        {
            self.wrong::<()>("$.objects", format_args!("{} kinds", items.len()), "exactly one kind");
        }
        let children = self.list_up_to(map, "children", CHILDREN_MAX, Self::child_kind);
        let reads = self.list_up_to(map, "reads", READS_MAX, Self::read_kind);
        let finalizes = match map.get("finalizes") {
            None => false,
            Some(Value::Bool(finalizes)) => *finalizes,
            other => self.wrong("$.finalizes", found(other), "true or false").unwrap_or_default(),
        };
        let resync = map.get("resyncSeconds").and_then(|value| self.resync(value));
        let object = objects?.pop()?;
        self.no_child_twice(&children, &object);
        self.no_read_twice(&reads);
        Some(Description { object, children, reads, finalizes, resync })
    }

    fn resync(&mut self, value: &Value) -> Option<Duration> {
        match value.as_u64() {
            Some(seconds @ 1..=RESYNC_SECONDS_MAX) => Some(Duration::from_secs(seconds)),
            _ => {
                let allowed = format!("a whole number of seconds from 1 to {RESYNC_SECONDS_MAX}");
                self.wrong("$.resyncSeconds", found(Some(value)), allowed)
            }
        }
    }

    fn object_kind(&mut self, path: &str, value: &Value) -> Option<ObjectKind> {
        let map = self.object(path, value, &["apiVersion", "kind", "labelSelector"])?;
        let kind = self.kind(path, map);
        let selector = self.text(path, map, "labelSelector").map(|text| Selector::parse(&text));
        let selector = match selector {
            Some(Err(error)) => {
                return self.wrong(&format!("{path}.labelSelector"), format_args!("{:?}", error.found), error.wanted);
            }
            Some(Ok(selector)) => Some(selector).filter(|selector| !selector.is_empty()),
            None => None,
        };
        let (kind, version) = kind?;
        Some(ObjectKind { kind, version, selector })
    }

    fn child_kind(&mut self, path: &str, value: &Value) -> Option<ChildKind> {
        let map = self.object(path, value, &["apiVersion", "kind", "update"])?;
        let update = match map.get("update") {
            None => Some(Update::default()),
            Some(value) => value.as_str().and_then(Update::named).or_else(|| {
                let names = Update::NAMES.map(|(name, _)| format!("{name:?}")).join(", ");
                self.wrong(&format!("{path}.update"), found(Some(value)), names)
            }),
        };
        let (kind, version) = self.kind(path, map)?;
        Some(ChildKind { kind, version, update: update? })
    }

    fn read_kind(&mut self, path: &str, value: &Value) -> Option<ReadKind> {
        let map = self.object(path, value, &["apiVersion", "kind", "namespace"])?;
        let kind = self.kind(path, map);
        let namespace = self.text(path, map, "namespace");
        if let Some(namespace) = namespace.as_deref().filter(|namespace| Lineage::new(namespace).is_err()) {
            let allowed = "a namespace's name (a DNS label); leave it out for all namespaces";
            return self.wrong(&format!("{path}.namespace"), format_args!("{namespace:?}"), allowed);
        }
        let (kind, version) = kind?;
        Some(ReadKind { kind, version, namespace })
    }

    fn kind(&mut self, path: &str, map: &Map<String, Value>) -> Option<(GroupKind, String)> {
        let mut required = |name: &str, fits: fn(&str) -> bool, allowed: &str| match map
            .get(name)
            .and_then(Value::as_str)
            .filter(|text| fits(text))
        {
            Some(text) => Some(text),
            None => self.wrong(&format!("{path}.{name}"), found(map.get(name)), allowed),
        };
        let api_version =
            required("apiVersion", is_api_version, "\"version\" or \"group/version\", such as \"apps/v1\"");
        let kind = required("kind", is_kind, "a kind in CamelCase, such as \"Deployment\"");
        let (api_version, kind) = (api_version?, kind?);
        Some((GroupKind::new(api_version, kind), split_api_version(api_version).1.to_owned()))
    }

    /// Two entries of one kind would be two update strategies for one object;
    /// and a plugin whose children are of its object's kind is called for each
    /// of them, makes theirs, and does not stop before the cluster is full.
    fn no_child_twice(&mut self, children: &[ChildKind], object: &ObjectKind) {
        let mut seen = BTreeSet::new();
        for (at, child) in children.iter().enumerate() {
            let path = format!("$.children[{at}]");
            if !seen.insert(&child.kind) {
                self.wrong::<()>(&path, format_args!("{} a second time", child.kind), "each kind once, at one version");
            }
            if child.kind == object.kind {
                let found = format!("{}, the kind of the object itself", child.kind);
                self.wrong::<()>(&path, found, "other kinds: children would get children without end");
            }
        }
    }

    fn no_read_twice(&mut self, reads: &[ReadKind]) {
        let mut seen = BTreeSet::new();
        for (at, read) in reads.iter().enumerate() {
            if !seen.insert((&read.kind, &read.version, &read.namespace)) {
                let found = format!("{} a second time", read.kind);
                self.wrong::<()>(&format!("$.reads[{at}]"), found, "each kind once for a version and namespace");
            }
        }
    }

    fn object<'a>(&mut self, path: &str, value: &'a Value, known: &[&str]) -> Option<&'a Map<String, Value>> {
        let Value::Object(map) = value else { return self.wrong(path, found(Some(value)), "an object") };
        for key in map.keys().filter(|key| !known.contains(&key.as_str())) {
            self.wrong::<()>(&format!("{path}.{key}"), "an unknown key", known.join(", "));
        }
        Some(map)
    }

    fn list<T>(&mut self, path: &str, value: &Value, item: fn(&mut Self, &str, &Value) -> Option<T>) -> Option<Vec<T>> {
        let Value::Array(items) = value else { return self.wrong(path, found(Some(value)), "a list") };
        let read = items.iter().enumerate().filter_map(|(at, value)| item(self, &format!("{path}[{at}]"), value));
        Some(read.collect())
    }

    fn list_up_to<T>(
        &mut self,
        map: &Map<String, Value>,
        name: &str,
        max: usize,
        item: fn(&mut Self, &str, &Value) -> Option<T>,
    ) -> Vec<T> {
        let Some(value) = map.get(name) else { return Vec::new() };
        let path = format!("$.{name}");
        let items = self.list(&path, value, item).unwrap_or_default();
        if value.as_array().is_some_and(|all| all.len() > max) {
            self.wrong::<()>(&path, format_args!("{} kinds", items.len()), format_args!("at most {max}"));
        }
        items
    }

    fn text(&mut self, path: &str, map: &Map<String, Value>, name: &str) -> Option<String> {
        match map.get(name)? {
            Value::String(text) => Some(text.clone()),
            other => self.wrong(&format!("{path}.{name}"), found(Some(other)), "a text"),
        }
    }
}

/// How a value is named in a message: scalars as they are, others by type.
fn found(value: Option<&Value>) -> String {
    match value {
        None => "nothing".into(),
        Some(Value::Array(_)) => "a list".into(),
        Some(Value::Object(_)) => "an object".into(),
        Some(scalar) => scalar.to_string(),
    }
}

fn is_api_version(text: &str) -> bool {
    let (group, version) = split_api_version(text);
    let starts_with_letter = version.starts_with(|c: char| c.is_ascii_lowercase());
    (is_subdomain(group) || !text.contains('/')) && starts_with_letter && Lineage::new(version).is_ok()
}

/// Kubernetes takes as kind what is a DNS label once it is lower-cased.
pub(crate) fn is_kind(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.len() <= LABEL_BYTES_MAX
        && text.chars().all(|c| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn full() -> Value {
        json!({
            "role": "composite",
            "objects": [{"apiVersion": "example.com/v1", "kind": "Site", "labelSelector": "tier in (b,a)"}],
            "children": [{"apiVersion": "apps/v1", "kind": "Deployment", "update": "recreate"}, {"apiVersion": "v1", "kind": "ConfigMap"}],
            "reads": [{"apiVersion": "v1", "kind": "Secret", "namespace": "tls"}, {"apiVersion": "v1", "kind": "Secret"}],
            "finalizes": true,
            "resyncSeconds": 60,
        })
    }

    fn errors(change: impl FnOnce(&mut Value)) -> Vec<String> {
        let mut value = full();
        change(&mut value);
        let errors = Description::parse(&value.to_string()).expect_err("a rule is broken");
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn all_that_the_schema_allows_is_read() {
        let description = Description::parse(&full().to_string()).unwrap();
        assert_eq!(description.object.kind, GroupKind::new("example.com/v1", "Site"));
        assert_eq!(description.object.version, "v1");
        assert_eq!(description.object.selector.as_ref().unwrap().to_string(), "tier in (a,b)");
        assert_eq!(description.child(&GroupKind::new("apps/v1", "Deployment")).unwrap().update, Update::Recreate);
        assert_eq!(description.child(&GroupKind::new("v1", "ConfigMap")).unwrap().update, Update::InPlace);
        assert_eq!(description.child(&GroupKind::new("v1", "Secret")), None);
        assert_eq!(description.reads[0].namespace.as_deref(), Some("tls"));
        assert!(description.finalizes);
        assert_eq!(description.resync, Some(Duration::from_secs(60)));
    }

    #[test]
    fn the_least_that_the_schema_requires_is_enough() {
        let least = r#"{"role":"composite","objects":[{"apiVersion":"v1","kind":"Pod","labelSelector":""}]}"#;
        let description = Description::parse(least).unwrap();
        assert_eq!(description.object.selector, None);
        assert!(description.children.is_empty() && !description.finalizes && description.resync.is_none());
    }

    #[test]
    fn each_broken_rule_names_the_place_what_was_found_and_what_is_allowed() {
        let kind = || json!({"apiVersion": "v1", "kind": "Pod"});
        let cases: Vec<(&str, Value, &str)> = vec![
            ("/role", json!("decorator"), r#"$.role: found "decorator", allowed: "composite""#),
            ("/objects", json!([]), "$.objects: found 0 kinds, allowed: exactly one kind"),
            ("/objects", json!([kind(), kind()]), "$.objects: found 2 kinds, allowed: exactly one kind"),
            ("/objects", json!({}), "$.objects: found an object, allowed: a list"),
            ("/objects/0", json!(7), "$.objects[0]: found 7, allowed: an object"),
            (
                "/objects/0/apiVersion",
                json!("a/b/c"),
                r#"$.objects[0].apiVersion: found "a/b/c", allowed: "version" or "group/version", such as "apps/v1""#,
            ),
            (
                "/objects/0/apiVersion",
                json!("/v1"),
                r#"$.objects[0].apiVersion: found "/v1", allowed: "version" or "group/version", such as "apps/v1""#,
            ),
            (
                "/objects/0/kind",
                json!("site"),
                r#"$.objects[0].kind: found "site", allowed: a kind in CamelCase, such as "Deployment""#,
            ),
            (
                "/objects/0/labelSelector",
                json!("a in"),
                r#"$.objects[0].labelSelector: found "a in", allowed: a label's key: an optional DNS subdomain and a slash, then a name of at most 63 bytes"#,
            ),
            ("/objects/0/labelSelector", json!(1), "$.objects[0].labelSelector: found 1, allowed: a text"),
            (
                "/children/0/update",
                json!("rolling"),
                r#"$.children[0].update: found "rolling", allowed: "in-place", "recreate", "on-delete""#,
            ),
            (
                "/children/0",
                json!({"apiVersion": "v1", "kind": "ConfigMap"}),
                "$.children[1]: found ConfigMap a second time, allowed: each kind once, at one version",
            ),
            (
                "/children/0",
                json!({"apiVersion": "example.com/v2", "kind": "Site"}),
                "$.children[0]: found Site.example.com, the kind of the object itself, allowed: other kinds: children would get children without end",
            ),
            (
                "/reads/0",
                json!({"apiVersion": "v1", "kind": "Secret"}),
                "$.reads[1]: found Secret a second time, allowed: each kind once for a version and namespace",
            ),
            (
                "/reads/0/namespace",
                json!("A"),
                r#"$.reads[0].namespace: found "A", allowed: a namespace's name (a DNS label); leave it out for all namespaces"#,
            ),
            ("/finalizes", json!("yes"), r#"$.finalizes: found "yes", allowed: true or false"#),
            (
                "/resyncSeconds",
                json!(0),
                "$.resyncSeconds: found 0, allowed: a whole number of seconds from 1 to 604800",
            ),
            (
                "/resyncSeconds",
                json!(604_801),
                "$.resyncSeconds: found 604801, allowed: a whole number of seconds from 1 to 604800",
            ),
            (
                "/resyncSeconds",
                json!(1.5),
                "$.resyncSeconds: found 1.5, allowed: a whole number of seconds from 1 to 604800",
            ),
        ];
        for (pointer, broken, message) in cases {
            let errors =
                errors(|value| *value.pointer_mut(pointer).expect("the pointer names a field") = broken.clone());
            assert_eq!(errors, [message], "{pointer} = {broken}");
        }
    }

    #[test]
    fn a_missing_key_is_named() {
        let without = |key: &'static str| errors(move |value| _ = value.as_object_mut().unwrap().remove(key));
        assert_eq!(without("role"), [r#"$.role: found nothing, allowed: "composite""#]);
        assert_eq!(without("objects"), ["$.objects: found nothing, allowed: a list of exactly one kind"]);
    }

    #[test]
    fn unknown_keys_are_refused_at_every_depth() {
        for (pointer, path) in [
            ("", "$.color"),
            ("/objects/0", "$.objects[0].color"),
            ("/children/1", "$.children[1].color"),
            ("/reads/0", "$.reads[0].color"),
        ] {
            let errors = errors(|value| value.pointer_mut(pointer).unwrap()["color"] = json!("red"));
            assert_eq!(errors.len(), 1);
            assert!(errors[0].starts_with(&format!("{path}: found an unknown key, allowed: ")), "{}", errors[0]);
        }
    }

    #[test]
    fn lists_longer_than_their_limit_are_refused() {
        let kinds =
            |max: usize| (0..=max).map(|at| json!({"apiVersion": "v1", "kind": format!("K{at}")})).collect::<Vec<_>>();
        assert_eq!(
            errors(|value| value["children"] = kinds(CHILDREN_MAX).into()),
            ["$.children: found 33 kinds, allowed: at most 32"]
        );
        assert_eq!(
            errors(|value| value["reads"] = kinds(READS_MAX).into()),
            ["$.reads: found 33 kinds, allowed: at most 32"]
        );
    }

    #[test]
    fn all_broken_rules_are_reported_at_once() {
        let broken = r#"{"role":1,"objects":[{"kind":"x"}],"children":[{"apiVersion":"v1"}],"more":0}"#;
        let paths = Description::parse(broken).unwrap_err().into_iter().map(|error| error.path).collect::<Vec<_>>();
        assert_eq!(paths, ["$.more", "$.role", "$.objects[0].apiVersion", "$.objects[0].kind", "$.children[0].kind"]);
    }

    #[test]
    fn what_is_no_json_is_refused_with_its_position() {
        let error = &Description::parse("{\"role\":").unwrap_err()[0];
        assert_eq!(error.to_string(), "$: found EOF while parsing a value at line 1 column 8, allowed: a JSON object");
    }

    #[test]
    fn the_rules_here_are_those_of_the_published_schema() {
        let schema: Value = serde_json::from_str(include_str!("../../../wit/next/description.schema.json")).unwrap();
        let properties = &schema["properties"];
        assert_eq!(properties["children"]["maxItems"], CHILDREN_MAX);
        assert_eq!(properties["reads"]["maxItems"], READS_MAX);
        assert_eq!(properties["resyncSeconds"]["maximum"], RESYNC_SECONDS_MAX);
        let names = Update::NAMES.map(|(name, _)| name);
        assert_eq!(properties["children"]["items"]["properties"]["update"]["enum"], json!(names));
        let mut keys = properties.as_object().unwrap().keys().map(String::as_str).collect::<Vec<_>>();
        keys.sort_unstable();
        assert_eq!(keys, ["children", "finalizes", "objects", "reads", "resyncSeconds", "role"]);
    }
}
