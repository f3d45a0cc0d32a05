//! Which version of a kind the server stores. Only the older form of discovery
//! tells, and only by a hash: the first 8 bytes of the SHA-256 of
//! `group/version/Kind`, in base64.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use kube::Client;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use trimtab_core::{id::GroupKind, kind::Kind};

use super::{documents, kinds::Groups};

/// The hashes of the kinds that have several versions, as they were told last.
#[derive(Default)]
pub(super) struct Versions(BTreeMap<GroupKind, String>);

#[derive(Deserialize)]
struct ResourceList {
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    name: String,
    #[serde(default)]
    storage_version_hash: String,
}

impl Versions {
    /// Asks for the groups with kinds of several versions. What cannot be had
    /// stays as it was.
    pub(super) async fn ask(&mut self, client: &Client, served: &Groups) {
        let mut lists: BTreeMap<String, Vec<Resource>> = BTreeMap::new();
        for (id, kind) in served.unstored().into_iter().filter(|(_, kind)| kind.versions.len() > 1) {
            let api_version = kind.api_version(kind.preferred());
            if !lists.contains_key(&api_version) {
                match documents::get::<ResourceList>(client, &format!("/apis/{api_version}")).await {
                    Ok(list) => lists.insert(api_version.clone(), list.resources),
                    Err(error) => {
                        tracing::debug!(%error, api_version, "storage versions cannot be looked up now");
                        continue;
                    }
                };
            }
            let resource = lists[&api_version].iter().find(|resource| resource.name == kind.plural);
            if let Some(resource) = resource {
                self.0.insert(id, resource.storage_version_hash.clone());
            }
        }
    }

    /// The stored one of the served versions; none where it is not served, or
    /// not known.
    pub(super) fn of(&self, kind: &Kind) -> Option<String> {
        let stored = self.0.get(&kind.id)?;
        let mut names = kind.versions.iter().map(|version| &version.name);
        names.find(|name| hash(&kind.id, name) == *stored).cloned()
    }
}

fn hash(id: &GroupKind, version: &str) -> String {
    let digest = Sha256::digest(format!("{}/{version}/{}", id.group, id.kind));
    STANDARD.encode(&digest[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_one_that_kubernetes_makes() {
        // From the discovery of Kubernetes 1.36: deployments of apps/v1.
        assert_eq!(hash(&GroupKind::new("apps/v1", "Deployment"), "v1"), "8aSe+NMegvE=");
    }
}
