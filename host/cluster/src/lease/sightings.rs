//! Which instances somebody serves, as one can tell who only reads their Leases.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use kube::Client;
use trimtab_core::{
    election::Timings,
    env::Env,
    id::{GroupKind, InstanceId},
};

use super::{name, object::Lease, path};
use crate::request::{self, RequestError};

/// How long one look may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The Leases of an installation, as they were seen.
pub struct Sightings {
    client: Client,
    env: Arc<dyn Env>,
    namespace: String,
    installation: String,
    seen: Mutex<BTreeMap<InstanceId, Sighting>>,
}

/// A state of a Lease, and since when it has been the same.
#[derive(Clone, Copy)]
struct Sighting {
    resource_version: u64,
    since: Duration,
}

impl Sightings {
    /// Of the Leases that lie in a namespace.
    pub fn new(client: Client, env: Arc<dyn Env>, namespace: &str, installation: &str) -> Self {
        Self { client, env, namespace: namespace.into(), installation: installation.into(), seen: Mutex::default() }
    }

    /// Whether a host leads the instance and has a plugin for the kind. As electors
    /// do, this takes a Lease for live until it has seen it unchanged for as long as
    /// it holds. The error is that it cannot be told.
    pub async fn is_served(&self, instance: &InstanceId, kind: &GroupKind) -> Result<bool, RequestError> {
        Ok(self.live(instance).await?.is_some_and(|lease| lease.incumbents().contains_key(kind)))
    }

    /// Whether a host leads the instance, judged in the same way.
    pub async fn is_led(&self, instance: &InstanceId) -> Result<bool, RequestError> {
        Ok(self.live(instance).await?.is_some())
    }

    /// The instance's Lease, if somebody holds it.
    async fn live(&self, instance: &InstanceId) -> Result<Option<Lease>, RequestError> {
        let get = request::get(&path(&self.namespace, &name(&self.installation, instance)));
        let lease = match request::send(&self.client, get, TIMEOUT).await {
            Ok(answer) => Lease::parse(&answer),
            Err(RequestError::Api(error)) if error.code == 404 => None,
            Err(error) => return Err(error),
        };
        Ok(lease.filter(|lease| {
            let record = lease.record();
            !record.holder.is_empty() && self.is_renewed(instance, record.resource_version)
        }))
    }

    fn is_renewed(&self, instance: &InstanceId, resource_version: u64) -> bool {
        let now = self.env.elapsed();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let new = Sighting { resource_version, since: now };
        let last = seen.entry(instance.clone()).or_insert(new);
        if last.resource_version != resource_version {
            *last = new;
        }
        now.saturating_sub(last.since) < Timings::default().lease
    }

    /// Forgets those that are not asked for any more.
    pub fn keep(&self, instances: impl Fn(&InstanceId) -> bool) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).retain(|instance, _| instances(instance));
    }
}
