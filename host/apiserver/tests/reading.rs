//! What a client asks to see: tables, metadata, YAML, protobuf bodies, reviews.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::*;
use http::Method;
use serde_json::{Value, json};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

async fn see(api: &Client, path: &str, accept: &str) -> Value {
    let (code, seen) = api.send(Method::GET, path, &[("accept", accept)], "").await;
    assert_eq!(code, 200, "{path}: {seen}");
    seen
}

#[tokio::test]
async fn a_table_is_given_to_who_asks_for_one() {
    let api = client();
    for name in ["a", "b", "c"] {
        api.must_post(CONFIG_MAPS, config_map(name, json!({ "x": "1" }))).await;
    }
    let table = see(&api, &format!("{CONFIG_MAPS}?limit=2"), TABLE).await;
    assert_eq!((&table["kind"], &table["rows"][1]["cells"]), (&json!("Table"), &json!(["b", 1, "0s"])));
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    assert_eq!(table["metadata"]["remainingItemCount"], 1);
    assert!(table["metadata"]["continue"].is_string());
    let bare = see(&api, &format!("{CONFIG_MAPS}/a?includeObject=None"), TABLE).await;
    assert_eq!((bare["rows"].as_array().unwrap().len(), bare["rows"][0].get("object")), (1, None));
    let whole = see(&api, &format!("{CONFIG_MAPS}/a?includeObject=Object"), TABLE).await;
    assert_eq!(whole["rows"][0]["object"]["data"], json!({ "x": "1" }));
    let (code, status) =
        api.send(Method::GET, &format!("{CONFIG_MAPS}?includeObject=Nope"), &[("accept", TABLE)], "").await;
    assert_eq!((code, &status["reason"]), (400, &json!("BadRequest")));
}

#[tokio::test(start_paused = true)]
async fn a_watch_of_tables_names_the_columns_once() {
    let api = client();
    api.must_post(CONFIG_MAPS, config_map("a", json!({}))).await;
    let mut events = api.watch_as(&format!("{CONFIG_MAPS}?watch=1&allowWatchBookmarks=true"), TABLE).await;
    let first = events.next().await.unwrap();
    assert_eq!(first["object"]["columnDefinitions"].as_array().unwrap().len(), 3);
    assert_eq!(first["object"]["rows"][0]["cells"], json!(["a", 0, "0s"]));
    let end = events.next().await.unwrap();
    assert_eq!((&end["type"], &end["object"]["columnDefinitions"]), (&json!("BOOKMARK"), &Value::Null));
    assert_eq!(end["object"]["rows"][0]["cells"], json!(["", 0, "<unknown>"]));
    api.delete(&format!("{CONFIG_MAPS}/a")).await;
    assert_eq!(events.next().await.unwrap()["type"], "DELETED");
}

#[tokio::test]
async fn long_answers_are_compressed_for_who_takes_it() {
    let api = client();
    for n in 0..3 {
        api.must_post(CONFIG_MAPS, config_map(&format!("m{n}"), json!({ "x": "y".repeat(64 * 1024) }))).await;
    }
    let (code, headers, body) = api.raw(Method::GET, CONFIG_MAPS, &[("accept-encoding", "gzip, br")], "").await;
    assert_eq!((code, headers["content-encoding"].to_str().unwrap()), (200, "gzip"));
    assert!(body.len() < 16 * 1024 && body.starts_with(&[0x1f, 0x8b]));
    let (_, headers, body) = api.raw(Method::GET, CONFIG_MAPS, &[], "").await;
    assert!(!headers.contains_key("content-encoding") && body.len() > 128 * 1024);
}

#[tokio::test]
async fn yaml_is_written_for_who_prefers_it_and_indented_for_who_reads_it() {
    let api = client();
    api.must_post(CONFIG_MAPS, config_map("a", json!({ "x": "1" }))).await;
    let path = format!("{CONFIG_MAPS}/a");
    let (_, headers, body) = api.raw(Method::GET, &path, &[("accept", "application/yaml")], "").await;
    assert_eq!(headers["content-type"], "application/yaml");
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert!(text.contains("kind: ConfigMap\n") && text.contains("x: \"1\""), "{text}");
    let (_, headers, body) = api.raw(Method::GET, &format!("{path}?pretty=true"), &[], "").await;
    assert_eq!(headers["content-type"], "application/json");
    assert!(String::from_utf8(body.to_vec()).unwrap().contains("\n  \"kind\": \"ConfigMap\""));
}

#[tokio::test]
async fn who_asks_whether_he_may_is_told_yes() {
    let api = client();
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let asked = json!({ "spec": { "resourceAttributes": { "verb": "get", "resource": "pods" } } });
    assert_eq!(api.must_post(path, asked).await["status"], json!({ "allowed": true }));
    assert_eq!(api.post(path, json!({ "spec": {} })).await.0, 422);
    assert_eq!(api.get(path).await.0, 405);
    let who = api.must_post("/apis/authentication.k8s.io/v1/selfsubjectreviews", json!({})).await;
    assert_eq!(who["status"]["userInfo"]["username"], "admin");
}

#[tokio::test]
async fn a_page_of_a_named_version_is_of_that_version() {
    let api = client();
    api.must_post(CONFIG_MAPS, config_map("a", json!({}))).await;
    let then = api.0.resource_version();
    api.must_post(CONFIG_MAPS, config_map("b", json!({}))).await;
    let count =
        async |query: &str| api.must_get(&format!("{CONFIG_MAPS}?{query}")).await["items"].as_array().unwrap().len();
    assert_eq!(count(&format!("limit=5&resourceVersion={then}")).await, 1);
    assert_eq!(count(&format!("resourceVersion={then}")).await, 2);
    assert_eq!(count(&format!("resourceVersion={then}&resourceVersionMatch=Exact")).await, 1);
    // The cache, which version 0 asks for, has no pages.
    assert_eq!(count("limit=1&resourceVersion=0").await, 2);
    let page = api.must_get(&format!("{CONFIG_MAPS}?limit=1")).await;
    let token = page["metadata"]["continue"].as_str().unwrap();
    assert_eq!(api.get(&format!("{CONFIG_MAPS}?limit=1&continue={token}&resourceVersion={then}")).await.0, 400);
    assert_eq!(api.get(&format!("{CONFIG_MAPS}/a?resourceVersion=99999")).await.0, 504);
}

#[tokio::test]
async fn a_collection_is_deleted_within_one_namespace() {
    let api = client();
    api.must_post(CONFIG_MAPS, config_map("a", json!({}))).await;
    assert_eq!(api.delete("/api/v1/configmaps").await.0, 405);
    assert_eq!(api.delete(CONFIG_MAPS).await.0, 200);
}
