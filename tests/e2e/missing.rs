//! What is not there yet, or may not be seen: it is waited for by name, and
//! nothing is deleted meanwhile.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use trimtab_harness::eventually;

use crate::support::{BENCH, MISBEHAVE, SOON, Scene, User};

/// After a CustomResourceDefinition has come.
const CRD_WITHIN: Duration = Duration::from_secs(5);
/// After a permission has come.
const PERMISSION_WITHIN: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_kind_without_a_definition_is_waited_for_and_served_soon_after_it_comes() {
    let scene = Scene::new().await;
    scene.copy("bench", "bench.wasm");
    let host = scene.host().await;
    let why = pending(&host, "bench", "Site.bench.trimtab.dev").await;
    assert!(why.contains("CustomResourceDefinition"), "{why}");
    eventually("a pending plugin does not unready", SOON, async || host.ready().await.ok()).await;

    scene.define(BENCH);
    let came = Instant::now();
    let site = json!({ "apiVersion": "bench.trimtab.dev/v1", "kind": "Site", "metadata": { "name": "anna" },
        "spec": { "page": "hello" } });
    scene.api.create(&scene.at("bench.trimtab.dev/v1", "sites", ""), &site).await;
    scene.sees("it is served", &scene.config_map("anna-page"), |_| Some(())).await;
    let took = came.elapsed();
    assert!(took <= CRD_WITHIN, "served {took:?} after the definition came");
}

#[tokio::test]
async fn a_childs_kind_without_a_definition_is_waited_for() {
    let scene = Scene::new().await;
    scene.define(MISBEHAVE);
    scene.copy("misbehave", "misbehave.wasm");
    scene.write("misbehave.toml", "[config]\ndescribe = \"unknown-child-kind\"\n");
    scene.create_misbehave("anna", "").await;
    let host = scene.host().await;
    pending(&host, "misbehave", "Later.fixtures.trimtab.dev").await;
    assert!(scene.api.get(&scene.config_map("anna")).await.is_none(), "nothing is written before");

    let schema = json!({ "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } });
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "laters.fixtures.trimtab.dev" },
        "spec": {
            "group": "fixtures.trimtab.dev", "scope": "Namespaced",
            "names": { "kind": "Later", "plural": "laters", "singular": "later" },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": schema }],
        },
    });
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    scene.api.create(definitions, &definition).await;
    let came = Instant::now();
    scene.sees("it is served", &scene.config_map("anna"), |_| Some(())).await;
    let took = came.elapsed();
    assert!(took <= CRD_WITHIN, "served {took:?} after the definition came");
}

#[tokio::test]
async fn a_childs_kind_that_may_not_be_listed_is_waited_for_and_nothing_is_deleted() {
    let scene = Scene::new().await;
    scene.set_up_anna().await;
    let user = User::new(&scene, &["sites", "configmaps"]);
    let host = scene.host_with(&user.kubeconfig(), &["--namespaces", &scene.namespace]).await;
    scene.page_is("anna", "one").await;
    let before = scene.api.fetch(&scene.config_map("anna")).await;
    drop(host);

    user.may(&["sites"]);
    scene.edit_page("anna", "two").await;
    let host = scene.host_with(&user.kubeconfig(), &["--namespaces", &scene.namespace]).await;
    pending(&host, "raw", "ConfigMap").await;
    assert_eq!(scene.api.fetch(&scene.config_map("anna")).await["metadata"]["uid"], before["metadata"]["uid"]);
    assert_eq!(host.metric("trimtab_writes_total", &[]).await, 0.0);

    user.may(&["sites", "configmaps"]);
    let came = Instant::now();
    eventually("it is served", 2 * PERMISSION_WITHIN, async || {
        let child = scene.api.fetch(&scene.config_map("anna")).await;
        (child["data"]["index.html"] == "two").then_some(())
    })
    .await;
    let took = came.elapsed();
    assert!(took <= PERMISSION_WITHIN, "served {took:?} after the permission came");
    assert!(host.metric("trimtab_writes_total", &[]).await > 0.0);
}

#[tokio::test]
async fn a_look_up_that_may_not_be_made_waits_and_deletes_nothing() {
    let scene = Scene::new().await;
    scene.define(MISBEHAVE);
    scene.copy("misbehave", "misbehave.wasm");
    scene.write("misbehave.toml", "[grants]\nreads = [\"Secret\"]\n");
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "tls" } });
    scene.api.create(&scene.at("v1", "secrets", ""), &secret).await;
    scene.create_misbehave("anna", "").await;
    let user = User::new(&scene, &["misbehaves", "configmaps", "secrets"]);
    let flags = ["--namespaces", &scene.namespace];
    let host = scene.host_with(&user.kubeconfig(), &flags).await;
    let child = scene.sees("it is served", &scene.config_map("anna"), |child| Some(child.clone())).await;
    drop(host);

    // Its answer will have no children, but it is not given before the Secret is seen.
    user.may(&["misbehaves", "configmaps"]);
    scene.api.merge(&scene.misbehave("anna"), &json!({ "spec": { "mode": "get:Secret", "name": "tls" } })).await;
    let host = scene.host_with(&user.kubeconfig(), &flags).await;
    pending(&host, "misbehave", "Secret").await;
    assert_eq!(scene.api.fetch(&scene.config_map("anna")).await["metadata"]["uid"], child["metadata"]["uid"]);

    user.may(&["misbehaves", "configmaps", "secrets"]);
    let came = Instant::now();
    eventually("the Secret is found and the child not wanted any more", 2 * PERMISSION_WITHIN, async || {
        let found = scene.api.fetch(&scene.misbehave("anna")).await["status"]["found"]["metadata"]["name"] == "tls";
        (found && scene.api.get(&scene.config_map("anna")).await.is_none()).then_some(())
    })
    .await;
    let took = came.elapsed();
    assert!(took <= PERMISSION_WITHIN, "served {took:?} after the permission came");
}

#[tokio::test]
async fn a_look_up_that_the_policy_does_not_grant_is_denied_and_deletes_nothing() {
    let scene = Scene::new().await;
    scene.define(MISBEHAVE);
    scene.copy("misbehave", "misbehave.wasm");
    scene.create_misbehave("anna", "").await;
    let host = scene.host().await;
    scene.sees("it is served", &scene.config_map("anna"), |_| Some(())).await;
    scene.api.merge(&scene.misbehave("anna"), &json!({ "spec": { "mode": "get:Secret", "name": "tls" } })).await;
    let event = scene.event("anna", "PluginFailed").await;
    assert!(event["note"].as_str().is_some_and(|note| note.contains("Secret")), "{event}");
    scene.api.fetch(&scene.config_map("anna")).await;

    // Nor may it write them, and so they are not watched as children either.
    let watches = host.logged("watching").into_iter().filter_map(|line| Some(line["watch"].as_str()?.to_owned()));
    let secrets = watches.filter(|watch| watch.starts_with("Secret ")).collect::<Vec<_>>();
    assert_eq!(secrets, [""; 0]);
}

#[tokio::test]
async fn an_absent_object_that_was_looked_up_wakes_the_one_that_waits_for_it() {
    let scene = Scene::new().await;
    scene.define(MISBEHAVE);
    scene.copy("misbehave", "misbehave.wasm");
    scene.create_misbehave("anna", "get:ConfigMap").await;
    scene.api.merge(&scene.misbehave("anna"), &json!({ "spec": { "name": "wanted" } })).await;
    let _host = scene.host().await;
    scene.condition(&scene.misbehave("anna"), "Settled").await;

    let wanted = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "wanted" } });
    scene.api.create(&scene.config_map(""), &wanted).await;
    scene
        .sees("it has been found", &scene.misbehave("anna"), |object| {
            (object["status"]["found"]["metadata"]["name"] == "wanted").then_some(())
        })
        .await;
}

#[tokio::test]
async fn what_comes_to_match_a_selection_wakes_the_one_who_made_it() {
    let scene = Scene::new().await;
    scene.define(MISBEHAVE);
    scene.copy("misbehave", "misbehave.wasm");
    scene.create_misbehave("anna", "select:ConfigMap").await;
    let anna = scene.misbehave("anna");
    scene.api.merge(&anna, &json!({ "spec": { "name": "tier in (web,edge)" } })).await;
    let _host = scene.host().await;
    scene.condition(&anna, "Settled").await;

    let sees = async |names: Value| {
        scene.sees(&format!("{names} are selected"), &anna, |it| (it["status"]["found"] == names).then_some(())).await;
    };
    sees(json!([])).await;
    for (name, tier) in [("b", "edge"), ("a", "web"), ("c", "db")] {
        let labels = json!({ "tier": tier });
        let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "labels": labels } });
        scene.api.create(&scene.config_map(""), &map).await;
    }
    sees(json!(["a", "b"])).await;
    scene.api.merge(&scene.config_map("a"), &json!({ "metadata": { "labels": { "tier": "db" } } })).await;
    sees(json!(["b"])).await;
    scene.api.merge(&scene.config_map("c"), &json!({ "metadata": { "labels": { "tier": "web" } } })).await;
    sees(json!(["b", "c"])).await;
}

/// Waits until a slot is pending for `what` and tells why.
async fn pending(host: &crate::support::Host, slot: &str, what: &str) -> String {
    eventually(&format!("{slot} is pending and names {what}"), SOON, async || {
        let slot = host.slot(slot).await.filter(|slot| slot["state"] == "Pending")?;
        slot["reason"].as_str().filter(|why| why.contains(what)).map(str::to_owned)
    })
    .await
}

#[tokio::test]
async fn a_kind_that_is_granted_and_not_declared_is_watched_from_the_first_look_up_on() {
    let scene = Scene::new().await;
    scene.define(MISBEHAVE);
    scene.copy("misbehave", "misbehave.wasm");
    scene.write("misbehave.toml", "[grants]\nreads = [\"Deployment.apps\"]\n");
    scene.create_misbehave("anna", "").await;
    let host = scene.host().await;
    scene.sees("it is served", &scene.config_map("anna"), |_| Some(())).await;
    let watched = || {
        let watches = host.logged("watching").into_iter().filter_map(|line| Some(line["watch"].as_str()?.to_owned()));
        watches.filter(|watch| watch.starts_with("Deployment.apps ")).count()
    };
    assert_eq!(watched(), 0, "nobody has asked for it");

    let anna = scene.misbehave("anna");
    scene.api.merge(&anna, &json!({ "spec": { "mode": "select:apps/v1/Deployment", "name": "tier=web" } })).await;
    let sees = async |names: Value| {
        scene.sees(&format!("{names} are selected"), &anna, |it| (it["status"]["found"] == names).then_some(())).await;
    };
    sees(json!([])).await;
    assert_eq!(watched(), 1);
    let labels = json!({ "tier": "web" });
    let template =
        json!({ "metadata": { "labels": labels }, "spec": { "containers": [{ "name": "a", "image": "a" }] } });
    let spec = json!({ "replicas": 0, "selector": { "matchLabels": labels }, "template": template });
    let deployment = json!({ "metadata": { "name": "web", "labels": labels }, "spec": spec });
    scene.api.create(&scene.at("apps/v1", "deployments", ""), &deployment).await;
    sees(json!(["web"])).await;

    // Of what nobody serves it is told, and others are served beside it.
    scene.api.merge(&anna, &json!({ "spec": { "mode": "select:apps/v9/Deployment" } })).await;
    let waiting = scene.condition(&anna, "Waiting").await;
    assert!(waiting["message"].as_str().is_some_and(|why| why.contains("not as v9")), "{waiting}");
    scene.create_misbehave("bert", "").await;
    scene.sees("another is served", &scene.config_map("bert"), |_| Some(())).await;
}
