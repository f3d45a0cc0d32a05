//! The story that the demo tells, with a real API server, kubectl and files.

use serde_json::{Value, json};
use trimtab_harness::eventually;

use crate::support::{Host, SITE, SOON, Scene};

const SITES: [&str; 3] = ["anna", "ben", "clara"];

#[tokio::test]
async fn dropped_plugins_are_served_swapped_and_refused_without_a_restart() {
    let scene = Scene::alone().await;
    scene.define(SITE);
    for name in SITES {
        scene.apply(&site("example.dev/v1", name, &format!("<h1>{name}</h1>")));
    }
    // No --namespaces: this host serves the whole cluster.
    let host = scene.host_with(&scene.plane().kubeconfig(), &[]).await;
    eventually("an empty folder is ready", SOON, async || host.ready().await.ok()).await;
    assert!(host.slots().await.is_empty());

    dropped(&scene, &host).await;
    canary(&scene, &host).await;
    second_version(&scene, &host).await;
    broken_and_fixed(&scene, &host).await;
    drift_and_deletion(&scene).await;
}

async fn dropped(scene: &Scene, host: &Host) {
    scene.copy("site", "site.wasm");
    for name in SITES {
        built_by(scene, name, "1").await;
        scene.page_is(name, &format!("<h1>{name}</h1>")).await;
        for child in children(scene, name).await {
            let meta = &child["metadata"];
            assert_eq!(meta["labels"]["trimtab.dev/plugin"], "site", "{child}");
            assert_eq!(meta["ownerReferences"][0]["controller"], true, "{child}");
        }
        scene.condition(&scene.site(name), "Settled").await;
    }
    eventually("the host is ready", SOON, async || host.ready().await.ok()).await;
    let ready = scene.plane().kubectl(&["get", "site", "anna", "-n", &scene.namespace, "-o", "jsonpath={.status.url}"]);
    assert_eq!(ready, "http://anna.example.dev/");
}

async fn canary(scene: &Scene, host: &Host) {
    let before = uids(scene, "ben").await;
    scene.copy("site-next", "canary/site.wasm");
    host.becomes("canary/site", "Serving").await;
    scene.plane().kubectl(&["label", "site", "ben", "trimtab.dev/instance-id=canary", "-n", &scene.namespace]);
    built_by(scene, "ben", "2").await;
    scene
        .sees("a child inherits the mark", &scene.config_map("ben"), |child| {
            (child["metadata"]["labels"]["trimtab.dev/instance-id"] == "canary").then_some(())
        })
        .await;
    assert_eq!(uids(scene, "ben").await, before, "its children are the same ones");

    edit(scene, "anna", "<h1>Anna, edited</h1>");
    scene.page_is("anna", "<h1>Anna, edited</h1>").await;
    built_by(scene, "anna", "1").await;
}

async fn second_version(scene: &Scene, host: &Host) {
    scene.copy("site-v2", "site@v2.wasm");
    host.becomes("site@v2", "Serving").await;
    let mut dora = site("example.dev/v2", "dora", "<h1>Dora</h1>");
    dora["spec"]["pages"] = json!([{ "file": "about.html", "text": "about Dora" }]);
    scene.apply(&dora);
    built_by(scene, "dora", "v2").await;
    assert_eq!(scene.api.fetch(&scene.config_map("dora")).await["data"]["about.html"], "about Dora");

    edit(scene, "anna", "<h1>Anna again</h1>");
    scene.page_is("anna", "<h1>Anna again</h1>").await;
    built_by(scene, "anna", "1").await;
}

async fn broken_and_fixed(scene: &Scene, host: &Host) {
    scene.write("site.wasm", "this is no WebAssembly");
    let why = host.refuses("site").await;
    assert!(why.contains("site.wasm"), "{why}");
    edit(scene, "clara", "<h1>Clara</h1>");
    scene.page_is("clara", "<h1>Clara</h1>").await;
    built_by(scene, "clara", "1").await;

    scene.copy("site-next", "site.wasm");
    for name in ["anna", "clara"] {
        built_by(scene, name, "2").await;
    }
    built_by(scene, "dora", "v2").await;
    assert_eq!(host.slot("site").await.expect("it has a file")["refused"], false);
}

async fn drift_and_deletion(scene: &Scene) {
    let (kubectl, namespace) = (|args: &[&str]| scene.plane().kubectl(args), &*scene.namespace);
    let before = uids(scene, "anna").await;
    kubectl(&["delete", "configmap", "anna", "-n", namespace]);
    scene.page_is("anna", "<h1>Anna again</h1>").await;
    let after = uids(scene, "anna").await;
    assert_eq!(before.iter().filter(|uid| !after.contains(uid)).count(), 1, "only the ConfigMap is another one");

    kubectl(&["scale", "deployment", "anna", "--replicas=7", "-n", namespace]);
    let deployment = scene.at("apps/v1", "deployments", "anna");
    scene
        .sees("the Deployment has its replicas back", &deployment, |it| (it["spec"]["replicas"] == 1).then_some(()))
        .await;

    kubectl(&["delete", "site", "anna", "-n", namespace]);
    for path in child_paths(scene, "anna") {
        scene.gone(&path).await;
    }
    children(scene, "clara").await;
}

fn site(api_version: &str, name: &str, page: &str) -> Value {
    json!({
        "apiVersion": api_version, "kind": "Site", "metadata": { "name": name },
        "spec": { "host": format!("{name}.example.dev"), "page": page },
    })
}

fn edit(scene: &Scene, name: &str, page: &str) {
    let patch = json!({ "spec": { "page": page } }).to_string();
    scene.plane().kubectl(&["patch", "site", name, "-n", &scene.namespace, "--type=merge", "-p", &patch]);
}

async fn built_by(scene: &Scene, name: &str, build: &str) {
    scene
        .sees(&format!("{name} is served by build {build}"), &scene.site(name), |site| {
            let status = &site["status"];
            (status["build"] == build && status["observedGeneration"] == site["metadata"]["generation"]).then_some(())
        })
        .await;
}

fn child_paths(scene: &Scene, name: &str) -> [String; 3] {
    [scene.at("apps/v1", "deployments", name), scene.at("v1", "services", name), scene.config_map(name)]
}

async fn children(scene: &Scene, name: &str) -> Vec<Value> {
    let mut children = Vec::new();
    for path in child_paths(scene, name) {
        children.push(scene.api.fetch(&path).await);
    }
    children
}

async fn uids(scene: &Scene, name: &str) -> Vec<Value> {
    children(scene, name).await.into_iter().map(|mut child| child["metadata"]["uid"].take()).collect()
}
