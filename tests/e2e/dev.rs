//! `trimtab dev` from outside: what it serves, says, builds and leaves behind.

use std::{fs, net::TcpListener, os::unix::fs::symlink, path::Path, process::Command, time::Duration};

use serde_json::json;
use tempfile::TempDir;
use trimtab_harness::{binaries, eventually};

use crate::support::{Api, Dev, SOON, file, processes_of, source};

const ANNA: &str = "/apis/example.dev/v1/namespaces/default/sites/anna";
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/default/deployments/anna";
/// What starts three processes, one of which makes certificates.
const REAL: Duration = Duration::from_secs(90);

/// What all of its threads may compute from start to ready, with plugins that have
/// been compiled before. The time on the wall is the machine's as well, which does
/// other tests beside this one.
const READY_CPU_MS_MAX: u64 = 300;
/// Starts of which one has to be as fast: a busy machine makes each a little slower,
/// and nothing can make it faster than it is.
const STARTS_MAX: usize = 10;

/// A plugins folder with some built plugins in it.
fn folder(plugins: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    for (plugin, name) in plugins {
        fs::copy(file(plugin), folder.path().join(name)).expect("the folder is ours");
    }
    folder
}

fn text(path: &Path) -> String {
    path.to_str().expect("its path is text").to_owned()
}

async fn becomes(api: &Api, path: &str, pointer: &str, value: serde_json::Value) {
    eventually(&format!("{pointer} of {path} is {value}"), SOON, async || {
        (api.get(path).await?.pointer(pointer) == Some(&value)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_applied_is_served_gets_pods_and_nothing_is_left_behind() {
    let plugins = folder(&[("site", "site.wasm")]);
    let manifests = text(&source("examples/site"));
    let mut dev = Dev::start(&["--plugins", &text(plugins.path()), "--apply", &manifests, "--ready-after", "100ms"]);
    dev.says("ready:").await;
    dev.says("plugin site: serving Site.example.dev at v1, generation 1").await;
    dev.says("objects of site: 3 settled").await;
    let kubeconfig = dev.kubeconfig().await;
    let api = dev.api().await;
    // The plugin sees a Deployment whose pods the simulation has made ready.
    becomes(&api, ANNA, "/status/ready", json!(true)).await;

    let kubectl = binaries().expect("make control-plane").join("kubectl");
    let asked = Command::new(kubectl).arg("--kubeconfig").arg(&kubeconfig).args(["get", "pods", "-o", "name"]).output();
    let pods = String::from_utf8(asked.expect("kubectl runs").stdout).expect("names are text");
    assert_eq!(pods.lines().filter(|pod| pod.starts_with("pod/anna-")).count(), 2, "{pods}");

    let fail = json!({ "metadata": { "annotations": { "sim.trimtab.dev/fail": "crash" } } });
    api.merge(DEPLOYMENT, &fail).await;
    becomes(&api, ANNA, "/status/ready", json!(false)).await;

    fs::write(plugins.path().join("site.wasm"), "no module").expect("the folder is ours");
    let refused = dev.says("newest file refused").await;
    assert!(refused.starts_with("plugin site: serving"), "{refused}");

    dev.interrupt();
    assert_eq!(dev.ends().await.code(), Some(0));
    assert!(!kubeconfig.exists());
    assert!(!kubeconfig.parent().expect("it lies in a folder").exists());
}

#[tokio::test]
async fn it_is_ready_with_little_work_once_its_plugins_are_compiled() {
    let (plugins, cache) = (folder(&[("site", "site.wasm")]), folder(&[]));
    // The host makes its cache itself, as nobody else may enter it.
    let [plugins, cache, manifests] = [plugins.path(), &cache.path().join("own"), &source("examples/site")].map(text);
    let start = async || {
        let mut dev = Dev::start(&["--plugins", &plugins, "--cache", &cache, "--apply", &manifests]);
        let on_the_wall = dev.told("ready:      in").await;
        let computed = dev.cpu_ms();
        dev.says("plugin site: serving").await;
        dev.interrupt();
        assert_eq!(dev.ends().await.code(), Some(0));
        (computed, on_the_wall)
    };
    let compiling = start().await;
    let mut cached = Vec::new();
    while cached.last().is_none_or(|(computed, _)| *computed >= READY_CPU_MS_MAX) {
        assert!(cached.len() < STARTS_MAX, "all starts computed for {READY_CPU_MS_MAX} ms or more: {cached:?}");
        cached.push(start().await);
    }
    println!("CPU in ms, and wall: with a plugin to compile {compiling:?}, with a cached one {cached:?}");
}

#[tokio::test]
async fn what_cannot_be_used_is_told_before_anything_is_served() {
    let plugins = folder(&[]);
    let plugins_text = text(plugins.path());
    let taken = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let manifest = plugins.path().join("site.yaml");
    fs::write(&manifest, "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\ndata:\n  number: 1\n").expect("ours");
    let manifest = text(&manifest);
    let foreign = plugins.path().join("config");
    fs::write(&foreign, "current-context: prod\n").expect("ours");
    let foreign = text(&foreign);
    for (flags, told) in [
        (vec!["--listen", &address], format!("--listen {address} cannot be listened on; port 0 takes a free one")),
        (vec!["--admin-address", &address], format!("--admin-address {address} cannot be listened on")),
        (vec!["--apply", &manifest], format!("{manifest}:5:11: data.number")),
        (vec!["--apply", "no/such/file"], "no/such/file cannot be read".to_owned()),
        (vec!["--kubeconfig", &foreign], format!("{foreign} is there and was not written by trimtab dev")),
        (vec!["--assets", &plugins_text], "there is no".to_owned()),
    ] {
        let mut dev = Dev::start(&[vec!["--plugins", &plugins_text], flags].concat());
        assert_eq!(dev.ends().await.code(), Some(1), "{told}");
        dev.says(&told).await;
    }
    assert_eq!(fs::read_to_string(&foreign).expect("it is there"), "current-context: prod\n");
}

#[tokio::test]
async fn a_save_builds_and_swaps_and_a_build_that_fails_leaves_what_serves() {
    let project = tempfile::tempdir().expect("there is room for a folder");
    let save = |text: &str| fs::write(project.path().join("source.txt"), text).expect("the folder is ours");
    // The source names the plugin that it is built to; no file, no build.
    let built = file("site").parent().expect("it lies in a folder").to_owned();
    let command = format!("cp {}/$(cat source.txt).wasm site.wasm", built.display());
    save("site");
    let manifests = text(&source("examples/site"));
    let project_text = text(project.path());
    let mut dev = Dev::start(&["--build", &project_text, "--build-command", &command, "--apply", &manifests]);
    dev.says("plugin site: serving Site.example.dev at v1, generation 1").await;
    let api = dev.api().await;
    becomes(&api, ANNA, "/status/build", json!("1")).await;

    save("no-such-plugin");
    dev.says("build: failed; what was built last serves on").await;
    assert!(dev.said().iter().any(|line| line.contains("no-such-plugin.wasm")), "the command's own words are shown");
    becomes(&api, ANNA, "/status/build", json!("1")).await;

    save("site-next");
    becomes(&api, ANNA, "/status/build", json!("2")).await;
    dev.interrupt();
    assert_eq!(dev.ends().await.code(), Some(0));
}

#[tokio::test]
async fn a_build_under_way_ends_with_it() {
    let project = tempfile::tempdir().expect("there is room for a folder");
    fs::write(project.path().join("source.txt"), "").expect("the folder is ours");
    let endless = format!("tail -f {}/source.txt", text(project.path()));
    let mut dev = Dev::start(&["--build", &text(project.path()), "--build-command", &endless]);
    // It is named by `trimtab dev` itself, too.
    let runs = async || (processes_of(project.path()) > 1).then_some(());
    eventually("the build runs", SOON, runs).await;
    dev.interrupt();
    assert_eq!(dev.ends().await.code(), Some(0));
    let is_gone = async || (processes_of(project.path()) == 0).then_some(());
    eventually("the build is gone", SOON, is_gone).await;
}

#[tokio::test]
async fn a_folder_of_plugins_that_is_not_there_is_made_for_a_build_and_refused_without_one() {
    let project = tempfile::tempdir().expect("there is room for a folder");
    let missing = project.path().join("plugns");
    let missing_text = text(&missing);
    let mut dev = Dev::start(&["--plugins", &missing_text]);
    assert_eq!(dev.ends().await.code(), Some(1));
    dev.says(&format!("--plugins {missing_text}: there is no such folder; make it, or mend the name")).await;
    assert!(!missing.exists());

    let command = format!("cp {} site.wasm", file("site").display());
    let mut dev =
        Dev::start(&["--plugins", &missing_text, "--build", &text(project.path()), "--build-command", &command]);
    dev.says("build: site.wasm in").await;
    assert!(missing.join("site.wasm").exists());
    dev.interrupt();
    assert_eq!(dev.ends().await.code(), Some(0));
}

#[tokio::test]
async fn a_build_under_way_ends_even_with_a_dev_that_cannot_end_it() {
    let project = tempfile::tempdir().expect("there is room for a folder");
    fs::write(project.path().join("source.txt"), "").expect("the folder is ours");
    let endless = format!("tail -f {}/source.txt", text(project.path()));
    // As after a second Ctrl-C, which leaves it no time for anything.
    let mut dev = Dev::start(&["--build", &text(project.path()), "--build-command", &endless]);
    let runs = async || (processes_of(project.path()) > 1).then_some(());
    eventually("the build runs", SOON, runs).await;
    dev.kill();
    assert_eq!(dev.ends().await.code(), None);
    let is_gone = async || (processes_of(project.path()) == 0).then_some(());
    eventually("the build is gone", SOON, is_gone).await;
}

#[tokio::test]
async fn a_real_control_plane_without_a_garbage_collector_is_told() {
    let (plugins, assets) = (folder(&[]), folder(&[]));
    let binaries = binaries().expect("make control-plane");
    for name in ["etcd", "kube-apiserver"] {
        symlink(binaries.join(name), assets.path().join(name)).expect("the folder is ours");
    }
    let assets = text(assets.path());
    let mut dev = Dev::start(&["--plugins", &text(plugins.path()), "--assets", &assets]);
    let told = format!("note:       {assets} has no kube-controller-manager, so nothing collects garbage");
    dev.says_within(&told, REAL).await;
    dev.interrupt();
    assert_eq!(dev.ends().await.code(), Some(0));
}

#[tokio::test]
async fn with_assets_it_works_on_a_real_control_plane_and_ends_that_too() {
    let plugins = folder(&[("site", "site.wasm")]);
    let (assets, manifests) = (text(&binaries().expect("make control-plane")), text(&source("examples/site")));
    let flags = ["--assets", &assets, "--apply", &manifests, "--ready-after", "100ms"];
    let mut dev = Dev::start(&[&["--plugins", &text(plugins.path())], &flags[..]].concat());
    dev.says_within("ready:", REAL).await;
    let api = dev.api().await;
    becomes(&api, ANNA, "/status/ready", json!(true)).await;
    let version = api.fetch("/version").await;
    assert_eq!(version["gitVersion"], "v1.36.3", "{version}");

    let state = dev.kubeconfig().await.parent().expect("it lies in a folder").to_owned();
    assert!(processes_of(&state) >= 3, "etcd, the API server and the controller manager run in its folder");
    dev.interrupt();
    assert_eq!(dev.ends().await.code(), Some(0));
    assert!(!state.exists());
    assert_eq!(processes_of(&state), 0);
}
