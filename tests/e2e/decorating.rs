//! Decorators of core kinds, which somebody else owns: what they add, and what is
//! left when an object no longer matches. And a composite of one.

use serde_json::{Value, json};

use crate::support::Scene;

fn label<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object["metadata"]["labels"][name].as_str()
}

#[tokio::test]
async fn a_namespace_is_decorated_by_two_as_long_as_it_matches_and_then_left_as_it_was() {
    let scene = Scene::alone().await;
    let namespace = format!("/api/v1/namespaces/{}", scene.namespace);
    let team = scene.config_map(&format!("{}-team", scene.namespace));
    let before = scene.api.fetch(&namespace).await;
    scene.copy("team", "team.wasm");
    scene.copy("mirror", "audit.wasm");
    scene.write(
        "audit.toml",
        r#"
        config.wish = "audit"
        [config.describe]
        role = "decorator"
        objects = [{ apiVersion = "v1", kind = "Namespace", labelSelector = "team" }]
        children = [{ apiVersion = "v1", kind = "ConfigMap" }]
        finalizes = true
        "#,
    );
    let _host = scene.host_with(&scene.plane().kubeconfig(), &[]).await;
    let child = json!({ "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "audit", "namespace": scene.namespace } });
    let wish = json!({ "children": [child], "labels": { "example.dev/audited": "yes" } });
    let matches = json!({ "labels": { "team": "blue" }, "annotations": { "audit": wish.to_string() } });
    scene.api.merge(&namespace, &json!({ "metadata": matches })).await;

    let told = scene.sees("the team is told", &team, |told| (told["data"]["team"] == "blue").then(|| told.clone()));
    assert_eq!(told.await["metadata"]["ownerReferences"][0]["kind"], "Namespace");
    scene.sees("it is audited", &scene.config_map("audit"), |_| Some(())).await;
    let both = scene.sees("both have labelled it", &namespace, |it| {
        let both = label(it, "example.dev/billed-to").is_some() && label(it, "example.dev/audited").is_some();
        both.then(|| it.clone())
    });
    assert_eq!(both.await["metadata"]["finalizers"], json!(["trimtab.dev/audit"]));

    // A later hand has the last word, and a new wish is followed.
    scene.api.merge(&namespace, &json!({ "metadata": { "labels": { "example.dev/audited": "by-hand" } } })).await;
    scene.api.merge(&namespace, &json!({ "metadata": { "labels": { "team": "green" } } })).await;
    let green = scene.sees("the new team is billed", &namespace, |it| {
        (label(it, "example.dev/billed-to") == Some("green")).then(|| it.clone())
    });
    assert_eq!(label(&green.await, "example.dev/audited"), Some("by-hand"));

    let matches_no_more =
        json!({ "labels": { "team": null, "example.dev/audited": null }, "annotations": { "audit": null } });
    scene.api.merge(&namespace, &json!({ "metadata": matches_no_more })).await;
    scene.gone(&scene.config_map("audit")).await;
    scene.gone(&team).await;
    let as_before = |it: &Value| {
        ["labels", "annotations", "finalizers"].iter().all(|field| it["metadata"][field] == before["metadata"][field])
    };
    scene.sees("nothing of it is left", &namespace, |it| as_before(it).then_some(())).await;
}

#[tokio::test]
async fn a_composite_of_a_kind_without_a_status_has_its_children_and_an_event_for_what_it_cannot_say() {
    let scene = Scene::new().await;
    scene.copy("mirror", "mirror.wasm");
    scene.write(
        "mirror.toml",
        r#"
        config.wish = "wish"
        [config.describe]
        role = "composite"
        objects = [{ apiVersion = "v1", kind = "ConfigMap", labelSelector = "served" }]
        children = [{ apiVersion = "v1", kind = "Service" }]
        "#,
    );
    let _host = scene.host().await;
    let service = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "made" },
        "spec": { "ports": [{ "port": 80 }] } });
    let wish = |status: Value| json!({ "children": [service], "status": status }).to_string();
    let config_map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata":
        { "name": "asks", "labels": { "served": "yes" }, "annotations": { "wish": wish(json!({ "ready": true })) } } });
    scene.api.create(&scene.config_map(""), &config_map).await;
    let made = scene.at("v1", "services", "made");
    scene
        .sees("its Service is made", &made, |it| {
            (it["metadata"]["ownerReferences"][0]["kind"] == "ConfigMap").then_some(())
        })
        .await;
    let event = scene.event("asks", "WriteFailed").await;
    assert!(event["note"].as_str().is_some_and(|note| note.contains("no status subresource")), "{event}");
    scene.api.delete(&scene.config_map("asks")).await;
    scene.gone(&made).await;
}
