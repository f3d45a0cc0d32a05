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
    id::{GroupKind, InstanceId, Lineage},
};

use super::{name, object::Lease, path};
use crate::request::{self, RequestError};

/// How long one look may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// In place of a resource version, where there is no Lease.
const NO_LEASE: u64 = 0;

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

    /// Whether a host leads the instance and has a plugin for the kind. The error is
    /// that it cannot be told.
    pub async fn is_served(&self, instance: &InstanceId, kind: &GroupKind) -> Result<bool, RequestError> {
        Ok(self.incumbent(instance, kind).await?.is_some())
    }

    /// Whose plugin has the kind at the host that leads the instance, if there is one.
    pub async fn incumbent(&self, instance: &InstanceId, kind: &GroupKind) -> Result<Option<Lineage>, RequestError> {
        Ok(self.live(instance).await?.and_then(|lease| lease.incumbents().remove(kind)))
    }

    /// Whether a host leads the instance, judged in the same way.
    pub async fn is_led(&self, instance: &InstanceId) -> Result<bool, RequestError> {
        Ok(self.live(instance).await?.is_some())
    }

    /// Whether a host may be serving the instance with a file of the lineage: one whose
    /// Lease was deleted leads on until it has not been able to renew it. The error is
    /// that it cannot be told.
    pub async fn may_be_served(&self, instance: &InstanceId, lineage: &Lineage) -> Result<bool, RequestError> {
        Ok(match self.lease(instance).await? {
            Some(lease) => self.is_live(instance, &lease) && lease.may_have(lineage),
            None => self.is_new(instance, NO_LEASE),
        })
    }

    /// The instance's Lease, if somebody holds it.
    async fn live(&self, instance: &InstanceId) -> Result<Option<Lease>, RequestError> {
        Ok(self.lease(instance).await?.filter(|lease| self.is_live(instance, lease)))
    }

    async fn lease(&self, instance: &InstanceId) -> Result<Option<Lease>, RequestError> {
        let get = request::get(&path(&self.namespace, &name(&self.installation, instance)));
        match request::send(&self.client, get, TIMEOUT).await {
            Ok(answer) => Ok(Lease::parse(&answer)),
            Err(RequestError::Api(error)) if error.code == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// As electors do, this takes a Lease that somebody holds for live until it has seen
    /// it unchanged for as long as it holds.
    fn is_live(&self, instance: &InstanceId, lease: &Lease) -> bool {
        let record = lease.record();
        !record.holder.is_empty() && self.is_new(instance, record.resource_version)
    }

    /// Whether this state was first seen less than a Lease's length ago.
    fn is_new(&self, instance: &InstanceId, resource_version: u64) -> bool {
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
