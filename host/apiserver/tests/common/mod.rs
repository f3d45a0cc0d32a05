//! A client for the tests: requests through the tower service, as JSON.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use http::{Method, Request};
use http_body_util::{BodyExt, BodyStream, Full};
use jiff::Timestamp;
use serde_json::{Value, json};
use tower::ServiceExt;
use trimtab_apiserver::{ApiServer, Collecting, Config};

pub const MERGE: &str = "application/merge-patch+json";
pub const JSON_PATCH: &str = "application/json-patch+json";
pub const STRATEGIC: &str = "application/strategic-merge-patch+json";
pub const APPLY: &str = "application/apply-patch+yaml";

pub const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
pub const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
pub const SITES: &str = "/apis/demo.dev/v1/namespaces/default/sites";

pub struct Client(pub ApiServer);

/// A server at a fixed time and from a fixed seed.
pub fn config() -> Config {
    let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
    Config { now: Arc::new(move || now), seed: 7, ..Config::default() }
}

pub fn client() -> Client {
    Client(ApiServer::new(config()))
}

pub fn lazy_client() -> Client {
    Client(ApiServer::new(Config { collecting: Collecting::OnDemand, ..config() }))
}

impl Client {
    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
        let (code, _, text) = self.raw(method, path, headers, body).await;
        let value = serde_json::from_slice(&text).unwrap_or_else(|_| String::from_utf8_lossy(&text).into());
        (code, value)
    }

    pub async fn raw(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (u16, http::HeaderMap, Bytes) {
        let mut request = Request::builder().method(method).uri(path).header("user-agent", "tester/1");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
        let response = self.0.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        (head.status.as_u16(), head.headers, body.collect().await.unwrap().to_bytes())
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        self.send(Method::GET, path, &[], "").await
    }

    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.send(Method::POST, path, &[], &body.to_string()).await
    }

    pub async fn put(&self, path: &str, body: Value) -> (u16, Value) {
        self.send(Method::PUT, path, &[], &body.to_string()).await
    }

    pub async fn patch(&self, path: &str, content_type: &str, body: Value) -> (u16, Value) {
        self.send(Method::PATCH, path, &[("content-type", content_type)], &body.to_string()).await
    }

    pub async fn delete(&self, path: &str) -> (u16, Value) {
        self.send(Method::DELETE, path, &[], "").await
    }

    pub async fn delete_with(&self, path: &str, options: Value) -> (u16, Value) {
        self.send(Method::DELETE, path, &[], &options.to_string()).await
    }

    /// An object that must be there.
    pub async fn must_get(&self, path: &str) -> Value {
        let (code, object) = self.get(path).await;
        assert_eq!(code, 200, "{path}: {object}");
        object
    }

    pub async fn must_post(&self, path: &str, body: Value) -> Value {
        let (code, object) = self.post(path, body).await;
        assert_eq!(code, 201, "{path}: {object}");
        object
    }

    /// A watch whose events are read one by one.
    pub async fn watch(&self, path: &str) -> Events {
        self.watch_as(path, "application/json").await
    }

    /// A watch in another representation.
    pub async fn watch_as(&self, path: &str, accept: &str) -> Events {
        let request = Request::builder().uri(path).header("accept", accept).body(Full::new(Bytes::new())).unwrap();
        let response = self.0.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let frames = BodyStream::new(response.into_body());
        let chunks = frames.map(|frame| frame.unwrap().into_data().unwrap());
        Events { chunks: Box::pin(chunks), waiting: Vec::new() }
    }
}

pub struct Events {
    chunks: std::pin::Pin<Box<dyn futures::Stream<Item = Bytes>>>,
    waiting: Vec<Value>,
}

impl Events {
    /// The next event, or none when the watch has ended.
    pub async fn next(&mut self) -> Option<Value> {
        while self.waiting.is_empty() {
            let chunk = self.chunks.next().await?;
            for line in chunk.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                self.waiting.push(serde_json::from_slice(line).unwrap());
            }
        }
        Some(self.waiting.remove(0))
    }

    /// The next event as its type and the object's name.
    pub async fn brief(&mut self) -> (String, String) {
        let event = self.next().await.expect("the watch goes on");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&event["type"]), text(&event["object"]["metadata"]["name"]))
    }
}

pub fn brief(kind: &str, name: &str) -> (String, String) {
    (kind.to_owned(), name.to_owned())
}

pub fn config_map(name: &str, data: Value) -> Value {
    json!({ "metadata": { "name": name }, "data": data })
}

/// Two versions; v1 is stored and has a status, v2 does not know `replicas`.
pub fn site_definition() -> Value {
    let v1 = json!({
        "type": "object",
        "properties": {
            "spec": { "type": "object", "required": ["image"], "properties": {
                "image": { "type": "string" }, "replicas": { "type": "integer", "default": 1 } } },
            "status": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
        },
    });
    let v2 = json!({
        "type": "object",
        "properties": { "spec": { "type": "object", "properties": {
            "image": { "type": "string" }, "extra": { "type": "string", "default": "e" } } } },
    });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "sites.demo.dev" },
        "spec": {
            "group": "demo.dev", "scope": "Namespaced", "names": { "plural": "sites", "kind": "Site" },
            "versions": [
                { "name": "v1", "served": true, "storage": true, "subresources": { "status": {} },
                  "schema": { "openAPIV3Schema": v1 } },
                { "name": "v2", "served": true, "storage": false, "schema": { "openAPIV3Schema": v2 } },
            ],
        },
    })
}

pub fn site(name: &str, spec: Value) -> Value {
    json!({ "apiVersion": "demo.dev/v1", "kind": "Site", "metadata": { "name": name }, "spec": spec })
}
