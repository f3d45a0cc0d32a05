//! One request and its whole answer, within a time. The gate, the electors and
//! the Events speak to the server through this; none of them repeats unseen.

use std::{fmt::Write as _, time::Duration};

use bytes::Bytes;
use http::{Method, Request, header};
use kube::{Client, client::Body};
use serde::Serialize;
use trimtab_core::{api_error::ApiError, kind::Kind};

/// Why there is no answer to use.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The server refused.
    #[error("{0}")]
    Api(Box<ApiError>),
    /// Nobody knows whether the server has done it.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The connection failed; the server may have done it.
    #[error("the API server cannot be reached: {0}")]
    Unreachable(String),
}

impl RequestError {
    /// The HTTP status, where there was one.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Api(error) => Some(error.code),
            Self::TimedOut(_) | Self::Unreachable(_) => None,
        }
    }
}

/// Sends a request and collects its answer.
pub async fn send(client: &Client, request: Request<Body>, timeout: Duration) -> Result<Bytes, RequestError> {
    let answer = async {
        let answer = client.send(request).await.map_err(unreachable)?;
        let (head, body) = answer.into_parts();
        let body = body.collect_bytes().await.map_err(unreachable)?;
        if head.status.is_success() {
            return Ok(body);
        }
        let retry_after = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        Err(RequestError::Api(Box::new(ApiError::read(head.status.as_u16(), retry_after, &body))))
    };
    tokio::time::timeout(timeout, answer).await.unwrap_or(Err(RequestError::TimedOut(timeout)))
}

fn unreachable(error: kube::Error) -> RequestError {
    RequestError::Unreachable(crate::causes(&error))
}

/// A request for what is there.
pub fn get(path: &str) -> Request<Body> {
    head(Method::GET, path).body(Body::empty()).expect("each part of a path is encoded")
}

/// A request with a JSON body.
pub fn build(method: Method, path: &str, content_type: &str, body: &impl Serialize) -> Request<Body> {
    let body = serde_json::to_vec(body).expect("a tree of JSON is written into memory");
    let request = head(method, path).header(header::CONTENT_TYPE, content_type);
    request.body(body.into()).expect("each part of a path is encoded")
}

fn head(method: Method, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(path).header(header::ACCEPT, "application/json")
}

/// The path of a kind's objects in one namespace, or without one of those.
pub fn collection(kind: &Kind, version: &str, namespace: &str) -> String {
    let group = &kind.id.group;
    let mut path = if group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", encoded(group)) };
    let _ = write!(path, "/{}", encoded(version));
    if kind.namespaced && !namespace.is_empty() {
        let _ = write!(path, "/namespaces/{}", encoded(namespace));
    }
    let _ = write!(path, "/{}", encoded(&kind.plural));
    path
}

/// One part of a path or the value of a parameter, so that a name cannot be
/// taken for more than a name.
pub fn encoded(part: &str) -> String {
    part.bytes().fold(String::with_capacity(part.len()), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(byte.into());
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use trimtab_core::id::GroupKind;

    use super::*;

    #[test]
    fn paths_name_core_and_other_groups_and_no_name_escapes_its_place() {
        let kind = |api_version: &str, namespaced| Kind {
            id: GroupKind::new(api_version, "Thing"),
            plural: "things".into(),
            namespaced,
            versions: vec![],
            storage: None,
        };
        assert_eq!(collection(&kind("v1", true), "v1", "n"), "/api/v1/namespaces/n/things");
        assert_eq!(collection(&kind("a.b/v2", true), "v2", ""), "/apis/a.b/v2/things");
        assert_eq!(collection(&kind("a.b/v2", false), "v2", "n"), "/apis/a.b/v2/things");
        assert_eq!(encoded("a/../b?c=d é"), "a%2F..%2Fb%3Fc%3Dd%20%C3%A9");
    }
}
