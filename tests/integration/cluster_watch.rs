//! Watches and the store against a real kube-apiserver.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

#[path = "cluster_common.rs"]
mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use common::{Scene, config_map, define, definition, request, spec, undefine};
use http::Request;
use kube::client::Body;
use serde_json::{Value, json};
use trimtab_cluster::{Client, connect, spec::Health};
use trimtab_core::object::Object;
use trimtab_harness::ControlPlane;

/// Generous: tests of other crates run beside this one.
const SOON: Duration = Duration::from_secs(30);
/// What the host promises for a kind that appears.
const SERVED: Duration = Duration::from_secs(5);

fn synced(health: &Health) -> bool {
    health.is_synced()
}

#[tokio::test]
async fn what_is_made_changed_moved_and_deleted_is_seen() {
    let control_plane = ControlPlane::shared().await;
    let client = control_plane.client().await;
    let namespace = control_plane.namespace().await;
    let path = format!("/api/v1/namespaces/{namespace}/configmaps");
    let (left, all) =
        (spec("v1", "ConfigMap", &namespace, Some("side=left")), spec("v1", "ConfigMap", &namespace, None));
    request(&client, "POST", &path, &config_map("before", "left", "1")).await;

    let scene = Scene::start(&client);
    scene.watch(&[&left]);
    assert_eq!(scene.store.health(&left), Health::Starting);
    scene.until_health(&left, SOON, synced).await;
    assert_eq!(scene.names(&left), ["before"]);
    scene.watch(&[&left, &all]);
    scene.until_health(&all, SOON, synced).await;

    request(&client, "POST", &path, &config_map("after", "right", "1")).await;
    scene.until("an addition", SOON, |_| scene.names(&all).contains(&"after".into()).then_some(())).await;
    assert_eq!(scene.names(&left), ["before"]);
    request(&client, "PATCH", &format!("{path}/after"), &json!({"metadata": {"labels": {"side": "left"}}})).await;
    scene.until("a move into the selector", SOON, |_| (scene.names(&left).len() == 2).then_some(())).await;
    request(&client, "PATCH", &format!("{path}/before"), &json!({"metadata": {"labels": {"side": null}}})).await;
    scene.until("a move out of it", SOON, |_| (scene.names(&left) == ["after"]).then_some(())).await;
    assert!(scene.names(&all).contains(&"before".into()));

    let get = |name: &str| scene.store.get(&all.kind, "v1", &namespace, name);
    assert!(!get("before").unwrap().text.contains("managedFields"));
    request(&client, "DELETE", &format!("{path}/before"), &Value::Null).await;
    scene.until("a deletion", SOON, |_| get("before").is_none().then_some(())).await;
}

#[tokio::test]
async fn an_answer_that_is_put_is_seen_at_once_and_the_watch_agrees() {
    let control_plane = ControlPlane::shared().await;
    let client = control_plane.client().await;
    let namespace = control_plane.namespace().await;
    let all = spec("v1", "ConfigMap", &namespace, None);
    let scene = Scene::start(&client);
    scene.watch(&[&all]);
    scene.until_health(&all, SOON, synced).await;

    let path = format!("/api/v1/namespaces/{namespace}/configmaps");
    for round in 0..20 {
        let name = format!("c{round}");
        let answer = request(&client, "POST", &path, &config_map(&name, "left", "1")).await;
        let object = Object::parse(&answer, "v1", "ConfigMap").unwrap();
        let version = object.meta.resource_version;
        scene.store.put(Arc::new(object));
        let seen = scene.store.get(&all.kind, "v1", &namespace, &name).unwrap();
        assert!(seen.meta.resource_version >= version);
    }
    scene.watches.relist(&all).await.unwrap();
    let mut told = scene.heard.told();
    told.sort();
    told.dedup();
    assert_eq!(told.len(), 20, "each was told once: {told:?}");
}

#[tokio::test]
async fn the_watch_goes_on_after_the_server_was_away_and_says_so_meanwhile() {
    let control_plane = ControlPlane::start().await;
    let client = control_plane.client().await;
    let namespace = control_plane.namespace().await;
    let path = format!("/api/v1/namespaces/{namespace}/configmaps");
    let all = spec("v1", "ConfigMap", &namespace, None);
    let scene = Scene::start(&client);
    scene.watch(&[&all]);
    request(&client, "POST", &path, &config_map("kept", "left", "1")).await;
    scene.until("the first object", SOON, |_| (scene.names(&all) == ["kept"]).then_some(())).await;

    control_plane.stop_apiserver();
    scene.until_health(&all, SOON, |health| matches!(health, Health::Failing(_))).await;
    assert_eq!(scene.names(&all), ["kept"]);
    control_plane.start_apiserver().await;
    request(&client, "POST", &path, &config_map("new", "left", "1")).await;
    scene.until("an object made since", SOON, |_| (scene.names(&all) == ["kept", "new"]).then_some(())).await;
    scene.until_health(&all, SOON, synced).await;
}

#[tokio::test]
async fn a_watch_without_rights_is_forbidden_and_served_within_30_s_of_being_granted_them() {
    let control_plane = ControlPlane::shared().await;
    let admin = control_plane.client().await;
    let namespace = control_plane.namespace().await;
    let all = spec("v1", "ConfigMap", &namespace, None);
    let scene = Scene::start(&control_plane.client_as("watcher", &["system:authenticated"]).await);
    scene.watch(&[&all]);
    scene.until_health(&all, SOON, |health| matches!(health, Health::Forbidden(_))).await;

    let rbac = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}");
    let role = json!({"metadata": {"name": "watch"}, "rules": [
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]}]});
    request(&admin, "POST", &format!("{rbac}/roles"), &role).await;
    let binding = json!({"metadata": {"name": "watch"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "watch"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "watcher"}]});
    request(&admin, "POST", &format!("{rbac}/rolebindings"), &binding).await;
    scene.until_health(&all, Duration::from_secs(30), synced).await;
}

#[tokio::test]
async fn a_kind_is_watched_when_it_comes_listed_again_when_its_defaults_change_and_emptied_when_it_goes() {
    let control_plane = ControlPlane::shared().await;
    let client = control_plane.client().await;
    let namespace = control_plane.namespace().await;
    let group = "watched.trimtab.test";
    let sites = spec(&format!("{group}/v1"), "Site", &namespace, None);
    let scene = Scene::start(&client);
    scene.watch(&[&sites]);
    scene.until_health(&sites, SOON, |health| *health == Health::Missing).await;

    define(&client, &definition(group, &["v1"], "red")).await;
    scene.until_health(&sites, SERVED, synced).await;
    let path = format!("/apis/{group}/v1/namespaces/{namespace}/sites");
    let site = json!({"apiVersion": format!("{group}/v1"), "kind": "Site", "metadata": {"name": "a"}});
    request(&client, "POST", &path, &site).await;
    let color = || scene.store.list(&sites).first().map(|site| site.value()["spec"]["color"].clone());
    scene.until("the default", SOON, |_| (color() == Some("red".into())).then_some(())).await;

    // The stored object lacks the field only where the default came later.
    let mut changed = definition(group, &["v1"], "red");
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
    changed.pointer_mut(spec).unwrap()["size"] = json!({"type": "integer", "default": 3});
    let before = scene.store.list(&sites)[0].meta.resource_version;
    define(&client, &changed).await;
    let size = || scene.store.list(&sites).first().map(|site| site.value()["spec"]["size"].clone());
    scene.until("the new default", SOON, |_| (size() == Some(3.into())).then_some(())).await;
    assert_eq!(scene.store.list(&sites)[0].meta.resource_version, before);

    undefine(&client, group).await;
    scene.until_health(&sites, SOON * 2, |health| *health == Health::Missing).await;
    scene.until("no object", SOON, |store| store.is_empty().then_some(())).await;
    define(&client, &definition(group, &["v1"], "green")).await;
    scene.until_health(&sites, SOON, synced).await;
}

/// The client's requests, on their way through something that can break them.
fn through<F, A>(client: &Client, change: F) -> Client
where
    F: Fn(Request<Body>) -> A + Send + Sync + Clone + 'static,
    A: Future<Output = Request<Body>> + Send + 'static,
{
    let client = client.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let (client, change) = (client.clone(), change.clone());
        async move { client.send(change(request).await).await }
    });
    connect::service(service).client
}

fn is_watch_of_config_maps(request: &Request<Body>) -> bool {
    let uri = request.uri().to_string();
    uri.contains("/configmaps?") && uri.contains("watch=true")
}

#[tokio::test]
async fn a_resource_version_that_the_server_has_forgotten_costs_a_list() {
    let control_plane = ControlPlane::start().await;
    let namespace = control_plane.namespace().await;
    // A server remembers changes from its own start on.
    control_plane.stop_apiserver();
    control_plane.start_apiserver().await;
    let client = control_plane.client().await;
    let (lists, old) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(true)));
    let broken = through(&client, {
        let lists = lists.clone();
        move |mut request| {
            if is_watch_of_config_maps(&request) {
                // The first watch asks from the beginning of time: 410 Gone.
                if old.swap(false, Ordering::SeqCst) {
                    let uri = request.uri().to_string();
                    let (rest, _) = uri.rsplit_once("resourceVersion=").unwrap();
                    *request.uri_mut() = format!("{rest}resourceVersion=1").parse().unwrap();
                }
            } else if request.uri().path().ends_with("/configmaps") {
                lists.fetch_add(1, Ordering::SeqCst);
            }
            std::future::ready(request)
        }
    });
    let all = spec("v1", "ConfigMap", &namespace, None);
    let scene = Scene::start(&broken);
    scene.watch(&[&all]);
    scene.until_health(&all, SOON, synced).await;
    request(&client, "POST", &format!("/api/v1/namespaces/{namespace}/configmaps"), &config_map("a", "left", "1"))
        .await;
    scene.until("an object made later", SOON, |_| (scene.names(&all) == ["a"]).then_some(())).await;
    assert_eq!(lists.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_link_that_goes_silent_is_cut_and_nothing_is_lost() {
    let control_plane = ControlPlane::shared().await;
    let client = control_plane.client().await;
    let namespace = control_plane.namespace().await;
    // The first watch never reaches the server: it is as silent as a dead link.
    let dead = Arc::new(AtomicBool::new(true));
    let broken = through(&client, move |request| {
        let lost = is_watch_of_config_maps(&request) && dead.swap(false, Ordering::SeqCst);
        async move { if lost { std::future::pending().await } else { request } }
    });
    let all = spec("v1", "ConfigMap", &namespace, None);
    let scene = Scene::start(&broken);
    scene.watch(&[&all]);
    scene.until_health(&all, SOON, synced).await;
    request(&client, "POST", &format!("/api/v1/namespaces/{namespace}/configmaps"), &config_map("a", "left", "1"))
        .await;
    scene
        .until("an object made meanwhile", Duration::from_secs(45), |_| (scene.names(&all) == ["a"]).then_some(()))
        .await;
}
