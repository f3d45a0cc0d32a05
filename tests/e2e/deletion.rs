//! Objects that go: finalizers, and namespaces with all that is in them.

use serde_json::json;

use crate::support::{MISBEHAVE, SITE, Scene};

#[tokio::test]
async fn an_object_stays_until_its_plugin_lets_it_go() {
    let scene = Scene::new().await;
    scene.define(MISBEHAVE);
    scene.copy("misbehave", "misbehave.wasm");
    scene.write("misbehave.toml", "[config]\ndescribe = \"finalizes\"\n");
    scene.create_misbehave("anna", "echo").await;
    let _host = scene.host().await;
    let anna = scene.misbehave("anna");
    scene.sees("it is served", &scene.config_map("anna"), |_| Some(())).await;
    let finalizers = scene.api.fetch(&anna).await["metadata"]["finalizers"].clone();
    assert_eq!(finalizers, json!(["trimtab.dev/misbehave"]));

    scene.api.delete(&anna).await;
    scene.sees("its plugin is asked", &anna, |object| (object["status"]["finalizing"] == true).then_some(())).await;
    scene.api.merge(&anna, &json!({ "spec": { "mode": "finalize" } })).await;
    scene.gone(&anna).await;
    scene.gone(&scene.config_map("anna")).await;
}

#[tokio::test]
async fn a_namespace_goes_with_all_that_is_served_in_it_and_the_others_stay() {
    let scene = Scene::new().await;
    scene.define(SITE);
    scene.copy("raw", "raw.wasm");
    let doomed = scene.plane().namespace().await;
    let elsewhere = |path: &str| path.replace(&scene.namespace, &doomed);
    let site = json!({ "apiVersion": "example.dev/v1", "kind": "Site", "metadata": { "name": "ben" },
        "spec": { "host": "ben.example.dev", "page": "two" } });
    scene.api.create(&elsewhere(&scene.site("")), &site).await;
    scene.create_site("anna", "one").await;
    let namespaces = format!("{},{doomed}", scene.namespace);
    let host = scene.host_with(&scene.plane().kubeconfig(), &["--namespaces", &namespaces]).await;
    scene.page_is("anna", "one").await;
    scene.sees("ben is served", &elsewhere(&scene.config_map("ben")), |_| Some(())).await;

    scene.plane().kubectl(&["delete", "namespace", &doomed, "--wait=false"]);
    scene.gone(&format!("/api/v1/namespaces/{doomed}")).await;
    scene.edit_page("anna", "three").await;
    scene.page_is("anna", "three").await;
    let site = scene.api.fetch(&scene.site("anna")).await;
    assert_eq!(site["status"]["ready"], true);
    assert_eq!(host.becomes("raw", "Serving").await, "");
}
