//! `trimtab rbac DIR`: the least rights that a host needs to serve the plugins
//! of a folder, as manifests.

mod manifest;
mod rights;

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail};
use tokio_util::sync::CancellationToken;
use trimtab_apiserver::{ApiServer, Config};
use trimtab_cluster::connect;
use trimtab_core::{
    account::Account,
    description::Description,
    grants::Grants,
    id::{GroupKind, InstanceId, Lineage, join_api_version, split_api_version},
    policy::Policy,
    rollout,
};
use trimtab_engine::folder::{self, Folder};
use trimtab_wasm::Wasm;

use self::{
    manifest::Manifests,
    rights::{Named, Plugin, Resource, Rights},
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
    let account = Account::parse(&args.service_account)
        .with_context(|| format!("--service-account {}: NAMESPACE/NAME is wanted", args.service_account))?;
    // A Lease is named after its installation, and may have dots in its name.
    let names = args.lease_namespace.as_deref().into_iter().chain(args.installation.split('.'));
    for name in names.chain(args.namespaces.iter().map(String::as_str)) {
        // Each follows the same rule as lineages: a DNS label.
        Lineage::new(name).map_err(|error| anyhow::anyhow!("{name:?} is no name to give rights to: {}", error.rule))?;
    }
    let lease_namespace = args.lease_namespace.as_deref().unwrap_or(&account.namespace);
    let runtimes = Runtimes::start()?;
    let wasm = runtimes.wasm(args.cache.as_deref(), 1)?;
    let (folder, plugins) = runtimes.host.block_on(async {
        let kinds = Kinds::new(&args.apply).await?;
        let instances: Option<BTreeSet<_>> = wiring::instances(args.instances.as_deref())?;
        let folder = read_folder(&args.plugins).await?;
        let plugins = plugins(&folder, instances.as_ref(), &wasm, &kinds, lease_namespace).await?;
        anyhow::Ok((folder, plugins))
    })?;
    let rights = Rights::of(&plugins, &args.namespaces)?;
    let manifests =
        Manifests { account: &account, lease_namespace, leases: rights.leases(&args.installation), rights: &rights };
    for (path, why) in &folder.ignored {
        println!("# {path:?} gets no rights: {why}");
    }
    print!("{manifests}");
    Ok(())
}

/// The folder as a host reads it; an error where a host would wait.
async fn read_folder(path: &Path) -> anyhow::Result<Arc<Folder>> {
    modules(path).with_context(|| format!("reading the plugins folder {}", path.display()))?;
    let (mut contents, follower) = folder::follow(path);
    let stop = CancellationToken::new();
    let following = tokio::spawn(follower.run(stop.clone()));
    // It fails only where the follower is gone, which then has said why.
    let folder = contents.wait_for(|folder| folder.read).await.map(|folder| folder.clone()).unwrap_or_default();
    stop.cancel();
    // It was told to end.
    let _ = following.await;
    check_whole(path, &folder)?;
    Ok(folder)
}

/// A module of which the folder says nothing yet would be left out unsaid.
fn check_whole(path: &Path, folder: &Folder) -> anyhow::Result<()> {
    let is_told = |file: &Path| {
        folder.ignored.contains_key(file) || folder.slots.values().any(|source| source.module.as_path() == file)
    };
    if let Some(moving) = modules(path)?.iter().find(|file| !is_told(file)) {
        bail!("{} or its policy is still being written: try again when it is whole", moving.display());
    }
    Ok(())
}

/// The modules in a folder and in those of its instances, whole or not.
fn modules(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut modules = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.is_dir() && !is_hidden {
            modules.extend(fs::read_dir(&path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?);
        } else if !is_hidden {
            modules.push(path);
        }
    }
    modules.retain(|path| path.extension().is_some_and(|ending| ending == "wasm") && path.is_file());
    Ok(modules)
}

async fn plugins(
    folder: &Folder,
    instances: Option<&BTreeSet<InstanceId>>,
    wasm: &Arc<Wasm>,
    kinds: &Kinds,
    lease_namespace: &str,
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
        let mut resources = kinds.of(&description).await.with_context(|| file.clone())?;
        for kind in grants.granted_undeclared() {
            resources.push(kinds.resource(kind, &kinds.version(kind).await?).await?);
        }
        let revisions = rollout::kind_of_revisions();
        if grants.may_write(&revisions).is_ok() {
            resources.push(kinds.resource(&revisions, split_api_version(rollout::API_VERSION).1).await?);
        }
        let (instance, lineage) = (slot.instance.clone(), slot.stem.lineage());
        let config = policy.config_from.map(|from| Named {
            plural: if from.secret { "secrets" } else { "configmaps" },
            namespace: from.namespace.unwrap_or_else(|| lease_namespace.to_owned()),
            name: from.name,
        });
        let account = policy.service_account;
        plugins.push(Plugin { instance, lineage, description, grants, config, account, resources });
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
        let objects = description.objects.iter().map(|object| (&object.kind, &object.version));
        let children = description.children.iter().map(|child| (&child.kind, &child.version));
        let reads = description.reads.iter().map(|read| (&read.kind, &read.version));
        let mut resources = Vec::new();
        for (kind, version) in objects.chain(children).chain(reads) {
            resources.push(self.resource(kind, version).await?);
        }
        Ok(resources)
    }

    /// A version that has the kind; any one where none is known, as the name is guessed then.
    async fn version(&self, kind: &GroupKind) -> anyhow::Result<String> {
        let group = self.api.get(&format!("/apis/{}", kind.group)).await?.filter(|_| !kind.group.is_empty());
        let versions = group.iter().flat_map(|group| group["versions"].as_array()).flatten();
        for version in versions.filter_map(|version| version["version"].as_str()) {
            if !self.resource(kind, version).await?.guessed {
                return Ok(version.to_owned());
            }
        }
        Ok("v1".to_owned())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_that_cannot_be_read_is_an_error_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let error = read_folder(&folder.path().join("none")).await.unwrap_err();
        assert!(error.to_string().contains("reading the plugins folder"), "{error}");
    }

    #[tokio::test]
    async fn a_module_is_served_or_ignored_or_told_to_be_still_written() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("canary")).unwrap();
        for file in ["site.wasm", ".part.wasm", "notes.txt", "canary/site.wasm"] {
            fs::write(folder.path().join(file), "").unwrap();
        }
        let error = check_whole(folder.path(), &Folder::default()).unwrap_err();
        assert!(error.to_string().contains("still being written"), "{error}");
        let read = read_folder(folder.path()).await.unwrap();
        assert_eq!((read.slots.len(), read.ignored.len()), (2, 2));
    }
}
