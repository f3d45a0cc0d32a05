//! The API as the admin's client sees it: paths in, JSON out.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::Value;
use trimtab_cluster::Client;

/// What the server asks for where it has not much to do.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSES_MAX: usize = 20;
/// Longer than a server takes to start on a machine that builds beside it.
const OUTAGE_PAUSES_MAX: usize = 360;

/// Asks the API server. What it does not expect fails the test.
#[derive(Clone)]
pub struct Api {
    client: Client,
    /// It asks again for as long as the server is away or cannot do it.
    waits: bool,
}

impl Api {
    /// As whoever the client is.
    pub fn new(client: Client) -> Self {
        Self { client, waits: false }
    }

    /// For what may be asked twice, of a server that may be away.
    pub fn that_waits(client: Client) -> Self {
        Self { client, waits: true }
    }

    /// What lies at a path; none where there is nothing.
    pub async fn get(&self, path: &str) -> Option<Value> {
        match self.send(Method::GET, path, "application/json", None).await {
            (StatusCode::NOT_FOUND, _) => None,
            answer => Some(expected(answer, path)),
        }
    }

    /// What lies at a path, which must be there.
    pub async fn fetch(&self, path: &str) -> Value {
        self.get(path).await.unwrap_or_else(|| panic!("{path} does not exist"))
    }

    /// The items of a collection.
    pub async fn list(&self, path: &str) -> Vec<Value> {
        match self.fetch(path).await["items"].take() {
            Value::Array(items) => items,
            other => panic!("{path} is no collection: {other}"),
        }
    }

    /// Makes an object in a collection.
    pub async fn create(&self, path: &str, object: &Value) -> Value {
        expected(self.send(Method::POST, path, "application/json", Some(object)).await, path)
    }

    /// Whether an object could be made in a collection; it is not.
    pub async fn would_take(&self, path: &str, object: &Value) -> bool {
        let path = format!("{path}?dryRun=All");
        self.send(Method::POST, &path, "application/json", Some(object)).await.0.is_success()
    }

    /// Merges a patch into an object.
    pub async fn merge(&self, path: &str, patch: &Value) -> Value {
        expected(self.send(Method::PATCH, path, "application/merge-patch+json", Some(patch)).await, path)
    }

    /// Deletes an object.
    pub async fn delete(&self, path: &str) {
        expected(self.send(Method::DELETE, path, "application/json", None).await, path);
    }

    /// As every client does, it gives the server the pause that it asks for: for a kind
    /// that was defined just now, say, it is still making room.
    async fn send(&self, method: Method, path: &str, content: &str, body: Option<&Value>) -> (StatusCode, Bytes) {
        let mut pauses = if self.waits { OUTAGE_PAUSES_MAX } else { PAUSES_MAX };
        loop {
            let answer = self.send_once(method.clone(), path, content, body).await;
            let again = match &answer {
                Ok((StatusCode::TOO_MANY_REQUESTS, _)) => true,
                Ok((status, _)) => self.waits && (status.is_server_error() || *status == StatusCode::CONFLICT),
                Err(_) => self.waits,
            };
            if !again || pauses == 0 {
                return answer.unwrap_or_else(|error| panic!("{path}: {error}"));
            }
            pauses -= 1;
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn send_once(
        &self,
        method: Method,
        path: &str,
        content: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let body = body.map(Value::to_string).unwrap_or_default().into_bytes();
        let request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, content);
        let request = request.body(body.into()).expect("the path is one");
        let response = self.client.send(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?;
        Ok((status, body.to_bytes()))
    }
}

fn expected((status, body): (StatusCode, Bytes), path: &str) -> Value {
    assert!(status.is_success(), "{path}: {status}: {}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{path}: {error}"))
}
