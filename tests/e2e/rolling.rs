//! Rolling updates on a real server: Pods that are made anew and custom objects that
//! are changed where they lie, each when the one before is ready, which the test says.

use serde_json::{Value, json};
use trimtab_harness::eventually;

use crate::support::{MISBEHAVE, SOON, Scene};

const POLICY: &str = r#"
[config.describe]
role = "composite"
objects = [{ apiVersion = "fixtures.trimtab.dev/v1", kind = "Mirror" }]
children = [
    { apiVersion = "v1", kind = "Pod", update = "rolling-recreate", ready = [{ type = "Ready" }] },
    { apiVersion = "fixtures.trimtab.dev/v1", kind = "Misbehave" },
]
[update]
"Misbehave.fixtures.trimtab.dev" = { method = "rolling-in-place", max_unavailable = "50%", ready = [{ type = "Ready", reason = "Told" }] }
"#;

/// The children at one release.
fn spec(release: &str) -> Value {
    let named = |name: String| json!({ "name": name, "labels": { "release": release } });
    let pod = |at| {
        json!({ "apiVersion": "v1", "kind": "Pod", "metadata": named(format!("p{at}")),
        "spec": { "containers": [{ "name": "c", "image": format!("example.dev/c:{release}") }] } })
    };
    let other = |at| {
        json!({ "apiVersion": "fixtures.trimtab.dev/v1", "kind": "Misbehave",
        "metadata": named(format!("m{at}")), "spec": { "message": release } })
    };
    json!({ "children": (0..2).map(pod).chain((0..4).map(other)).collect::<Vec<_>>() })
}

/// Of an object, or of all of a kind.
fn path(scene: &Scene, plural: &str, name: &str) -> String {
    scene.at(if plural == "pods" { "v1" } else { "fixtures.trimtab.dev/v1" }, plural, name)
}

/// The releases of the children of a kind, once they are these.
async fn releases(scene: &Scene, plural: &str, expected: &[&str]) {
    let collection = path(scene, plural, "");
    eventually(&format!("the {plural} are at {expected:?}"), SOON, async || {
        let mut found = scene.api.list(&collection).await;
        found.retain(|it| it["metadata"]["labels"]["trimtab.dev/plugin"] == "mirror");
        let release = |it: &Value| it["metadata"]["labels"]["release"].as_str().map(str::to_owned);
        (found.iter().filter_map(release).collect::<Vec<_>>() == expected).then_some(())
    })
    .await;
}

/// Says that a child is ready, as it is now.
async fn is_ready(scene: &Scene, plural: &str, name: &str) {
    let path = path(scene, plural, name);
    let generation = scene.api.fetch(&path).await["metadata"]["generation"].clone();
    let condition = json!({ "type": "Ready", "status": "True", "reason": "Told" });
    let status = json!({ "status": { "conditions": [condition], "observedGeneration": generation } });
    scene.api.merge(&format!("{path}/status"), &status).await;
}

#[tokio::test]
async fn children_are_moved_to_the_next_revision_as_those_before_become_ready() {
    let scene = Scene::new().await;
    scene.define("fixtures/mirror/crd.yaml");
    scene.define(MISBEHAVE);
    scene.copy("mirror", "mirror.wasm");
    scene.write("mirror.toml", POLICY);
    let mirrors = scene.at("fixtures.trimtab.dev/v1", "mirrors", "");
    let anna = format!("{mirrors}/anna");
    let mirror = json!({ "apiVersion": "fixtures.trimtab.dev/v1", "kind": "Mirror",
        "metadata": { "name": "anna" }, "spec": spec("one") });
    scene.api.create(&mirrors, &mirror).await;
    let _host = scene.host().await;
    releases(&scene, "pods", &["one"; 2]).await;
    releases(&scene, "misbehaves", &["one"; 4]).await;
    for (plural, name) in
        [("pods", "p0"), ("pods", "p1"), ("misbehaves", "m0"), ("misbehaves", "m1"), ("misbehaves", "m2")]
    {
        is_ready(&scene, plural, name).await;
    }

    scene.api.merge(&anna, &json!({ "spec": spec("two") })).await;
    // The last one was never ready: it goes first, and holds up nothing.
    releases(&scene, "misbehaves", &["two", "one", "one", "two"]).await;
    releases(&scene, "pods", &["two", "one"]).await;
    let updated = |reason: &'static str| {
        move |object: &Value| {
            let mut conditions = object["status"]["conditions"].as_array()?.iter();
            conditions.find(|it| it["type"] == "Updated" && it["reason"] == reason).cloned()
        }
    };
    let waits = scene.sees("the rollout waits", &anna, updated("RolloutWaiting")).await;
    assert!(waits["message"].as_str().is_some_and(|text| text.contains("3 of 6")), "{waits}");
    let revisions = scene.at("apps/v1", "controllerrevisions", "");
    assert_eq!(scene.api.list(&revisions).await.len(), 2, "both are in use");

    let uid = async |name| scene.api.fetch(&path(&scene, "misbehaves", name)).await["metadata"]["uid"].clone();
    let before = uid("m1").await;
    for (plural, name) in [("misbehaves", "m0"), ("pods", "p0")] {
        is_ready(&scene, plural, name).await;
    }
    releases(&scene, "misbehaves", &["two", "two", "one", "two"]).await;
    releases(&scene, "pods", &["two", "two"]).await;
    assert_eq!(uid("m1").await, before, "it was changed where it lies");
    is_ready(&scene, "misbehaves", "m3").await;
    releases(&scene, "misbehaves", &["two"; 4]).await;
    for (plural, name) in [("misbehaves", "m1"), ("misbehaves", "m2"), ("pods", "p1")] {
        is_ready(&scene, plural, name).await;
    }
    scene.sees("the rollout is done", &anna, updated("OnLatestRevision")).await;
    eventually("the earlier revision is deleted", SOON, async || {
        (scene.api.list(&revisions).await.len() == 1).then_some(())
    })
    .await;
}
