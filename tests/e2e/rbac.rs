//! `trimtab rbac` from outside: a host with exactly what it prints is refused
//! nothing, and uses all of it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use trimtab_harness::{ControlPlane, Options, eventually};

use crate::support::{Host, MISBEHAVE, REPORTS, SITE, SOON, Scene, source};

/// What the printed rights need of a folder, as flags.
pub fn printed(scene: &Scene, more: &[&str]) -> String {
    let account = format!("{}/host", scene.namespace);
    let definitions = source(SITE);
    let mut command = Command::new(env!("CARGO_BIN_EXE_trimtab"));
    command.arg("rbac").arg(scene.folder()).args(["--service-account", &account]);
    command.args(["--installation", &scene.installation]).arg("--apply").arg(definitions).args(more);
    let output = command.env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR")).output().expect("cargo has built it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("manifests are text")
}

/// Gives the rights, and starts a host that has no others.
pub async fn host_with_rights(scene: &Scene, rights: &str, flags: &[&str]) -> Host {
    let file = scene.folder().join("rights.yaml");
    fs::write(&file, rights).expect("the folder is ours");
    scene.plane().kubectl(&["apply", "-f", file.to_str().expect("its path is text")]);
    fs::remove_file(file).expect("the folder is ours");
    scene.host_with(&as_account(scene), flags).await
}

/// A kubeconfig of the service account.
fn as_account(scene: &Scene) -> PathBuf {
    let name = format!("system:serviceaccount:{}:host", scene.namespace);
    scene.plane().kubeconfig_as(&name, &["system:serviceaccounts", "system:authenticated"])
}

pub fn assert_never_forbidden(host: &Host) {
    let refused = host.printed().into_iter().filter(|line| line.contains("orbidden"));
    // Definitions are watched where that is allowed, and polled for all the same.
    let refused = refused.filter(|line| !line.contains("customresourcedefinitions")).collect::<Vec<_>>();
    assert!(refused.is_empty(), "{refused:?}");
}

#[tokio::test]
async fn a_host_with_the_printed_rights_in_a_namespace_is_refused_nothing() {
    let scene = Scene::new().await;
    scene.define(SITE);
    scene.copy("site", "site.wasm");
    let rights = printed(&scene, &["--namespaces", &scene.namespace]);
    assert!(!rights.contains("Cluster"), "{rights}");
    let host = host_with_rights(&scene, &rights, &["--namespaces", &scene.namespace]).await;
    scene.create_site("anna", "one").await;
    scene.page_is("anna", "one").await;
    scene.edit_page("anna", "two").await;
    scene.page_is("anna", "two").await;
    scene.condition(&scene.site("anna"), "Settled").await;
    assert_never_forbidden(&host);
}

#[tokio::test]
async fn a_host_with_the_printed_rights_uses_each_of_them() {
    let log = tempfile::tempdir().expect("there is room for a folder");
    let scene = audited(&log).await;
    scene.define(SITE);
    scene.define(MISBEHAVE);
    scene.define(REPORTS);
    scene.copy("site", "site.wasm");
    // With a second version objects are marked, which is a write of its own.
    scene.copy("site-v2", "site@v2.wasm");
    scene.copy("misbehave", "misbehave.wasm");
    let rights = printed(&scene, &[]);
    let granted = granted(&rights);
    let host = host_with_rights(&scene, &rights, &[]).await;

    scene.create_site("anna", "one").await;
    scene.page_is("anna", "one").await;
    // A stranger is in the way, which is told.
    let stranger = |name: &str| json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name } });
    scene.api.create(&scene.config_map(""), &stranger("ben")).await;
    scene.create_site("ben", "one").await;
    scene.event("ben", "Conflict").await;
    // A child that is wanted no more goes.
    scene.create_misbehave("carl", "").await;
    scene.sees("a child is there", &scene.config_map("carl"), |_| Some(())).await;
    let nothing = json!({ "spec": { "mode": "get:ConfigMap", "name": "none" } });
    scene.api.merge(&scene.misbehave("carl"), &nothing).await;
    scene.gone(&scene.config_map("carl")).await;
    assert_never_forbidden(&host);

    for right in granted.difference(&rarely_used()) {
        let (verb, resource) = right;
        eventually(&format!("the right to {verb} {resource} is used"), SOON, async || {
            used(log.path()).contains(right).then_some(())
        })
        .await;
    }
}

/// Verb, resource: as rules and as an audit log have them.
type Right = (String, String);

/// What cannot be brought about at will: a look past the cache after a conflict
/// with another writer, whom the cache may have shown before; the deletion of
/// children that this plugin always wants; an Event that is told again; a
/// finalizer of an earlier plugin that has to be taken away; the report of one
/// that goes; and canaries, of which there are none here. And
/// what the log does not show: an apply that makes something needs `create` too,
/// but its verb is `patch`.
fn rarely_used() -> BTreeSet<Right> {
    let rare = [
        ("get", "configmaps"),
        ("get", "sites"),
        ("get", "misbehaves"),
        ("get", "services"),
        ("get", "deployments"),
        ("delete", "services"),
        ("delete", "deployments"),
        ("patch", "events"),
        ("patch", "misbehaves"),
        ("delete", "plugins"),
        ("create", "plugins"),
        ("list", "canaries"),
        ("watch", "canaries"),
        ("patch", "canaries"),
        ("patch", "canaries/status"),
        ("create", "configmaps"),
        ("create", "services"),
        ("create", "deployments"),
    ];
    rare.map(|(verb, resource)| (verb.to_owned(), resource.to_owned())).into()
}

async fn audited(log: &TempDir) -> Scene {
    let policy = log.path().join("policy.yaml");
    fs::write(
        &policy,
        "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{ level: Metadata }]\n",
    )
    .expect("the folder is ours");
    let [policy, file] = [&policy, &log.path().join("audit.log")].map(|path| path.display().to_string());
    let flags = [format!("--audit-policy-file={policy}"), format!("--audit-log-path={file}")];
    let flags = flags.each_ref().map(String::as_str);
    Scene::on(ControlPlane::start_with(Options { apiserver_flags: &flags, ..Options::default() }).await).await
}

/// What the audit log says that the host was allowed.
fn used(log: &Path) -> BTreeSet<Right> {
    let log = fs::read_to_string(log.join("audit.log")).unwrap_or_default();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let allowed = lines.filter(|line| {
        let user = line["impersonatedUser"]["username"].as_str().unwrap_or_default();
        user.ends_with(":host") && line["annotations"]["authorization.k8s.io/decision"] == "allow"
    });
    allowed.filter_map(|line| right(&line["verb"], &line["objectRef"])).collect()
}

fn right(verb: &Value, of: &Value) -> Option<Right> {
    let resource = of["resource"].as_str()?;
    let resource = of["subresource"].as_str().map_or(resource.to_owned(), |sub| format!("{resource}/{sub}"));
    Some((verb.as_str()?.to_owned(), resource))
}

/// What the manifests grant, read line by line as they are printed.
fn granted(rights: &str) -> BTreeSet<Right> {
    let list = |line: &str, key: &str| {
        let items = line.trim().strip_prefix(key)?.trim().strip_prefix('[')?.strip_suffix(']')?;
        Some(items.split(", ").map(|item| item.trim_matches('"').to_owned()).collect::<Vec<_>>())
    };
    let (mut resources, mut granted) = (Vec::new(), BTreeSet::new());
    for line in rights.lines() {
        resources = list(line, "resources:").unwrap_or(resources);
        for verb in list(line, "verbs:").unwrap_or_default() {
            granted.extend(resources.iter().map(|resource| (verb.clone(), resource.clone())));
        }
    }
    assert!(!granted.is_empty(), "{rights}");
    granted
}
