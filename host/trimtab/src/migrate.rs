//! `trimtab migrate metacontroller FILE…`: the policies with which the bridge
//! serves a set of Metacontroller's controllers, and what of them is lost.

mod controller;
mod fields;
mod hooks;

use std::{
    collections::BTreeMap,
    fs,
    io::{ErrorKind, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use anyhow::{Context, bail};
use serde_json::Value;
use trimtab_apiserver::{ApiServer, Config};
use trimtab_cluster::connect;

use self::controller::{Migrated, Named, Shape, migrate};
use crate::{
    cli::MigrateArgs,
    local::Local,
    manifests::{self, Manifest},
};

/// What Metacontroller's manifests are of.
const GROUP: &str = "metacontroller.k8s.io/";

/// Prints or writes the policies; an error names each field that has no place in
/// them.
pub fn main(args: MigrateArgs) -> anyhow::Result<()> {
    let manifests = manifests::read_all(&args.files)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting a thread")?;
    let kinds = runtime.block_on(kinds(&manifests))?;
    for migrated in all(&manifests, &kinds)? {
        match &args.into {
            Some(folder) => println!("{}", write(folder, &migrated)?),
            None => println!("{migrated}"),
        }
    }
    let folder =
        args.into.as_ref().map_or("DIR, with the folder that they lie in".into(), |into| into.display().to_string());
    println!("# The rights that a host of these needs: trimtab rbac {folder}");
    Ok(())
}

/// Writes a policy where there is none yet, and says what is there. A file that is
/// there may have been completed by hand, and is never written over.
fn write(folder: &Path, migrated: &Migrated) -> anyhow::Result<String> {
    let (file, text) = (folder.join(format!("{}.toml", migrated.name)), migrated.to_string());
    let cannot = || format!("{} cannot be written", file.display());
    // Whole or not at all: half a policy would pass for one that was completed by hand.
    // It is for the host to read, whoever that runs as.
    let readable = fs::Permissions::from_mode(0o644);
    let mut new = tempfile::Builder::new().permissions(readable).tempfile_in(folder).with_context(cannot)?;
    new.write_all(text.as_bytes()).with_context(cannot)?;
    match new.persist_noclobber(&file).map_err(|refused| refused.error) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let same = fs::read_to_string(&file).with_context(cannot)? == text;
            let how = if same { "as it would be written" } else { "and says something else: left as it is" };
            return Ok(format!("{}: is there already, {how}", file.display()));
        }
        Err(error) => return Err(error).with_context(cannot),
    }
    let said = text.lines().skip(1).take_while(|line| line.starts_with('#'));
    Ok([format!("{}: written", file.display())]
        .into_iter()
        .chain(said.map(|line| format!("  {}", &line[2..])))
        .collect::<Vec<_>>()
        .join("\n"))
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
    let (mut migrated, mut wrong) = (Vec::<Migrated>::new(), Vec::new());
    for manifest in manifests.iter().filter(|manifest| manifest.object["kind"] != "CustomResourceDefinition") {
        match one(manifest, kinds) {
            Ok(one) => {
                if let Some(other) = migrated.iter().find(|other| one.parent.is_some() && other.parent == one.parent) {
                    let what = "has the same parents, and one lineage serves a kind: join their hooks";
                    wrong.push(manifest.wrong("spec.parentResource", format!("{} {what}", other.name)).to_string());
                } else if migrated.iter().any(|other| other.name == one.name) {
                    let what = "another controller makes a file of that name: migrate this one by itself, and call its file differently";
                    wrong.push(manifest.wrong("metadata.name", what).to_string());
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
        bail!("there is no CompositeController and no DecoratorController in these files");
    }
    Ok(migrated)
}

fn one(manifest: &Manifest, kinds: &Kinds) -> Result<Migrated, Vec<String>> {
    let text = |field: &str| manifest.object.get(field).and_then(Value::as_str).unwrap_or_default();
    let why = match text("kind") {
        "CompositeController" if text("apiVersion").starts_with(GROUP) => {
            return migrate(&Shape::COMPOSITE, manifest, kinds);
        }
        "DecoratorController" if text("apiVersion").starts_with(GROUP) => {
            return migrate(&Shape::DECORATOR, manifest, kinds);
        }
        "ControllerRevision" => "Metacontroller's own record, which needs no successor: leave it out",
        _ => "a controller of metacontroller.k8s.io is wanted, or a CustomResourceDefinition",
    };
    Err(vec![manifest.wrong("kind", why).to_string()])
}

#[cfg(test)]
mod tests;
