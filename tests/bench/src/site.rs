//! The workload: a `Site` of 1.5 kB becomes two ConfigMaps and a status, which
//! all change with each edit.

use std::{collections::BTreeMap, path::PathBuf};

use kube::{
    api::{ApiResource, Object},
    core::gvk::GroupVersionKind,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const GROUP: &str = "bench.trimtab.dev";
const VERSION: &str = "v1";
const KIND: &str = "Site";
/// `apiVersion` of a Site.
pub const API_VERSION: &str = "bench.trimtab.dev/v1";
/// The text of a Site, as the API server gives it without managedFields.
pub const SITE_BYTES: usize = 1_500;

/// `spec` of a Site.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Spec {
    /// What it shows.
    pub page: String,
}

/// `status` of a Site.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Always.
    pub ready: bool,
    /// The generation that its children were made of.
    pub observed_generation: i64,
}

/// A Site as kube's clients see it.
pub type Site = Object<Spec, Status>;

/// The kind, for kube's clients.
pub fn resource() -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, VERSION, KIND), "sites")
}

/// The files that a Site's two ConfigMaps hold, by their names.
pub fn files(name: &str, generation: i64, page: &str) -> [(String, BTreeMap<String, String>); 2] {
    let file =
        |suffix: &str, key: &str, text: String| (format!("{name}-{suffix}"), BTreeMap::from([(key.into(), text)]));
    [file("page", "index.html", page.into()), file("settings", "generation", generation.to_string())]
}

/// A page as long as makes a Site of [`SITE_BYTES`].
pub fn page(edition: usize) -> String {
    let rest = SITE_BYTES - live("site-0000", "").to_string().len();
    format!("{edition:0rest$}")
}

/// A Site as a user creates it.
pub fn created(name: &str, page: &str) -> Value {
    json!({ "apiVersion": API_VERSION, "kind": KIND, "metadata": { "name": name }, "spec": { "page": page } })
}

/// A Site as the API server gives it.
pub fn live(name: &str, page: &str) -> Value {
    json!({
        "apiVersion": API_VERSION, "kind": KIND,
        "metadata": {
            "name": name, "namespace": "bench", "uid": "0b8f8f2e-5f5d-4a52-9c6b-000000000001",
            "resourceVersion": "1234", "generation": 2, "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": { "page": page },
        "status": { "ready": true, "observedGeneration": 1 },
    })
}

/// A child of such a Site as the API server gives it, with the host's marks.
pub fn live_child(name: &str, data: &BTreeMap<String, String>) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": name, "namespace": "bench", "uid": "0b8f8f2e-5f5d-4a52-9c6b-000000000002",
            "resourceVersion": "1235", "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": { "trimtab.dev/plugin": "bench" },
            "annotations": {
                "trimtab.dev/intent": "0123456789abcdef0123456789abcdef",
                "trimtab.dev/owner": json!({
                    "cluster": "", "group": GROUP, "kind": KIND, "namespace": "bench",
                    "name": "site-0000", "uid": "0b8f8f2e-5f5d-4a52-9c6b-000000000001",
                }).to_string(),
            },
            "ownerReferences": [{
                "apiVersion": API_VERSION, "kind": KIND, "name": "site-0000",
                "uid": "0b8f8f2e-5f5d-4a52-9c6b-000000000001", "controller": true, "blockOwnerDeletion": false,
            }],
        },
        "data": data,
    })
}

/// The plugin that makes it of a Site, as `plugins/build.sh` has built it.
pub fn plugin() -> PathBuf {
    plugins().join("target/plugins/bench.wasm")
}

/// The CRD of its kind.
pub fn crd() -> PathBuf {
    plugins().join("fixtures/bench/crd.yaml")
}

fn plugins() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../../plugins"].iter().collect()
}
