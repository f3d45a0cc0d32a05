//! An API as a person with kubectl asks it, and fills it from manifests.

use std::time::{Duration, Instant};

use anyhow::Context;
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::Value;
use trimtab_cluster::Client;

use crate::manifests::Manifest;

/// The field manager of what a person applies.
const MANAGER: &str = "trimtab-cli";
const APPLY: &str = "application/apply-patch+yaml";
const MERGE: &str = "application/merge-patch+json";

/// How long a definition may take until its kind is served: a real server
/// needs a part of a second.
const SERVED: Duration = Duration::from_secs(10);
const SERVED_LOOK: Duration = Duration::from_millis(50);

/// The server refused.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {status}: {}", .answer["message"].as_str().unwrap_or("no message"))]
struct Refused {
    path: String,
    status: StatusCode,
    /// A `Status`, mostly.
    answer: Value,
}

/// How paths name a kind.
pub struct Served {
    /// `deployments`
    pub plural: String,
    /// Whether its objects lie in namespaces.
    pub namespaced: bool,
}

/// Asks an API.
#[derive(Clone)]
pub struct Local {
    client: Client,
}

impl Local {
    /// Asks this one.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// An object by its path; none where there is none.
    pub async fn get(&self, path: &str) -> anyhow::Result<Option<Value>> {
        match self.send(Method::GET, path, "application/json", None).await? {
            Err(refused) if refused.status == StatusCode::NOT_FOUND => Ok(None),
            answer => Ok(answer.map(Some)?),
        }
    }

    /// Applies an object, with force: what the manifest says goes.
    pub async fn apply(&self, path: &str, object: &Value) -> anyhow::Result<Value> {
        let path = format!("{path}?fieldManager={MANAGER}&force=true");
        Ok(self.send(Method::PATCH, &path, APPLY, Some(object)).await??)
    }

    /// Merges a patch into an object.
    pub async fn merge(&self, path: &str, patch: &Value) -> anyhow::Result<Value> {
        Ok(self.send(Method::PATCH, path, MERGE, Some(patch)).await??)
    }

    /// Deletes an object.
    pub async fn delete(&self, path: &str) -> anyhow::Result<()> {
        self.send(Method::DELETE, path, "application/json", None).await??;
        Ok(())
    }

    /// Applies manifests in their order. An error names the file, the line and
    /// the field.
    pub async fn apply_all(&self, manifests: &[Manifest]) -> anyhow::Result<()> {
        for manifest in manifests {
            self.apply_manifest(manifest).await?;
        }
        Ok(())
    }

    /// Applies one manifest; after a definition, its kind is served.
    pub async fn apply_manifest(&self, manifest: &Manifest) -> anyhow::Result<()> {
        let (api_version, kind) = (manifest.text("apiVersion")?, manifest.text("kind")?);
        let name = manifest.text("metadata.name")?;
        let Some(served) = self.resource(api_version, kind).await? else {
            let what = format!("no kind {kind} is served in {api_version}; apply its CustomResourceDefinition");
            return Err(manifest.wrong("kind", what).into());
        };
        let namespace = manifest.object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or("default");
        let path = match served.namespaced {
            true => format!("{}/namespaces/{namespace}/{}/{name}", root(api_version), served.plural),
            false => format!("{}/{}/{name}", root(api_version), served.plural),
        };
        let query = format!("{path}?fieldManager={MANAGER}&force=true&fieldValidation=Strict");
        let mut object = manifest.object.clone();
        if kind == "CustomResourceDefinition" {
            take_what_servers_add(&mut object);
        }
        match self.send(Method::PATCH, &query, APPLY, Some(&object)).await? {
            Ok(_) if kind == "CustomResourceDefinition" => self.await_kind(manifest).await,
            Ok(_) => Ok(()),
            Err(refused) => Err(located(manifest, &refused)),
        }
    }

    /// How the API names a kind; none where it does not serve it.
    pub async fn resource(&self, api_version: &str, kind: &str) -> anyhow::Result<Option<Served>> {
        let Some(resources) = self.get(&root(api_version)).await? else { return Ok(None) };
        let mut resources = resources["resources"].as_array().into_iter().flatten();
        let found = resources.find_map(|resource| {
            let plural = resource["name"].as_str().filter(|name| !name.contains('/'))?;
            let namespaced = resource["namespaced"] == true;
            (resource["kind"] == kind).then(|| Served { plural: plural.to_owned(), namespaced })
        });
        Ok(found)
    }

    async fn await_kind(&self, manifest: &Manifest) -> anyhow::Result<()> {
        let spec = &manifest.object["spec"];
        let (group, kind) = (spec["group"].as_str(), spec["names"]["kind"].as_str());
        let versions = spec["versions"].as_array().into_iter().flatten().filter(|version| version["served"] == true);
        let (Some(group), Some(kind)) = (group, kind) else { return Ok(()) };
        let until = Instant::now() + SERVED;
        for version in versions.filter_map(|version| version["name"].as_str()) {
            while self.resource(&format!("{group}/{version}"), kind).await?.is_none() {
                if Instant::now() > until {
                    let what = format!("{kind} of {group}/{version} is not served {SERVED:?} after it was defined");
                    return Err(manifest.wrong("spec.names.kind", what).into());
                }
                tokio::time::sleep(SERVED_LOOK).await;
            }
        }
        Ok(())
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        content: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Result<Value, Refused>> {
        let body = body.map(serde_json::to_vec).transpose()?.unwrap_or_default();
        let request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, content);
        let request = request.body(body.into()).with_context(|| format!("{path} is no path"))?;
        let response = self.client.send(request).await.context("asking the API")?;
        let status = response.status();
        let body = response.into_body().collect().await.context("reading the API's answer")?.to_bytes();
        let answer = serde_json::from_slice(&body).unwrap_or_default();
        Ok(if status.is_success() { Ok(answer) } else { Err(Refused { path: path.to_owned(), status, answer }) })
    }
}

/// Makes a definition that was read from a cluster one that can be applied.
fn take_what_servers_add(definition: &mut Value) {
    let server_set = ["creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"];
    if let Some(metadata) = definition["metadata"].as_object_mut() {
        metadata.retain(|field, _| !server_set.contains(&field.as_str()));
    }
    if let Some(fields) = definition.as_object_mut() {
        fields.remove("status");
    }
}

/// The path of a group's version.
fn root(api_version: &str) -> String {
    let root = if api_version.contains('/') { "apis" } else { "api" };
    format!("/{root}/{api_version}")
}

/// A refusal with the places in the manifest that it is about: those that the
/// server names as causes, or else the field that its message begins with.
fn located(manifest: &Manifest, refused: &Refused) -> anyhow::Error {
    let message = refused.answer["message"].as_str().unwrap_or("no message");
    let causes = refused.answer["details"]["causes"].as_array().into_iter().flatten();
    let causes = causes.filter_map(|cause| {
        let field = cause["field"].as_str().filter(|field| !field.is_empty() && *field != "<nil>")?;
        let what = cause["message"].as_str().unwrap_or(message);
        Some(manifest.wrong(field.trim_start_matches('.'), what).to_string())
    });
    let mut lines = causes.collect::<Vec<_>>();
    if lines.is_empty() {
        lines.push(manifest.wrong(named_field(message).unwrap_or_default(), message).to_string());
    }
    anyhow::anyhow!(lines.join("\n"))
}

/// The first field that a message names, as apply names them: `.spec.pages[0]: …`.
fn named_field(message: &str) -> Option<&str> {
    let words = message.split_whitespace();
    let mut fields = words.filter_map(|word| word.strip_prefix('.')).map(|word| word.trim_end_matches([':', ',']));
    fields.find(|field| field.starts_with(|c: char| c.is_ascii_alphabetic()))
}

#[cfg(test)]
mod tests {
    use trimtab_apiserver::{ApiServer, Config};
    use trimtab_cluster::connect;

    use super::*;
    use crate::manifests;

    async fn refusal(text: &str) -> String {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let file = folder.path().join("a.yaml");
        std::fs::write(&file, text).expect("the folder is ours");
        let local = Local::new(connect::service(ApiServer::new(Config::default())).client);
        let manifests = manifests::read_all(&[file]).expect("it can be read");
        let error = local.apply_all(&manifests).await.expect_err("it is refused");
        error.to_string().split_once("a.yaml").map(|(_, rest)| format!("a.yaml{rest}")).expect("it names the file")
    }

    #[tokio::test]
    async fn a_refusal_names_the_line_and_the_field() {
        let text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: a }\nspec:\n  replicas: many\n";
        let refused = refusal(text).await;
        assert!(refused.starts_with("a.yaml:5:") && refused.contains("spec.replicas"), "{refused}");
        let refused = refusal("apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\ndatum: { a: b }\n").await;
        assert!(refused.starts_with("a.yaml:") && refused.contains("datum"), "{refused}");
        let refused = refusal("apiVersion: v2\nkind: Config\nmetadata: { name: a }\n").await;
        assert!(refused.starts_with("a.yaml:2:7: kind: no kind Config is served in v2"), "{refused}");
    }

    #[test]
    fn the_field_that_a_message_names_is_found() {
        let message =
            "failed to create typed patch object (/a; v1, Kind=A): .spec.pages[0].x: field not declared in schema";
        assert_eq!(named_field(message), Some("spec.pages[0].x"));
        assert_eq!(named_field("no more. of it"), None);
    }
}
