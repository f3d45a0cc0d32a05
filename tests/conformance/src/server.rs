//! One of the two servers, asked through one and the same client: the real one
//! over TLS, the one in memory in process.

use std::time::Duration;

use anyhow::{Context, bail};
use futures::{Stream, StreamExt, stream::BoxStream};
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, BodyStream};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use trimtab_apiserver::{ApiServer, Config};

use crate::case::Send;
use crate::variables::Variables;

/// The headers of an answer that clients act on.
const HEADERS: [header::HeaderName; 4] = [header::CONTENT_TYPE, header::WARNING, header::RETRY_AFTER, header::ALLOW];
/// Who asks, where a step does not say. The manager of fields comes from it.
const AGENT: &str = "conformance/1.0";
/// Long enough for a real server beside a build.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// Less than the second that a server asks for: it is mostly too much.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// A server to be asked.
#[derive(Clone)]
pub(crate) struct Server(Client);

/// Lines of a watch that is open.
pub(crate) type Events = BoxStream<'static, anyhow::Result<Value>>;

impl Server {
    pub fn real(client: Client) -> Self {
        Self(client)
    }

    /// A new server in memory.
    pub fn in_memory() -> Self {
        Self(Client::new(ApiServer::new(Config::default()), "default"))
    }

    /// Code, headers and body of the answer.
    pub async fn send(&self, step: &Send, variables: &Variables) -> anyhow::Result<Value> {
        let response = self.begin(step, variables).await?;
        finish(response).await
    }

    /// Opens a watch: what it is answered with, and its events.
    pub async fn watch(&self, step: &Send, variables: &Variables) -> anyhow::Result<(Value, Option<Events>)> {
        let response = self.begin(step, variables).await?;
        if !response.status().is_success() {
            return Ok((finish(response).await?, None));
        }
        let answer = head(&response);
        let lines = lines(BodyStream::new(response.into_body()).filter_map(|frame| async {
            let data = frame.map(|frame| frame.into_data().ok()).transpose()?;
            Some(data.map(|data| data.to_vec()).context("the stream broke"))
        }));
        Ok((answer, Some(lines.boxed())))
    }

    async fn begin(&self, step: &Send, variables: &Variables) -> anyhow::Result<Response<Body>> {
        let line = variables.fill(&step.send);
        let (method, path) = line.split_once(' ').with_context(|| format!("{line:?} is not METHOD PATH"))?;
        let agent = step.agent.as_deref().unwrap_or(AGENT);
        let mut request = Request::builder().method(method).uri(path).header(header::USER_AGENT, agent);
        request = request.header(header::ACCEPT, step.accept.as_deref().unwrap_or("application/json"));
        if let Some(content_type) = step.content_type() {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        let body = match (&step.text, &step.body) {
            (Some(text), _) => variables.fill(text),
            (None, Some(body)) => variables.fill(&body.to_string()),
            (None, None) => String::new(),
        };
        let request = request.body(body.into_bytes()).with_context(|| format!("{line:?} is no request"))?;
        let answer = tokio::time::timeout(ANSWER_WITHIN, self.patiently(request)).await;
        answer.with_context(|| format!("no answer to {line}"))?.with_context(|| format!("no answer to {line}"))
    }

    /// Comes again while the real server takes up a new or changed schema, for which
    /// it says 429, or 503 of the store that it is about to replace. An eviction is
    /// refused with 429 for good, and with a cause.
    async fn patiently(&self, request: Request<Vec<u8>>) -> kube::Result<Response<Body>> {
        loop {
            let response = self.0.send(request.clone().map(Body::from)).await?;
            if !matches!(response.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
                return Ok(response);
            }
            let (head, body) = response.into_parts();
            let body = body.collect().await?.to_bytes();
            let said: Value = serde_json::from_slice(&body).unwrap_or_default();
            if said["details"]["causes"].is_array() {
                return Ok(Response::from_parts(head, Body::from(body)));
            }
            tokio::time::sleep(TRY_AGAIN_AFTER).await;
        }
    }
}

async fn finish(response: Response<Body>) -> anyhow::Result<Value> {
    let mut answer = head(&response);
    let body = tokio::time::timeout(ANSWER_WITHIN, response.into_body().collect()).await;
    let body = body.context("an answer does not end")??.to_bytes();
    answer["body"] =
        serde_json::from_slice(&body).unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&body).into_owned()));
    Ok(answer)
}

fn head(response: &Response<Body>) -> Value {
    let mut answer = json!({ "code": response.status().as_u16() });
    for name in HEADERS {
        let values = response.headers().get_all(&name).iter();
        let values: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
        if !values.is_empty() {
            answer[name.as_str()] = Value::from(values);
        }
    }
    answer
}

/// JSON values, one a line, however the bytes come.
fn lines(
    chunks: impl Stream<Item = anyhow::Result<Vec<u8>>> + std::marker::Send + 'static,
) -> impl Stream<Item = anyhow::Result<Value>> + std::marker::Send {
    futures::stream::unfold((chunks.boxed(), Vec::new()), |(mut chunks, mut rest)| async move {
        loop {
            if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                let value = serde_json::from_slice(&line).context("an event is no JSON");
                return Some((value, (chunks, rest)));
            }
            match chunks.next().await? {
                Ok(chunk) => rest.extend(chunk),
                Err(error) => return Some((Err(error), (chunks, rest))),
            }
        }
    })
}

/// Whether an answer is a success.
pub(crate) fn succeeded(answer: &Value) -> anyhow::Result<()> {
    match answer["code"].as_u64() {
        Some(200..=299) => Ok(()),
        _ => bail!("the case cannot be prepared: {answer}"),
    }
}
