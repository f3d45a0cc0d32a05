//! The plugins folder as people and Kubernetes change it.

use std::{fs, os::unix::fs::symlink};

use serde_json::json;
use trimtab_harness::eventually;

use crate::support::{self, SITE, SOON, Scene};

#[tokio::test]
async fn a_removed_file_stops_serving_and_deletes_nothing() {
    let scene = Scene::new().await;
    let host = scene.serving_anna().await;

    fs::remove_file(scene.folder().join("raw.wasm")).expect("the folder is ours");
    eventually("the slot is gone", SOON, async || host.slot("raw").await.is_none().then_some(())).await;
    scene.edit_page("anna", "two").await;
    scene.create_site("ben", "three").await;
    // A later Site of another instance is served: the host has passed by the two.
    scene.copy("raw", "canary/raw.wasm");
    scene.create_site("clara", "four").await;
    let canary = json!({ "metadata": { "labels": { "trimtab.dev/instance-id": "canary" } } });
    scene.api.merge(&scene.site("clara"), &canary).await;
    scene.page_is("clara", "four").await;
    assert_eq!(scene.api.fetch(&scene.config_map("anna")).await["data"]["index.html"], "one");
    assert!(scene.api.get(&scene.config_map("ben")).await.is_none());

    scene.copy("raw", "raw.wasm");
    scene.page_is("ben", "three").await;
    scene.page_is("anna", "two").await;
}

#[tokio::test]
async fn a_mounted_config_map_is_followed_through_its_swaps() {
    let scene = Scene::new().await;
    scene.define(SITE);
    scene.create_site("anna", "one").await;
    let mount = |revision: &str, plugin: &str| {
        let folder = scene.folder();
        fs::create_dir(folder.join(revision)).expect("the folder is ours");
        fs::write(folder.join(revision).join("site.wasm"), support::plugin(plugin)).expect("the folder is ours");
        symlink(revision, folder.join("..data_tmp")).expect("the folder is ours");
        fs::rename(folder.join("..data_tmp"), folder.join("..data")).expect("the folder is ours");
    };
    mount("..2026_01", "site");
    symlink("..data/site.wasm", scene.folder().join("site.wasm")).expect("the folder is ours");
    let host = scene.host().await;
    let built_by = async |build: &str| {
        let what = format!("anna is served by build {build}");
        scene.sees(&what, &scene.site("anna"), |site| (site["status"]["build"] == build).then_some(())).await;
    };
    built_by("1").await;
    mount("..2026_02", "site-next");
    fs::remove_dir_all(scene.folder().join("..2026_01")).expect("the folder is ours");
    built_by("2").await;
    assert_eq!(host.slots().await.len(), 1);
}
