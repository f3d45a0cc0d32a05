//! What the host knows of a kind from the server's discovery.

use crate::id::{GroupKind, join_api_version};

/// One group and kind as the server serves it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kind {
    /// Its group and kind.
    pub id: GroupKind,
    /// The name in paths: `deployments`.
    pub plural: String,
    /// Whether its objects lie in namespaces.
    pub namespaced: bool,
    /// The served versions, the preferred one first.
    pub versions: Vec<KindVersion>,
    /// The version that the server stores, where discovery tells.
    pub storage: Option<String>,
}

/// One version of a kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KindVersion {
    /// `v1`
    pub name: String,
    /// Whether the status is a resource of its own.
    pub status: bool,
    /// What discovery says can be done: `get`, `list`, `watch`, `patch`, ….
    pub verbs: Vec<String>,
}

impl Kind {
    /// The version of that name, if it is served.
    pub fn version(&self, name: &str) -> Option<&KindVersion> {
        self.versions.iter().find(|version| version.name == name)
    }

    /// The version that the server prefers: the one for owner references.
    pub fn preferred(&self) -> &str {
        &self.versions[0].name
    }

    /// The version through which metadata is written: through another one, a
    /// lossy schema would delete users' fields.
    pub fn metadata_version(&self) -> &str {
        self.storage.as_deref().unwrap_or_else(|| self.preferred())
    }

    /// `apps/v1` for the version `v1`.
    pub fn api_version(&self, version: &str) -> String {
        join_api_version(&self.id.group, version)
    }
}
