//! The reports of the plugins, as people see them with kubectl.

use serde_json::{Value, json};
use trimtab_harness::eventually;

use crate::support::{REPORTS, SITE, SOON, Scene};

/// Waits until the report of a file says this.
async fn says(scene: &Scene, file: &str, all: &[(&str, Value)]) -> Value {
    let path = scene.at("trimtab.dev/v1alpha1", "plugins", "");
    eventually(&format!("the report of {file} says {all:?}"), 2 * SOON, async || {
        let mut reports = scene.api.list(&path).await.into_iter();
        let report = reports.find(|report| report["status"]["file"] == file)?;
        all.iter().all(|(field, value)| report["status"][field] == *value).then_some(report)
    })
    .await
}

#[tokio::test]
async fn kubectl_shows_each_plugin_with_what_it_serves_and_why_not() {
    let scene = Scene::alone().await;
    scene.define(SITE);
    scene.define(REPORTS);
    scene.copy("site", "site.wasm");
    scene.write("canary/page.wasm", "this is no WebAssembly");
    scene.create_site("anna", "one").await;
    let _host = scene.host().await;
    let report =
        says(&scene, "site", &[("state", json!("Serving")), ("objects", json!(1)), ("settled", json!(1))]).await;
    assert_eq!(report["metadata"]["name"], format!("site.{}", scene.installation));
    let refused = says(&scene, "canary/page", &[("state", json!("Refused")), ("instance", json!("canary"))]).await;
    assert!(refused["status"]["reason"].as_str().is_some_and(|why| why.contains("page.wasm")), "{refused}");
    let table = scene.plane().kubectl(&["get", "plugins", "-n", &scene.namespace]);
    for word in ["INSTANCE", "LINEAGE", "FAILING", "Serving", "Refused", "canary"] {
        assert!(table.contains(word), "{table}");
    }

    // What somebody writes there is not the host's word, and what is gone is not reported.
    let name = report["metadata"]["name"].as_str().expect("it was compared just now");
    let path = scene.at("trimtab.dev/v1alpha1", "plugins", name);
    scene.api.merge(&path, &json!({ "status": { "state": "Broken" } })).await;
    scene.remove("canary/page.wasm");
    scene.create_site("ben", "one").await;
    says(&scene, "site", &[("state", json!("Serving")), ("objects", json!(2))]).await;
    let refused = refused["metadata"]["name"].as_str().expect("each object has one").to_owned();
    scene.gone(&scene.at("trimtab.dev/v1alpha1", "plugins", &refused)).await;
}
