//! A world's API in the words of a scenario: objects by their references, and
//! what a person does to them.

use serde_json::{Value, json};
use trimtab_core::marks;

use super::{Manifest, Outcome, Reference, normal, reference::DEFAULT_NAMESPACE, report};
use crate::{
    api::{Api, Refused},
    located::nearest,
    workloads,
};

/// The field manager of what a scenario applies.
const MANAGER: &str = "scenario";
/// What is never compared and never counted: who leads since when, and how
/// often something was told.
const LEASES: &str = "/apis/coordination.k8s.io/v1/leases";
const EVENTS: &str = "/apis/events.k8s.io/v1/events";
const CORE_EVENTS: &str = "/api/v1/events";

/// Why something cannot be done to an object.
#[derive(Debug, thiserror::Error)]
pub enum Undone {
    /// Its kind is not served.
    #[error("{of}: no kind {kind} is served{}", .near.as_ref().map_or(String::new(), |near| format!("; is {near} meant?")))]
    NoKind {
        /// What was named.
        of: String,
        /// Its kind.
        kind: String,
        /// A kind of nearly that name.
        near: Option<String>,
    },
    /// There is no such object.
    #[error("{0} is not there")]
    Missing(Reference),
    /// The API has refused it.
    #[error("{of}: {refused}")]
    Refused {
        /// To what it was to be done.
        of: String,
        /// The API's answer.
        refused: Refused,
    },
}

/// A kind, as the API serves it.
#[derive(Debug, Clone)]
struct Kind {
    group: String,
    api_version: String,
    kind: String,
    plural: String,
    namespaced: bool,
    preferred: bool,
}

/// The API of a world. It learns the kinds that are served when it needs them.
pub struct Cluster {
    api: Api,
    kinds: Vec<Kind>,
}

impl Cluster {
    /// Of this API.
    pub fn new(api: Api) -> Self {
        Self { api, kinds: Vec::new() }
    }

    /// The object, if it is there.
    pub async fn find(&mut self, of: &Reference) -> Result<Option<Value>, Undone> {
        let path = self.path(of).await?;
        match self.api.get(&path).await {
            Err(refused) if refused.status() == 404 => Ok(None),
            answer => answer.map(Some).map_err(|refused| refused_for(of, refused)),
        }
    }

    /// The names of the objects of the same kind and namespace.
    pub async fn neighbours(&mut self, of: &Reference) -> Result<Vec<String>, Undone> {
        let path = self.path(of).await?;
        let collection = path.rsplit_once('/').map_or(&*path, |(collection, _)| collection);
        let list = self.api.get(collection).await.map_err(|refused| refused_for(of, refused))?;
        let names = list["items"].as_array().into_iter().flatten();
        Ok(names.filter_map(|object| object["metadata"]["name"].as_str().map(str::to_owned)).collect())
    }

    /// Applies an object, with force: what the manifest says goes.
    pub async fn apply(&mut self, manifest: &Manifest) -> Result<(), Undone> {
        let text = |pointer: &str| manifest.object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (api_version, kind) = (text("/apiVersion"), text("/kind"));
        let fits = |known: &Kind| known.api_version == api_version && known.kind == kind;
        let found = self.kind(&manifest.title(), &format!("{kind} of {api_version}"), kind, fits).await?;
        let namespace = manifest.object.pointer("/metadata/namespace").and_then(Value::as_str);
        let path = found.path(namespace, text("/metadata/name"));
        let query = format!("{path}?fieldManager={MANAGER}&force=true&fieldValidation=Strict");
        let applied = self.api.apply(&query, &manifest.object).await;
        applied.map(drop).map_err(|refused| Undone::Refused { of: manifest.title(), refused })
    }

    /// Merges a patch into an object; its status into the status subresource.
    pub async fn merge(&mut self, of: &Reference, patch: &Value) -> Result<(), Undone> {
        let path = self.path(of).await?;
        let mut rest = patch.clone();
        let status = rest.as_object_mut().and_then(|rest| rest.remove("status"));
        if rest.as_object().is_some_and(|rest| !rest.is_empty()) {
            self.send(of, &path, &rest).await?;
        }
        match status {
            Some(status) => self.send(of, &format!("{path}/status"), &json!({ "status": status })).await,
            None => Ok(()),
        }
    }

    /// Sets or removes labels or annotations, which `field` says.
    pub async fn mark(&mut self, of: &Reference, field: &str, marks: &Value) -> Result<(), Undone> {
        self.merge(of, &json!({ "metadata": { field: marks } })).await
    }

    /// Reports an object as ready or failed, as its own controller would.
    pub async fn report(&mut self, of: &Reference, outcome: Outcome, now: &str) -> Result<(), Undone> {
        let object = self.find(of).await?.ok_or_else(|| Undone::Missing(of.clone()))?;
        let path = format!("{}/status", self.path(of).await?);
        self.send(of, &path, &json!({ "status": report::status(&object, outcome, now) })).await
    }

    async fn send(&mut self, of: &Reference, path: &str, patch: &Value) -> Result<(), Undone> {
        self.api.merge(path, patch).await.map(drop).map_err(|refused| refused_for(of, refused))
    }

    /// Deletes an object.
    pub async fn delete(&mut self, of: &Reference) -> Result<(), Undone> {
        let path = self.path(of).await?;
        self.api.delete(&path).await.map(drop).map_err(|refused| refused_for(of, refused))
    }

    /// The Events of an object, the oldest first, or of all.
    pub async fn events(&self, of: Option<&Reference>) -> Result<Vec<Value>, Refused> {
        let list = self.api.get(EVENTS).await?;
        let regards = |event: &Value| {
            let regarding = &event["regarding"];
            let namespace = |of: &Reference| of.namespace.clone().unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
            of.is_none_or(|of| {
                regarding["kind"] == of.kind
                    && regarding["name"] == of.name
                    && regarding["namespace"].as_str().is_none_or(|found| found == namespace(of))
            })
        };
        let mut events = list["items"].as_array().cloned().unwrap_or_default();
        events.retain(regards);
        let when = |event: &Value| event["eventTime"].as_str().unwrap_or_default().to_owned();
        events.sort_by_key(when);
        Ok(events)
    }

    /// All objects but Leases, Events and what workloads have made, whose names
    /// are drawn: as ends are compared, each with whether a plugin has made it.
    pub async fn everything(&self) -> Result<Vec<(Value, bool)>, Refused> {
        let all = self.api.everything().await?.into_iter();
        let compared = all.filter(|(path, _)| ![LEASES, EVENTS, CORE_EVENTS].contains(&&**path));
        let compared = compared.filter(|(_, object)| !workloads::is_made(object));
        let kinds = kinds(&self.api).await?;
        // The items of a list do not say what they are.
        let named = |(path, mut object): (String, Value)| {
            if let Some(kind) = kinds.iter().find(|kind| kind.collection() == path) {
                object["kind"] = json!(kind.kind);
                object["apiVersion"] = json!(kind.api_version);
            }
            object
        };
        let objects = compared.map(named).collect::<Vec<_>>();
        let is_child = |object: &Value| object["metadata"]["labels"].get(marks::PLUGIN_LABEL).is_some();
        let children = objects.iter().map(is_child).collect::<Vec<_>>();
        let objects = normal::without_uids(objects).into_iter().map(normal::normal);
        Ok(objects.zip(children).collect())
    }

    async fn path(&mut self, of: &Reference) -> Result<String, Undone> {
        let fits = |known: &Kind| {
            known.kind == of.kind && of.group.as_ref().map_or(known.preferred, |group| *group == known.group)
        };
        let kind = self.kind(&of.to_string(), &of.kind, &of.kind, fits).await?;
        Ok(kind.path(of.namespace.as_deref(), &of.name))
    }

    /// A kind that fits; what is served is asked for where it is not known yet.
    async fn kind(&mut self, of: &str, shown: &str, kind: &str, fits: impl Fn(&Kind) -> bool) -> Result<Kind, Undone> {
        if let Some(known) = self.kinds.iter().find(|known| fits(known)) {
            return Ok(known.clone());
        }
        self.kinds = kinds(&self.api).await.map_err(|refused| Undone::Refused { of: of.to_owned(), refused })?;
        if let Some(found) = self.kinds.iter().find(|known| fits(known)) {
            return Ok(found.clone());
        }
        let names = self.kinds.iter().map(|known| &*known.kind).collect::<Vec<_>>();
        let near = nearest(kind, &names).filter(|near| *near != kind).map(str::to_owned);
        Err(Undone::NoKind { of: of.to_owned(), kind: shown.to_owned(), near })
    }
}

impl Kind {
    /// Where all objects of the kind are listed.
    fn collection(&self) -> String {
        let root = if self.group.is_empty() { "/api" } else { "/apis" };
        format!("{root}/{}/{}", self.api_version, self.plural)
    }

    fn path(&self, namespace: Option<&str>, name: &str) -> String {
        let root = if self.group.is_empty() { "/api" } else { "/apis" };
        let Self { api_version, plural, .. } = self;
        if self.namespaced {
            let namespace = namespace.unwrap_or(DEFAULT_NAMESPACE);
            format!("{root}/{api_version}/namespaces/{namespace}/{plural}/{name}")
        } else {
            format!("{root}/{api_version}/{plural}/{name}")
        }
    }
}

fn refused_for(of: &Reference, refused: Refused) -> Undone {
    if refused.status() == 404 { Undone::Missing(of.clone()) } else { Undone::Refused { of: of.to_string(), refused } }
}

/// All kinds in all versions. A kind that several groups have is that of the
/// first, which is how kubectl takes it; the built-in ones come first.
async fn kinds(api: &Api) -> Result<Vec<Kind>, Refused> {
    let mut versions = vec![("/api/v1".to_owned(), true)];
    let groups = api.get("/apis").await?;
    for group in groups["groups"].as_array().into_iter().flatten() {
        let preferred = &group["preferredVersion"]["groupVersion"];
        for version in group["versions"].as_array().into_iter().flatten() {
            let api_version = &version["groupVersion"];
            if let Some(text) = api_version.as_str() {
                versions.push((format!("/apis/{text}"), api_version == preferred));
            }
        }
    }
    let mut kinds = Vec::new();
    for (path, preferred) in versions {
        let list = api.get(&path).await?;
        let api_version = list["groupVersion"].as_str().unwrap_or_default().to_owned();
        let group = api_version.split_once('/').map_or("", |(group, _)| group).to_owned();
        for resource in list["resources"].as_array().into_iter().flatten() {
            let (Some(plural), Some(kind)) = (resource["name"].as_str(), resource["kind"].as_str()) else { continue };
            if !plural.contains('/') {
                kinds.push(Kind {
                    group: group.clone(),
                    api_version: api_version.clone(),
                    kind: kind.to_owned(),
                    plural: plural.to_owned(),
                    namespaced: resource["namespaced"] == true,
                    preferred,
                });
            }
        }
    }
    Ok(kinds)
}
