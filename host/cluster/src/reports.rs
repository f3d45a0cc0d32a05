//! What the host reports of its plugins as objects of the kind `Plugin`, for
//! kubectl. As a Lease and an Event they are the host's own and no answer of a
//! plugin; they are written under the same check of the Lease.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use http::Method;
use kube::Client;
use serde_json::{Value, json};
use trimtab_core::{
    env::Env,
    hash::Hash,
    id::{GroupKind, InstanceId, SlotId},
};

use crate::{
    gate::Lock,
    lease::Sightings,
    request::{self, RequestError},
};

const API_VERSION: &str = "trimtab.dev/v1alpha1";
const KIND: &str = "Plugin";
/// On a report, as a label: whose it is, since several installations may share a
/// namespace.
const INSTALLATION: &str = "trimtab.dev/installation";
const MANAGER: &str = "trimtab";
/// For one request: as for all that the gate writes.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The reports of one installation.
pub struct Reports {
    client: Client,
    lock: Arc<dyn Lock>,
    env: Arc<dyn Env>,
    installation: String,
    leases: Sightings,
    /// The path of all reports in the namespace.
    collection: String,
}

/// Why the reports could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failed(#[from] RequestError);

impl Failed {
    /// Whether the server said no to the one request: others may fare better.
    pub fn is_refusal(&self) -> bool {
        self.0.code().is_some()
    }
}

/// What is reported, by the names of the objects.
pub type ByName = BTreeMap<String, Value>;

impl Reports {
    /// Of the reports that lie beside the Leases.
    pub fn new(client: Client, lock: Arc<dyn Lock>, env: Arc<dyn Env>, namespace: &str, installation: &str) -> Self {
        let collection = format!("/apis/{API_VERSION}/namespaces/{}/plugins", request::encoded(namespace));
        let leases = Sightings::new(client.clone(), env.clone(), namespace, installation);
        Self { client, lock, env, installation: installation.into(), leases, collection }
    }

    /// The kind of the reports, which need not be defined.
    pub fn kind() -> GroupKind {
        GroupKind::new(API_VERSION, KIND)
    }

    /// The name of a slot's report: `site.trimtab`. Where an instance or what follows
    /// an `@` would be a part of it, a hash stands for that, as it may be anything.
    pub fn name(&self, slot: &SlotId) -> String {
        let (lineage, installation) = (slot.stem.lineage(), &self.installation);
        if slot.instance.is_default() && slot.stem.as_str() == lineage.as_str() {
            return format!("{lineage}.{installation}");
        }
        let hash = Hash::of([slot.to_string().as_bytes()]).to_string();
        format!("{lineage}.{}.{installation}", &hash[..8])
    }

    /// All that are there.
    pub async fn all(&self) -> Result<ByName, Failed> {
        let selector = request::encoded(&format!("{INSTALLATION}={}", self.installation));
        let get = request::get(&format!("{}?labelSelector={selector}", self.collection));
        let answer = request::send(&self.client, get, TIMEOUT).await?;
        let mut list = serde_json::from_slice::<Value>(&answer).unwrap_or_default();
        let items = list["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
        let named = |mut item: Value| Some((item["metadata"]["name"].as_str()?.to_owned(), item["status"].take()));
        Ok(items.into_iter().filter_map(named).collect())
    }

    /// Whether some host leads an instance: its reports are that one's.
    pub async fn is_led(&self, instance: &InstanceId) -> Result<bool, Failed> {
        Ok(self.leases.is_led(instance).await?)
    }

    /// Writes the report of a slot, unless somebody else leads its instance by now.
    pub async fn put(&self, slot: &SlotId, status: &Value) -> Result<(), Failed> {
        if !self.lock.holds(&slot.instance, self.env.elapsed()) {
            return Ok(());
        }
        let name = self.name(slot);
        let body = json!({
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": { "name": name, "labels": { INSTALLATION: self.installation } },
            "status": status,
        });
        let path = format!("{}/{}?fieldManager={MANAGER}&force=true", self.collection, request::encoded(&name));
        let apply = request::build(Method::PATCH, &path, "application/apply-patch+yaml", &body);
        request::send(&self.client, apply, TIMEOUT).await?;
        Ok(())
    }

    /// Deletes a report, if it is there.
    pub async fn remove(&self, name: &str) -> Result<(), Failed> {
        let path = format!("{}/{}", self.collection, request::encoded(name));
        let delete = request::build(Method::DELETE, &path, "application/json", &json!({}));
        match request::send(&self.client, delete, TIMEOUT).await {
            Err(error) if error.code() != Some(404) => Err(error.into()),
            _ => Ok(()),
        }
    }
}
