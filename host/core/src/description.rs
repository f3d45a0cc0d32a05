//! What a plugin says of itself, checked against every rule of the published
//! schema and those that a schema cannot say. All broken rules are reported at
//! once, each with the place in the JSON, what was found and what is allowed.

use std::{collections::BTreeSet, fmt, time::Duration};

use serde_json::{Map, Value};

use crate::{
    id::{GroupKind, LABEL_BYTES_MAX, Lineage, split_api_version},
    object::Object,
    rollout::{self, MaxUnavailable, Rolling},
    selector::{Selector, is_subdomain},
};

/// Object kinds in the description of a decorator: each is a watch on the API server.
pub const OBJECTS_MAX: usize = 32;
/// Child kinds in one description: each is a watch on the API server.
pub const CHILDREN_MAX: usize = 32;
/// Read kinds in one description: each may become a watch.
pub const READS_MAX: usize = 32;
/// A week: the longest resync.
pub const RESYNC_SECONDS_MAX: u64 = 604_800;

/// What makes a revision is what somebody asks for.
const FIELD_PATH: &str = "a field such as \"spec\" or \"spec.template\", of neither metadata nor status";

/// A valid description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// What it is to its objects.
    pub role: Role,
    /// What the plugin reconciles: one kind for a composite, each kind once.
    pub objects: Vec<ObjectKind>,
    /// What its answers may contain, each kind once.
    pub children: Vec<ChildKind>,
    /// What its look-ups may name.
    pub reads: Vec<ReadKind>,
    /// The fields of the object that make a revision, such as `spec.template`.
    pub field_paths: Vec<String>,
    /// Whether it is asked before its object goes.
    pub finalizes: bool,
    /// How often each object is looked at even if nothing has changed.
    pub resync: Option<Duration>,
}

/// What a plugin is to the objects that it reconciles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// It owns their life and their status: one for each kind in an instance.
    Composite,
    /// It adds children, labels and annotations to what somebody else owns, beside
    /// as many others as there are.
    Decorator,
}

/// A kind that a plugin reconciles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectKind {
    /// Its group and kind.
    pub kind: GroupKind,
    /// The version in which the plugin wants it: `v1` of `apps/v1`.
    pub version: String,
    /// Which objects, by their labels; absent: all.
    pub selector: Option<Selector>,
    /// Which of these, by their annotations; absent: all.
    pub annotations: Option<Selector>,
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
    /// How that is done a few at a time, where it is.
    pub rolling: Rolling,
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
    /// A few at a time are changed where they lie.
    RollingInPlace,
    /// A few at a time are deleted and made anew.
    RollingRecreate,
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

    /// What it says of the objects of a kind; none: it does not reconcile them.
    pub fn object(&self, kind: &GroupKind) -> Option<&ObjectKind> {
        self.objects.iter().find(|object| object.kind == *kind)
    }

    /// The version of the one kind whose objects a composite owns.
    pub fn composite_version(&self) -> Option<&str> {
        let object = self.objects.first().filter(|_| self.role == Role::Composite)?;
        Some(&object.version)
    }

    /// The declared child of a kind.
    pub fn child(&self, kind: &GroupKind) -> Option<&ChildKind> {
        self.children.iter().find(|child| child.kind == *kind)
    }
}

impl ObjectKind {
    /// Whether labels and annotations of an object are those that are wanted.
    pub fn selects(&self, object: &Object) -> bool {
        self.matches(|name| object.meta.label(name), |name| object.annotation(name))
    }

    /// Whether an object with these labels and annotations is.
    pub fn matches<L: AsRef<str>, A: AsRef<str>>(
        &self,
        label: impl Fn(&str) -> Option<L>,
        annotation: impl Fn(&str) -> Option<A>,
    ) -> bool {
        self.selector.as_ref().is_none_or(|selector| selector.matches(label))
            && self.annotations.as_ref().is_none_or(|selector| selector.matches(annotation))
    }
}

impl Role {
    /// All of them, by the names that descriptions use.
    pub const NAMES: [(&'static str, Self); 2] = [("composite", Self::Composite), ("decorator", Self::Decorator)];

    fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, role)| *role)
    }
}

impl Update {
    /// All of them, by the names that descriptions and policies use.
    pub const NAMES: [(&'static str, Self); 5] = [
        ("in-place", Self::InPlace),
        ("recreate", Self::Recreate),
        ("on-delete", Self::OnDelete),
        ("rolling-in-place", Self::RollingInPlace),
        ("rolling-recreate", Self::RollingRecreate),
    ];

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
        let known = ["role", "objects", "children", "reads", "fieldPaths", "finalizes", "resyncSeconds"];
        let map = self.object("$", value, &known)?;
        let role = match map.get("role").and_then(Value::as_str).and_then(Role::named) {
            Some(role) => Some(role),
            None => self.wrong(
                "$.role",
                found(map.get("role")),
                Role::NAMES.map(|(name, _)| format!("{name:?}")).join(", "),
            ),
        };
        let objects = self.objects(map, role);
        let children = self.list_up_to(map, "children", CHILDREN_MAX, Self::child_kind);
        let reads = self.list_up_to(map, "reads", READS_MAX, Self::read_kind);
        let field_paths = match map.get("fieldPaths") {
            Some(paths) => self.field_paths(paths),
            None => vec!["spec".to_owned()],
        };
        let finalizes = match map.get("finalizes") {
            None => false,
            Some(Value::Bool(finalizes)) => *finalizes,
            other => self.wrong("$.finalizes", found(other), "true or false").unwrap_or_default(),
        };
        let resync = map.get("resyncSeconds").and_then(|value| self.resync(value));
        self.no_child_twice(&children, &objects);
        self.no_read_twice(&reads);
        Some(Description { role: role?, objects, children, reads, field_paths, finalizes, resync })
    }

    fn objects(&mut self, map: &Map<String, Value>, role: Option<Role>) -> Vec<ObjectKind> {
        let (max, allowed) = match role {
            Some(Role::Decorator) => (OBJECTS_MAX, format!("1 to {OBJECTS_MAX} kinds")),
            Some(Role::Composite) | None => (1, "exactly one kind".to_owned()),
        };
        let Some(value) = map.get("objects") else {
            self.wrong::<()>("$.objects", "nothing", format_args!("a list of {allowed}"));
            return Vec::new();
        };
        let objects = self.list("$.objects", value, Self::object_kind).unwrap_or_default();
        if let Some(count) = value.as_array().map(Vec::len).filter(|count| !(1..=max).contains(count)) {
            self.wrong::<()>("$.objects", format_args!("{count} kinds"), allowed);
        }
        let mut seen = BTreeSet::new();
        for (at, object) in objects.iter().enumerate().filter(|(_, object)| !seen.insert(&object.kind)) {
            let found = format!("{} a second time", object.kind);
            self.wrong::<()>(&format!("$.objects[{at}]"), found, "each kind once, at one version");
        }
        objects
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
        let map = self.object(path, value, &["apiVersion", "kind", "labelSelector", "annotationSelector"])?;
        let kind = self.kind(path, map);
        let selector = self.selector(path, map, "labelSelector");
        let annotations = self.selector(path, map, "annotationSelector");
        let (kind, version) = kind?;
        Some(ObjectKind { kind, version, selector, annotations })
    }

    fn selector(&mut self, path: &str, map: &Map<String, Value>, name: &str) -> Option<Selector> {
        match Selector::parse(&self.text(path, map, name)?) {
            Ok(selector) => Some(selector).filter(|selector| !selector.is_empty()),
            Err(error) => self.wrong(&format!("{path}.{name}"), format_args!("{:?}", error.found), error.wanted),
        }
    }

    fn child_kind(&mut self, path: &str, value: &Value) -> Option<ChildKind> {
        let map = self.object(path, value, &["apiVersion", "kind", "update", "maxUnavailable", "ready"])?;
        let update = match map.get("update") {
            None => Some(Update::default()),
            Some(value) => value.as_str().and_then(Update::named).or_else(|| {
                let names = Update::NAMES.map(|(name, _)| format!("{name:?}")).join(", ");
                self.wrong(&format!("{path}.update"), found(Some(value)), names)
            }),
        };
        let rolling = self.rolling(path, map);
        let (kind, version) = self.kind(path, map)?;
        Some(ChildKind { kind, version, update: update?, rolling })
    }

    fn rolling(&mut self, path: &str, map: &Map<String, Value>) -> Rolling {
        let max_unavailable = map.get("maxUnavailable").and_then(|value| {
            let wrong = || self.wrong(&format!("{path}.maxUnavailable"), found(Some(value)), rollout::MAX_UNAVAILABLE);
            MaxUnavailable::read(value).or_else(wrong)
        });
        let ready = map.get("ready").and_then(|value| {
            let path = format!("{path}.ready");
            let checks = self.list(&path, value, |check, path, value| {
                let wrong = || check.wrong(path, found(Some(value)), rollout::CHECK);
                rollout::Check::read(value).or_else(wrong)
            })?;
            if checks.len() > rollout::CHECKS_MAX {
                let (count, max) = (checks.len(), rollout::CHECKS_MAX);
                return self.wrong(&path, format_args!("{count} conditions"), format_args!("at most {max}"));
            }
            Some(checks)
        });
        Rolling { max_unavailable: max_unavailable.unwrap_or_default(), ready: ready.unwrap_or_default() }
    }

    fn field_paths(&mut self, value: &Value) -> Vec<String> {
        let path = "$.fieldPaths";
        let paths = self.list(path, value, |check, path, value| {
            let fits = |text: &&str| {
                let mut fields = text.split('.');
                !text.starts_with('.')
                    && !["status", "metadata"].map(Some).contains(&fields.next())
                    && fields.all(|it| !it.is_empty())
            };
            let wrong = || check.wrong(path, found(Some(value)), FIELD_PATH);
            value.as_str().filter(|text| !text.is_empty()).filter(fits).map(str::to_owned).or_else(wrong)
        });
        let count = value.as_array().map(Vec::len).filter(|count| !(1..=rollout::FIELD_PATHS_MAX).contains(count));
        if let Some(count) = count {
            let allowed = format!("1 to {}", rollout::FIELD_PATHS_MAX);
            self.wrong::<()>(path, format_args!("{count} fields"), allowed);
        }
        paths.unwrap_or_default()
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
    fn no_child_twice(&mut self, children: &[ChildKind], objects: &[ObjectKind]) {
        let mut seen = BTreeSet::new();
        for (at, child) in children.iter().enumerate() {
            let path = format!("$.children[{at}]");
            if !seen.insert(&child.kind) {
                self.wrong::<()>(&path, format_args!("{} a second time", child.kind), "each kind once, at one version");
            }
            if objects.iter().any(|object| object.kind == child.kind) {
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
mod tests;
