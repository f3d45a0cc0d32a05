//! Watches and lists: what is told, in which order, and when history is gone.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use common::*;
use serde_json::{Value, json};

fn version(object: &Value) -> &str {
    object["metadata"]["resourceVersion"].as_str().unwrap()
}

fn labelled(name: &str, app: &str) -> Value {
    json!({ "metadata": { "name": name, "labels": { "app": app } } })
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_each_change_after_its_version() {
    let api = client();
    let first = api.must_post(CONFIG_MAPS, config_map("a", json!({}))).await;
    let mut events = api.watch(&format!("{CONFIG_MAPS}?watch=1&resourceVersion={}", version(&first))).await;
    api.must_post("/api/v1/namespaces/kube-system/configmaps", config_map("elsewhere", json!({}))).await;
    let path = format!("{CONFIG_MAPS}/a");
    api.patch(&path, MERGE, json!({ "data": { "x": "1" } })).await;
    api.must_post(CONFIG_MAPS, config_map("b", json!({}))).await;
    api.delete(&path).await;
    assert_eq!(events.brief().await, brief("MODIFIED", "a"));
    assert_eq!(events.brief().await, brief("ADDED", "b"));
    let gone = events.next().await.unwrap();
    assert_eq!(gone["type"], "DELETED");
    assert_eq!(version(&gone["object"]), api.0.resource_version().to_string());
}

#[tokio::test(start_paused = true)]
async fn a_write_wakes_a_watch_that_waits() {
    let api = client();
    let mut events = api.watch("/api/v1/configmaps?watch=1").await;
    let write = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        api.must_post(CONFIG_MAPS, config_map("late", json!({}))).await;
    };
    let (event, ()) = tokio::join!(events.brief(), write);
    assert_eq!(event, brief("ADDED", "late"));
}

#[tokio::test(start_paused = true)]
async fn an_object_enters_and_leaves_a_selector() {
    let api = client();
    api.must_post(CONFIG_MAPS, labelled("a", "db")).await;
    let mut events = api
        .watch(&format!("{CONFIG_MAPS}?watch=1&labelSelector=app%3Dweb&resourceVersion={}", api.0.resource_version()))
        .await;
    let path = format!("{CONFIG_MAPS}/a");
    let label = async |app: &str| api.patch(&path, MERGE, json!({ "metadata": { "labels": { "app": app } } })).await;
    label("web").await;
    api.patch(&path, MERGE, json!({ "data": { "x": "1" } })).await;
    label("db").await;
    api.patch(&path, MERGE, json!({ "data": { "x": "2" } })).await;
    label("web").await;
    for expected in ["ADDED", "MODIFIED", "DELETED", "ADDED"] {
        assert_eq!(events.brief().await, brief(expected, "a"));
    }
}

#[tokio::test(start_paused = true)]
async fn initial_events_end_with_a_marked_bookmark() {
    let api = client();
    api.must_post(CONFIG_MAPS, config_map("b", json!({}))).await;
    api.must_post(CONFIG_MAPS, config_map("a", json!({}))).await;
    let query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut events = api.watch(&format!("{CONFIG_MAPS}?{query}")).await;
    assert_eq!(events.brief().await, brief("ADDED", "b"));
    assert_eq!(events.brief().await, brief("ADDED", "a"));
    let bookmark = events.next().await.unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(bookmark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    assert_eq!(version(&bookmark["object"]), api.0.resource_version().to_string());
    let (code, status) = api.get(&format!("{CONFIG_MAPS}?watch=1&sendInitialEvents=true")).await;
    assert_eq!(code, 422);
    assert!(status["message"].as_str().unwrap().contains("sendInitialEvents requires setting resourceVersionMatch"));
}

#[tokio::test(start_paused = true)]
async fn an_idle_watch_gets_bookmarks_and_ends_at_its_time_out() {
    let api = client();
    let from = api.0.resource_version();
    let query = format!("watch=1&resourceVersion={from}&allowWatchBookmarks=true&timeoutSeconds=90");
    let mut events = api.watch(&format!("{CONFIG_MAPS}?{query}")).await;
    let started = tokio::time::Instant::now();
    assert_eq!(events.next().await.unwrap()["type"], "BOOKMARK");
    assert_eq!(started.elapsed().as_secs(), 60);
    // The last one comes in time for the client to go on from there.
    assert_eq!(events.next().await.unwrap()["type"], "BOOKMARK");
    assert_eq!(started.elapsed().as_secs(), 88);
    assert_eq!(events.next().await, None);
    assert_eq!(started.elapsed().as_secs(), 90);
}

#[tokio::test(start_paused = true)]
async fn compacted_history_is_answered_with_expired() {
    let api = client();
    let first = api.must_post(CONFIG_MAPS, config_map("a", json!({}))).await;
    let running_from = api.0.resource_version();
    let mut current = api.watch(&format!("{CONFIG_MAPS}?watch=1&resourceVersion={running_from}")).await;
    api.must_post(CONFIG_MAPS, config_map("b", json!({}))).await;
    api.0.compact();
    let mut late = api.watch(&format!("{CONFIG_MAPS}?watch=1&resourceVersion={}", version(&first))).await;
    for events in [&mut late, &mut current] {
        let event = events.next().await.unwrap();
        assert_eq!(event["type"], "ERROR");
        assert_eq!((&event["object"]["code"], &event["object"]["reason"]), (&json!(410), &json!("Expired")));
        assert_eq!(events.next().await, None);
    }
}

#[tokio::test]
async fn pages_show_one_moment_whatever_happens_between_them() {
    let api = client();
    for name in ["a", "b", "c", "d", "e"] {
        api.must_post(CONFIG_MAPS, config_map(name, json!({}))).await;
    }
    let names = |list: &Value| -> Vec<String> {
        list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap().into()).collect()
    };
    let first = api.must_get(&format!("{CONFIG_MAPS}?limit=2")).await;
    assert_eq!((names(&first), &first["metadata"]["remainingItemCount"]), (vec!["a".into(), "b".into()], &json!(3)));
    api.delete(&format!("{CONFIG_MAPS}/c")).await;
    api.must_post(CONFIG_MAPS, config_map("cc", json!({}))).await;
    let token = first["metadata"]["continue"].as_str().unwrap();
    let second = api.must_get(&format!("{CONFIG_MAPS}?limit=2&continue={token}")).await;
    assert_eq!((names(&second), version(&second)), (vec!["c".into(), "d".into()], version(&first)));
    api.0.compact();
    let token = second["metadata"]["continue"].as_str().unwrap();
    let (code, status) = api.get(&format!("{CONFIG_MAPS}?limit=2&continue={token}")).await;
    assert_eq!((code, status["reason"].as_str()), (410, Some("Expired")));
}

#[tokio::test]
async fn lists_are_selected_and_refused_by_their_parameters() {
    let api = client();
    api.must_post(CONFIG_MAPS, labelled("a", "web")).await;
    api.must_post(CONFIG_MAPS, labelled("b", "db")).await;
    let count =
        async |query: &str| api.must_get(&format!("{CONFIG_MAPS}?{query}")).await["items"].as_array().unwrap().len();
    assert_eq!(count("labelSelector=app%20in%20(web,x)").await, 1);
    assert_eq!(count("labelSelector=!app").await, 0);
    assert_eq!(count("fieldSelector=metadata.name%3Db").await, 1);
    let ahead = api.0.resource_version() + 5;
    let (code, status) = api.get(&format!("{CONFIG_MAPS}?resourceVersion={ahead}")).await;
    assert_eq!((code, status["reason"].as_str()), (504, Some("Timeout")));
    assert_eq!(api.get(&format!("{CONFIG_MAPS}?resourceVersion=abc")).await.0, 400);
    assert_eq!(api.get(&format!("{CONFIG_MAPS}?continue=abc")).await.0, 400);
}
