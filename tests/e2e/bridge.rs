//! The bridge from Metacontroller: a webhook on this machine, served as a plugin.
//! What the hook does is in its parent's page.

use std::{net::SocketAddr, time::Duration};

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use trimtab_harness::eventually;

use crate::support::{Hooks, SITE, SOON, Scene, json_answer, migrated, nobody_listens, source};

/// How long a hook that asks to be called later does not want to be.
const LATER: Duration = Duration::from_secs(1);

fn answer(hooks: &Hooks, hook: &str, request: &Value) -> Option<Response> {
    let parent = &request["parent"];
    let page = parent["spec"]["page"].as_str().unwrap_or_default().to_owned();
    let first = hooks.asked(hook, parent["metadata"]["name"].as_str().expect("it has a name")).is_empty();
    match (hook, page.as_str()) {
        ("customize", _) => {
            let labels = json!({ "matchLabels": { "shared": "yes" } });
            json_answer(
                &json!({ "relatedResources": [{ "apiVersion": "v1", "resource": "configmaps", "labelSelector": labels }] }),
            )
        }
        ("finalize", _) => {
            let left = request["children"]["ConfigMap.v1"].as_object().is_some_and(|children| !children.is_empty());
            json_answer(&json!({ "children": [], "finalized": !left }))
        }
        (_, "html") => Some(([(header::CONTENT_TYPE, "text/html")], "<html>Welcome</html>").into_response()),
        (_, "broken") => Some((StatusCode::INTERNAL_SERVER_ERROR, "it broke").into_response()),
        (_, "moved") => {
            let to = [(header::LOCATION, "http://elsewhere.example/sync")];
            Some((StatusCode::TEMPORARY_REDIRECT, to).into_response())
        }
        (_, "large") => Some(vec![b' '; 100 << 20].into_response()),
        (_, "slow") => None,
        (_, "later") if first => {
            Some((StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, LATER.as_secs())]).into_response())
        }
        _ => json_answer(&sync(request, &page)),
    }
}

fn sync(request: &Value, page: &str) -> Value {
    let related = &request["related"]["ConfigMap.v1"];
    json!({
        "status": {
            "build": format!("{} related", related.as_object().map_or(0, serde_json::Map::len)),
            "ready": request["children"]["ConfigMap.v1"].as_object().is_some_and(|children| children.len() == 1),
        },
        "children": [{
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": request["parent"]["metadata"]["name"] },
            "data": { "index.html": page },
        }],
    })
}

/// The policy that the controller of these hooks comes to.
fn policy(address: SocketAddr) -> String {
    let hook = |name| format!("{{ webhook: {{ url: 'http://{address}/{name}', timeout: 500ms }} }}");
    let (sync, finalize, customize) = (hook("sync"), hook("finalize"), hook("customize"));
    let controller = format!(
        "
apiVersion: metacontroller.k8s.io/v1alpha1
kind: CompositeController
metadata: {{ name: site }}
spec:
  generateSelector: true
  parentResource: {{ apiVersion: example.dev/v1, resource: sites }}
  childResources:
    - {{ apiVersion: v1, resource: configmaps, updateStrategy: {{ method: InPlace }} }}
  hooks:
    sync: {sync}
    finalize: {finalize}
    customize: {customize}
"
    );
    let policy = migrated(&controller, source(SITE));
    assert!(policy.contains("# to be said: config.related"), "{policy}");
    policy.replace("related = []", "related = [\"v1/configmaps\"]")
}

async fn bridged(scene: &Scene, address: SocketAddr) {
    scene.define(SITE);
    scene.copy("bridge", "bridge.wasm");
    scene.write("site.toml", policy(address));
}

/// What Metacontroller has left: a parent with its finalizer, and a child that
/// the parent controls.
async fn left_behind(scene: &Scene) -> [Value; 2] {
    let finalizers = ["metacontroller.io/compositecontroller-site"];
    let anna = json!({
        "apiVersion": "example.dev/v1", "kind": "Site", "metadata": { "name": "anna", "finalizers": finalizers },
        "spec": { "host": "anna.example.dev", "page": "one" },
    });
    let anna = scene.api.create(&scene.site(""), &anna).await;
    let owner = json!({
        "apiVersion": "example.dev/v1", "kind": "Site", "name": "anna", "uid": anna["metadata"]["uid"],
        "controller": true, "blockOwnerDeletion": true,
    });
    let child = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "anna", "ownerReferences": [owner] },
        "data": { "index.html": "before" },
    });
    let child = scene.api.create(&scene.config_map(""), &child).await;
    [anna, child]
}

#[tokio::test]
async fn a_hook_is_served_through_the_bridge_and_takes_over_what_metacontroller_made() {
    let hooks = Hooks::start(answer).await;
    let scene = Scene::new().await;
    bridged(&scene, hooks.address).await;
    let [anna, child] = left_behind(&scene).await;
    let _host = scene.host().await;

    scene.page_is("anna", "one").await;
    let settled = async |build: &str| {
        let status = |site: &Value| site["status"]["build"] == build && site["status"]["ready"] == true;
        scene.sees(build, &scene.site("anna"), |site| status(site).then(|| site.clone())).await
    };
    let site = settled("0 related").await;
    assert_eq!(site["status"]["observedGeneration"], anna["metadata"]["generation"]);
    assert_eq!(site["metadata"]["finalizers"], json!(["trimtab.dev/site"]), "ours in the place of the other");
    let now = scene.api.fetch(&scene.config_map("anna")).await;
    assert_eq!(now["metadata"]["uid"], child["metadata"]["uid"], "it was not made anew");
    assert_eq!(now["metadata"]["labels"]["controller-uid"], anna["metadata"]["uid"]);

    let first = &hooks.asked("sync", "anna")[0].request;
    assert_eq!(
        first["children"]["ConfigMap.v1"]["anna"]["data"]["index.html"], "before",
        "the hook is shown what it has"
    );
    assert_eq!((&first["controller"]["metadata"]["name"], &first["finalizing"]), (&json!("site"), &json!(false)));

    let shared = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "shared", "labels": { "shared": "yes" } } });
    scene.api.create(&scene.config_map(""), &shared).await;
    settled("1 related").await;

    // A hook is asked again when something changes, and not of itself.
    let mut asked = Vec::new();
    for other in ["bob", "carl"] {
        scene.create_site(other, "two").await;
        scene.page_is(other, "two").await;
        scene.condition(&scene.site(other), "Settled").await;
        asked.push(hooks.asked("sync", "anna").len());
    }
    assert_eq!(asked[0], asked[1]);

    scene.api.delete(&scene.site("anna")).await;
    scene.gone(&scene.site("anna")).await;
    scene.gone(&scene.config_map("anna")).await;
    let finalized = hooks.asked("finalize", "anna");
    assert!(!finalized.is_empty() && finalized.iter().all(|it| it.request["finalizing"] == true));
}

#[tokio::test]
async fn a_hook_that_fails_is_told_of_and_nothing_is_lost() {
    let scene = Scene::new().await;
    let (closed, address) = nobody_listens();
    bridged(&scene, address).await;
    scene.create_site("anna", "one").await;
    let host = scene.host().await;
    let says = async |what: &str| {
        let path = scene.site("anna");
        eventually(&format!("the condition says {what:?}"), 2 * SOON, async || {
            let site = scene.api.get(&path).await?;
            let conditions = site["status"]["conditions"].as_array()?;
            conditions.iter().any(|it| it["message"].as_str().is_some_and(|said| said.contains(what))).then_some(())
        })
        .await;
    };
    says("Connection refused").await;
    drop(closed);

    let hooks = Hooks::start(answer).await;
    scene.write("site.toml", policy(hooks.address));
    scene.page_is("anna", "one").await;
    let child = scene.api.fetch(&scene.config_map("anna")).await;
    for (page, said) in [
        ("html", "answers what is no JSON"),
        ("broken", "answers 500, it says \"it broke\""),
        ("moved", "answers 307 and points to http://elsewhere.example/sync"),
        ("large", "HTTP response body size exceeds limit"),
        ("slow", "no answer within 500 ms"),
    ] {
        scene.edit_page("anna", page).await;
        says(said).await;
        let now = scene.api.fetch(&scene.config_map("anna")).await;
        assert_eq!(now["metadata"]["resourceVersion"], child["metadata"]["resourceVersion"], "{page}");
    }
    scene.edit_page("anna", "mended").await;
    scene.page_is("anna", "mended").await;

    // Asked to come later, the bridge does, and not before.
    scene.create_site("later", "later").await;
    scene.page_is("later", "later").await;
    let asked = hooks.asked("sync", "later");
    assert!(asked[1].at - asked[0].at >= LATER, "{:?}", asked[1].at - asked[0].at);
    drop(host);
}
