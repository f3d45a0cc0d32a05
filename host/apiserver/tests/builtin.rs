//! What the server's own controllers and admission do to built-in kinds, and
//! what they need to know of each other.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::*;
use http::Method;
use serde_json::{Value, json};

const PODS: &str = "/api/v1/namespaces/default/pods";
const CLAIMS: &str = "/api/v1/namespaces/default/persistentvolumeclaims";

fn pod(name: &str, spec: Value) -> Value {
    let mut pod = json!({ "metadata": { "name": name }, "spec": { "containers": [{ "name": "c", "image": "i" }] } });
    pod["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    pod
}

#[tokio::test]
async fn a_deleted_claim_waits_for_the_pod_that_mounts_it() {
    let api = client();
    let spec = json!({ "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } });
    api.must_post(CLAIMS, json!({ "metadata": { "name": "data" }, "spec": spec })).await;
    let volume = json!({ "name": "v", "persistentVolumeClaim": { "claimName": "data" } });
    api.must_post(PODS, pod("a", json!({ "volumes": [volume] }))).await;
    let (_, claim) = api.delete(&format!("{CLAIMS}/data")).await;
    assert_eq!(claim["metadata"]["finalizers"], json!(["kubernetes.io/pvc-protection"]));
    assert_eq!(api.get(&format!("{CLAIMS}/data")).await.0, 200);
    api.delete(&format!("{PODS}/a")).await;
    assert_eq!(api.get(&format!("{CLAIMS}/data")).await.0, 404);
}

#[tokio::test]
async fn a_pod_on_a_node_is_marked_until_it_is_deleted_without_grace() {
    let api = client();
    api.must_post(PODS, pod("a", json!({ "nodeName": "n", "terminationGracePeriodSeconds": 7 }))).await;
    let (_, marked) = api.delete(&format!("{PODS}/a")).await;
    assert_eq!(marked["metadata"]["deletionTimestamp"], "2026-01-02T03:04:12Z");
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 7);
    let (code, _) = api.delete_with(&format!("{PODS}/a"), json!({ "gracePeriodSeconds": 0 })).await;
    assert_eq!(code, 200);
    assert_eq!(api.get(&format!("{PODS}/a")).await.0, 404);
}

#[tokio::test]
async fn an_eviction_takes_one_from_the_budget() {
    let api = client();
    let mut labelled = pod("a", json!({ "nodeName": "n" }));
    labelled["metadata"]["labels"] = json!({ "x": "y" });
    api.must_post(PODS, labelled).await;
    api.patch(&format!("{PODS}/a/status"), MERGE, json!({ "status": { "phase": "Running" } })).await;
    let budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
    let spec = json!({ "minAvailable": 0, "selector": { "matchLabels": { "x": "y" } } });
    api.must_post(budgets, json!({ "metadata": { "name": "b" }, "spec": spec })).await;
    let allowed = json!({ "status": { "disruptionsAllowed": 1, "observedGeneration": 1, "currentHealthy": 1,
                                      "desiredHealthy": 0, "expectedPods": 1 } });
    api.patch(&format!("{budgets}/b/status"), MERGE, allowed).await;
    let eviction = json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": "a" } });
    assert_eq!(api.post(&format!("{PODS}/a/eviction"), eviction).await.0, 201);
    let budget = api.must_get(&format!("{budgets}/b")).await;
    assert_eq!(budget["status"]["disruptionsAllowed"], 0);
    assert!(budget["status"]["disruptedPods"]["a"].is_string());
    assert_eq!(api.must_get(&format!("{PODS}/a")).await["metadata"]["deletionGracePeriodSeconds"], 30);
}

#[tokio::test]
async fn a_definition_whose_names_are_taken_is_not_served() {
    let api = client();
    api.must_post(DEFINITIONS, site_definition()).await;
    let mut other = site_definition();
    other["metadata"]["name"] = json!("places.demo.dev");
    other["spec"]["names"] = json!({ "plural": "places", "kind": "Site" });
    api.must_post(DEFINITIONS, other).await;
    let stored = api.must_get(&format!("{DEFINITIONS}/places.demo.dev")).await;
    let conditions = stored["status"]["conditions"].as_array().unwrap();
    let reasons: Vec<_> = conditions.iter().map(|one| (&one["status"], &one["reason"])).collect();
    assert_eq!(reasons, [(&json!("False"), &json!("ListKindConflict")), (&json!("False"), &json!("NotAccepted"))]);
    assert_eq!(api.get("/apis/demo.dev/v1/namespaces/default/places").await.0, 404);
    assert_eq!(api.get(SITES).await.0, 200);
}

#[tokio::test]
async fn an_apply_for_which_another_version_has_no_place_is_refused() {
    let api = client();
    api.must_post(DEFINITIONS, site_definition()).await;
    let applied = site("a", json!({ "image": "i", "replicas": 2 }));
    let path = format!("{SITES}/a?fieldManager=one");
    assert_eq!(api.patch(&path, APPLY, applied).await.0, 201);
    let in_v2 = json!({ "apiVersion": "demo.dev/v2", "kind": "Site", "metadata": { "name": "a" },
                        "spec": { "extra": "w" } });
    let path = "/apis/demo.dev/v2/namespaces/default/sites/a?fieldManager=two";
    let (code, status) = api.patch(path, APPLY, in_v2).await;
    assert_eq!(code, 500);
    assert_eq!(status["message"], "failed to convert new object: .spec.extra: field not declared in schema");
    assert_eq!(api.must_get(&format!("{SITES}/a")).await["spec"]["replicas"], 2);
}

#[tokio::test]
async fn a_body_may_be_yaml_and_no_other_format() {
    let api = client();
    let yaml = "metadata:\n  name: a\ndata:\n  x: \"1\"\n  x: \"2\"\n";
    let (code, headers, body) = api.raw(Method::POST, CONFIG_MAPS, &[("content-type", "application/yaml")], yaml).await;
    assert_eq!(code, 201, "{}", String::from_utf8_lossy(&body));
    assert_eq!(headers["warning"], "299 - \"line 5: key \\\"x\\\" already set in map\"");
    for content_type in ["application/cbor", "text/plain"] {
        let (code, status) = api.send(Method::POST, CONFIG_MAPS, &[("content-type", content_type)], "{}").await;
        assert_eq!((code, status["reason"].as_str()), (415, Some("UnsupportedMediaType")), "{content_type}");
    }
}
