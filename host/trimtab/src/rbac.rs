//! `trimtab rbac DIR`: the least rights that a host needs to serve the plugins
//! of a folder, as manifests.

mod manifest;
mod rights;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail};
use tokio_util::sync::CancellationToken;
use trimtab_apiserver::{ApiServer, Config};
use trimtab_cluster::connect;
use trimtab_core::{
    description::Description,
    grants::Grants,
    id::{GroupKind, InstanceId, Lineage, join_api_version},
    policy::Policy,
};
use trimtab_engine::folder::{self, Folder};
use trimtab_wasm::Wasm;

use self::{
    manifest::Manifests,
    rights::{Plugin, Resource, Rights},
};
use crate::{
    check::describe,
    cli::RbacArgs,
    local::Local,
    manifests, plural,
    wiring::{self, Runtimes},
};

/// Prints the manifests; an error names the plugin that cannot be served.
pub fn main(args: RbacArgs) -> anyhow::Result<()> {
    let (namespace, account) = args
        .service_account
        .split_once('/')
        .with_context(|| format!("--service-account {}: NAMESPACE/NAME is wanted", args.service_account))?;
    for name in [namespace, account].into_iter().chain(args.namespaces.iter().map(String::as_str)) {
        // Namespaces follow the same rule as lineages: a DNS label.
        Lineage::new(name).map_err(|error| anyhow::anyhow!("{name:?} is no name to give rights to: {}", error.rule))?;
    }
    let runtimes = Runtimes::start()?;
    let wasm = runtimes.wasm(args.cache.as_deref(), 1)?;
    let plugins = runtimes.host.block_on(async {
        let kinds = Kinds::new(&args.apply).await?;
        let instances: Option<BTreeSet<_>> = wiring::instances(args.instances.as_deref())?;
        let folder = read_folder(&args.plugins).await;
        plugins(&folder, instances.as_ref(), &wasm, &kinds).await
    })?;
    let rights = Rights::of(&plugins, &args.namespaces)?;
    let manifests = Manifests {
        namespace,
        account,
        lease_namespace: args.lease_namespace.as_deref().unwrap_or(namespace),
        leases: rights.leases(&args.installation),
        rights: &rights,
    };
    print!("{manifests}");
    Ok(())
}

/// The folder as a host reads it.
async fn read_folder(path: &Path) -> Arc<Folder> {
    let (mut contents, follower) = folder::follow(path);
    let stop = CancellationToken::new();
    let following = tokio::spawn(follower.run(stop.clone()));
    // It fails only where the follower is gone, which then has said why.
    let folder = contents.wait_for(|folder| folder.read).await.map(|folder| folder.clone()).unwrap_or_default();
    stop.cancel();
    // It was told to end.
    let _ = following.await;
    folder
}

async fn plugins(
    folder: &Folder,
    instances: Option<&BTreeSet<InstanceId>>,
    wasm: &Arc<Wasm>,
    kinds: &Kinds,
) -> anyhow::Result<Vec<Plugin>> {
    let mut plugins = Vec::new();
    let wanted = |instance| instances.is_none_or(|instances| instances.contains(instance));
    for (slot, source) in folder.slots.iter().filter(|(slot, _)| wanted(&slot.instance)) {
        let file = source.module.display().to_string();
        let bytes = source.read().with_context(|| file.clone())?;
        let policy =
            source.policy.as_deref().map(Policy::parse).transpose().with_context(|| format!("{file}: its policy"))?;
        let policy = policy.unwrap_or_default();
        let (description, _) = describe(wasm, &file, bytes, &policy).await?;
        let grants = Grants::new(&description, &policy);
        grants.may_reconcile().with_context(|| file.clone())?;
        let resources = kinds.of(&description).await.with_context(|| file.clone())?;
        let (instance, lineage) = (slot.instance.clone(), slot.stem.lineage());
        plugins.push(Plugin { instance, lineage, description, grants, resources });
    }
    if plugins.is_empty() {
        bail!("there is no plugin to serve: put .wasm files into the folder, or look at --instances");
    }
    Ok(plugins)
}

/// Which resource a kind is. There is no cluster to ask: the built-in kinds are
/// known, those of the manifests that are given too, and others go by the rule
/// that most follow.
struct Kinds {
    api: Local,
}

impl Kinds {
    async fn new(definitions: &[PathBuf]) -> anyhow::Result<Self> {
        let api = Local::new(connect::service(ApiServer::new(Config::default())).client);
        for manifest in manifests::read_all(definitions)? {
            if manifest.object["kind"] == "CustomResourceDefinition" {
                api.apply_manifest(&manifest).await?;
            }
        }
        Ok(Self { api })
    }

    /// The resources of all kinds that a description names.
    async fn of(&self, description: &Description) -> anyhow::Result<Vec<Resource>> {
        let object = (&description.object.kind, &description.object.version);
        let children = description.children.iter().map(|child| (&child.kind, &child.version));
        let reads = description.reads.iter().map(|read| (&read.kind, &read.version));
        let mut resources = Vec::new();
        for (kind, version) in std::iter::once(object).chain(children).chain(reads) {
            resources.push(self.resource(kind, version).await?);
        }
        Ok(resources)
    }

    async fn resource(&self, kind: &GroupKind, version: &str) -> anyhow::Result<Resource> {
        let api_version = join_api_version(&kind.group, version);
        let found = self.api.resource(&api_version, &kind.kind).await?;
        Ok(match found {
            Some(found) => {
                Resource { kind: kind.clone(), plural: found.plural, namespaced: found.namespaced, guessed: false }
            }
            None => Resource { kind: kind.clone(), plural: plural::of(&kind.kind), namespaced: true, guessed: true },
        })
    }
}
