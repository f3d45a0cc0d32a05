//! Writing and reading single objects: what is refused and how, what is kept,
//! counted and defaulted.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::*;
use serde_json::{Value, json};

#[tokio::test]
async fn an_object_is_created_read_and_listed() {
    let api = client();
    let created = api.must_post(CONFIG_MAPS, config_map("a", json!({ "x": "1" }))).await;
    assert_eq!(created["metadata"]["creationTimestamp"], "2026-01-02T03:04:05Z");
    assert_eq!(created["metadata"]["namespace"], "default");
    assert_eq!(created["metadata"]["managedFields"][0]["manager"], "tester");
    assert_eq!(api.must_get(&format!("{CONFIG_MAPS}/a")).await, created);
    let list = api.must_get("/api/v1/configmaps").await;
    assert_eq!(list["kind"], "ConfigMapList");
    assert_eq!(list["metadata"]["resourceVersion"], created["metadata"]["resourceVersion"]);
    let mut item = created;
    item.as_object_mut().unwrap().retain(|field, _| field != "apiVersion" && field != "kind");
    assert_eq!(list["items"], json!([item]));
}

#[tokio::test]
async fn a_refused_create_says_why_in_the_servers_words() {
    let api = client();
    api.must_post(CONFIG_MAPS, config_map("a", json!({}))).await;
    let message = async |path: &str, body: Value| {
        let (code, status) = api.post(path, body).await;
        (code, status["reason"].as_str().unwrap_or_default().to_owned(), status["message"].as_str().unwrap().to_owned())
    };
    let refused = |code, reason: &str, message: &str| (code, reason.to_owned(), message.to_owned());
    assert_eq!(
        message(CONFIG_MAPS, config_map("a", json!({}))).await,
        refused(409, "AlreadyExists", "configmaps \"a\" already exists")
    );
    assert_eq!(
        message(CONFIG_MAPS, json!({ "metadata": { "name": "b", "resourceVersion": "5" } })).await,
        refused(500, "", "resourceVersion should not be set on objects to be created")
    );
    assert_eq!(
        message(CONFIG_MAPS, json!({ "metadata": {} })).await,
        refused(
            422,
            "Invalid",
            "ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required"
        )
    );
    assert_eq!(
        message("/api/v1/namespaces/nope/configmaps", config_map("b", json!({}))).await,
        refused(404, "NotFound", "namespaces \"nope\" not found")
    );
    let (code, reason, _) = message(CONFIG_MAPS, config_map("b", json!({ "x": 1 }))).await;
    assert_eq!((code, reason.as_str()), (400, "BadRequest"));
}

#[tokio::test]
async fn a_generated_name_is_drawn_for_each_object() {
    let api = client();
    let body = json!({ "metadata": { "generateName": "gen-" } });
    let first = api.must_post(CONFIG_MAPS, body.clone()).await;
    let second = api.must_post(CONFIG_MAPS, body).await;
    let name = |object: &Value| object["metadata"]["name"].as_str().unwrap().to_owned();
    assert!(name(&first).starts_with("gen-") && name(&first).len() == 9);
    assert_ne!(name(&first), name(&second));
}

#[tokio::test]
async fn an_update_at_an_old_version_conflicts() {
    let api = client();
    let first = api.must_post(CONFIG_MAPS, config_map("a", json!({ "x": "1" }))).await;
    let path = format!("{CONFIG_MAPS}/a");
    let mut second = first.clone();
    second["data"]["x"] = json!("2");
    let (code, second) = api.put(&path, second).await;
    assert_eq!(code, 200, "{second}");
    let (code, status) = api.put(&path, first).await;
    assert_eq!((code, status["reason"].as_str()), (409, Some("Conflict")));
    assert_eq!(
        status["message"],
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again"
    );
    let (code, status) = api.put(&path, json!({ "metadata": { "name": "a", "uid": "other" } })).await;
    assert_eq!(code, 409, "{status}");
    assert!(status["message"].as_str().unwrap().contains("Precondition failed: UID in precondition: other"));
}

#[tokio::test]
async fn a_write_that_changes_nothing_moves_no_version() {
    let api = client();
    let created = api.must_post(CONFIG_MAPS, config_map("a", json!({ "x": "1" }))).await;
    let path = format!("{CONFIG_MAPS}/a");
    let before = api.0.resource_version();
    assert_eq!(api.put(&path, created.clone()).await, (200, created.clone()));
    assert_eq!(api.patch(&path, MERGE, json!({ "data": { "x": "1" } })).await, (200, created.clone()));
    let applied = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" }, "data": { "x": "1" } });
    let apply = format!("{path}?fieldManager=m");
    let (_, first) = api.patch(&apply, APPLY, applied.clone()).await;
    let owned = api.0.resource_version();
    assert_eq!(owned, before + 1, "a new manager is a change: {first}");
    assert_eq!(api.patch(&apply, APPLY, applied).await, (200, first));
    assert_eq!(api.0.resource_version(), owned);
}

#[tokio::test]
async fn each_patch_changes_what_it_says() {
    let api = client();
    api.must_post(CONFIG_MAPS, config_map("a", json!({ "x": "1", "y": "2" }))).await;
    let path = format!("{CONFIG_MAPS}/a");
    let (_, merged) = api.patch(&path, MERGE, json!({ "data": { "x": null, "z": "3" } })).await;
    assert_eq!(merged["data"], json!({ "y": "2", "z": "3" }));
    let operations = json!([{ "op": "test", "path": "/data/y", "value": "2" }, { "op": "remove", "path": "/data/y" }]);
    let (_, patched) = api.patch(&path, JSON_PATCH, operations.clone()).await;
    assert_eq!(patched["data"], json!({ "z": "3" }));
    let (code, status) = api.patch(&path, JSON_PATCH, operations).await;
    assert_eq!((code, status["reason"].as_str()), (422, Some("Invalid")));
    let (_, strategic) = api.patch(&path, STRATEGIC, json!({ "metadata": { "finalizers": ["a.b/c"] } })).await;
    assert_eq!(strategic["metadata"]["finalizers"], json!(["a.b/c"]));
    let (code, status) = api.patch(&path, "text/plain", json!({})).await;
    assert_eq!((code, status["reason"].as_str()), (415, Some("UnsupportedMediaType")));
    let (code, _) = api.patch(&format!("{CONFIG_MAPS}/nope"), MERGE, json!({})).await;
    assert_eq!(code, 404);
}

#[tokio::test]
async fn an_apply_at_version_one_creates_or_fails() {
    let api = client();
    let path = format!("{CONFIG_MAPS}/a?fieldManager=m");
    let applied = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "a", "resourceVersion": "1" }, "data": { "x": "1" },
    });
    let (code, created) = api.patch(&path, APPLY, applied.clone()).await;
    assert_eq!(code, 201, "{created}");
    let (code, status) = api.patch(&path, APPLY, applied).await;
    assert_eq!((code, status["reason"].as_str()), (409, Some("Conflict")));
    let absent = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "b", "uid": "u" } });
    let (code, status) = api.patch(&format!("{CONFIG_MAPS}/b?fieldManager=m"), APPLY, absent).await;
    assert_eq!(code, 409);
    assert_eq!(
        status["message"],
        "Operation cannot be fulfilled on configmaps \"b\": uid mismatch: the provided object specified uid u, and no existing object was found"
    );
}

#[tokio::test]
async fn an_apply_conflicts_with_another_manager_until_forced() {
    let api = client();
    let applied = |value: &str| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" }, "data": { "x": value },
        })
    };
    api.patch(&format!("{CONFIG_MAPS}/a?fieldManager=one"), APPLY, applied("1")).await;
    let other = format!("{CONFIG_MAPS}/a?fieldManager=two");
    let (code, status) = api.patch(&other, APPLY, applied("2")).await;
    assert_eq!(code, 409);
    assert_eq!(status["message"], "Apply failed with 1 conflict: conflict with \"one\": .data.x");
    assert_eq!(
        status["details"]["causes"],
        json!([{ "reason": "FieldManagerConflict", "message": "conflict with \"one\"", "field": ".data.x" }])
    );
    let (code, forced) = api.patch(&format!("{other}&force=true"), APPLY, applied("2")).await;
    assert_eq!((code, &forced["data"]["x"]), (200, &json!("2")));
    let (code, status) = api.patch(&format!("{CONFIG_MAPS}/a"), APPLY, applied("2")).await;
    assert_eq!((code, status["details"]["kind"].as_str()), (422, Some("PatchOptions")));
}

#[tokio::test]
async fn a_dry_run_answers_and_stores_nothing() {
    let api = client();
    let before = api.0.resource_version();
    let (code, answer) = api.post(&format!("{CONFIG_MAPS}?dryRun=All"), config_map("a", json!({ "x": "1" }))).await;
    assert_eq!((code, &answer["data"]["x"]), (201, &json!("1")));
    assert_eq!(api.get(&format!("{CONFIG_MAPS}/a")).await.0, 404);
    assert_eq!(api.0.resource_version(), before);
}

#[tokio::test]
async fn a_deployment_gets_the_defaults_that_a_real_server_gives() {
    let api = client();
    let path = "/apis/apps/v1/namespaces/default/deployments";
    let containers = json!([{ "name": "c", "image": "nginx", "ports": [{ "containerPort": 80 }] }]);
    let body = json!({
        "metadata": { "name": "d" },
        "spec": { "selector": { "matchLabels": { "a": "b" } },
                  "template": { "metadata": { "labels": { "a": "b" } }, "spec": { "containers": containers } } },
    });
    let created = api.must_post(path, body).await;
    let expected = json!({
        "replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600,
        "selector": { "matchLabels": { "a": "b" } },
        "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": "25%", "maxUnavailable": "25%" } },
        "template": { "metadata": { "labels": { "a": "b" } }, "spec": {
            "containers": [{
                "name": "c", "image": "nginx", "imagePullPolicy": "Always", "resources": {},
                "ports": [{ "containerPort": 80, "protocol": "TCP" }],
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File" }],
            "dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "schedulerName": "default-scheduler",
            "securityContext": {}, "terminationGracePeriodSeconds": 30 } },
    });
    assert_eq!(created["spec"], expected);
    assert_eq!((&created["status"], &created["metadata"]["generation"]), (&json!({}), &json!(1)));
    let (_, scaled) = api.patch(&format!("{path}/d/scale"), MERGE, json!({ "spec": { "replicas": 3 } })).await;
    assert_eq!((scaled["kind"].as_str(), &scaled["status"]["selector"]), (Some("Scale"), &json!("a=b")));
    let grown = api.must_get(&format!("{path}/d")).await;
    assert_eq!((&grown["spec"]["replicas"], &grown["metadata"]["generation"]), (&json!(3), &json!(2)));
    let (_, ready) = api.patch(&format!("{path}/d/status"), MERGE, json!({ "status": { "readyReplicas": 3 } })).await;
    assert_eq!((&ready["status"]["readyReplicas"], &ready["metadata"]["generation"]), (&json!(3), &json!(2)));
    let selector = json!({ "spec": { "selector": { "matchLabels": { "a": "c" } } } });
    let (code, status) = api.patch(&format!("{path}/d"), MERGE, selector).await;
    assert_eq!(code, 422, "{status}");
}

#[tokio::test]
async fn a_service_keeps_the_address_it_was_given() {
    let api = client();
    let path = "/api/v1/namespaces/default/services";
    let body = json!({ "metadata": { "name": "s" }, "spec": { "ports": [{ "port": 80 }], "selector": { "a": "b" } } });
    let created = api.must_post(path, body.clone()).await;
    let spec = &created["spec"];
    assert!(spec["clusterIP"].as_str().unwrap().starts_with("10.96."));
    assert_eq!(spec["ports"], json!([{ "port": 80, "targetPort": 80, "protocol": "TCP" }]));
    assert_eq!((&spec["type"], &spec["ipFamilies"]), (&json!("ClusterIP"), &json!(["IPv4"])));
    let (code, kept) = api.put(&format!("{path}/s"), body).await;
    assert_eq!((code, &kept["spec"]["clusterIP"]), (200, &spec["clusterIP"]));
}

#[tokio::test]
async fn a_lease_takes_only_times_with_microseconds() {
    let api = client();
    let path = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
    let lease = |time: &str| json!({ "metadata": { "name": "l" }, "spec": { "renewTime": time } });
    assert_eq!(api.post(path, lease("2026-01-01T00:00:00Z")).await.0, 400);
    assert_eq!(api.post(path, lease("2026-01-01T00:00:00.000000Z")).await.0, 201);
}

#[tokio::test]
async fn metadata_alone_can_be_asked_for() {
    let api = client();
    api.must_post(CONFIG_MAPS, config_map("a", json!({ "x": "1" }))).await;
    let accept = [("accept", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1")];
    let (_, object) = api.send(http::Method::GET, &format!("{CONFIG_MAPS}/a"), &accept, "").await;
    assert_eq!((object["kind"].as_str(), object.get("data")), (Some("PartialObjectMetadata"), None));
    let accept = [("accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1")];
    let (_, list) = api.send(http::Method::GET, CONFIG_MAPS, &accept, "").await;
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert_eq!(list["items"][0]["metadata"]["name"], "a");
    let (code, _) = api.send(http::Method::GET, CONFIG_MAPS, &[("accept", "text/html")], "").await;
    assert_eq!(code, 406);
}

#[tokio::test]
async fn equal_requests_to_equal_servers_leave_equal_objects() {
    let run = async || {
        let api = client();
        api.must_post(CONFIG_MAPS, json!({ "metadata": { "generateName": "g-" } })).await;
        api.must_get("/api/v1/configmaps").await
    };
    assert_eq!(run().await, run().await);
}
