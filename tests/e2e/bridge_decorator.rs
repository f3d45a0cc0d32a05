//! The bridge of a DecoratorController on the real control plane: it takes over what
//! Metacontroller has left, and leaves what Metacontroller could take over again.

use std::{collections::BTreeMap, process::Command, time::Duration};

use axum::response::Response;
use serde_json::{Value, json};
use trimtab_harness::eventually;

use crate::support::{Hooks, SITE, SOON, Scene, json_answer, migrated, source};

/// The controller's name, and the lineage's.
const LEDGER: &str = "ledger";
const MADE_BY: &str = "metacontroller.k8s.io/decorator-controller";
const FINALIZER: &str = "metacontroller.io/decoratorcontroller-ledger";

/// One attachment for each object, a label and an annotation; Sites have a status.
fn answer(_: &Hooks, hook: &str, request: &Value) -> Option<Response> {
    let object = &request["object"];
    if hook == "finalize" {
        let left = request["attachments"]["ConfigMap.v1"].as_object().is_some_and(|left| !left.is_empty());
        return json_answer(&json!({ "attachments": [], "finalized": !left }));
    }
    let name = object["metadata"]["name"].as_str().expect("it has a name");
    let attachment = json!({ "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": format!("{name}-ledger") }, "data": { "of": object["kind"] } });
    json_answer(&json!({
        "labels": { "example.dev/ledger": "kept" },
        "annotations": { "example.dev/kept-by": LEDGER },
        "status": if object["kind"] == "Site" { json!({ "build": LEDGER }) } else { Value::Null },
        "attachments": [attachment],
        "resyncAfterSeconds": if name == "svc" { 0.2 } else { 0.0 },
    }))
}

fn policy(hooks: &Hooks) -> String {
    let hook = |name| format!("{{ version: v2, webhook: {{ url: 'http://{}/{name}' }} }}", hooks.address);
    let controller = format!(
        "
apiVersion: metacontroller.k8s.io/v1alpha1
kind: DecoratorController
metadata: {{ name: {LEDGER} }}
spec:
  resources:
    - {{ apiVersion: example.dev/v1, resource: sites, labelSelector: {{ matchLabels: {{ tier: web }} }} }}
    - {{ apiVersion: v1, resource: services, annotationSelector: {{ matchAnnotations: {{ ledger: 'yes' }} }} }}
  attachments:
    - {{ apiVersion: v1, resource: configmaps, updateStrategy: {{ method: InPlace }} }}
  hooks:
    sync: {}
    finalize: {}
",
        hook("sync"),
        hook("finalize")
    );
    migrated(&controller, source(SITE))
}

/// A Site as Metacontroller has left it.
async fn left_site(scene: &Scene, name: &str) -> Value {
    let metadata = json!({ "name": name, "labels": { "tier": "web" }, "finalizers": [FINALIZER] });
    let spec = json!({ "host": format!("{name}.example.dev"), "page": "one" });
    let site = json!({ "apiVersion": "example.dev/v1", "kind": "Site", "metadata": metadata, "spec": spec });
    scene.api.create(&scene.site(""), &site).await
}

/// What some controller has made for a Site; a decorator says who it was.
async fn left_child(scene: &Scene, site: &Value, name: &str, made_by: Option<&str>) -> Value {
    let owner = json!({ "apiVersion": "example.dev/v1", "kind": "Site", "name": site["metadata"]["name"],
        "uid": site["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true });
    let annotations = json!({ MADE_BY: made_by, "metacontroller.k8s.io/last-applied-configuration": "{}" });
    let child = json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "of": "before" },
        "metadata": { "name": name, "annotations": annotations, "ownerReferences": [owner] } });
    scene.api.create(&scene.config_map(""), &child).await
}

/// The uids of all ConfigMaps that are attached to something.
async fn uids(scene: &Scene) -> BTreeMap<String, String> {
    let all = scene.api.list(&scene.config_map("")).await;
    let attached = all.iter().filter(|it| it["metadata"]["ownerReferences"].is_array());
    let text = |object: &Value, field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    attached.map(|object| (text(object, "name"), text(object, "uid"))).collect()
}

async fn attached(scene: &Scene, name: &str, kind: &str) {
    let path = scene.config_map(&format!("{name}-ledger"));
    scene.sees(&path, &path, |it| (it["data"]["of"] == kind).then_some(())).await;
}

#[tokio::test]
async fn a_decorators_hooks_are_served_and_what_metacontroller_made_is_kept_there_and_back() {
    let hooks = Hooks::start(answer).await;
    let scene = Scene::alone().await;
    scene.define(SITE);
    scene.copy("bridge", "bridge.wasm");
    scene.write("ledger.toml", policy(&hooks));
    let anna = left_site(&scene, "anna").await;
    left_child(&scene, &anna, "anna-ledger", Some(LEDGER)).await;
    let others = [("of-another", Some("another")), ("of-a-composite", None)];
    for (name, made_by) in others {
        left_child(&scene, &anna, name, made_by).await;
    }
    // Nobody was there when these went, or stopped to match.
    let going = left_site(&scene, "going").await;
    left_child(&scene, &going, "going-ledger", Some(LEDGER)).await;
    scene.api.delete(&scene.site("going")).await;
    let ports = json!({ "ports": [{ "port": 80 }] });
    let service = json!({ "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": "svc", "annotations": { "ledger": "yes" } }, "spec": ports });
    scene.api.create(&scene.at("v1", "services", ""), &service).await;
    let left = uids(&scene).await;

    let mut host = scene.host().await;
    attached(&scene, "anna", "Site").await;
    attached(&scene, "svc", "Service").await;
    scene.gone(&scene.site("going")).await;
    let decorated = |site: &Value| {
        let metadata = &site["metadata"];
        metadata["labels"]["example.dev/ledger"] == "kept"
            && metadata["annotations"]["example.dev/kept-by"] == LEDGER
            && metadata["finalizers"] == json!(["trimtab.dev/ledger"])
            && site["status"] == json!({ "build": LEDGER })
    };
    scene.sees("anna is decorated", &scene.site("anna"), |site| decorated(site).then_some(())).await;
    for (name, _) in others {
        let child = scene.api.fetch(&scene.config_map(name)).await;
        assert_eq!((&child["data"]["of"], &child["metadata"]["labels"]), (&json!("before"), &Value::Null), "{name}");
    }
    let first = &hooks.asked("sync", "anna")[0].request;
    let shown = first["attachments"]["ConfigMap.v1"].as_object().expect("the kind is shown");
    assert_eq!(
        shown.keys().collect::<Vec<_>>(),
        [&format!("{}/anna-ledger", scene.namespace)],
        "its own, as v2 has it"
    );
    let finalized = hooks.asked("finalize", "going");
    assert!(!finalized.is_empty() && finalized.iter().all(|it| it.request["finalizing"] == true));

    // Asked again in a while although nothing has changed.
    let asked = || hooks.asked("sync", "svc").len();
    let before = asked();
    eventually("it is looked at again and again", SOON, async || (asked() >= before + 3).then_some(())).await;

    // An object that does not match any more is let go, and another one keeps its own.
    left_site(&scene, "bob").await;
    attached(&scene, "bob", "Site").await;
    scene.api.merge(&scene.site("bob"), &json!({ "metadata": { "labels": { "tier": null } } })).await;
    scene.gone(&scene.config_map("bob-ledger")).await;
    let is_free = |site: &Value| site["metadata"]["finalizers"].is_null() && site["metadata"]["labels"].is_null();
    scene.sees("bob is let go", &scene.site("bob"), |site| is_free(site).then_some(())).await;

    // The way back: no host, no finalizer of ours, and all that Metacontroller goes by.
    host.terminate();
    assert!(host.ends_within(Duration::from_secs(30)).await.success());
    let kept = uids(&scene).await;
    let release = |lineage| {
        let mut release = Command::new(env!("CARGO_BIN_EXE_trimtab"));
        release.args(["release", "--lineage", lineage, "--kubeconfig"]).arg(scene.plane().kubeconfig());
        release.output().expect("cargo has built it")
    };
    let output = release(LEDGER);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(scene.api.fetch(&scene.site("anna")).await["metadata"]["finalizers"], Value::Null);
    for (name, owner) in [("anna-ledger", &anna["metadata"]["uid"]), ("svc-ledger", &Value::Null)] {
        let metadata = &scene.api.fetch(&scene.config_map(name)).await["metadata"];
        assert_eq!(metadata["annotations"][MADE_BY], LEDGER, "{name}");
        let reference = &metadata["ownerReferences"][0];
        assert_eq!(reference["controller"], true, "{name}");
        assert!(owner.is_null() || reference["uid"] == *owner, "{name}");
    }
    assert_eq!(uids(&scene).await, kept);
    for (name, uid) in left.iter().filter(|(name, _)| **name != "going-ledger") {
        assert_eq!(kept.get(name), Some(uid), "{name} was neither deleted nor made anew");
    }

    // And there again, with Metacontroller's finalizer back on the object.
    scene.api.merge(&scene.site("anna"), &json!({ "metadata": { "finalizers": [FINALIZER] } })).await;
    let _host = scene.host().await;
    scene.sees("anna is decorated again", &scene.site("anna"), |site| decorated(site).then_some(())).await;
    assert_eq!(uids(&scene).await, kept);
    scene.api.delete(&scene.site("anna")).await;
    scene.gone(&scene.config_map("anna-ledger")).await;
    scene.gone(&scene.site("anna")).await;
}
