//! The types of k8s-openapi as objects, children and look-ups.

use std::marker::PhantomData;

pub use k8s_openapi::{
    self,
    api::{
        apps::v1::{DaemonSet, Deployment, StatefulSet},
        autoscaling::v2::HorizontalPodAutoscaler,
        batch::v1::{CronJob, Job},
        core::v1::{ConfigMap, Namespace, Node, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount},
        networking::v1::{Ingress, NetworkPolicy},
        policy::v1::PodDisruptionBudget,
        rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use serde::Deserialize;

use crate::{Metadata, Resource};

/// Whether objects of a scope lie in namespaces.
pub trait Scope {
    /// They do.
    const NAMESPACED: bool;
}

impl Scope for NamespaceResourceScope {
    const NAMESPACED: bool = true;
}

impl Scope for ClusterResourceScope {
    const NAMESPACED: bool = false;
}

impl<T> Resource for T
where
    T: k8s_openapi::Resource<Scope: Scope> + k8s_openapi::Metadata<Ty = ObjectMeta>,
{
    const API_VERSION: &'static str = <T as k8s_openapi::Resource>::API_VERSION;
    const KIND: &'static str = <T as k8s_openapi::Resource>::KIND;
    const NAMESPACED: bool = <T::Scope as Scope>::NAMESPACED;
    const WRITES_KIND: bool = true;

    fn name(&self) -> &str {
        self.metadata().name.as_deref().unwrap_or_default()
    }

    fn namespace(&self) -> Option<&str> {
        self.metadata().namespace.as_deref()
    }
}

/// As much of a Deployment or a StatefulSet as says whether it runs. A module that
/// reads this is a fifth of one that reads the whole type.
///
/// ```
/// # use trimtab::{k8s::{Deployment, Ready, Rollout}, prelude::*};
/// # fn example(cx: &Cx) -> bool {
/// cx.child::<Rollout<Deployment>>("web").is_some_and(|web| web.ready())
/// # }
/// ```
#[derive(Deserialize)]
#[serde(bound = "")]
pub struct Rollout<K> {
    /// Its identity and generation.
    pub metadata: Metadata,
    #[serde(default)]
    spec: RolloutSpec,
    #[serde(default)]
    status: RolloutStatus,
    #[serde(skip)]
    kind: PhantomData<K>,
}

#[derive(Deserialize, Default)]
struct RolloutSpec {
    replicas: Option<i32>,
}

/// Counts that are 0 are left out of a status.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RolloutStatus {
    observed_generation: i64,
    updated_replicas: i32,
    ready_replicas: i32,
}

impl<K: k8s_openapi::Resource<Scope = NamespaceResourceScope>> Resource for Rollout<K> {
    const API_VERSION: &'static str = K::API_VERSION;
    const KIND: &'static str = K::KIND;
    const NAMESPACED: bool = true;

    fn name(&self) -> &str {
        &self.metadata.name
    }

    fn namespace(&self) -> Option<&str> {
        self.metadata.namespace.as_deref()
    }
}

/// Whether a workload runs as its spec asks.
pub trait Ready {
    /// Its controller has seen the spec, and as many replicas as that asks for
    /// are of the newest template and ready.
    fn ready(&self) -> bool;
}

impl<K> Ready for Rollout<K> {
    fn ready(&self) -> bool {
        let wanted = self.spec.replicas.unwrap_or(1);
        self.status.observed_generation >= self.metadata.generation
            && self.status.updated_replicas == wanted
            && self.status.ready_replicas == wanted
    }
}

impl Ready for Deployment {
    fn ready(&self) -> bool {
        let Some(status) = &self.status else { return false };
        let wanted = self.spec.replicas.unwrap_or(1);
        status.observed_generation >= self.metadata.generation
            && status.updated_replicas.unwrap_or_default() == wanted
            && status.ready_replicas.unwrap_or_default() == wanted
    }
}

impl Ready for StatefulSet {
    fn ready(&self) -> bool {
        let Some(status) = &self.status else { return false };
        let wanted = self.spec.replicas.unwrap_or(1);
        status.observed_generation >= self.metadata.generation
            && status.updated_replicas.unwrap_or_default() == wanted
            && status.ready_replicas.unwrap_or_default() == wanted
    }
}
