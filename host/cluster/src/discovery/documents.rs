//! A document that is asked for again and again, and sent only when it is new.

use std::time::Duration;

use http::{Request, StatusCode, header};
use kube::{Client, client::Body, core::Status};
use serde::de::DeserializeOwned;

/// A poll that takes longer than this has met a dead link: the documents are
/// kept ready by the server.
const TIMEOUT: Duration = Duration::from_secs(10);

/// One document and its last state.
pub(super) struct Document<T> {
    path: &'static str,
    accept: &'static str,
    tag: Option<header::HeaderValue>,
    /// None until it has come for the first time.
    pub(super) body: Option<T>,
}

impl<T: DeserializeOwned> Document<T> {
    pub(super) fn new(path: &'static str, accept: &'static str) -> Self {
        Self { path, accept, tag: None, body: None }
    }

    /// Asks for it; true where it is new.
    pub(super) async fn ask(&mut self, client: &Client) -> Result<bool, kube::Error> {
        let mut request = Request::get(self.path).header(header::ACCEPT, self.accept);
        if let Some(tag) = &self.tag {
            request = request.header(header::IF_NONE_MATCH, tag);
        }
        let request = request.body(Body::empty()).map_err(kube::Error::HttpError)?;
        let Some((tag, text)) = in_time(fetch(client, request)).await? else { return Ok(false) };
        self.body = Some(serde_json::from_slice(&text).map_err(kube::Error::SerdeError)?);
        self.tag = tag;
        Ok(true)
    }
}

/// A JSON answer that is not polled.
pub(crate) async fn get<T: DeserializeOwned>(client: &Client, path: &str) -> Result<T, kube::Error> {
    let request = Request::get(path).header(header::ACCEPT, super::JSON);
    let request = request.body(Vec::new()).map_err(kube::Error::HttpError)?;
    in_time(client.request(request)).await
}

async fn in_time<T>(request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, kube::Error> {
    let silent = || kube::Error::Service(format!("no answer within {TIMEOUT:?}").into());
    tokio::time::timeout(TIMEOUT, request).await.map_err(|_| silent())?
}

/// The tag and the bytes; none where they are what they were.
async fn fetch(
    client: &Client,
    request: Request<Body>,
) -> Result<Option<(Option<header::HeaderValue>, bytes::Bytes)>, kube::Error> {
    let answer = client.send(request).await?;
    let (head, body) = answer.into_parts();
    if head.status == StatusCode::NOT_MODIFIED {
        return Ok(None);
    }
    let bytes = body.collect_bytes().await?;
    if !head.status.is_success() {
        let text = String::from_utf8_lossy(&bytes);
        let status = serde_json::from_str(&text).unwrap_or_else(|_| Status::failure(&text, "not a Status"));
        return Err(kube::Error::Api(status.with_code(head.status.as_u16()).boxed()));
    }
    Ok(Some((head.headers.get(header::ETAG).cloned(), bytes)))
}
