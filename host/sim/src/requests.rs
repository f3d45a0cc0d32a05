//! Requests over a client, and their whole answers, for what runs beside a host.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use serde_json::Value;
use tokio::time::timeout;
use trimtab_cluster::Client;

/// How long an answer may take: kube-apiserver gives up on a request after 60 s.
const ANSWER: Duration = Duration::from_secs(60);

/// Why there is no answer to use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    /// The server refused.
    #[error("{path}: {status}: {message}")]
    Refused { path: String, status: StatusCode, message: String },
    /// Nobody knows whether it was done.
    #[error("{path}: {why}")]
    Unheard { path: String, why: String },
}

impl Failed {
    /// The state that the request was made from has passed: what has changed
    /// will be told, and looked at.
    pub fn is_stale(&self) -> bool {
        let stale = [StatusCode::NOT_FOUND, StatusCode::CONFLICT];
        matches!(self, Self::Refused { status, .. } if stale.contains(status))
    }
}

/// Requests over a client.
#[derive(Clone)]
pub(crate) struct Requests {
    client: Client,
}

impl Requests {
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    pub async fn get(&self, path: &str) -> Result<Value, Failed> {
        self.send(Method::GET, path, None).await
    }

    /// Opens a watch.
    pub async fn watch(&self, path: &str) -> Result<(StatusCode, UnsyncBoxBody<Bytes, String>), Failed> {
        let request = Request::get(path).body(Vec::new().into()).expect("a watch's path is made of names");
        let answer = timeout(ANSWER, self.client.send(request)).await;
        let answer = answer.map_err(|_| unheard(path, format!("no answer within {ANSWER:?}")))?;
        let (head, body) = answer.map_err(|error| unheard(path, error.to_string()))?.into_parts();
        Ok((head.status, body.map_err(|error| error.to_string()).boxed_unsync()))
    }

    /// A write, or a read, and its whole answer.
    pub async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failed> {
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        let request = request.body(body.into()).map_err(|error| unheard(path, error.to_string()))?;
        let answer = async {
            let answer = self.client.send(request).await.map_err(|error| unheard(path, error.to_string()))?;
            let status = answer.status();
            let body = answer.into_body().collect().await.map_err(|error| unheard(path, error.to_string()))?;
            let body: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
            if status.is_success() {
                return Ok(body);
            }
            let message = body["message"].as_str().unwrap_or("no message").to_owned();
            Err(Failed::Refused { path: path.to_owned(), status, message })
        };
        let answer = timeout(ANSWER, answer).await;
        answer.unwrap_or_else(|_| Err(unheard(path, format!("no answer within {ANSWER:?}"))))
    }
}

fn unheard(path: &str, why: String) -> Failed {
    Failed::Unheard { path: path.to_owned(), why }
}
