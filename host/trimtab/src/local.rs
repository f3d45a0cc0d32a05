//! An API in memory inside this process: asked as a client would ask it, and
//! filled from manifests.

use std::path::Path;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tower::ServiceExt;
use trimtab_apiserver::ApiServer;

/// The field manager of what a person applies.
const MANAGER: &str = "trimtab-cli";
const APPLY: &str = "application/apply-patch+yaml";
const MERGE: &str = "application/merge-patch+json";

/// Asks an API in memory.
#[derive(Clone)]
pub struct Local {
    api: ApiServer,
}

impl Local {
    /// Asks this one.
    pub fn new(api: ApiServer) -> Self {
        Self { api }
    }

    /// An object by its path; none where there is none.
    pub async fn get(&self, path: &str) -> anyhow::Result<Option<Value>> {
        match self.send(Method::GET, path, "application/json", None).await? {
            (StatusCode::NOT_FOUND, _) => Ok(None),
            (status, body) => ok(status, body, path).map(Some),
        }
    }

    /// Applies an object, with force: what the manifest says goes.
    pub async fn apply(&self, path: &str, object: &Value) -> anyhow::Result<Value> {
        let path = format!("{path}?fieldManager={MANAGER}&force=true");
        let (status, body) = self.send(Method::PATCH, &path, APPLY, Some(object)).await?;
        ok(status, body, &path)
    }

    /// Merges a patch into an object.
    pub async fn merge(&self, path: &str, patch: &Value) -> anyhow::Result<Value> {
        let (status, body) = self.send(Method::PATCH, path, MERGE, Some(patch)).await?;
        ok(status, body, path)
    }

    /// Deletes an object.
    pub async fn delete(&self, path: &str) -> anyhow::Result<()> {
        let (status, body) = self.send(Method::DELETE, path, "application/json", None).await?;
        ok(status, body, path).map(drop)
    }

    /// Applies all objects of a YAML or JSON file, in its order.
    pub async fn apply_file(&self, file: &Path) -> anyhow::Result<usize> {
        let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        let objects: Vec<Value> =
            serde_saphyr::from_multiple(&text).with_context(|| format!("{} is no YAML", file.display()))?;
        for object in &objects {
            let path = self.path(object).await.with_context(|| file.display().to_string())?;
            self.apply(&path, object).await.with_context(|| file.display().to_string())?;
        }
        Ok(objects.len())
    }

    /// The path of an object, by what the API says of its kind.
    async fn path(&self, object: &Value) -> anyhow::Result<String> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let (Some(api_version), Some(kind), Some(name)) = (text("/apiVersion"), text("/kind"), text("/metadata/name"))
        else {
            bail!("an object lacks apiVersion, kind or metadata.name");
        };
        let root = if api_version.contains('/') { "apis" } else { "api" };
        let group = format!("/{root}/{api_version}");
        let resources = self.get(&group).await?.with_context(|| format!("no API {api_version} is served"))?;
        let mut resources = resources["resources"].as_array().into_iter().flatten();
        let resource = resources.find(|resource| {
            resource["kind"] == kind && resource["name"].as_str().is_some_and(|name| !name.contains('/'))
        });
        let resource = resource.with_context(|| format!("no kind {kind} is served in {api_version}"))?;
        let plural = resource["name"].as_str().unwrap_or_default();
        Ok(if resource["namespaced"] == true {
            format!("{group}/namespaces/{}/{plural}/{name}", text("/metadata/namespace").unwrap_or("default"))
        } else {
            format!("{group}/{plural}/{name}")
        })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        content: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<(StatusCode, Value)> {
        let body = body.map(serde_json::to_vec).transpose()?.unwrap_or_default();
        let request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, content);
        let request = request.body(Full::<Bytes>::from(body)).context("making a request")?;
        let response = self.api.clone().oneshot(request).await.context("asking the API in memory")?;
        let status = response.status();
        let body = response.into_body().collect().await.context("reading the answer")?.to_bytes();
        Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
    }
}

fn ok(status: StatusCode, body: Value, path: &str) -> anyhow::Result<Value> {
    if status.is_success() {
        return Ok(body);
    }
    bail!("{path}: {status}: {}", body["message"].as_str().unwrap_or("no message"))
}
