//! From the server's documents to the kinds that the host knows.

use std::{
    collections::{BTreeMap, btree_map},
    sync::Arc,
};

use kube::client::{APIGroupDiscovery, APIResourceDiscovery, APIVersionDiscovery};
use trimtab_core::{
    id::GroupKind,
    kind::{Kind, KindVersion},
};

use super::storage;
use crate::openapi::Index;

/// The kinds that the server serves, as it said last.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Kinds {
    known: bool,
    kinds: BTreeMap<GroupKind, Arc<Kind>>,
    /// The hashes of the OpenAPI documents, by group and version.
    documents: BTreeMap<String, BTreeMap<String, Arc<str>>>,
}

impl Kinds {
    /// Whether the server has answered at all: before that, a kind that is not
    /// here may exist.
    pub fn is_known(&self) -> bool {
        self.known
    }

    /// One kind, if it is served in any version.
    pub fn get(&self, id: &GroupKind) -> Option<&Arc<Kind>> {
        self.kinds.get(id)
    }

    /// Changes whenever the schema of the kind in that version may have: the
    /// hash of the OpenAPI document that it is in. None while that document is
    /// not there.
    pub fn revision(&self, id: &GroupKind, version: &str) -> Option<&Arc<str>> {
        self.document(&id.group, version)
    }

    /// All of them, by group and kind.
    pub fn iter(&self) -> btree_map::Values<'_, GroupKind, Arc<Kind>> {
        self.kinds.values()
    }

    pub(super) fn document(&self, group: &str, version: &str) -> Option<&Arc<str>> {
        self.documents.get(group)?.get(version)
    }
}

/// The groups of discovery by name, versions in the server's order.
#[derive(Default)]
pub(super) struct Groups(BTreeMap<String, Vec<APIVersionDiscovery>>);

impl Groups {
    /// Takes in all groups. Where the server says that it could not ask about a
    /// version, what was known of that version stays.
    pub(super) fn take<'a>(&mut self, groups: impl Iterator<Item = &'a APIGroupDiscovery>) {
        let mut before = std::mem::take(&mut self.0);
        for group in groups {
            let name = group.metadata.as_ref().and_then(|metadata| metadata.name.clone()).unwrap_or_default();
            let mut known = before.remove(&name).unwrap_or_default();
            let versions = group.versions.iter().map(|version| {
                let same = known.iter_mut().find(|known| known.version == version.version);
                match same.filter(|_| version.freshness.as_deref() == Some("Stale")) {
                    Some(known) => std::mem::take(known),
                    None => version.clone(),
                }
            });
            let versions = versions.collect();
            self.0.insert(name, versions);
        }
    }

    /// What those documents say together.
    pub(super) fn kinds(&self, index: &Index, storage: &storage::Versions) -> Kinds {
        let mut kinds = self.unstored();
        for kind in kinds.values_mut() {
            kind.storage = match &kind.versions[..] {
                [only] => Some(only.name.clone()),
                _ => storage.of(kind),
            };
        }
        let kinds = kinds.into_iter().map(|(id, kind)| (id, Arc::new(kind))).collect();
        Kinds { known: true, kinds, documents: index.hashes() }
    }

    /// The kinds without their storage versions.
    pub(super) fn unstored(&self) -> BTreeMap<GroupKind, Kind> {
        let mut kinds = BTreeMap::new();
        for (group, versions) in &self.0 {
            for version in versions {
                for resource in &version.resources {
                    add(&mut kinds, group, version.version.as_deref().unwrap_or_default(), resource);
                }
            }
        }
        kinds
    }
}

fn add(kinds: &mut BTreeMap<GroupKind, Kind>, group: &str, version: &str, resource: &APIResourceDiscovery) {
    let name = resource.response_kind.as_ref().and_then(|kind| kind.kind.as_deref());
    let (Some(name), Some(plural)) = (name.filter(|name| !name.is_empty()), &resource.resource) else { return };
    let id = GroupKind { group: group.into(), kind: name.into() };
    let kind = kinds.entry(id.clone()).or_insert_with(|| Kind {
        id,
        plural: plural.clone(),
        namespaced: resource.scope.as_deref() == Some("Namespaced"),
        versions: Vec::new(),
        storage: None,
    });
    // Several resources may answer in one kind; the first is the one that is
    // meant, and it is one resource through all its versions.
    if kind.plural == *plural {
        kind.versions.push(KindVersion {
            name: version.into(),
            status: resource.subresources.iter().any(|part| part.subresource.as_deref() == Some("status")),
            verbs: resource.verbs.clone(),
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn groups(text: Value) -> Vec<APIGroupDiscovery> {
        serde_json::from_value(text).unwrap()
    }

    fn resource(plural: &str, kind: &str, scope: &str, parts: &[&str]) -> Value {
        let parts = parts.iter().map(|part| json!({"subresource": part})).collect::<Vec<_>>();
        json!({"resource": plural, "responseKind": {"group": "", "version": "", "kind": kind}, "scope": scope,
               "verbs": ["get", "list"], "subresources": parts})
    }

    fn site(freshness: &str, resources: Value) -> Vec<APIGroupDiscovery> {
        groups(json!([{"metadata": {"name": "demo"}, "versions": [
            {"version": "v2", "freshness": "Current", "resources": [resource("sites", "Site", "Namespaced", &["status"])]},
            {"version": "v1", "freshness": freshness, "resources": resources}]}]))
    }

    fn kinds(groups: &Groups) -> Kinds {
        groups.kinds(&Index::default(), &storage::Versions::default())
    }

    #[test]
    fn a_kind_has_its_versions_in_the_order_of_preference_with_what_each_can_do() {
        let mut served = Groups::default();
        let v1 = json!([resource("sites", "Site", "Namespaced", &[]), resource("nodes", "Node", "Cluster", &[])]);
        served.take(site("Current", v1).iter());
        let kinds = kinds(&served);
        let site = kinds.get(&GroupKind::new("demo/v1", "Site")).unwrap();
        assert_eq!((site.preferred(), site.plural.as_str(), site.namespaced), ("v2", "sites", true));
        assert!(site.version("v2").unwrap().status && !site.version("v1").unwrap().status);
        assert_eq!(site.storage, None, "two versions: only the server's hash tells");
        let node = kinds.get(&GroupKind::new("demo/v1", "Node")).unwrap();
        assert_eq!((node.namespaced, node.storage.as_deref()), (false, Some("v1")));
    }

    #[test]
    fn what_an_aggregated_server_cannot_say_now_stays_as_it_was() {
        let mut served = Groups::default();
        served.take(site("Current", json!([resource("nodes", "Node", "Cluster", &[])])).iter());
        served.take(site("Stale", json!([])).iter());
        assert!(kinds(&served).get(&GroupKind::new("demo/v1", "Node")).is_some());
        served.take(site("Current", json!([])).iter());
        assert!(kinds(&served).get(&GroupKind::new("demo/v1", "Node")).is_none());
    }

    #[test]
    fn the_first_of_several_resources_of_one_kind_is_the_one_that_is_meant() {
        let mut served = Groups::default();
        let both = json!([resource("nodes", "Node", "Cluster", &[]), resource("others", "Node", "Cluster", &[])]);
        served.take(site("Current", both).iter());
        let kinds = kinds(&served);
        let node = kinds.get(&GroupKind::new("demo/v1", "Node")).unwrap();
        assert_eq!((node.plural.as_str(), node.versions.len()), ("nodes", 1));
    }
}
