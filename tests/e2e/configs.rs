//! A config in a Secret, with the printed rights: followed by a host that may read
//! nothing else.

use serde_json::json;
use trimtab_harness::eventually;

use crate::{
    rbac::{assert_never_forbidden, host_with_rights, printed},
    support::{SOON, Scene},
};

const MIRROR: &str = "fixtures/mirror/crd.yaml";
const POLICY: &str = r#"
config_from = { secret = "wishes", key = "config.yaml" }
[config.describe]
role = "composite"
objects = [{ apiVersion = "fixtures.trimtab.dev/v1", kind = "Mirror" }]
children = [{ apiVersion = "v1", kind = "ConfigMap" }]
"#;

#[tokio::test]
async fn a_config_in_a_secret_is_followed_with_a_right_to_that_one_alone() {
    let scene = Scene::new().await;
    scene.define(MIRROR);
    scene.copy("mirror", "mirror.wasm");
    scene.write("mirror.toml", POLICY);
    let secrets = scene.at("v1", "secrets", "");
    scene.api.create(&secrets, &json!({ "metadata": { "name": "other" }, "stringData": { "a": "b" } })).await;
    let wish = |name: &str| {
        json!({ "children": [{ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name } }] }).to_string()
    };
    let annotations = json!({ "one": wish("one"), "two": wish("two") });
    let mirror = json!({ "apiVersion": "fixtures.trimtab.dev/v1", "kind": "Mirror",
        "metadata": { "name": "anna", "annotations": annotations }, "spec": {} });
    scene.api.create(&scene.at("fixtures.trimtab.dev/v1", "mirrors", ""), &mirror).await;

    let rights = printed(&scene, &["--namespaces", &scene.namespace]);
    assert!(rights.contains("resourceNames: [\"wishes\"]"), "{rights}");
    let host = host_with_rights(&scene, &rights, &["--namespaces", &scene.namespace]).await;
    let why = host.becomes("mirror", "Pending").await;
    eventually("it says what it waits for", SOON, async || {
        let reason = host.slot("mirror").await?["reason"].as_str()?.to_owned();
        reason.contains("does not exist").then_some(())
    })
    .await;
    eventually(&format!("what waits does not unready: {why}"), SOON, async || host.ready().await.ok()).await;

    let config = |wish: &str| json!({ "metadata": { "name": "wishes" }, "stringData": { "config.yaml": format!("wish: {wish}\nhush: secret-word") } });
    scene.api.create(&secrets, &config("one")).await;
    scene.sees("the first wish is there", &scene.config_map("one"), |_| Some(())).await;
    scene.api.merge(&scene.at("v1", "secrets", "wishes"), &config("two")).await;
    scene.sees("the second wish is there", &scene.config_map("two"), |_| Some(())).await;
    scene.gone(&scene.config_map("one")).await;
    assert_never_forbidden(&host);

    scene.api.delete(&scene.at("v1", "secrets", "wishes")).await;
    eventually("it is told that the config is gone", SOON, async || {
        let slot = host.slot("mirror").await?;
        (slot["state"] == "Serving" && slot["reason"].as_str()?.contains("does not exist")).then_some(())
    })
    .await;
    assert!(host.printed().iter().all(|line| !line.contains("secret-word")), "no log tells it");
    assert!(!format!("{:?}", host.slots().await).contains("secret-word"));
}
