//! Answers as HTTP responses: in JSON or YAML, indented for people, and
//! compressed where they are long.

use std::convert::Infallible;
use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::StreamExt;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, ETAG, RETRY_AFTER, USER_AGENT, VARY, WARNING};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::Value;

use crate::accept::Accept;
use crate::request::Query;
use crate::status_error::ApiError;
use crate::verbs::Answer;
use crate::view;

pub(crate) type AnswerBody = UnsyncBoxBody<Bytes, Infallible>;

/// From which length on answers are compressed: the real server's.
const GZIP_BYTES_MIN: usize = 128 * 1024;
const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
/// Clients that people read: they get indented answers.
const READ_BY_PEOPLE: [&str; 3] = ["curl", "Wget", "Mozilla/5.0"];

/// How a client wants its answers to look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Presentation {
    yaml: bool,
    indented: bool,
    gzip: bool,
}

impl Presentation {
    pub fn of(headers: &HeaderMap, query: &Query, accept: &Accept) -> Self {
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
        let by_agent = READ_BY_PEOPLE.iter().any(|agent| text(USER_AGENT).starts_with(agent));
        let asked = query.get("pretty").map(|_| query.flag("pretty"));
        Self {
            yaml: accept.prefers_yaml(),
            indented: asked.unwrap_or(by_agent),
            gzip: text(ACCEPT_ENCODING).split(',').any(|one| one.split(';').next().map(str::trim) == Some("gzip")),
        }
    }

    /// The response, with what its client is warned of in any case.
    pub fn response(self, answer: Result<Answer, ApiError>, deprecation: Option<String>) -> Response<AnswerBody> {
        let mut warnings: Vec<String> = deprecation.into_iter().collect();
        let mut response = match answer {
            Ok(Answer::Body { code, content_type, etag, warnings: given, body }) => {
                warnings.extend(given);
                let mut response = self.body(code, content_type, body);
                if let Some(etag) = etag {
                    tag(&mut response, &etag);
                }
                response
            }
            Ok(Answer::NotModified { etag }) => {
                // No content type: a client's cache would lay it over the one it has.
                let mut response = Response::new(full(Bytes::new()));
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                tag(&mut response, &etag);
                response
            }
            Ok(Answer::Watch(watch)) => {
                let frames = watch.into_stream().map(|bytes| Ok(Frame::data(bytes)));
                build(200, JSON, StreamBody::new(frames).boxed_unsync())
            }
            Err(error) if error.plain => {
                let body = Bytes::from(format!("{}\n", error.message));
                build(error.code, "text/plain; charset=utf-8", full(body))
            }
            Err(error) => {
                let body = view::to_bytes(&error.to_status());
                let after = error.details.as_ref().and_then(|details| details.get("retryAfterSeconds")?.as_u64());
                warnings.extend(error.warnings);
                let mut response = self.body(error.code, JSON, body);
                response.headers_mut().extend(after.map(|seconds| (RETRY_AFTER, HeaderValue::from(seconds))));
                response
            }
        };
        for warning in warnings {
            let quoted = format!("299 - \"{}\"", warning.replace('\\', "\\\\").replace('"', "\\\""));
            if let Ok(value) = quoted.parse() {
                response.headers_mut().append(WARNING, value);
            }
        }
        response
    }

    fn body(self, code: u16, content_type: &str, body: Bytes) -> Response<AnswerBody> {
        let (content_type, body) = self.written(content_type, body);
        if self.gzip && body.len() >= GZIP_BYTES_MIN {
            let mut response = build(code, content_type, full(compress(&body)));
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            response.headers_mut().append(VARY, HeaderValue::from_static("Accept-Encoding"));
            return response;
        }
        build(code, content_type, full(body))
    }

    /// In the form that the client prefers. Documents with types of their own
    /// are left as they are.
    fn written(self, content_type: &str, body: Bytes) -> (&str, Bytes) {
        if content_type != JSON || !(self.yaml || self.indented) {
            return (content_type, body);
        }
        let Ok(value) = serde_json::from_slice::<Value>(&body) else { return (content_type, body) };
        if self.yaml {
            return serde_saphyr::to_string(&value).map_or((content_type, body), |text| (YAML, Bytes::from(text)));
        }
        serde_json::to_vec_pretty(&value).map_or((content_type, body), |text| (JSON, Bytes::from(text)))
    }
}

fn compress(body: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).expect("a vector takes all bytes");
    Bytes::from(encoder.finish().expect("a vector takes all bytes"))
}

fn full(body: Bytes) -> AnswerBody {
    Full::new(body).boxed_unsync()
}

fn build(code: u16, content_type: &str, body: AnswerBody) -> Response<AnswerBody> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Ok(value) = content_type.parse() {
        response.headers_mut().insert(CONTENT_TYPE, value);
    }
    response
}

/// What a client needs to ask again only for what has changed.
fn tag(response: &mut Response<AnswerBody>, etag: &str) {
    response.headers_mut().append(VARY, HeaderValue::from_static("Accept"));
    if let Ok(etag) = etag.parse() {
        response.headers_mut().insert(ETAG, etag);
    }
}
