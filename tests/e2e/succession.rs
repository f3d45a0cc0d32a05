//! Objects that pass, while they are served, from a composite to a decorator that
//! replaces it, and back: what that costs, and that nothing is made anew. The number
//! of objects from the environment: `OBJECTS=200` is the run that figures come from.

use std::{collections::BTreeMap, env};

use serde_json::{Value, json};
use trimtab_harness::eventually;

use crate::support::{Host, SOON, Scene};

const MIRROR: &str = "fixtures/mirror/crd.yaml";

/// A plugin of one of the two roles, which is asked before its objects go.
fn policy(role: &str, inherit: &str) -> String {
    format!(
        r#"
        {inherit}
        [config]
        wish = "{role}"
        [config.describe]
        role = "{role}"
        objects = [{{ apiVersion = "fixtures.trimtab.dev/v1", kind = "Mirror", labelSelector = "team" }}]
        children = [{{ apiVersion = "v1", kind = "ConfigMap" }}]
        finalizes = true
        "#
    )
}

fn name(number: usize) -> String {
    format!("moves-{number:03}")
}

/// An object of which the composite wants one field more in its child.
fn mirror(number: usize) -> Value {
    let wish = |data: Value, status: Value| {
        let child =
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name(number) }, "data": data });
        json!({ "children": [child], "status": status }).to_string()
    };
    let composite = wish(json!({ "say": "both", "more": "x" }), json!({ "observed": 1 }));
    let decorator = wish(json!({ "say": "both" }), json!({ "observed": 2 }));
    json!({
        "apiVersion": "fixtures.trimtab.dev/v1", "kind": "Mirror",
        "metadata": { "name": name(number), "labels": { "team": "blue" },
            "annotations": { "composite": composite, "decorator": decorator } },
    })
}

/// Waits until all objects are a lineage's, with all that belongs to them: the uids
/// of the children.
async fn all_are_of(scene: &Scene, count: usize, lineage: &str, observed: u64, more: bool) -> BTreeMap<String, Value> {
    let objects = scene.at("fixtures.trimtab.dev/v1", "mirrors", "");
    let managers = |child: &Value| {
        let managers = child["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
        let of_plugins = managers.into_iter().filter(|entry| entry["fieldsV1"] != json!({}));
        let of_plugins = of_plugins.filter_map(|entry| entry["manager"].as_str().map(str::to_owned));
        of_plugins.filter(|manager| manager.starts_with("trimtab/")).collect::<Vec<_>>()
    };
    let is_moved = |object: &Value| {
        object["metadata"]["finalizers"] == json!([format!("trimtab.dev/{lineage}")])
            && object["status"]["observed"] == observed
            && object["status"].get("conditions").is_some() == more
            && object["metadata"]["labels"].get("decorator.trimtab.dev/team").is_some() != more
    };
    let is_its = |child: &Value| {
        child["metadata"]["labels"]["trimtab.dev/plugin"] == lineage
            && child["data"].get("more").is_some() == more
            && managers(child) == [format!("trimtab/{lineage}")]
    };
    eventually(&format!("all objects are of {lineage}"), 4 * SOON, async || {
        let moved = scene.api.list(&objects).await.iter().filter(|object| is_moved(object)).count();
        let children = scene.api.list(&scene.config_map("")).await;
        let uid = |child: &Value| {
            (child["metadata"]["name"].as_str().unwrap_or_default().to_owned(), child["metadata"]["uid"].clone())
        };
        let children = children.iter().filter(|child| is_its(child)).map(uid).collect::<BTreeMap<_, _>>();
        (moved == count && children.len() == count).then_some(children)
    })
    .await
}

/// How many writes the host has made, once nothing waits or is worked on: an answer
/// is counted after the server shows what it has done.
async fn writes(host: &Host) -> f64 {
    eventually("the host is done", SOON, async || {
        let out =
            host.metric("workqueue_depth", &[]).await + host.metric("controller_runtime_active_workers", &[]).await;
        (out == 0.0).then_some(())
    })
    .await;
    host.metric("trimtab_writes_total", &[("result", "Written")]).await
}

#[tokio::test]
async fn live_objects_pass_to_a_decorator_and_back_and_no_child_is_made_anew() {
    let objects = env::var("OBJECTS").map_or(40, |text| text.parse().expect("a number"));
    let scene = Scene::new().await;
    scene.define(MIRROR);
    for number in 0..objects {
        scene.api.create(&scene.at("fixtures.trimtab.dev/v1", "mirrors", ""), &mirror(number)).await;
    }
    scene.copy("mirror", "site.wasm");
    scene.write("site.toml", policy("composite", ""));
    let host = scene.host().await;
    let before = all_are_of(&scene, objects, "site", 1, true).await;

    let began = writes(&host).await;
    scene.copy("mirror", "team.wasm");
    scene.write("team.toml", policy("decorator", "inherit.lineage = \"site\""));
    host.becomes("team", "Serving").await;
    assert_eq!(writes(&host).await, began, "side by side nothing is written");
    scene.remove("site.wasm");
    scene.remove("site.toml");
    let there = all_are_of(&scene, objects, "team", 2, false).await;
    let took = writes(&host).await - began;

    scene.write("team.toml", policy("decorator", ""));
    scene.copy("mirror", "site.wasm");
    scene.write("site.toml", policy("composite", "inherit.lineage = \"team\""));
    host.becomes("site", "Serving").await;
    scene.remove("team.wasm");
    scene.remove("team.toml");
    let back = all_are_of(&scene, objects, "site", 1, true).await;
    let took_back = writes(&host).await - began - took;
    let changed = before.iter().filter(|(name, uid)| [&there, &back].iter().any(|now| now[*name] != **uid)).count();
    println!("{objects} objects: {took} writes there, {took_back} back, {changed} uids changed");
    assert_eq!(changed, 0);
}
