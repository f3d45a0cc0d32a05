//! Discovery: which groups, versions and resources there are, in the older
//! form of one document each and in the aggregated one; and the cache that
//! these documents and OpenAPI's share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::kinds::{Kind, Registry};
use crate::openapi;
use crate::request::Target;
use crate::server::State;
use crate::status_error::ApiError;
use crate::verbs::{Answer, Call};
use crate::view;

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
/// What this server says it is; the schemas come from the same version.
const GIT_VERSION: &str = "v1.36.3";

/// Documents that are made once for each state of the registry. Bounded by the
/// groups and versions that are served.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    revision: u64,
    made: Made,
}

/// Documents by name, each with its hash.
type Made = BTreeMap<String, (Bytes, Arc<str>)>;

/// Those of built-in kinds alone, which are the same for all servers of a process.
static BUILTIN: Mutex<Made> = Mutex::new(BTreeMap::new());

impl Documents {
    /// A document and its hash. `builtin`: it is about built-in kinds alone.
    pub fn get(
        &mut self,
        registry: &Registry,
        name: &str,
        builtin: bool,
        make: impl FnOnce() -> Value,
    ) -> (Bytes, Arc<str>) {
        if let Some(made) = self.known(registry, name, builtin) {
            return made;
        }
        let text = view::to_bytes(&make());
        let hash = hex(&Sha256::digest(&text));
        self.keep(name, builtin, text, hash)
    }

    /// Keeps a document that was made, with its hash.
    pub fn keep(&mut self, name: &str, builtin: bool, text: Bytes, hash: Arc<str>) -> (Bytes, Arc<str>) {
        let made = (text, hash);
        let into = if builtin { &mut *builtin_documents() } else { &mut self.made };
        into.insert(name.to_owned(), made.clone());
        made
    }

    /// One that was made already.
    pub fn known(&mut self, registry: &Registry, name: &str, builtin: bool) -> Option<(Bytes, Arc<str>)> {
        if self.revision != registry.revision() {
            self.revision = registry.revision();
            self.made.clear();
        }
        if builtin { builtin_documents().get(name).cloned() } else { self.made.get(name).cloned() }
    }
}

/// A digest as it is written in tags.
pub(crate) fn hex(digest: &[u8]) -> Arc<str> {
    Arc::from(digest.iter().map(|byte| format!("{byte:02X}")).collect::<String>())
}

fn builtin_documents() -> MutexGuard<'static, Made> {
    // What is in it was made whole before it was put there.
    BUILTIN.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    /// Answers a request for a document about the API.
    pub fn document(&mut self, target: &Target, call: &Call) -> Result<Answer, ApiError> {
        let aggregated = call.accept.takes_aggregated_discovery();
        let read_only = matches!(target, Target::CoreVersions | Target::Version | Target::Resources { .. });
        if read_only && call.method != Method::GET {
            return Err(ApiError::method_not_allowed());
        }
        if matches!(target, Target::OpenApiV2) {
            return Ok(openapi::answer_v2(self, call));
        }
        if !call.accept.takes_documents() {
            return Err(ApiError::no_representation(&["application/json", "application/yaml"]));
        }
        match target {
            Target::CoreVersions if aggregated => Ok(self.aggregated(call, true)),
            Target::Groups if aggregated => Ok(self.aggregated(call, false)),
            Target::CoreVersions => {
                let addresses = json!([{ "clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1" }]);
                let versions = json!({
                    "kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses,
                });
                Ok(json_answer(&versions))
            }
            Target::Groups => {
                let named = self.registry.groups().iter().filter(|group| !group.is_empty());
                let groups: Vec<Value> = named.map(|group| api_group(&self.registry, group)).collect();
                Ok(json_answer(&json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })))
            }
            Target::Group(group) if self.registry.groups().contains(group) => {
                let mut answer = api_group(&self.registry, group);
                answer["kind"] = Value::from("APIGroup");
                answer["apiVersion"] = Value::from("v1");
                Ok(json_answer(&answer))
            }
            Target::Resources { group, version } if self.registry.in_version(group, version).next().is_some() => {
                Ok(json_answer(&resources(&self.registry, group, version)))
            }
            Target::OpenApi(path) => openapi::answer(self, path.as_deref(), call),
            Target::Root => Ok(json_answer(&json!({ "paths": paths(&self.registry) }))),
            Target::Version => Ok(json_answer(&json!({
                "major": "1", "minor": "36", "emulationMajor": "1", "emulationMinor": "36",
                "minCompatibilityMajor": "1", "minCompatibilityMinor": "35",
                "gitVersion": GIT_VERSION, "gitCommit": "", "gitTreeState": "",
                "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "rustc", "platform": "linux/amd64",
            }))),
            Target::Resources { group, .. } if group.is_empty() => Err(ApiError::no_such_resource()),
            _ => Err(ApiError::no_such_path()),
        }
    }

    fn aggregated(&mut self, call: &Call, core: bool) -> Answer {
        let name = if core { "aggregated core" } else { "aggregated groups" };
        let State { documents, registry, .. } = self;
        let builtin = core || registry.is_builtin(None);
        let (body, hash) = documents.get(registry, name, builtin, || aggregated(registry, core));
        tagged(call, AGGREGATED, body, &hash)
    }
}

/// Every path that leads somewhere by itself.
fn paths(registry: &Registry) -> Vec<String> {
    let documents =
        ["/api", "/apis", "/apis/", "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"];
    let mut paths: Vec<String> = documents.map(str::to_owned).to_vec();
    for group in registry.groups() {
        let root = if group.is_empty() { "/api".to_owned() } else { format!("/apis/{group}") };
        paths.extend(registry.versions(group).iter().map(|version| format!("{root}/{version}")));
        paths.push(root);
    }
    paths.sort();
    paths.dedup();
    paths
}

fn json_answer(value: &Value) -> Answer {
    Answer::json(200, view::to_bytes(value))
}

/// A document with its tag, or word that the client has it already.
pub(crate) fn tagged(call: &Call, content_type: &'static str, body: Bytes, hash: &str) -> Answer {
    let etag = format!("\"{hash}\"");
    if call.if_none_match.split(',').any(|known| known.trim() == etag) {
        return Answer::NotModified { etag };
    }
    Answer::Body { code: 200, content_type, etag: Some(etag), warnings: Vec::new(), body }
}

/// `group/version`, or the version alone in the core group.
pub(crate) fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

fn api_group(registry: &Registry, group: &str) -> Value {
    let versions: Vec<Value> = registry
        .versions(group)
        .iter()
        .map(|version| json!({ "groupVersion": group_version(group, version), "version": version }))
        .collect();
    json!({ "name": group, "versions": versions, "preferredVersion": versions.first() })
}

fn resources(registry: &Registry, group: &str, version: &str) -> Value {
    let listed: Vec<Value> = registry.in_version(group, version).flat_map(|kind| resource_entries(kind)).collect();
    json!({
        "kind": "APIResourceList", "apiVersion": "v1",
        "groupVersion": group_version(group, version), "resources": listed,
    })
}

/// A resource and its subresources.
fn resource_entries(kind: &Kind) -> Vec<Value> {
    let mut main = json!({
        "name": kind.at.resource, "singularName": kind.singular, "namespaced": kind.namespaced,
        "kind": kind.kind, "verbs": kind.verbs,
    });
    // What cannot be read is not stored.
    if kind.verbs.iter().any(|verb| verb == "get") {
        main["storageVersionHash"] = Value::from(storage_version_hash(kind));
    }
    if !kind.short_names.is_empty() {
        main["shortNames"] = Value::from(kind.short_names.clone());
    }
    if !kind.categories.is_empty() {
        main["categories"] = Value::from(kind.categories.clone());
    }
    let mut entries = vec![main];
    for subresource in subresources(kind) {
        let mut entry = json!({
            "name": format!("{}/{subresource}", kind.at.resource), "singularName": "",
            "namespaced": kind.namespaced, "kind": kind.kind, "verbs": ["get", "patch", "update"],
        });
        if subresource == "scale" {
            entry["group"] = Value::from("autoscaling");
            entry["version"] = Value::from("v1");
            entry["kind"] = Value::from("Scale");
        }
        entries.push(entry);
    }
    entries
}

fn subresources(kind: &Kind) -> Vec<&'static str> {
    let scale = kind.scale.is_some().then_some("scale");
    let status = kind.status.then_some("status");
    // In the order in which the real server lists them.
    if kind.custom.is_some() {
        return status.into_iter().chain(scale).collect();
    }
    scale.into_iter().chain(status).collect()
}

/// Tells which version is stored: clients that migrate storage compare it.
fn storage_version_hash(kind: &Kind) -> String {
    let stored = format!("{}/{}/{}", kind.at.group, kind.storage_version(), kind.kind);
    STANDARD.encode(&Sha256::digest(stored)[..8])
}

fn aggregated(registry: &Registry, core: bool) -> Value {
    let groups = registry.groups().iter().filter(|group| group.is_empty() == core);
    let items: Vec<Value> = groups
        .map(|group| {
            let versions: Vec<Value> = registry
                .versions(group)
                .iter()
                .map(|version| {
                    let kinds = registry.in_version(group, version);
                    let resources: Vec<Value> = kinds.map(|kind| aggregated_resource(kind)).collect();
                    json!({ "version": version, "resources": resources, "freshness": "Current" })
                })
                .collect();
            let metadata = if core { json!({}) } else { json!({ "name": group }) };
            json!({ "metadata": metadata, "versions": versions })
        })
        .collect();
    json!({ "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items })
}

fn aggregated_resource(kind: &Kind) -> Value {
    // Built-in kinds leave out what the document's place says.
    let own = match &kind.custom {
        Some(_) => json!({ "group": kind.at.group, "version": kind.version, "kind": kind.kind }),
        None => json!({ "group": "", "version": "", "kind": kind.kind }),
    };
    let mut entry = json!({
        "resource": kind.at.resource, "responseKind": own,
        "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": kind.singular, "verbs": kind.verbs,
    });
    if !kind.short_names.is_empty() {
        entry["shortNames"] = Value::from(kind.short_names.clone());
    }
    if !kind.categories.is_empty() {
        entry["categories"] = Value::from(kind.categories.clone());
    }
    let below: Vec<Value> = subresources(kind)
        .into_iter()
        .map(|subresource| {
            let of = if subresource == "scale" {
                json!({ "group": "autoscaling", "version": "v1", "kind": "Scale" })
            } else {
                own.clone()
            };
            json!({ "subresource": subresource, "responseKind": of, "verbs": ["get", "patch", "update"] })
        })
        .collect();
    if !below.is_empty() {
        entry["subresources"] = Value::from(below);
    }
    entry
}
