//! Custom kinds: schemas, versions, status, change and removal of definitions,
//! and the discovery that follows them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::*;
use serde_json::{Value, json};

async fn with_sites() -> Client {
    let api = client();
    api.must_post(DEFINITIONS, site_definition()).await;
    api
}

#[tokio::test]
async fn a_definition_is_established_and_discovered_at_once() {
    let api = with_sites().await;
    let definition = api.must_get(&format!("{DEFINITIONS}/sites.demo.dev")).await;
    let conditions: Vec<(&Value, &Value)> = definition["status"]["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (&one["type"], &one["status"]))
        .collect();
    assert_eq!(conditions, [(&json!("NamesAccepted"), &json!("True")), (&json!("Established"), &json!("True"))]);
    assert_eq!(definition["spec"]["names"]["listKind"], "SiteList");
    let group = api.must_get("/apis/demo.dev").await;
    assert_eq!(group["preferredVersion"]["version"], "v2");
    let resources = api.must_get("/apis/demo.dev/v1").await["resources"].clone();
    // base64 of the first 8 bytes of sha256 of demo.dev/v1/Site, as a real server says it.
    assert_eq!(resources[0]["storageVersionHash"], "lN1y+kf+VbU=");
    assert_eq!(resources[1]["name"], "sites/status");
    let leases = api.must_get("/apis/coordination.k8s.io/v1").await;
    assert_eq!(leases["resources"][0]["storageVersionHash"], "gqkMMb/YqFM=");
}

#[tokio::test]
async fn objects_are_defaulted_pruned_and_checked_by_their_schema() {
    let api = with_sites().await;
    let mut body = site("a", json!({ "image": "x", "unknown": 1 }));
    body["status"] = json!({ "phase": "no" });
    let (_, headers, text) = api.raw(http::Method::POST, SITES, &[], &body.to_string()).await;
    let created: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(created["spec"], json!({ "image": "x", "replicas": 1 }));
    assert_eq!((created.get("status"), &created["metadata"]["generation"]), (None, &json!(1)));
    assert_eq!(headers["warning"], "299 - \"unknown field \\\"spec.unknown\\\"\"");
    let (code, status) = api.post(SITES, site("b", json!({ "image": 5, "replicas": "a" }))).await;
    assert_eq!(code, 422);
    assert_eq!(
        status["message"],
        "Site.demo.dev \"b\" is invalid: [spec.image: Invalid value: \"integer\": spec.image in body must be of type string: \"integer\", spec.replicas: Invalid value: \"string\": spec.replicas in body must be of type integer: \"string\"]"
    );
    let (_, status) = api.post(SITES, site("b", json!({}))).await;
    assert_eq!(status["message"], "Site.demo.dev \"b\" is invalid: spec.image: Required value");
    let strict = format!("{SITES}?fieldValidation=Strict");
    let (code, status) = api.post(&strict, site("b", json!({ "image": "q", "zz": 1 }))).await;
    assert_eq!(code, 400);
    assert_eq!(
        status["message"],
        "Site in version \"v1\" cannot be handled as a Site: strict decoding error: unknown field \"spec.zz\""
    );
    let mut other = site("b", json!({}));
    other["apiVersion"] = json!("demo.dev/v2");
    let (code, status) = api.post(SITES, other).await;
    assert_eq!(code, 400);
    assert_eq!(
        status["message"],
        "the API version in the data (demo.dev/v2) does not match the expected API version (demo.dev/v1)"
    );
}

#[tokio::test]
async fn status_and_the_rest_are_written_apart() {
    let api = with_sites().await;
    api.must_post(SITES, site("a", json!({ "image": "x" }))).await;
    let path = format!("{SITES}/a");
    let all = json!({ "status": { "b": 2 }, "spec": { "image": "zz" }, "metadata": { "labels": { "q": "r" } } });
    let (_, object) = api.patch(&format!("{path}/status"), MERGE, all.clone()).await;
    assert_eq!((&object["status"], &object["spec"]["image"]), (&json!({ "b": 2 }), &json!("x")));
    assert_eq!((object["metadata"].get("labels"), &object["metadata"]["generation"]), (None, &json!(1)));
    let (_, object) = api.patch(&path, MERGE, json!({ "status": { "b": 3 }, "spec": { "image": "zz" } })).await;
    assert_eq!((&object["status"], &object["spec"]["image"]), (&json!({ "b": 2 }), &json!("zz")));
    assert_eq!(object["metadata"]["generation"], 2);
    let v2 = "/apis/demo.dev/v2/namespaces/default/sites/a";
    assert_eq!(api.get(&format!("{v2}/status")).await.0, 404, "v2 has no status subresource");
    let (code, status) = api.put(&path, site("a", json!({ "image": "x" }))).await;
    assert_eq!(code, 422);
    assert_eq!(
        status["message"],
        "sites.demo.dev \"a\" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update"
    );
}

#[tokio::test]
async fn another_version_shows_and_stores_only_what_both_know() {
    let api = with_sites().await;
    api.must_post(SITES, site("a", json!({ "image": "x", "replicas": 4 }))).await;
    let v2 = "/apis/demo.dev/v2/namespaces/default/sites";
    let seen = api.must_get(&format!("{v2}/a")).await;
    assert_eq!((&seen["apiVersion"], &seen["spec"]), (&json!("demo.dev/v2"), &json!({ "image": "x" })));
    let body =
        json!({ "apiVersion": "demo.dev/v2", "kind": "Site", "metadata": { "name": "b" }, "spec": { "image": "y" } });
    let created = api.must_post(v2, body).await;
    assert_eq!(created["spec"], json!({ "image": "y" }), "the stored version does not know `extra`");
    assert_eq!(api.must_get(&format!("{SITES}/b")).await["spec"], json!({ "image": "y", "replicas": 1 }));
}

#[tokio::test(start_paused = true)]
async fn a_changed_schema_ends_running_watches_and_shows_on_what_is_stored() {
    let api = with_sites().await;
    let before = api.must_post(SITES, site("a", json!({ "image": "x" }))).await;
    let version = before["metadata"]["resourceVersion"].as_str().unwrap();
    let mut events = api.watch(&format!("{SITES}?watch=1&resourceVersion={version}")).await;
    let mut definition = api.must_get(&format!("{DEFINITIONS}/sites.demo.dev")).await;
    let spec = &mut definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    spec["properties"]["mode"] = json!({ "type": "string", "default": "m" });
    let (code, _) = api.put(&format!("{DEFINITIONS}/sites.demo.dev"), definition).await;
    assert_eq!(code, 200);
    assert_eq!(events.next().await, None);
    let after = api.must_get(&format!("{SITES}/a")).await;
    assert_eq!(after["spec"]["mode"], "m");
    assert_eq!(after["metadata"]["resourceVersion"], version, "a default shows at the same version");
    let mut again = api.watch(&format!("{SITES}?watch=1&resourceVersion={version}")).await;
    assert_eq!(again.next().await.unwrap()["object"]["code"], 410);
}

#[tokio::test]
async fn a_deleted_definition_takes_its_objects_along() {
    let api = with_sites().await;
    let mut held = site("a", json!({ "image": "x" }));
    held["metadata"]["finalizers"] = json!(["x.io/a"]);
    api.must_post(SITES, held).await;
    api.must_post(SITES, site("b", json!({ "image": "x" }))).await;
    let definition = format!("{DEFINITIONS}/sites.demo.dev");
    let (code, marked) = api.delete(&definition).await;
    assert_eq!((code, marked["metadata"]["deletionTimestamp"].is_string()), (200, true));
    assert_eq!(api.get(&format!("{SITES}/b")).await.0, 404);
    assert_eq!(api.post(SITES, site("c", json!({ "image": "x" }))).await.0, 403);
    api.patch(&format!("{SITES}/a"), MERGE, json!({ "metadata": { "finalizers": null } })).await;
    assert_eq!(api.get(&definition).await.0, 404);
    assert_eq!(api.get(SITES).await, (404, json!("404 page not found\n")));
    assert_eq!(api.get("/apis/demo.dev").await.0, 404);
    api.must_post(DEFINITIONS, site_definition()).await;
    assert_eq!(api.must_get(SITES).await["items"], json!([]));
}

#[tokio::test]
async fn a_definition_that_cannot_be_served_is_refused() {
    let api = client();
    let (code, status) = api.post(DEFINITIONS, json!({ "metadata": { "name": "foo" }, "spec": {} })).await;
    assert_eq!(code, 422);
    let fields: Vec<&str> =
        status["details"]["causes"].as_array().unwrap().iter().map(|cause| cause["field"].as_str().unwrap()).collect();
    for field in ["metadata.name", "spec.group", "spec.scope", "spec.versions", "spec.names.plural", "spec.names.kind"]
    {
        assert!(fields.contains(&field), "{field} is not in {fields:?}");
    }
    let mut webhook = site_definition();
    webhook["spec"]["conversion"] = json!({ "strategy": "Webhook" });
    assert_eq!(api.post(DEFINITIONS, webhook).await.0, 422);
    let mut no_schema = site_definition();
    no_schema["spec"]["versions"][1].as_object_mut().unwrap().remove("schema");
    let (_, status) = api.post(DEFINITIONS, no_schema).await;
    assert_eq!(
        status["message"],
        "CustomResourceDefinition.apiextensions.k8s.io \"sites.demo.dev\" is invalid: spec.versions[1].schema.openAPIV3Schema: Required value"
    );
}

#[tokio::test]
async fn documents_are_tagged_and_change_with_the_definitions() {
    let api = client();
    let accept = ("accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
    for (path, headers) in [("/apis", vec![accept]), ("/openapi/v3", vec![])] {
        let api = client();
        let (code, answer, _) = api.raw(http::Method::GET, path, &headers, "").await;
        assert_eq!(code, 200);
        let etag = answer["etag"].to_str().unwrap().to_owned();
        let conditional: Vec<_> = headers.iter().copied().chain([("if-none-match", etag.as_str())]).collect();
        let (code, unchanged, _) = api.raw(http::Method::GET, path, &conditional, "").await;
        assert_eq!((code, unchanged.get("content-type")), (304, None), "a cache keeps the type that it has");
        api.must_post(DEFINITIONS, site_definition()).await;
        assert_eq!(api.raw(http::Method::GET, path, &conditional, "").await.0, 200, "{path} did not change");
    }
    api.must_post(DEFINITIONS, site_definition()).await;
    let (_, groups) = api.send(http::Method::GET, "/apis", &[accept], "").await;
    let group =
        groups["items"].as_array().unwrap().iter().find(|group| group["metadata"]["name"] == "demo.dev").unwrap();
    let site = &group["versions"][1]["resources"][0];
    assert_eq!(site["responseKind"], json!({ "group": "demo.dev", "version": "v1", "kind": "Site" }));
    assert_eq!(site["subresources"][0]["subresource"], "status");
    let index = api.must_get("/openapi/v3").await;
    let url = index["paths"]["apis/demo.dev/v1"]["serverRelativeURL"].as_str().unwrap();
    let document = api.must_get(url).await;
    let schema = &document["components"]["schemas"]["dev.demo.v1.Site"];
    assert_eq!(schema["properties"]["spec"]["properties"]["replicas"]["default"], 1);
    assert_eq!(
        schema["x-kubernetes-group-version-kind"],
        json!([{ "group": "demo.dev", "version": "v1", "kind": "Site" }])
    );
    let apps = api.must_get("/openapi/v3/apis/apps/v1").await;
    let deployment = &apps["components"]["schemas"]["io.k8s.api.apps.v1.Deployment"];
    assert_eq!(deployment["x-kubernetes-group-version-kind"][0]["kind"], "Deployment");
    assert!(apps["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"].is_object(), "what it refers to is there too");
}
