//! The API server and the Sites on it, as a user makes and edits them.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    pin::pin,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use futures::{TryStreamExt, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    runtime::{WatchStreamExt, watcher},
};
use serde_json::json;
use trimtab_bench::site::{self, Site};
use trimtab_harness::{ControlPlane, Options, eventually};

use crate::audit::{Audit, Follower, Writes};

/// The user's requests at once.
const AT_ONCE: usize = 16;
/// A controller that has written nothing for so long has done its work.
const QUIET: Duration = Duration::from_secs(1);
/// Generous: a round of the slowest controller known takes 13 s.
const SOON: Duration = Duration::from_secs(120);

/// A real control plane with one namespace for the Sites.
pub struct Cluster {
    plane: ControlPlane,
    sites: Api<Site>,
    children: Api<ConfigMap>,
    audit: Audit,
    followers: RefCell<HashMap<String, Follower>>,
}

impl Cluster {
    /// Starts it and adds the kind.
    pub async fn start() -> anyhow::Result<Self> {
        let audit = Audit::new()?;
        let flags = audit.flags();
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let plane = ControlPlane::start_with(Options { apiserver_flags: &flags, ..Options::default() }).await;
        let client = plane.client().await;
        plane.kubectl(&["apply", "-f", &site::crd().display().to_string()]);
        plane.kubectl(&["wait", "--for=condition=Established", "crd/sites.bench.trimtab.dev", "--timeout=60s"]);
        let namespace = plane.namespace().await;
        let sites = Api::namespaced_with(client.clone(), &namespace, &site::resource());
        eventually("Sites can be listed", SOON, async || sites.list(&ListParams::default()).await.ok()).await;
        Ok(Self { sites, children: Api::namespaced(client, &namespace), plane, audit, followers: RefCell::default() })
    }

    /// The kubeconfig of a user who may do everything.
    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        self.plane.kubeconfig_as(user, &["system:masters"])
    }

    /// The process group that ends with the control plane.
    pub fn process_group(&self) -> i32 {
        self.plane.process_group()
    }

    /// Makes the Sites.
    pub async fn create(&self, sites: usize) -> anyhow::Result<()> {
        self.each(sites, async |name| {
            let site = serde_json::from_value(site::created(&name, &site::page(1)))?;
            self.sites.create(&PostParams::default(), &site).await?;
            Ok(())
        })
        .await
    }

    /// Edits all Sites and returns when it began.
    pub async fn edit(&self, sites: usize) -> anyhow::Result<Instant> {
        let began = Instant::now();
        let edit = Patch::Merge(json!({ "spec": { "page": site::page(2) } }));
        self.each(sites, async |name| {
            self.sites.patch(&name, &PatchParams::default(), &edit).await?;
            Ok(())
        })
        .await?;
        Ok(began)
    }

    async fn each(&self, sites: usize, work: impl AsyncFn(String) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let names = stream::iter((0..sites).map(|number| Ok(format!("site-{number:04}"))));
        names.try_for_each_concurrent(AT_ONCE, |name| work(name)).await
    }

    /// Waits until the status of every Site is of its last generation: both
    /// controllers write it last.
    pub async fn settled(&self, sites: usize) -> anyhow::Result<()> {
        let mut settled = BTreeMap::new();
        let mut seen = pin!(watcher(self.sites.clone(), watcher::Config::default()).applied_objects());
        let all = async {
            while settled.values().filter(|&&is| is).count() < sites {
                let site = seen.try_next().await?.context("a watch does not end")?;
                let observed = site.status.as_ref().map(|status| status.observed_generation);
                settled.insert(site.name_any(), observed == site.metadata.generation);
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(SOON, all).await.context("not all Sites have settled in time")?
    }

    /// Looks whether everything is as it should be.
    pub async fn verify(&self, sites: usize) -> anyhow::Result<()> {
        let children = self.children.list(&ListParams::default()).await?.items.into_iter();
        let children: HashMap<_, _> = children.map(|child| (child.name_any(), child.data)).collect();
        let found = self.sites.list(&ListParams::default()).await?.items;
        ensure!(found.len() == sites, "there are {} Sites, not {sites}", found.len());
        for site in found {
            let generation = site.metadata.generation.context("the server counts generations")?;
            for (name, data) in site::files(&site.name_any(), generation, &site.spec.page) {
                ensure!(children.get(&name) == Some(&Some(data)), "the ConfigMap {name} is not what it should be");
            }
        }
        Ok(())
    }

    /// The resource version of each Site and child.
    pub async fn versions(&self) -> anyhow::Result<BTreeMap<String, Option<String>>> {
        let sites = self.sites.list(&ListParams::default()).await?.items.into_iter().map(|site| site.metadata);
        let children = self.children.list(&ListParams::default()).await?.items.into_iter().map(|child| child.metadata);
        Ok(sites.chain(children).filter_map(|meta| Some((meta.uid?, meta.resource_version))).collect())
    }

    /// What a user has asked to write since the last look.
    pub fn writes_of(&self, user: &str) -> anyhow::Result<Writes> {
        let mut followers = self.followers.borrow_mut();
        followers.entry(user.to_owned()).or_insert_with(|| self.audit.follow(user)).writes()
    }

    /// The same, once the user writes nothing of the workload any more.
    pub async fn writes_until_quiet(&self, user: &str) -> anyhow::Result<Writes> {
        let mut writes = self.writes_of(user)?;
        loop {
            tokio::time::sleep(QUIET).await;
            let more = self.writes_of(user)?;
            writes = writes.and(more);
            if more.workload == 0 {
                return Ok(writes);
            }
        }
    }

    /// Deletes all Sites and their children.
    pub async fn empty(&self) -> anyhow::Result<()> {
        let (all, now) = (ListParams::default(), DeleteParams::background());
        self.sites.delete_collection(&now, &all).await?;
        self.children.delete_collection(&now, &all).await?;
        eventually("all are gone", SOON, async || {
            let (sites, children) =
                (self.sites.list_metadata(&all).await.ok()?, self.children.list_metadata(&all).await.ok()?);
            (sites.items.is_empty() && children.items.is_empty()).then_some(())
        })
        .await;
        Ok(())
    }
}
