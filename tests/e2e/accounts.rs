//! Plugins whose writes are made as a service account of their own: its RBAC holds for
//! them, and the host's own rights do not help.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use crate::{
    rbac::{assert_never_forbidden, printed},
    support::{SITE, Scene},
};

/// A kubeconfig with a token of the host's service account: who impersonates cannot be
/// impersonated himself.
fn as_host(scene: &Scene) -> PathBuf {
    let token = scene.plane().kubectl(&["create", "token", "host", "--namespace", &scene.namespace]);
    let admin = fs::read_to_string(scene.plane().kubeconfig()).expect("the control plane has written it");
    let mut kubeconfig = serde_json::from_str::<Value>(&admin).expect("it is written as JSON");
    kubeconfig["users"][0]["user"] = json!({ "token": token.trim() });
    let path = scene.folder().join(".kubeconfig");
    fs::write(&path, kubeconfig.to_string()).expect("the folder is ours");
    path
}

fn apply(scene: &Scene, manifests: &str) {
    let file = scene.folder().join(".rights.yaml");
    fs::write(&file, manifests).expect("the folder is ours");
    scene.plane().kubectl(&["apply", "-f", file.to_str().expect("its path is text")]);
}

#[tokio::test]
async fn a_plugin_writes_as_its_own_account_and_no_more_than_that_may() {
    let scene = Scene::new().await;
    scene.define(SITE);
    scene.copy("site", "site.wasm");
    let writer = format!("{}/writer", scene.namespace);
    scene.write("site.toml", format!("service_account = {writer:?}\n"));
    let flags = ["--namespaces", &scene.namespace];
    let rights = printed(&scene, &flags);
    apply(&scene, &rights);
    let host = scene.host_with(&as_host(&scene), &flags).await;
    scene.create_site("anna", "one").await;
    scene.page_is("anna", "one").await;
    scene.condition(&scene.site("anna"), "Settled").await;
    assert_never_forbidden(&host);

    let user = format!("system:serviceaccount:{}:writer", scene.namespace);
    let binding = format!("{}:writer", scene.namespace);
    scene.plane().kubectl(&["delete", "rolebinding", &binding, "--namespace", &scene.namespace]);
    scene.edit_page("anna", "two").await;
    let event = scene.event("anna", "WriteFailed").await;
    let note = event["note"].as_str().expect("an Event has a note");
    assert!(note.contains(&format!("User \"{user}\" cannot patch")), "{note}");
    assert_eq!(scene.api.fetch(&scene.config_map("anna")).await["data"]["index.html"], "one");

    apply(&scene, &rights);
    scene.page_is("anna", "two").await;
    scene.condition(&scene.site("anna"), "Settled").await;
}
