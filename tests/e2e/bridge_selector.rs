//! The bridge of a CompositeController whose parents select their children themselves:
//! what Metacontroller made stays, and orphans are adopted as it would adopt them.

use axum::response::Response;
use serde_json::{Value, json};

use crate::support::{Hooks, Scene, json_answer, migrated, source};

const MIRROR: &str = "fixtures/mirror/crd.yaml";

/// Wants one child, and keeps whatever it is shown besides.
fn answer(_: &Hooks, _: &str, request: &Value) -> Option<Response> {
    let shown = request["children"]["ConfigMap.v1"].as_object().cloned().unwrap_or_default();
    let kept = shown.iter().filter(|(name, _)| *name != "made").map(|(name, child)| {
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": child["data"],
            "metadata": { "name": name, "labels": { "app": "a" } } })
    });
    let made = json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "say": "it" },
        "metadata": { "name": "made", "labels": { "app": "a" } } });
    json_answer(&json!({ "status": { "shown": shown.len() }, "children": kept.chain([made]).collect::<Vec<_>>() }))
}

fn policy(hooks: &Hooks) -> String {
    let controller = format!(
        "
apiVersion: metacontroller.k8s.io/v1alpha1
kind: CompositeController
metadata: {{ name: mirror }}
spec:
  parentResource: {{ apiVersion: fixtures.trimtab.dev/v1, resource: mirrors }}
  childResources:
    - {{ apiVersion: v1, resource: configmaps, updateStrategy: {{ method: InPlace }} }}
  hooks:
    sync: {{ webhook: {{ url: 'http://{}/sync' }} }}
",
        hooks.address
    );
    migrated(&controller, source(MIRROR))
}

#[tokio::test]
async fn a_parents_own_selector_goes_on_saying_which_children_are_its() {
    let hooks = Hooks::start(answer).await;
    let scene = Scene::new().await;
    scene.define(MIRROR);
    scene.copy("bridge", "bridge.wasm");
    scene.write("mirror.toml", policy(&hooks));
    let (mirrors, config_maps) = (scene.at("fixtures.trimtab.dev/v1", "mirrors", ""), scene.config_map(""));
    let parent = json!({ "apiVersion": "fixtures.trimtab.dev/v1", "kind": "Mirror", "metadata": { "name": "a" },
        "spec": { "selector": { "matchLabels": { "app": "a" } } } });
    let parent = scene.api.create(&mirrors, &parent).await;
    let child = |name: &str, owners: Value| {
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "say": "before" },
            "metadata": { "name": name, "labels": { "app": "a" }, "ownerReferences": owners } })
    };
    let owner = json!([{ "apiVersion": "fixtures.trimtab.dev/v1", "kind": "Mirror", "name": "a",
        "uid": parent["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true }]);
    let made = scene.api.create(&config_maps, &child("made", owner)).await;
    let orphan = scene.api.create(&config_maps, &child("orphan", json!([]))).await;
    let _host = scene.host().await;

    let both = |it: &Value| (it["status"]["shown"] == 2).then_some(());
    scene.sees("the hook is shown both", &scene.at("fixtures.trimtab.dev/v1", "mirrors", "a"), both).await;
    scene.condition(&scene.at("fixtures.trimtab.dev/v1", "mirrors", "a"), "Settled").await;
    for (before, says) in [(made, "it"), (orphan, "before")] {
        let name = before["metadata"]["name"].as_str().expect("it has one");
        let now = scene.api.fetch(&scene.config_map(name)).await;
        assert_eq!(now["metadata"]["uid"], before["metadata"]["uid"], "{name} was not made anew");
        assert_eq!(now["metadata"]["ownerReferences"][0]["name"], "a", "{now}");
        assert_eq!(now["data"]["say"], says, "{now}");
        assert!(now["metadata"]["labels"].get("controller-uid").is_none(), "{now}");
    }
}
