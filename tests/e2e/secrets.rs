//! Secrets that a policy grants by name: seen by a host that may see no others.

use serde_json::json;

use crate::{
    rbac::{assert_never_forbidden, host_with_rights, printed},
    support::Scene,
};

#[tokio::test]
async fn a_secret_is_looked_up_with_a_right_to_that_one_alone() {
    let scene = Scene::new().await;
    scene.define("examples/page/crd.yaml");
    scene.copy("page", "page.wasm");
    scene.write("page.toml", format!("[grants]\nsecrets = [\"{}/cert\"]\n", scene.namespace));
    let rights = printed(&scene, &["--namespaces", &scene.namespace]);
    assert!(rights.contains("resourceNames: [\"cert\"]"), "{rights}");
    let host = host_with_rights(&scene, &rights, &["--namespaces", &scene.namespace]).await;
    let pages = scene.at("example.dev/v1", "pages", "");
    for (name, secret) in [("anna", "cert"), ("ben", "other")] {
        scene.api.create(&scene.at("v1", "secrets", ""), &json!({ "metadata": { "name": secret } })).await;
        let spec = json!({ "host": name, "tls": secret });
        let page =
            json!({ "apiVersion": "example.dev/v1", "kind": "Page", "metadata": { "name": name }, "spec": spec });
        scene.api.create(&pages, &page).await;
    }
    scene.sees("what has its Secret is served", &scene.config_map("anna"), |_| Some(())).await;
    let told = scene.event("ben", "PluginFailed").await;
    let denied = format!("Secret {}/other is not granted", scene.namespace);
    assert!(told["note"].as_str().is_some_and(|note| note.contains(&denied)), "{told}");
    assert_never_forbidden(&host);

    scene.api.delete(&scene.at("v1", "secrets", "cert")).await;
    let told = scene.event("anna", "Waiting").await;
    assert!(told["note"].as_str().is_some_and(|note| note.contains("waiting for the secret cert")), "{told}");
}
