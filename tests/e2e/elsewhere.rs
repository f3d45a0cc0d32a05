//! Children that may not name their owner, and so are collected by no one but
//! the host: in another namespace, and in none.

use serde_json::json;

use crate::support::Scene;

const MIRROR: &str = "fixtures/mirror/crd.yaml";

const DESCRIBE: &str = r#"
[config.describe]
role = "composite"
objects = [{ apiVersion = "fixtures.trimtab.dev/v1", kind = "Mirror" }]
children = [{ apiVersion = "v1", kind = "ConfigMap" }, { apiVersion = "v1", kind = "Namespace" }]
"#;

#[tokio::test]
async fn children_in_other_namespaces_and_in_none_go_with_their_owner_even_by_force() {
    let scene = Scene::alone().await;
    scene.define(MIRROR);
    let shared = scene.plane().namespace().await;
    let (made, other) = (format!("{}-made", scene.namespace), format!("/api/v1/namespaces/{shared}/configmaps/other"));
    let made_path = format!("/api/v1/namespaces/{made}");
    let own = scene.config_map("own");
    let children = [
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "own" } }),
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "other", "namespace": shared } }),
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": made } }),
    ];
    let mirror = json!({ "apiVersion": "fixtures.trimtab.dev/v1", "kind": "Mirror",
        "metadata": { "name": "anna" }, "spec": { "children": children } });
    let mirrors = scene.at("fixtures.trimtab.dev/v1", "mirrors", "");
    let anna = format!("{mirrors}/anna");
    scene.copy("mirror", "mirror.wasm");
    scene.write("mirror.toml", DESCRIBE);
    scene.api.create(&mirrors, &mirror).await;
    let mut host = scene.host_with(&scene.plane().kubeconfig(), &[]).await;

    let refused = scene.condition(&anna, "AnswerRefused").await;
    let says_how = format!("add elsewhere = [\"{shared}\"] under [grants]");
    assert!(refused["message"].as_str().is_some_and(|why| why.contains(&says_how)), "{refused}");
    assert!(scene.api.get(&own).await.is_none(), "a refused answer makes nothing");

    let grants = format!("[grants]\nelsewhere = [\"{shared}\"]\nwrites = [\"Namespace\"]\n");
    scene.write("mirror.toml", format!("{DESCRIBE}{grants}"));
    scene.condition(&anna, "Settled").await;
    assert_eq!(scene.api.fetch(&anna).await["metadata"]["finalizers"], json!(["trimtab.dev/mirror"]));
    assert_eq!(scene.api.fetch(&own).await["metadata"]["ownerReferences"][0]["name"], "anna");
    for path in [&other, &made_path] {
        let child = scene.api.fetch(path).await;
        assert!(child["metadata"].get("ownerReferences").is_none(), "Kubernetes would collect it at once: {child}");
    }
    scene.api.delete(&anna).await;
    for path in [&anna, &own, &other, &made_path] {
        scene.gone(path).await;
    }

    scene.api.create(&mirrors, &mirror).await;
    scene.condition(&anna, "Settled").await;
    host.kill();
    scene.api.merge(&anna, &json!({ "metadata": { "finalizers": null } })).await;
    scene.api.delete(&anna).await;
    scene.gone(&anna).await;
    assert!(scene.api.get(&other).await.is_some(), "nobody is there to collect it");
    let _next = scene.host_with(&scene.plane().kubeconfig(), &[]).await;
    for path in [&other, &made_path] {
        scene.gone(path).await;
    }
}
