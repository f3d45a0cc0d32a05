//! The kinds that are served: the built-in ones, read from `data/builtin.json`,
//! and those that CRDs add and take away while the server runs.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::deprecation;
use crate::event_forms;
use crate::field_selector;
use crate::request::ResourcePath;
use crate::reviews;
use crate::schema::Schema;
use crate::status_error::{ApiError, Subject};
use crate::table::PrinterColumn;

/// The built-in kinds, written by `data/generate.py` from a real server.
pub(crate) const BUILTIN: &str = include_str!("../data/builtin.json");

/// The component that describes every kind's metadata.
const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// The order in which the server lists its own groups: a name that stands for
/// several kinds means the first one. Custom groups come after, as they come.
const GROUPS: [&str; 20] = [
    "",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "resource.k8s.io",
    "flowcontrol.apiserver.k8s.io",
];

/// Subresources that are neither an object's status nor its scale.
const ACTIONS: [&str; 2] = ["binding", "eviction"];

/// The group and plural under which objects are stored, whatever their version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct GroupResource {
    pub group: String,
    pub resource: String,
}

impl GroupResource {
    pub fn new(group: &str, resource: &str) -> Self {
        Self { group: group.to_owned(), resource: resource.to_owned() }
    }
}

/// Where the `scale` subresource of a custom kind finds its numbers.
#[derive(Debug, Clone)]
pub(crate) struct ScalePaths {
    pub spec: String,
    pub status: String,
    pub selector: Option<String>,
}

/// One kind in one version.
#[derive(Debug)]
pub(crate) struct Kind {
    /// Differs between a kind and what a changed CRD makes of it: what was
    /// rendered for one is not valid for the other.
    pub id: u64,
    pub at: GroupResource,
    pub version: String,
    pub kind: String,
    pub list_kind: String,
    pub singular: String,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
    pub namespaced: bool,
    pub verbs: Vec<String>,
    pub status: bool,
    pub scale: Option<ScalePaths>,
    /// Those that are something else again: `binding`, `eviction`.
    pub actions: Vec<String>,
    /// Whether `metadata.generation` counts the changes.
    pub counts_generation: bool,
    pub schema: Arc<Schema>,
    /// The fields that can be selected by, besides name and namespace.
    pub selectable: Vec<String>,
    /// Set for kinds that a CRD defines.
    pub custom: Option<Custom>,
    /// Set for the others.
    pub builtin: Option<Builtin>,
    /// What every request for this version is warned of.
    pub deprecation: Option<String>,
    /// Set where the objects are stored under another group's name.
    pub stored_at: Option<GroupResource>,
}

/// What only a built-in kind has.
#[derive(Debug, Clone)]
pub(crate) struct Builtin {
    /// The component that describes it, and all components.
    pub component: String,
    pub components: Arc<Map<String, Value>>,
    /// An object that nobody has written anything to.
    pub unwritten: Value,
}

/// What only a custom kind has.
#[derive(Debug, Clone)]
pub(crate) struct Custom {
    /// The version that is stored, with its schema: what is read passes both.
    pub storage_version: String,
    pub storage_schema: Arc<Schema>,
    /// How its metadata is read: a Go struct in every kind.
    pub metadata: Arc<Schema>,
    /// The schema as published in `/openapi/v3`.
    pub published: Arc<Value>,
    /// What a table of its objects shows.
    pub columns: Vec<PrinterColumn>,
    /// The definition is being deleted: nothing may be created.
    pub terminating: bool,
}

impl Kind {
    /// Where the objects are stored.
    pub fn place(&self) -> &GroupResource {
        self.stored_at.as_ref().unwrap_or(&self.at)
    }

    pub fn api_version(&self) -> String {
        if self.at.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.at.group, self.version) }
    }

    /// The version under which the objects are stored.
    pub fn storage_version(&self) -> &str {
        self.custom.as_ref().map_or(&self.version, |custom| &custom.storage_version)
    }

    /// The error's subject where the server names the resource.
    pub fn resource_subject<'a>(&'a self, name: &'a str) -> Subject<'a> {
        Subject { group: &self.at.group, what: &self.at.resource, name }
    }

    /// The error's subject where the server names the kind.
    pub fn kind_subject<'a>(&'a self, name: &'a str) -> Subject<'a> {
        Subject { group: &self.at.group, what: &self.kind, name }
    }

    pub fn is(&self, group: &str, resource: &str) -> bool {
        self.at.group == group && self.at.resource == resource
    }
}

/// All kinds that are served now.
#[derive(Debug, Clone)]
pub(crate) struct Registry {
    kinds: BTreeMap<(GroupResource, String), Arc<Kind>>,
    /// Groups in the order in which the server lists them.
    groups: Vec<String>,
    /// The documents' components of the built-in kinds.
    components: Arc<Map<String, Value>>,
    object_meta: Arc<Schema>,
    next_id: u64,
    /// Grows with each change: discovery and OpenAPI are cached by it.
    revision: u64,
}

#[derive(Deserialize)]
struct Data {
    kinds: Vec<BuiltinKind>,
    schemas: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BuiltinKind {
    group: String,
    version: String,
    kind: String,
    plural: String,
    singular: String,
    namespaced: bool,
    verbs: Vec<String>,
    short_names: Vec<String>,
    categories: Vec<String>,
    subresources: Vec<String>,
    generation: bool,
    schema: String,
}

impl Registry {
    /// The built-in kinds. They are read once in a process, however many
    /// servers there are in it.
    pub fn builtin() -> Self {
        static READ: LazyLock<Registry> = LazyLock::new(Registry::read_builtin);
        READ.clone()
    }

    fn read_builtin() -> Self {
        let data: Data = serde_json::from_str(BUILTIN).expect("data/builtin.json is generated and tested");
        let object_meta = Schema::from_openapi(&data.schemas, OBJECT_META).expect("every kind has it");
        let mut registry = Self {
            kinds: BTreeMap::new(),
            groups: Vec::new(),
            components: Arc::new(data.schemas),
            object_meta: Arc::new(object_meta),
            next_id: 0,
            revision: 0,
        };
        for kind in data.kinds {
            let kind = kind.into_kind(&registry.components);
            registry.insert(kind);
        }
        for kind in reviews::kinds() {
            registry.insert(kind);
        }
        registry
    }

    fn insert(&mut self, mut kind: Kind) {
        self.next_id += 1;
        kind.id = self.next_id;
        if !self.groups.contains(&kind.at.group) {
            self.groups.push(kind.at.group.clone());
            self.groups.sort_by_key(|group| GROUPS.iter().position(|known| known == group).unwrap_or(GROUPS.len()));
        }
        self.kinds.insert((kind.at.clone(), kind.version.clone()), Arc::new(kind));
        self.revision += 1;
    }

    /// Puts what a definition now says in the place of what it said before.
    pub fn replace(&mut self, at: &GroupResource, kinds: Vec<Kind>) {
        self.kinds.retain(|(of, _), _| of != at);
        for kind in kinds {
            self.insert(kind);
        }
        let served = |group: &String| self.kinds.keys().any(|(of, _)| of.group == *group);
        self.groups.retain(served);
        self.revision += 1;
    }

    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Whether all kinds of a group and version are built in, or all there are.
    pub fn is_builtin(&self, of: Option<(&str, &str)>) -> bool {
        let is_of = |kind: &&Arc<Kind>| of.is_none_or(|of| of == (&kind.at.group, &kind.version));
        self.kinds.values().filter(is_of).all(|kind| kind.custom.is_none())
    }

    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    pub fn components(&self) -> &Arc<Map<String, Value>> {
        &self.components
    }

    /// The metadata of every kind.
    pub fn object_meta(&self) -> &Arc<Schema> {
        &self.object_meta
    }

    /// The versions of a group, most preferred first.
    pub fn versions(&self, group: &str) -> Vec<String> {
        let mut versions: Vec<String> =
            self.kinds.values().filter(|kind| kind.at.group == group).map(|kind| kind.version.clone()).collect();
        versions.sort_by(|a, b| rank(b).cmp(&rank(a)).then_with(|| a.cmp(b)));
        versions.dedup();
        versions
    }

    /// The kinds of one group and version, by plural.
    pub fn in_version<'a>(&'a self, group: &'a str, version: &'a str) -> impl Iterator<Item = &'a Arc<Kind>> {
        self.kinds.values().filter(move |kind| kind.at.group == group && kind.version == version)
    }

    pub fn find(&self, group: &str, version: &str, resource: &str) -> Result<Arc<Kind>, ApiError> {
        let key = (GroupResource::new(group, resource), version.to_owned());
        if let Some(kind) = self.kinds.get(&key) {
            return Ok(Arc::clone(kind));
        }
        Err(if self.in_version(group, version).next().is_some() {
            // A group of custom kinds has no handler of its own for the rest.
            let custom = self.in_version(group, version).any(|kind| kind.custom.is_some());
            if custom { ApiError::no_such_path() } else { ApiError::no_such_resource() }
        } else {
            ApiError::no_such_path()
        })
    }

    /// What a request for a path is warned of.
    pub fn deprecation(&self, path: &ResourcePath) -> Option<String> {
        self.find(&path.group, &path.version, &path.resource).ok()?.deprecation.clone()
    }

    /// Any version of a stored resource: enough to delete or to look inside.
    pub fn any_version(&self, at: &GroupResource) -> Option<Arc<Kind>> {
        let versions = self.kinds.iter().filter(|((of, _), _)| of == at).map(|(_, kind)| kind);
        let versions: Vec<_> = versions.collect();
        let stored = versions.iter().find(|kind| kind.version == kind.storage_version());
        stored.or(versions.first()).map(|kind| Arc::clone(kind))
    }

    /// The served versions of a stored resource.
    pub fn versions_of(&self, at: &GroupResource) -> Vec<Arc<Kind>> {
        self.kinds.iter().filter(|((of, _), _)| of == at).map(|(_, kind)| Arc::clone(kind)).collect()
    }

    /// The resource that an owner reference names.
    pub fn by_kind(&self, group: &str, kind: &str) -> Option<Arc<Kind>> {
        self.kinds.values().find(|found| found.at.group == group && found.kind == kind).cloned()
    }

    /// One kind for each stored resource.
    pub fn resources(&self) -> Vec<Arc<Kind>> {
        let mut resources: Vec<Arc<Kind>> = Vec::new();
        for kind in self.kinds.values() {
            if resources.last().is_none_or(|last| last.at != kind.at) {
                resources.push(Arc::clone(kind));
            }
        }
        resources
    }
}

/// How Kubernetes ranks versions: stable, beta, alpha, each by number, then the rest.
pub(crate) fn rank(version: &str) -> (u8, u64, u64) {
    let parsed = || -> Option<(u8, u64, u64)> {
        let rest = version.strip_prefix('v')?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let major = rest[..digits].parse().ok()?;
        let (stage, minor) = match &rest[digits..] {
            "" => return Some((3, major, 0)),
            tail => tail.strip_prefix("beta").map(|n| (2, n)).or_else(|| tail.strip_prefix("alpha").map(|n| (1, n)))?,
        };
        Some((stage, major, minor.parse().ok()?))
    };
    parsed().unwrap_or((0, 0, 0))
}

impl BuiltinKind {
    fn into_kind(self, components: &Arc<Map<String, Value>>) -> Kind {
        let schema = Schema::from_openapi(components, &self.schema)
            .expect("every kind of data/builtin.json has its schema there");
        let scale = self.subresources.iter().any(|name| name == "scale").then(|| ScalePaths {
            spec: ".spec.replicas".to_owned(),
            status: ".status.replicas".to_owned(),
            selector: None,
        });
        let selectable =
            field_selector::of_builtin(&self.kind, &self.group).iter().map(|field| (*field).to_owned()).collect();
        Kind {
            id: 0,
            at: GroupResource::new(&self.group, &self.plural),
            list_kind: format!("{}List", self.kind),
            status: self.subresources.iter().any(|name| name == "status"),
            counts_generation: self.generation,
            custom: None,
            deprecation: deprecation::of_builtin(&self.group, &self.kind),
            stored_at: event_forms::stored_at(&self.group, &self.plural),
            actions: self.subresources.into_iter().filter(|name| ACTIONS.contains(&name.as_str())).collect(),
            builtin: Some(Builtin {
                unwritten: schema.unwritten(),
                component: self.schema,
                components: Arc::clone(components),
            }),
            schema: Arc::new(schema),
            version: self.version,
            kind: self.kind,
            singular: self.singular,
            short_names: self.short_names,
            categories: self.categories,
            namespaced: self.namespaced,
            verbs: self.verbs,
            scale,
            selectable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_builtin_kind_has_its_schema_and_group() {
        let registry = Registry::builtin();
        let deployment = registry.find("apps", "v1", "deployments").unwrap();
        assert!(deployment.status && deployment.scale.is_some() && deployment.counts_generation);
        assert!(registry.find("", "v1", "configmaps").is_ok());
        assert_eq!(registry.find("", "v1", "nope").unwrap_err(), ApiError::no_such_resource());
        assert_eq!(registry.find("nope", "v1", "x").unwrap_err(), ApiError::no_such_path());
    }

    #[test]
    fn versions_are_ranked_as_kubernetes_ranks_them() {
        let mut versions = ["v1alpha1", "foo", "v2", "v1", "v2beta1", "v11"];
        versions.sort_by_key(|version| std::cmp::Reverse(rank(version)));
        assert_eq!(versions, ["v11", "v2", "v1", "v2beta1", "v1alpha1", "foo"]);
    }
}
