//! `trimtab migrate metacontroller FILE…`: the policies with which the bridge
//! serves a set of Metacontroller's controllers, and what of them is lost.

mod composite;
mod fields;

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use serde_json::Value;
use trimtab_apiserver::{ApiServer, Config};
use trimtab_cluster::connect;

use self::composite::{Migrated, Named, migrate};
use crate::{
    cli::MigrateArgs,
    local::Local,
    manifests::{self, Manifest},
};

/// What Metacontroller's manifests are of.
const GROUP: &str = "metacontroller.k8s.io/";

/// Prints the policies; an error names each field that has no place in them.
pub fn main(args: MigrateArgs) -> anyhow::Result<()> {
    let manifests = manifests::read_all(&args.files)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting a thread")?;
    let kinds = runtime.block_on(kinds(&manifests))?;
    let migrated = all(&manifests, &kinds)?;
    for migrated in migrated {
        println!("{migrated}");
    }
    println!("# The rights that a host of these needs: trimtab rbac DIR, with the folder that they lie in.");
    Ok(())
}

/// The kinds behind resources: the built-in ones, and those that are defined in
/// the files.
type Kinds = BTreeMap<(String, String), Named>;

async fn kinds(manifests: &[Manifest]) -> anyhow::Result<Kinds> {
    let api = Local::new(connect::service(ApiServer::new(Config::default())).client);
    for manifest in manifests.iter().filter(|manifest| manifest.object["kind"] == "CustomResourceDefinition") {
        api.apply_manifest(manifest).await?;
    }
    let groups = api.get("/apis").await?.unwrap_or_default();
    let versions = groups["groups"].as_array().into_iter().flatten().flat_map(|group| group["versions"].as_array());
    let versions = versions.flatten().filter_map(|version| version["groupVersion"].as_str());
    let mut kinds = Kinds::new();
    for (root, api_version) in versions.map(|version| ("apis", version)).chain([("api", "v1")]) {
        let served = api.get(&format!("/{root}/{api_version}")).await?.unwrap_or_default();
        for resource in served["resources"].as_array().into_iter().flatten() {
            let (Some(plural), Some(kind)) = (resource["name"].as_str(), resource["kind"].as_str()) else { continue };
            let named = Named { kind: kind.to_owned(), namespaced: resource["namespaced"] == true };
            kinds.insert((api_version.to_owned(), plural.to_owned()), named);
        }
    }
    Ok(kinds)
}

/// All controllers of a set. One that cannot be served as it is stops all: half a
/// set would be forgotten.
fn all(manifests: &[Manifest], kinds: &Kinds) -> anyhow::Result<Vec<Migrated>> {
    let (mut migrated, mut wrong, mut parents) = (Vec::new(), Vec::new(), BTreeMap::new());
    for manifest in manifests.iter().filter(|manifest| manifest.object["kind"] != "CustomResourceDefinition") {
        match one(manifest, kinds) {
            Ok(one) => {
                if let Some(other) = parents.insert(one.parent.clone(), one.name.clone()) {
                    let what = format!("{other} has the same parents, and one lineage serves a kind: join their hooks");
                    wrong.push(manifest.wrong("spec.parentResource", what).to_string());
                }
                migrated.push(one);
            }
            Err(errors) => wrong.extend(errors),
        }
    }
    if !wrong.is_empty() {
        bail!("nothing was migrated:\n  {}", wrong.join("\n  "));
    }
    if migrated.is_empty() {
        bail!("there is no CompositeController in these files");
    }
    Ok(migrated)
}

fn one(manifest: &Manifest, kinds: &Kinds) -> Result<Migrated, Vec<String>> {
    let text = |field: &str| manifest.object.get(field).and_then(Value::as_str).unwrap_or_default();
    let why = match text("kind") {
        "CompositeController" if text("apiVersion").starts_with(GROUP) => return migrate(manifest, kinds),
        "DecoratorController" => {
            "the bridge does not serve DecoratorControllers: write a decorator, into which the hook's body moves as it is"
        }
        "ControllerRevision" => "Metacontroller's own record, which needs no successor: leave it out",
        _ => "a CompositeController of metacontroller.k8s.io is wanted, or a CustomResourceDefinition",
    };
    Err(vec![manifest.wrong("kind", why).to_string()])
}

#[cfg(test)]
mod tests;
