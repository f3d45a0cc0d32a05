//! Children by their object's own selector, on the real API server.

use serde_json::{Value, json};

use crate::support::Scene;

const POLICY: &str = r#"
children_selector = "spec.selector"
[config.describe]
role = "composite"
objects = [{ apiVersion = "fixtures.trimtab.dev/v1", kind = "Mirror" }]
children = [{ apiVersion = "v1", kind = "ConfigMap" }]
finalizes = true
"#;

fn config_map(name: &str, app: &str, say: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "labels": { "app": app } },
        "data": { say: say } })
}

/// A Mirror that selects what has this label, or has no selector.
async fn mirror(scene: &Scene, name: &str, selector: Option<&str>, children: &[Value]) -> String {
    let mut object = json!({ "apiVersion": "fixtures.trimtab.dev/v1", "kind": "Mirror", "metadata": { "name": name },
        "spec": { "children": children } });
    if let Some(app) = selector {
        let expression = json!({ "key": "app", "operator": "In", "values": [app] });
        object["spec"]["selector"] = json!({ "matchExpressions": [expression] });
    }
    scene.api.create(&scene.at("fixtures.trimtab.dev/v1", "mirrors", ""), &object).await;
    scene.at("fixtures.trimtab.dev/v1", "mirrors", name)
}

fn owner(child: &Value) -> &Value {
    &child["metadata"]["ownerReferences"][0]["name"]
}

#[tokio::test]
async fn what_an_object_selects_is_adopted_and_what_it_selects_no_more_is_released() {
    let scene = Scene::new().await;
    scene.define("fixtures/mirror/crd.yaml");
    scene.copy("mirror", "mine.wasm");
    scene.write("mine.toml", POLICY);
    let found = scene.api.create(&scene.config_map(""), &config_map("found", "a", "before")).await;
    let a = mirror(&scene, "a", Some("a"), &[config_map("found", "a", "it"), config_map("made", "a", "it")]).await;
    let _host = scene.host().await;
    scene.condition(&a, "Settled").await;
    let taken = scene.api.fetch(&scene.config_map("found")).await;
    assert_eq!(taken["metadata"]["uid"], found["metadata"]["uid"]);
    assert_eq!((owner(&taken), &taken["data"]), (&json!("a"), &json!({ "before": "before", "it": "it" })));

    // What is made later is found by the selector, too, and a child that is taken out of it is nobody's.
    scene.api.create(&scene.config_map(""), &config_map("late", "a", "before")).await;
    scene.gone(&scene.config_map("late")).await;
    let moved = json!({ "metadata": { "labels": { "app": "b" } } });
    scene.api.merge(&scene.config_map("made"), &moved).await;
    let is_free = |child: &Value| child["metadata"].get("ownerReferences").is_none().then(|| child.clone());
    let free = scene.sees("it is nobody's", &scene.config_map("made"), is_free).await;
    assert_eq!(free["metadata"]["labels"], json!({ "app": "b" }), "{free}");
    scene.condition(&a, "Conflict").await;

    // Another object has it from here, and the first one does not want it back.
    let b = mirror(&scene, "b", Some("b"), &[config_map("made", "b", "it")]).await;
    scene.condition(&b, "Settled").await;
    assert_eq!(owner(&scene.api.fetch(&scene.config_map("made")).await), "b");
}

#[tokio::test]
async fn an_object_without_a_selector_is_told_so_and_one_that_is_deleted_adopts_nothing() {
    let scene = Scene::new().await;
    scene.define("fixtures/mirror/crd.yaml");
    scene.copy("mirror", "mine.wasm");
    scene.write("mine.toml", POLICY);
    let host = scene.host().await;
    let none = mirror(&scene, "none", None, &[]).await;
    let told = scene.condition(&none, "SelectorRefused").await;
    assert!(told["message"].as_str().is_some_and(|it| it.contains("spec.selector selects nothing")), "{told}");
    let strays = mirror(&scene, "strays", Some("a"), &[config_map("stray", "b", "it")]).await;
    let told = scene.condition(&strays, "AnswerRefused").await;
    assert!(told["message"].as_str().is_some_and(|it| it.contains("ConfigMap")), "{told}");

    let goes = mirror(&scene, "goes", Some("late"), &[]).await;
    scene.condition(&goes, "Settled").await;
    let held = json!({ "metadata": { "finalizers": ["example.com/held", "trimtab.dev/mine"] } });
    scene.api.merge(&goes, &held).await;
    scene.api.delete(&goes).await;
    let late = scene.api.create(&scene.config_map(""), &config_map("late", "late", "before")).await;
    let finalized = |it: &Value| (it["metadata"]["finalizers"] == json!(["example.com/held"])).then_some(());
    scene.sees("it is finalized", &goes, finalized).await;
    assert_eq!(host.becomes("mine", "Serving").await, "");
    assert_eq!(scene.api.fetch(&scene.config_map("late")).await, late);
}
