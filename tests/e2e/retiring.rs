//! A plugin that is retired: its objects are free to go, and its children stay, as
//! nobody's.

use serde_json::json;

use crate::support::Scene;

#[tokio::test]
async fn a_retired_plugin_holds_no_object_and_leaves_its_children_to_nobody() {
    let scene = Scene::new().await;
    scene.define("fixtures/mirror/crd.yaml");
    scene.copy("mirror", "mine.wasm");
    let policy = |retire: &str| {
        format!(
            r#"
            {retire}
            [config]
            wish = "wish"
            [config.describe]
            role = "composite"
            objects = [{{ apiVersion = "fixtures.trimtab.dev/v1", kind = "Mirror" }}]
            children = [{{ apiVersion = "v1", kind = "ConfigMap" }}]
            finalizes = true
            "#
        )
    };
    scene.write("mine.toml", policy(""));
    let child =
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "held" }, "data": { "say": "it" } });
    let wish = json!({ "children": [child], "status": { "observed": 1 } });
    let metadata = json!({ "name": "held", "annotations": { "wish": wish.to_string() } });
    let object = json!({ "apiVersion": "fixtures.trimtab.dev/v1", "kind": "Mirror", "metadata": metadata });
    scene.api.create(&scene.at("fixtures.trimtab.dev/v1", "mirrors", ""), &object).await;
    let host = scene.host().await;
    let (held, child) = (scene.at("fixtures.trimtab.dev/v1", "mirrors", "held"), scene.config_map("held"));
    scene.condition(&held, "Settled").await;
    let made = scene.api.fetch(&child).await;
    assert_eq!(made["metadata"]["ownerReferences"][0]["name"], "held");

    scene.write("mine.toml", policy("retire = \"orphan\""));
    let is_free = |it: &serde_json::Value| it["metadata"].get("finalizers").is_none().then(|| it.clone());
    let free = scene.sees("it is let go", &held, is_free).await;
    assert!(free.get("status").is_none_or(|status| status.get("observed").is_none()), "{free}");
    let left = scene.api.fetch(&child).await;
    assert_eq!(left["metadata"]["uid"], made["metadata"]["uid"]);
    for field in ["labels", "annotations", "ownerReferences"] {
        assert!(left["metadata"].get(field).is_none_or(|field| *field == json!({})), "{left}");
    }
    assert_eq!(host.becomes("mine", "Serving").await, "");
    scene.api.delete(&held).await;
    scene.gone(&held).await;
    assert_eq!(scene.api.fetch(&child).await["data"]["say"], "it");
}
