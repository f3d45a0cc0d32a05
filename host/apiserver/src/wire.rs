//! HTTP: the tower service, which makes a call of each request.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, IF_NONE_MATCH, USER_AGENT};
use http::{HeaderMap, Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tower::{BoxError, Service};

use crate::accept::Accept;
use crate::present::{AnswerBody, Presentation};
use crate::protobuf;
use crate::request::{Query, Target};
use crate::server::ApiServer;
use crate::status_error::ApiError;
use crate::verbs::Call;
use crate::view::Representation;

/// The largest request body: the real server's limit for a resource.
const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;
/// How long a body may take to arrive: the real server's `--request-timeout`.
pub(crate) const BODY_TIMEOUT: Duration = Duration::from_secs(60);

impl<B> Service<Request<B>> for ApiServer
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let server = self.clone();
        Box::pin(async move { Ok(server.respond(request).await) })
    }
}

impl ApiServer {
    async fn respond<B>(&self, request: Request<B>) -> Response<AnswerBody>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (head, body) = request.into_parts();
        let query = Query::parse(head.uri.query().unwrap_or_default());
        let accept = Accept::parse(header(&head.headers, ACCEPT));
        let presentation = Presentation::of(&head.headers, &query, &accept);
        let call = async {
            self.authenticate(&head.headers)?;
            let body = read(body).await?;
            let essence = header(&head.headers, CONTENT_TYPE).split(';').next().unwrap_or_default().trim();
            let (content_type, body) = plain(essence.to_owned(), body)?;
            let agent = header(&head.headers, USER_AGENT).split('/').next().unwrap_or_default();
            Ok(Call {
                method: head.method.clone(),
                query,
                content_type,
                accept,
                representation: Representation::default(),
                if_none_match: header(&head.headers, IF_NONE_MATCH).to_owned(),
                agent: if agent.is_empty() { "unknown".to_owned() } else { agent.to_owned() },
                body,
            })
        };
        match call.await {
            Ok(call) => {
                let (answer, deprecation) = self.answer(Target::parse(head.uri.path()), call);
                presentation.response(answer, deprecation)
            }
            Err(error) => presentation.response(Err(error), None),
        }
    }

    fn authenticate(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let Some(token) = self.token() else { return Ok(()) };
        let given = header(headers, AUTHORIZATION);
        if given.strip_prefix("Bearer ") == Some(token) { Ok(()) } else { Err(ApiError::unauthorized()) }
    }
}

/// A body in protobuf becomes JSON, if its kind has a layout there; custom
/// kinds have none, and are refused as such by their verbs.
fn plain(content_type: String, body: Bytes) -> Result<(String, Bytes), ApiError> {
    if content_type != protobuf::MEDIA_TYPE {
        return Ok((content_type, body));
    }
    match protobuf::to_json(&body) {
        Ok(json) => Ok(("application/json".to_owned(), json)),
        Err(protobuf::Error::UnknownKind(_)) => Ok((content_type, body)),
        Err(error) => Err(ApiError::bad_request(format!("the object provided is unrecognized: {error}"))),
    }
}

/// A body of bounded length, in bounded time.
async fn read<B>(body: B) -> Result<Bytes, ApiError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let collected = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, BODY_BYTES_MAX).collect());
    match collected.await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(ApiError::too_large(BODY_BYTES_MAX)),
        Ok(Err(error)) => Err(ApiError::bad_request(format!("unable to read the body: {error}"))),
        Err(_) => Err(ApiError::timed_out()),
    }
}

fn header(headers: &HeaderMap, name: http::HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
