//! Held to a real API server: a create makes what is absent and never touches
//! what exists. That an apply with the resource version 1 does this is written
//! nowhere, so it is tried on each of the server's ways to apply.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

mod support;

use serde_json::{Value, json};
use support::{Bench, open_version};
use trimtab_cluster::gate::WriteError;
use trimtab_core::{api_error::Class, write::Action};

async fn creates_only_what_is_absent(bench: &Bench, api_version: &str, kind: &str, rest: &Value) {
    let create = |name: &str| {
        let body = bench.child(api_version, kind, name, rest);
        bench.to(api_version, kind, name, Action::Create { body })
    };
    let _watched = bench.watched(api_version, kind);

    let made = bench.written(&create("made")).await;
    assert_eq!(bench.stored(&create("made")).unwrap().meta, made.meta, "{kind}: the answer is in the store");
    let managers = bench.live(kind, "made")["metadata"]["managedFields"].clone();
    assert_eq!((&managers[0]["manager"], &managers[0]["operation"]), (&json!("trimtab/site"), &json!("Apply")));

    let mut foreign = bench.child(api_version, kind, "foreign", rest);
    foreign["metadata"]["labels"] = json!({ "made-by": "hand" });
    foreign["metadata"]["annotations"] = json!({});
    let manifest = std::env::temp_dir().join(format!("{}-{kind}.json", bench.namespace));
    std::fs::write(&manifest, foreign.to_string()).unwrap();
    bench.control_plane.kubectl(&["create", "-f", manifest.to_str().unwrap()]);
    std::fs::remove_file(&manifest).unwrap();
    let before = bench.live(kind, "foreign");
    let refused = bench.write(&create("foreign")).await.unwrap_err();
    assert!(
        matches!(&refused, WriteError::Conflict { whose, .. } if whose.starts_with("it belongs to nobody")),
        "{kind}: {refused}"
    );
    assert_eq!(bench.live(kind, "foreign"), before, "{kind}: what is not ours stays as it is");
}

#[tokio::test]
async fn a_create_makes_a_config_map_and_touches_none_that_exists() {
    let bench = Bench::new().await;
    creates_only_what_is_absent(&bench, "v1", "ConfigMap", &json!({ "data": { "a": "1" } })).await;
}

#[tokio::test]
async fn a_create_makes_a_deployment_and_touches_none_that_exists() {
    let bench = Bench::new().await;
    bench.served("apps/v1", "Deployment", "v1").await;
    let labels = json!({ "app": "x" });
    let spec = json!({
        "replicas": 0,
        "selector": { "matchLabels": labels },
        "template": { "metadata": { "labels": labels }, "spec": { "containers": [{ "name": "a", "image": "a" }] } },
    });
    creates_only_what_is_absent(&bench, "apps/v1", "Deployment", &json!({ "spec": spec })).await;
}

#[tokio::test]
async fn a_create_makes_a_custom_resource_and_touches_none_that_exists() {
    let bench = Bench::new().await;
    bench.define("create.test", "Widget", json!([open_version("v1", true)])).await;
    creates_only_what_is_absent(&bench, "create.test/v1", "Widget", &json!({ "spec": { "a": 1 } })).await;
}

#[tokio::test]
async fn a_create_that_meets_our_own_child_brings_it_into_the_store_and_is_stale() {
    let bench = Bench::new().await;
    let _watched = bench.watched("v1", "ConfigMap");
    let body = bench.child("v1", "ConfigMap", "ours", &json!({ "data": { "a": "1" } }));
    let create = bench.to("v1", "ConfigMap", "ours", Action::Create { body });
    let made = bench.written(&create).await;
    bench.control_plane.kubectl(&["patch", "configmap", "ours", "-n", &bench.namespace, "-p", r#"{"data":{"b":"2"}}"#]);

    let error = bench.write(&create).await.unwrap_err();
    assert_eq!(error.class(), Class::Stale, "{error}");
    let stored = bench.stored(&create).unwrap();
    assert!(stored.meta.resource_version > made.meta.resource_version);
    assert_eq!(stored.value()["data"], json!({ "a": "1", "b": "2" }));
}

#[tokio::test]
async fn a_name_that_is_no_name_is_never_sent() {
    let bench = Bench::new().await;
    for name in ["../secrets/x", "..", "a%2fb", ""] {
        let body = bench.child("v1", "ConfigMap", name, &json!({}));
        let error = bench.write(&bench.to("v1", "ConfigMap", name, Action::Create { body })).await.unwrap_err();
        assert!(matches!(error, WriteError::BadName(_)), "{name:?}: {error}");
    }
    let name = "a?fieldManager=other";
    let body = bench.child("v1", "ConfigMap", name, &json!({}));
    let error = bench.write(&bench.to("v1", "ConfigMap", name, Action::Create { body })).await.unwrap_err();
    assert_eq!(error.class(), Class::Invalid, "{error}");
}
