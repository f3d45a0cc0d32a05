//! `trimtab release`: objects that a plugin holds which no host serves any more.

use std::{
    process::{Command, Output},
    time::Duration,
};

use crate::support::{MISBEHAVE, Scene};

/// Lineage of the one that is gone: other tests' objects are left alone.
const HELD: &str = "held";

fn release(scene: &Scene, flags: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trimtab"));
    command.args(["release", "--lineage", HELD, "--kubeconfig"]).arg(scene.plane().kubeconfig()).args(flags);
    let Output { status, stdout, stderr } = command.output().expect("cargo has built it");
    (status.success(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

#[tokio::test]
async fn what_a_plugin_holds_that_is_gone_is_released_and_not_before() {
    let scene = Scene::alone().await;
    scene.define(MISBEHAVE);
    scene.copy("misbehave", "held.wasm");
    scene.write("held.toml", "[config]\ndescribe = \"finalizes\"\n");
    scene.create_misbehave("anna", "echo").await;
    let mut host = scene.host().await;
    let anna = scene.misbehave("anna");
    scene.sees("it is served", &scene.config_map("anna"), |_| Some(())).await;
    scene.api.delete(&anna).await;
    scene.sees("its plugin is asked", &anna, |object| (object["status"]["finalizing"] == true).then_some(())).await;
    let recorded = async || {
        let (done, said) = release(&scene, &[]);
        (!done && said.contains("held is served by")).then_some(())
    };
    // The Lease says so with its next renewal.
    trimtab_harness::eventually("it is not released while it is served", Duration::from_secs(30), recorded).await;

    host.terminate();
    assert!(host.ends_within(Duration::from_secs(30)).await.success());
    let (done, said) = release(&scene, &["--dry-run"]);
    let would = format!("would take from Misbehave.fixtures.trimtab.dev {}/anna", scene.namespace);
    assert!(done && said.contains(&would) && said.contains("1 objects released (not really"), "{said}");
    assert_eq!(scene.api.fetch(&anna).await["metadata"]["finalizers"][0], "trimtab.dev/held");

    let (done, said) = release(&scene, &[]);
    assert!(done && said.contains("1 objects released"), "{said}");
    scene.gone(&anna).await;
    assert!(release(&scene, &[]).1.contains("0 objects released"));
}
