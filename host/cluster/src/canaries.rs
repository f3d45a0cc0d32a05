//! What the host writes to objects of the kind `Canary`: their status, and the finalizer
//! that holds them until all is as it was. As the reports they are the host's own, and
//! written under the same check of the Lease; each write is fenced by what was seen.

use std::{sync::Arc, time::Duration};

use http::Method;
use kube::Client;
use serde_json::{Value, json};
use trimtab_core::{
    canary::FINALIZER,
    env::Env,
    id::{GroupKind, InstanceId},
    object::Object,
};

use crate::{
    gate::Lock,
    request::{self, RequestError},
    spec::WatchSpec,
};

const GROUP: &str = "trimtab.dev";
const VERSION: &str = "v1alpha1";
const KIND: &str = "Canary";
const PLURAL: &str = "canaries";
const MANAGER: &str = "trimtab";
/// For one request: as for all that the gate writes.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The canaries of one namespace.
pub struct Canaries {
    client: Client,
    lock: Arc<dyn Lock>,
    env: Arc<dyn Env>,
}

/// Why a canary could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// This process does not lead the instance whose objects are moved.
    #[error("this process does not lead the instance {0:?}")]
    NotLeading(InstanceId),
    /// The server refused, or cannot be reached.
    #[error("{0}")]
    Request(#[from] RequestError),
}

impl Canaries {
    /// Those that lie beside the Leases.
    pub fn new(client: Client, lock: Arc<dyn Lock>, env: Arc<dyn Env>) -> Self {
        Self { client, lock, env }
    }

    /// Their kind, which need not be defined.
    pub fn kind() -> GroupKind {
        GroupKind { group: GROUP.into(), kind: KIND.into() }
    }

    /// What shows those in a namespace.
    pub fn watch(namespace: &str) -> WatchSpec {
        let namespace = Some(namespace.into());
        WatchSpec { kind: Self::kind(), version: VERSION.into(), namespace, labels: None, name: None }
    }

    /// Writes the status of a canary, for who leads an instance; what it is then.
    pub async fn put_status(
        &self,
        leader: &InstanceId,
        canary: &Object,
        status: &Value,
    ) -> Result<Option<Object>, Failed> {
        self.patch(leader, canary, "/status", &json!({}), &json!({ "status": status })).await
    }

    /// Sets the finalizer of a canary, or takes it off.
    pub async fn hold(&self, leader: &InstanceId, canary: &Object, held: bool) -> Result<Option<Object>, Failed> {
        let mut finalizers = canary.meta.finalizers.iter().map(|it| &**it).collect::<Vec<_>>();
        finalizers.retain(|it| *it != FINALIZER);
        finalizers.extend(held.then_some(FINALIZER));
        self.patch(leader, canary, "", &json!({ "finalizers": finalizers }), &json!({})).await
    }

    async fn patch(
        &self,
        leader: &InstanceId,
        canary: &Object,
        part: &str,
        metadata: &Value,
        rest: &Value,
    ) -> Result<Option<Object>, Failed> {
        if !self.lock.holds(leader, self.env.elapsed()) {
            return Err(Failed::NotLeading(leader.clone()));
        }
        let (meta, mut body) = (&canary.meta, rest.clone());
        body["metadata"] = metadata.clone();
        body["metadata"]["uid"] = meta.uid.as_str().into();
        body["metadata"]["resourceVersion"] = meta.resource_version.to_string().into();
        let (namespace, name) = (request::encoded(&meta.place.namespace), request::encoded(&meta.place.name));
        let path = format!("/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{PLURAL}/{name}{part}");
        let path = format!("{path}?fieldManager={MANAGER}");
        let patch = request::build(Method::PATCH, &path, "application/merge-patch+json", &body);
        let answer = request::send(&self.client, patch, TIMEOUT).await?;
        let text = String::from_utf8_lossy(&answer);
        // What cannot be read is shown by the watch.
        Ok(Object::parse(&text, &format!("{GROUP}/{VERSION}"), KIND).ok())
    }
}
