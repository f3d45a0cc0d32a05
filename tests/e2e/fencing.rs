//! Two hosts, of which the one that led is away for a while and does not know it: what
//! it still writes changes nothing that the other one has written since.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;
use trimtab_harness::eventually;

use crate::support::{Held, Host, Proxy, SOON, Scene};

/// A Lease runs out, all is listed anew, and what there is to do is done.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(90);
/// For so long nothing may be written in the end.
const QUIET: Duration = Duration::from_secs(3);
const SITES: usize = 8;

/// The resource versions of these objects and of their children.
async fn versions(scene: &Scene, objects: &str) -> BTreeMap<String, Value> {
    let mut versions = BTreeMap::new();
    for path in [objects, &scene.config_map("")] {
        for object in scene.api.list(path).await {
            let metadata = &object["metadata"];
            versions.insert(format!("{path}/{}", metadata["name"]), metadata["resourceVersion"].clone());
        }
    }
    versions
}

/// A leader that reaches the API server over a proxy, and one that stands by and reaches
/// it directly.
async fn two_hosts(scene: &Scene) -> (Host, Host, Proxy, UnboundedReceiver<Held>) {
    scene.set_up_anna().await;
    let (proxy, held) = Proxy::start(scene.plane().client().await).await;
    let old = scene.host_with(&proxy.kubeconfig(), &["--namespaces", &scene.namespace]).await;
    scene.page_is("anna", "one").await;
    let new = scene.host().await;
    new.becomes("raw", "Serving").await;
    assert!(new.logged("leading").is_empty());
    (old, new, proxy, held)
}

async fn leads(host: &Host) {
    eventually("the other one leads", TAKEN_OVER_WITHIN, async || host.logged("leading").pop()).await;
}

async fn stands_by(host: &Host) {
    let lost = async || host.logged("no longer leading, standing by").pop();
    eventually("the old leader stands by", TAKEN_OVER_WITHIN, lost).await;
}

async fn stays(scene: &Scene, objects: &str, versions: &BTreeMap<String, Value>) {
    tokio::time::sleep(QUIET).await;
    assert_eq!(*versions, self::versions(scene, objects).await, "somebody has written");
}

/// Waits until nobody writes any more, and says what there is then.
async fn rests(scene: &Scene, objects: &str) -> BTreeMap<String, Value> {
    eventually("nobody writes any more", SOON, async || {
        let before = versions(scene, objects).await;
        tokio::time::sleep(QUIET).await;
        (before == versions(scene, objects).await).then_some(before)
    })
    .await
}

async fn settled(scene: &Scene, name: &str) {
    scene
        .sees("it is settled", &scene.site(name), |site| {
            let mut conditions = site["status"]["conditions"].as_array()?.iter();
            let reconciled = conditions.find(|it| it["type"] == "Reconciled")?;
            let is_current = reconciled["observedGeneration"] == site["metadata"]["generation"];
            (reconciled["reason"] == "Settled" && is_current && site["status"]["ready"] == true).then_some(())
        })
        .await;
}

fn is_child(method: &str, path: &str) -> bool {
    method == "PATCH" && path.contains("/configmaps/")
}

#[tokio::test]
async fn what_a_stopped_leader_had_in_hand_changes_nothing_when_it_goes_on() {
    let scene = Scene::new().await;
    let (old, new, ..) = two_hosts(&scene).await;
    let names = (0..SITES).map(|number| format!("site-{number}")).collect::<Vec<_>>();
    for name in &names {
        scene.create_site(name, "one").await;
    }
    for name in &names {
        scene.edit_page(name, "two").await;
    }
    old.pause();
    for name in &names {
        scene.edit_page(name, "three").await;
    }
    leads(&new).await;
    for name in &names {
        scene.page_is(name, "three").await;
        settled(&scene, name).await;
    }
    let written = versions(&scene, &scene.site("")).await;
    old.resume();
    stands_by(&old).await;
    stays(&scene, &scene.site(""), &written).await;
}

#[tokio::test]
async fn a_write_that_is_held_back_until_another_leads_is_refused() {
    let scene = Scene::new().await;
    let (old, new, proxy, mut held) = two_hosts(&scene).await;
    proxy.hold(is_child);
    scene.edit_page("anna", "two").await;
    let late = held.recv().await.expect("the old leader writes");
    proxy.cut();
    leads(&new).await;
    scene.page_is("anna", "two").await;
    scene.edit_page("anna", "three").await;
    scene.page_is("anna", "three").await;
    settled(&scene, "anna").await;

    let written = versions(&scene, &scene.site("")).await;
    assert_eq!(late.what, format!("PATCH {}", scene.config_map("anna")));
    assert_eq!(late.release().await, 409);
    proxy.mend();
    stands_by(&old).await;
    stays(&scene, &scene.site(""), &written).await;
}

#[tokio::test]
async fn a_create_that_comes_after_its_object_wants_it_no_more_is_taken_back() {
    let scene = Scene::new().await;
    scene.define("fixtures/mirror/crd.yaml");
    scene.copy("mirror", "mirror.wasm");
    let policy = r#"
        [config.describe]
        role = "composite"
        objects = [{ apiVersion = "fixtures.trimtab.dev/v1", kind = "Mirror" }]
        children = [{ apiVersion = "v1", kind = "ConfigMap" }]
    "#;
    scene.write("mirror.toml", policy);
    let (proxy, mut held) = Proxy::start(scene.plane().client().await).await;
    let old = scene.host_with(&proxy.kubeconfig(), &["--namespaces", &scene.namespace]).await;
    old.becomes("mirror", "Serving").await;
    leads(&old).await;
    let new = scene.host().await;
    new.becomes("mirror", "Serving").await;

    proxy.hold(is_child);
    let child = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "late" } });
    let object = json!({ "apiVersion": "fixtures.trimtab.dev/v1", "kind": "Mirror", "metadata": { "name": "anna" },
        "spec": { "children": [child] } });
    let mirrors = scene.at("fixtures.trimtab.dev/v1", "mirrors", "");
    scene.api.create(&mirrors, &object).await;
    let late = held.recv().await.expect("the old leader creates");
    proxy.cut();
    leads(&new).await;
    let child = scene.config_map("late");
    scene.sees("the other one has made it, too", &child, |_| Some(())).await;
    scene.api.merge(&format!("{mirrors}/anna"), &json!({ "spec": { "children": [] } })).await;
    scene.gone(&child).await;

    assert_eq!(late.release().await, 201, "nothing is there, and so nothing fences it");
    scene.gone(&child).await;
    proxy.mend();
    stands_by(&old).await;
    // What the new leader says of it in the status may follow yet.
    let written = rests(&scene, &mirrors).await;
    assert!(!written.keys().any(|path| path.contains("late")));
}

/// Edits what an old leader cannot write any more until the other one has served it:
/// all that is there then.
async fn is_followed(scene: &Scene, new: &Host) -> BTreeMap<String, Value> {
    scene.edit_page("anna", "two").await;
    leads(new).await;
    scene.page_is("anna", "two").await;
    scene.edit_page("anna", "three").await;
    scene.page_is("anna", "three").await;
    settled(scene, "anna").await;
    versions(scene, &scene.site("")).await
}

#[tokio::test]
async fn a_leader_that_hears_no_answers_is_followed_and_undoes_nothing() {
    let scene = Scene::new().await;
    let (old, new, proxy, _held) = two_hosts(&scene).await;
    proxy.lose_answers();
    let written = is_followed(&scene, &new).await;
    proxy.mend();
    stands_by(&old).await;
    stays(&scene, &scene.site(""), &written).await;
}

#[tokio::test]
async fn a_leader_that_is_not_heard_is_followed_and_undoes_nothing() {
    let scene = Scene::new().await;
    let (old, new, proxy, _held) = two_hosts(&scene).await;
    proxy.lose_requests();
    // It sees the edits: its watches are open. What it writes is on its way until all is mended.
    let written = is_followed(&scene, &new).await;
    stands_by(&old).await;
    proxy.mend();
    stays(&scene, &scene.site(""), &written).await;
}
