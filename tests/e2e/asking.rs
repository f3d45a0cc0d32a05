//! What a running host says of its plugins and objects to who asks it.

use std::{
    fs,
    process::{Command, Output},
};

use trimtab_harness::eventually;

use crate::support::{Host, MISBEHAVE, SOON, Scene};

fn trimtab(host: &Host, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trimtab"));
    command.args(args).arg("--admin").arg(host.admin().to_string()).env_remove("TRIMTAB_LOG");
    command.output().expect("cargo has built it")
}

fn said(host: &Host, args: &[&str]) -> String {
    let output = trimtab(host, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it prints text")
}

fn refused(host: &Host, args: &[&str]) -> String {
    let output = trimtab(host, args);
    assert!(!output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).expect("it prints text")
}

/// Waits until `trimtab` says all of this.
async fn says(host: &Host, args: &[&str], all: &[&str]) {
    let what = format!("trimtab {args:?} says {all:?}");
    eventually(&what, SOON, async || {
        let text = said(host, args);
        all.iter().all(|part| text.contains(part)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_host_says_which_plugin_serves_an_object_and_how_its_last_run_went() {
    let scene = Scene::new().await;
    scene.define(MISBEHAVE);
    scene.copy("misbehave", "misbehave.wasm");
    let host = scene.serving_anna().await;
    scene.create_misbehave("bad", "trap").await;
    scene.condition(&scene.misbehave("bad"), "PluginFailed").await;

    let namespace = ["-n", &scene.namespace];
    let why = |object: &'static str| [&["why", object], &namespace[..]].concat();
    let of_anna = ["  raw: settled", "served by    raw, generation", "child        ConfigMap"];
    says(&host, &why("Site/anna"), &of_anna).await;
    says(&host, &why("sites.example.dev/anna"), &["wrote        status Site.example.dev", "anna: Written"]).await;
    says(&host, &why("configmap/anna"), &["as a child: it is controlled by Site anna", "made by the plugin raw"]).await;
    says(&host, &why("misbehaves/bad"), &["misbehave: failing", "because      the plugin trapped", "next look"]).await;
    says(&host, &why("Site/nobody"), &["raw: gone"]).await;
    let unknown = refused(&host, &why("Sight/anna"));
    assert!(unknown.contains("the server serves no kind \"Sight\""), "{unknown}");

    let plugins = said(&host, &["plugins"]);
    let row = |stem: &str| plugins.lines().find(|line| line.contains(stem)).unwrap_or_default().split_whitespace();
    assert!(row("raw").eq(["raw", "Site.example.dev", "v1", "Serving", "1", "0"]), "{plugins}");
    let failing = ["misbehave", "Misbehave.fixtures.trimtab.dev", "v1", "Serving", "1", "1"];
    assert!(row("misbehave").eq(failing), "{plugins}");
    let json = serde_json::from_str::<serde_json::Value>(&said(&host, &["plugins", "--json"]));
    assert_eq!(json.expect("it is JSON").as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn a_page_whose_name_leads_to_loopback_is_told_nothing() {
    let scene = Scene::new().await;
    let host = scene.host().await;
    for (name, status) in [("localhost:1", 200), ("[::1]", 200), ("evil.example", 403), ("127.0.0.1.evil.example", 403)]
    {
        assert_eq!(host.ask_as(name, "/plugins").await.0, status, "{name}");
    }
    assert_eq!(host.ask_as("evil.example", "/healthz").await.0, 200);
}

#[tokio::test]
async fn what_a_host_knows_is_told_outside_of_loopback_only_to_who_has_the_token() {
    let scene = Scene::new().await;
    let start = async |more: &[&str]| {
        let flags = [&["--namespaces", &scene.namespace, "--admin-address", "0.0.0.0:0"], more].concat();
        scene.host_with(&scene.plane().kubeconfig(), &flags).await
    };
    let host = start(&[]).await;
    assert!(refused(&host, &["plugins"]).contains("start the host with --admin-token-file"));
    host.metric("trimtab_cached_objects", &[]).await;

    let dir = tempfile::tempdir().expect("a folder for the token");
    let (file, wrong) = (dir.path().join("token"), dir.path().join("wrong"));
    fs::write(&file, "secret\n").expect("it can be written");
    fs::write(&wrong, "guessed\n").expect("it can be written");
    let [file, wrong] = [&file, &wrong].map(|path| path.to_str().expect("its path is text"));
    let host = start(&["--admin-token-file", file]).await;
    for args in [&["plugins"][..], &["plugins", "--token-file", wrong], &["why", "Site/anna"]] {
        assert!(refused(&host, args).contains("the token of --admin-token-file"), "{args:?}");
    }
    assert!(said(&host, &["plugins", "--token-file", file]).starts_with("INSTANCE"));
}
