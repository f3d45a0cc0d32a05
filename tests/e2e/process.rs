//! The process: its flags, its signals, and `trimtab check`.

use std::{
    process::{Command, Output},
    time::Duration,
};

use serde_json::{Value, json};
use trimtab_harness::eventually;

use crate::support::{self, MISBEHAVE, SITE, SOON, Scene};

#[tokio::test]
async fn a_paused_object_is_neither_called_nor_written() {
    let scene = Scene::new().await;
    scene.set_up_anna().await;
    let pause = |value| json!({ "metadata": { "annotations": { "trimtab.dev/paused": value } } });
    scene.api.merge(&scene.site("anna"), &pause(Some("true"))).await;
    let host = scene.host().await;
    let paused = async || (host.metric("trimtab_skipped_total", &[("result", "paused")]).await > 0.0).then_some(());
    eventually("it is counted as paused", SOON, paused).await;
    scene.create_site("ben", "two").await;
    scene.page_is("ben", "two").await;
    assert!(scene.api.get(&scene.config_map("anna")).await.is_none());
    assert!(scene.api.fetch(&scene.site("anna")).await["status"].is_null());

    scene.api.merge(&scene.site("anna"), &pause(None)).await;
    scene.page_is("anna", "one").await;
}

#[tokio::test]
async fn a_dry_run_prints_its_plan_writes_nothing_and_takes_no_lease() {
    let scene = Scene::new().await;
    scene.set_up_anna().await;
    let before = scene.api.fetch(&scene.site("anna")).await;
    let flags = ["--namespaces", &scene.namespace, "--dry-run"];
    let mut host = scene.host_with(&scene.plane().kubeconfig(), &flags).await;
    let planned = async || host.printed().into_iter().find(|line| line.contains("would create ConfigMap"));
    let line = eventually("the plan is printed", SOON, planned).await;
    assert!(line.contains("anna") && line.contains("one"), "{line}");
    host.terminate();
    assert_eq!(host.ends_within(SOON).await.code(), Some(0));

    assert_eq!(scene.api.fetch(&scene.site("anna")).await, before);
    assert!(scene.api.get(&scene.config_map("anna")).await.is_none());
    assert!(scene.api.list(&scene.at("coordination.k8s.io/v1", "leases", "")).await.is_empty());
    assert!(scene.api.list(&scene.at("events.k8s.io/v1", "events", "")).await.is_empty());
}

#[tokio::test]
async fn a_dry_run_prints_what_would_follow_a_finalizer_too() {
    let scene = Scene::new().await;
    scene.define(MISBEHAVE);
    scene.copy("misbehave", "misbehave.wasm");
    scene.write("misbehave.toml", "[config]\ndescribe = \"finalizes\"\n");
    scene.create_misbehave("anna", "").await;
    let flags = ["--namespaces", &scene.namespace, "--dry-run"];
    let host = scene.host_with(&scene.plane().kubeconfig(), &flags).await;
    let planned = |what: &str| host.printed().iter().filter(|line| line.contains(what)).count();
    let child = async || (planned("would create ConfigMap") > 0).then_some(());
    eventually("the plan is printed", SOON, child).await;
    assert_eq!(planned("would patch the metadata"), planned("would create ConfigMap"));
    assert!(scene.api.fetch(&scene.misbehave("anna")).await["metadata"].get("finalizers").is_none());
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let scene = Scene::new().await;
    scene.define(MISBEHAVE);
    scene.copy("misbehave", "misbehave.wasm");
    // A call that takes ten seconds, so that there is something in flight.
    scene.write("misbehave.toml", "[limits]\ncpu_ms = 10000\n");
    scene.create_misbehave("endless", "loop").await;
    let mut host = scene.host().await;
    let busy = async || (host.metric("controller_runtime_active_workers", &[]).await > 0.0).then_some(());
    eventually("a call is in flight", SOON, busy).await;

    host.terminate();
    let stopping = "stopping: no new work, finishing what is in flight";
    eventually("the first one is heard", SOON, async || host.logged(stopping).pop()).await;
    host.terminate();
    let status = host.ends_within(Duration::from_secs(2)).await;
    assert_eq!(status.code(), Some(143), "{status}");
}

#[tokio::test]
async fn an_end_that_takes_too_long_is_cut_short_by_the_grace() {
    let scene = Scene::new().await;
    scene.define(MISBEHAVE);
    scene.copy("misbehave", "misbehave.wasm");
    scene.write("misbehave.toml", "[limits]\ncpu_ms = 10000\n");
    scene.create_misbehave("endless", "loop").await;
    let flags = ["--namespaces", &scene.namespace, "--shutdown-grace", "500ms"];
    let mut host = scene.host_with(&scene.plane().kubeconfig(), &flags).await;
    let busy = async || (host.metric("controller_runtime_active_workers", &[]).await > 0.0).then_some(());
    eventually("a call is in flight", SOON, busy).await;

    host.terminate();
    let status = host.ends_within(Duration::from_secs(4)).await;
    assert_eq!(status.code(), Some(1), "{status}");
    assert!(host.printed().iter().any(|line| line.contains("--shutdown-grace")), "it says why");
}

#[tokio::test]
async fn another_instance_key_and_chosen_instances_are_served() {
    let scene = Scene::new().await;
    scene.define(SITE);
    for folder in ["", "blue/", "green/"] {
        scene.copy("raw", &format!("{folder}raw.wasm"));
    }
    for name in ["plain", "blue", "green"] {
        scene.create_site(name, name).await;
    }
    for name in ["blue", "green"] {
        let mark = json!({ "metadata": { "labels": { "example.dev/shard": name } } });
        scene.api.merge(&scene.site(name), &mark).await;
    }
    let flags = ["--namespaces", &scene.namespace, "--instance-key", "example.dev/shard", "--instances", ",blue"];
    let host = scene.host_with(&scene.plane().kubeconfig(), &flags).await;
    for name in ["plain", "blue"] {
        scene.page_is(name, name).await;
    }
    assert!(host.slot("green/raw").await.is_none());
    assert!(scene.api.get(&scene.config_map("green")).await.is_none());
}

#[tokio::test]
async fn an_object_whose_instance_nobody_serves_is_counted_though_the_server_leaves_it_out() {
    let scene = Scene::new().await;
    scene.define(SITE);
    scene.copy("raw", "raw.wasm");
    for name in ["mine", "nobodys"] {
        scene.create_site(name, name).await;
    }
    let mark = json!({ "metadata": { "labels": { "trimtab.dev/instance-id": "nobody" } } });
    scene.api.merge(&scene.site("nobodys"), &mark).await;
    let flags = ["--namespaces", &scene.namespace, "--instances", ""];
    let host = scene.host_with(&scene.plane().kubeconfig(), &flags).await;
    scene.page_is("mine", "mine").await;
    let labels = [("instance_id", "nobody"), ("kind", "Site.example.dev")];
    let counted = async || (host.metric("trimtab_unserved_objects", &labels).await == 1.0).then_some(());
    eventually("it is counted", SOON, counted).await;
}

#[tokio::test]
async fn a_plugin_serves_objects_by_the_annotation_that_its_policy_names() {
    const KEY: &str = "example.dev/owner-instance";
    let scene = Scene::new().await;
    scene.define(SITE);
    for folder in ["", "blue/"] {
        scene.copy("raw", &format!("{folder}raw.wasm"));
        scene.write(&format!("{folder}raw.toml"), format!("instance_key = \"annotation:{KEY}\""));
    }
    scene.create_site("mine", "mine").await;
    let mark = |instance: Option<&str>| json!({ "metadata": { "annotations": { KEY: instance } } });
    scene.api.merge(&scene.site("mine"), &mark(Some("blue"))).await;
    let _host = scene.host().await;
    scene.page_is("mine", "mine").await;
    let page = scene.api.get(&scene.config_map("mine")).await.expect("it is there");
    assert_eq!(page["metadata"]["annotations"][KEY], "blue", "a child inherits the mark where its object carries it");

    scene.api.merge(&scene.site("mine"), &mark(None)).await;
    let unmarked = |page: &Value| page["metadata"]["annotations"].get(KEY).is_none().then(|| page.clone());
    let moved = scene.sees("the default instance takes it over", &scene.config_map("mine"), unmarked).await;
    assert_eq!(moved["metadata"]["uid"], page["metadata"]["uid"], "the child is the same");
}

#[test]
fn check_says_what_a_good_file_is_and_why_a_bad_one_is_refused() {
    let good = check(&support::file("site"));
    let said = String::from_utf8_lossy(&good.stdout);
    assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stderr));
    assert!(said.starts_with("site.wasm is a plugin of lineage site"), "{said}");
    for line in ["reconciles  Site.example.dev at v1", "writes      Deployment.apps at v1", "allowed"] {
        assert!(said.contains(line), "{line:?} in {said}");
    }

    let bad = check(&support::file("wrong-version"));
    let why = String::from_utf8_lossy(&bad.stderr);
    assert_eq!(bad.status.code(), Some(1), "{why}");
    assert!(why.contains("wrong-version.wasm: ") && why.contains("expected trimtab:plugin/controller@0.1.0"), "{why}");
    assert!(bad.stdout.is_empty());
}

fn check(file: &std::path::Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trimtab"));
    command.arg("check").arg(file).env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"));
    command.output().expect("cargo has built it")
}
