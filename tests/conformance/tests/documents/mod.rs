//! The documents of OpenAPI: what each says of the paths of its kinds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use http::Request;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use trimtab_apiserver::{ApiServer, Config};
use trimtab_harness::{ControlPlane, eventually};

const GROUP: &str = "documents.conformance.dev";
/// The real server publishes a new kind some seconds later.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(60);
/// What is done to an object through a path of its own, and served without a
/// place in discovery: the documents in memory leave it out.
const ACTIONS: [&str; 9] =
    ["approval", "binding", "ephemeralcontainers", "eviction", "finalize", "log", "proxy", "resize", "token"];

async fn get(client: &Client, path: &str) -> Value {
    let request = Request::get(path).body(Vec::new()).unwrap();
    serde_json::from_str(&client.request_text(request).await.unwrap_or_default()).unwrap_or_default()
}

async fn define(client: &Client, plural: &str, scope: &str, subresources: Value) {
    let schema = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let version = json!({
        "name": "v1", "served": true, "storage": true,
        "schema": { "openAPIV3Schema": schema }, "subresources": subresources });
    let kind = plural.to_uppercase();
    let names = json!({ "plural": plural, "singular": plural, "kind": kind, "listKind": format!("{kind}List") });
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.{GROUP}") },
        "spec": { "group": GROUP, "scope": scope, "names": names, "versions": [version] } });
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let request = Request::post(path).header("content-type", "application/json");
    let made = client.send(request.body(Body::from(definition.to_string().into_bytes())).unwrap()).await.unwrap();
    assert!(made.status().is_success(), "{plural}: {}", made.status());
}

/// What a document says of each thing that may be asked: action, kind, and the
/// names of parameters, bodies and answers.
fn operations(document: &Value) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        let common = item["parameters"].as_array().cloned().unwrap_or_default();
        for (method, operation) in item.as_object().unwrap().iter().filter(|(name, _)| *name != "parameters") {
            let own = operation["parameters"].as_array().cloned().unwrap_or_default();
            let name = |parameter: &Value| {
                format!("{} {} {}", parameter["in"], parameter["name"], parameter["schema"]["type"])
            };
            let parameters: BTreeSet<String> = common.iter().chain(&own).map(name).collect();
            let patches = operation["requestBody"]["content"].as_object().filter(|_| method == "patch");
            let keys = |object: &Value| object.as_object().map(|fields| fields.keys().cloned().collect::<Vec<_>>());
            let said = json!({
                "action": operation["x-kubernetes-action"], "of": operation["x-kubernetes-group-version-kind"],
                "parameters": parameters, "body": operation.get("requestBody").is_some(),
                // The real server lists what it reads itself, such as CBOR, too.
                "patches": patches.map(|patches| patches.keys().filter(|of| of.ends_with("json") || of.ends_with("yaml")).collect::<Vec<_>>()),
                "answers": keys(&operation["responses"]),
                "item": operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"],
            });
            found.insert(format!("{method} {path}"), said);
        }
    }
    found
}

/// Whether the documents in memory have a place for what is asked.
fn is_comparable(asked: &str, real: &Value) -> bool {
    let last = asked.rsplit('/').next().unwrap_or_default();
    let deprecated = asked.contains("/watch/");
    !deprecated && !real["action"].is_null() && real["action"] != "connect" && !ACTIONS.contains(&last)
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_name_the_same_paths_on_both_servers() {
    let real = ControlPlane::shared().await.client().await;
    let memory = Client::new(ApiServer::new(Config::default()), "default");
    let scale = json!({ "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas" });
    for client in [&real, &memory] {
        define(client, "pages", "Namespaced", json!({ "status": {}, "scale": scale })).await;
        define(client, "sites", "Cluster", json!({})).await;
    }
    let custom = format!("/openapi/v3/apis/{GROUP}/v1");
    eventually("both kinds are published", PUBLISHED_WITHIN, || async {
        let text = get(&real, &custom).await.to_string();
        (text.contains("/sites/{name}") && text.contains("/pages/{name}/scale")).then_some(())
    })
    .await;
    let served = get(&memory, "/openapi/v3").await;
    let mut compared = 0;
    for path in served["paths"].as_object().unwrap().keys() {
        let path = format!("/openapi/v3/{path}");
        let (real, memory) = (operations(&get(&real, &path).await), operations(&get(&memory, &path).await));
        for (asked, here) in &memory {
            let mut there = real.get(asked).cloned().unwrap_or_default();
            // Components of their own, which only say what all servers answer.
            if here["item"].is_null() {
                there["item"] = Value::Null;
            }
            assert_eq!(*here, there, "{path}: {asked}");
            compared += 1;
        }
        let kinds: BTreeSet<String> = memory.values().map(|said| said["of"]["kind"].to_string()).collect();
        let missing = real.iter().filter(|(asked, there)| {
            is_comparable(asked, there)
                && kinds.contains(&there["of"]["kind"].to_string())
                && !memory.contains_key(*asked)
        });
        assert_eq!(missing.map(|(asked, _)| asked).collect::<Vec<_>>(), Vec::<&String>::new(), "{path}");
    }
    println!("{compared} operations of documents compared");
}
