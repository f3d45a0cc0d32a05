//! Deletion: preconditions, finalizers, owners, namespaces.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::*;
use serde_json::{Value, json};

fn owned(name: &str, owner: &Value, block: bool) -> Value {
    json!({ "metadata": { "name": name, "ownerReferences": [{
        "apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"], "blockOwnerDeletion": block }] } })
}

fn at(name: &str) -> String {
    format!("{CONFIG_MAPS}/{name}")
}

#[tokio::test]
async fn a_deletion_keeps_to_its_preconditions() {
    let api = client();
    let object = api.must_post(CONFIG_MAPS, config_map("a", json!({}))).await;
    let (uid, version) = (&object["metadata"]["uid"], &object["metadata"]["resourceVersion"]);
    let (code, status) = api.delete_with(&at("a"), json!({ "preconditions": { "uid": "xx" } })).await;
    assert_eq!(code, 409);
    assert_eq!(
        status["message"],
        format!(
            "Operation cannot be fulfilled on ConfigMap \"a\": the UID in the precondition (xx) does not match the UID in record ({}). The object might have been deleted and then recreated",
            uid.as_str().unwrap()
        )
    );
    let (code, _) = api.delete_with(&at("a"), json!({ "preconditions": { "resourceVersion": "1" } })).await;
    assert_eq!(code, 409);
    let right = json!({ "preconditions": { "uid": uid, "resourceVersion": version } });
    let (code, status) = api.delete_with(&at("a"), right).await;
    assert_eq!((code, &status["status"]), (200, &json!("Success")));
    assert_eq!(status["details"], json!({ "name": "a", "kind": "configmaps", "uid": uid }));
    assert_eq!(api.delete(&at("a")).await.0, 404);
}

#[tokio::test]
async fn a_finalizer_holds_an_object_until_it_is_removed() {
    let api = client();
    api.must_post(CONFIG_MAPS, json!({ "metadata": { "name": "a", "finalizers": ["x.io/a"] } })).await;
    let (code, marked) = api.delete(&at("a")).await;
    assert_eq!((code, &marked["metadata"]["deletionTimestamp"]), (200, &json!("2026-01-02T03:04:05Z")));
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 0);
    let version = api.0.resource_version();
    assert_eq!(api.delete(&at("a")).await, (200, marked));
    assert_eq!(api.0.resource_version(), version, "a second deletion changes nothing");
    let more = json!({ "metadata": { "finalizers": ["x.io/a", "x.io/b"] } });
    let (code, status) = api.patch(&at("a"), MERGE, more).await;
    assert_eq!(code, 422, "{status}");
    let (code, last) = api.patch(&at("a"), MERGE, json!({ "metadata": { "finalizers": null } })).await;
    assert_eq!((code, last["metadata"].get("finalizers")), (200, None));
    assert_eq!(api.get(&at("a")).await.0, 404);
}

#[tokio::test]
async fn dependents_go_with_their_last_owner() {
    let api = client();
    let owner = api.must_post(CONFIG_MAPS, config_map("owner", json!({}))).await;
    let other = api.must_post(CONFIG_MAPS, config_map("other", json!({}))).await;
    let child = api.must_post(CONFIG_MAPS, owned("child", &owner, false)).await;
    api.must_post(CONFIG_MAPS, owned("grandchild", &child, false)).await;
    let mut shared = owned("shared", &owner, false);
    let second = owned("x", &other, false)["metadata"]["ownerReferences"][0].clone();
    shared["metadata"]["ownerReferences"].as_array_mut().unwrap().push(second);
    api.must_post(CONFIG_MAPS, shared).await;
    api.delete(&at("owner")).await;
    assert_eq!(api.get(&at("child")).await.0, 404);
    assert_eq!(api.get(&at("grandchild")).await.0, 404);
    let shared = api.must_get(&at("shared")).await;
    assert_eq!(shared["metadata"]["ownerReferences"].as_array().unwrap().len(), 1, "the vanished owner is taken out");
}

#[tokio::test]
async fn an_owner_that_never_existed_counts_as_gone() {
    let api = client();
    let ghost = json!({ "metadata": { "name": "ghost", "uid": "00000000" } });
    api.must_post(CONFIG_MAPS, owned("child", &ghost, false)).await;
    assert_eq!(api.get(&at("child")).await.0, 404);
    // The same name with another uid is another object.
    let mut impostor = api.must_post(CONFIG_MAPS, config_map("ghost", json!({}))).await;
    impostor["metadata"]["uid"] = json!("00000000");
    api.must_post(CONFIG_MAPS, owned("child", &impostor, false)).await;
    assert_eq!(api.get(&at("child")).await.0, 404);
}

#[tokio::test]
async fn a_foreground_deletion_waits_for_those_who_block() {
    let api = client();
    let owner = api.must_post(CONFIG_MAPS, config_map("owner", json!({}))).await;
    let mut child = owned("child", &owner, true);
    child["metadata"]["finalizers"] = json!(["x.io/a"]);
    api.must_post(CONFIG_MAPS, child).await;
    let (_, marked) = api.delete_with(&at("owner"), json!({ "propagationPolicy": "Foreground" })).await;
    assert_eq!(marked["metadata"]["finalizers"], json!(["foregroundDeletion"]));
    assert!(api.must_get(&at("child")).await["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(api.get(&at("owner")).await.0, 200);
    api.patch(&at("child"), MERGE, json!({ "metadata": { "finalizers": null } })).await;
    assert_eq!(api.get(&at("child")).await.0, 404);
    assert_eq!(api.get(&at("owner")).await.0, 404);
}

#[tokio::test]
async fn orphans_stay_without_the_reference() {
    let api = client();
    let owner = api.must_post(CONFIG_MAPS, config_map("owner", json!({}))).await;
    api.must_post(CONFIG_MAPS, owned("child", &owner, true)).await;
    api.delete_with(&at("owner"), json!({ "propagationPolicy": "Orphan" })).await;
    assert_eq!(api.get(&at("owner")).await.0, 404);
    assert_eq!(api.must_get(&at("child")).await["metadata"].get("ownerReferences"), None);
}

#[tokio::test]
async fn collected_on_demand_a_dependent_outlives_its_owner_for_a_while() {
    let api = lazy_client();
    let owner = api.must_post(CONFIG_MAPS, config_map("owner", json!({}))).await;
    api.must_post(CONFIG_MAPS, owned("child", &owner, false)).await;
    api.delete(&at("owner")).await;
    assert_eq!(api.get(&at("child")).await.0, 200);
    api.0.collect();
    assert_eq!(api.get(&at("child")).await.0, 404);
}

#[tokio::test]
async fn a_selection_is_deleted_at_once() {
    let api = client();
    for (name, app) in [("a", "web"), ("b", "db")] {
        api.must_post(CONFIG_MAPS, json!({ "metadata": { "name": name, "labels": { "app": app } } })).await;
    }
    let (code, list) = api.delete(&format!("{CONFIG_MAPS}?labelSelector=app%3Dweb")).await;
    assert_eq!((code, list["items"].as_array().unwrap().len()), (200, 1));
    let left = api.must_get(CONFIG_MAPS).await;
    assert_eq!(left["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_namespace_goes_when_it_is_empty() {
    let api = client();
    let space = api.must_post("/api/v1/namespaces", json!({ "metadata": { "name": "x" } })).await;
    assert_eq!(space["status"]["phase"], "Active");
    assert_eq!(space["metadata"]["labels"], json!({ "kubernetes.io/metadata.name": "x" }));
    let inside = "/api/v1/namespaces/x/configmaps";
    api.must_post(inside, json!({ "metadata": { "name": "held", "finalizers": ["x.io/a"] } })).await;
    api.must_post(inside, config_map("free", json!({}))).await;
    let (code, terminating) = api.delete("/api/v1/namespaces/x").await;
    assert_eq!((code, &terminating["status"]["phase"]), (200, &json!("Terminating")));
    assert_eq!(api.get(&format!("{inside}/free")).await.0, 404);
    let (code, status) = api.post(inside, config_map("late", json!({}))).await;
    assert_eq!(code, 403);
    assert_eq!(
        status["message"],
        "configmaps \"late\" is forbidden: unable to create new content in namespace x because it is being terminated"
    );
    assert_eq!(status["details"]["causes"][0]["reason"], "NamespaceTerminating");
    api.patch(&format!("{inside}/held"), MERGE, json!({ "metadata": { "finalizers": null } })).await;
    assert_eq!(api.get("/api/v1/namespaces/x").await.0, 404);
    assert_eq!(api.delete("/api/v1/namespaces/default").await.0, 403);
}
