//! A build that fails where the one before served makes way for it by itself, also for
//! the process that comes next, until it is mended.

use std::process::Command;

use serde_json::json;
use trimtab_harness::eventually;

use crate::support::{SOON, Scene};

const MIRROR: &str = "fixtures/mirror/crd.yaml";
const GOOD: &str = r#"
[config.describe]
role = "composite"
objects = [{ apiVersion = "fixtures.trimtab.dev/v1", kind = "Mirror" }]
children = [{ apiVersion = "v1", kind = "ConfigMap" }]
"#;
const TRAPS: &str = "[config.faults]\n\"*\" = \"trap\"\n";

#[tokio::test]
async fn a_bad_build_is_rolled_back_and_a_restart_keeps_it_so_until_it_is_mended() {
    let scene = Scene::new().await;
    scene.define(MIRROR);
    let mirrors = scene.at("fixtures.trimtab.dev/v1", "mirrors", "");
    let create = async |name: &str| {
        let children = [json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name } })];
        let mirror = json!({ "apiVersion": "fixtures.trimtab.dev/v1", "kind": "Mirror",
            "metadata": { "name": name }, "spec": { "children": children } });
        scene.api.create(&mirrors, &mirror).await;
    };
    scene.write("mirror.toml", GOOD);
    scene.copy("mirror", "mirror.wasm");
    create("anna").await;
    let mut host = scene.host().await;
    let anna = format!("{mirrors}/anna");
    scene.condition(&anna, "Settled").await;

    scene.write("mirror.toml", format!("{GOOD}{TRAPS}"));
    let why = host.becomes("mirror", "RolledBack").await;
    assert!(why.contains("anna") && why.contains("rollout.accepted = "), "{why}");
    scene.condition(&anna, "Settled").await;
    create("ben").await;
    scene.sees("the last good one serves", &scene.config_map("ben"), |_| Some(())).await;
    assert_eq!(host.metric("trimtab_plugin_rollbacks_total", &[("lineage", "mirror")]).await, 1.0);

    host.terminate();
    assert_eq!(host.ends_within(SOON).await.code(), Some(0));
    let host = scene.host().await;
    let why = host.becomes("mirror", "RolledBack").await;
    assert!(why.contains("anna") && why.contains("rollout.accepted = "), "{why}");
    create("dora").await;
    scene.sees("what was kept serves", &scene.config_map("dora"), |_| Some(())).await;
    assert_eq!(host.metric("trimtab_call_failures_total", &[]).await, 0.0, "the other is not tried again");

    scene.write("mirror.toml", GOOD);
    host.becomes("mirror", "Serving").await;
    create("carl").await;
    scene.sees("it is mended", &scene.config_map("carl"), |_| Some(())).await;

    scene.write("mirror.toml", format!("{GOOD}[config.other]\n"));
    eventually("it is on probation", SOON, async || (host.slot("mirror").await?["probation"] == true).then_some(()))
        .await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_trimtab"));
    let output = command.args(["rollback", "mirror", "--admin", &host.admin().to_string()]).output();
    let output = output.expect("cargo has built it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let why = host.becomes("mirror", "RolledBack").await;
    assert!(why.contains("rolled back by hand"), "{why}");
}
