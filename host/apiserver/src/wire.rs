//! HTTP: the tower service, and the listener that serves it with HTTP/1.1 and
//! HTTP/2 on a socket.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, ETAG, IF_NONE_MATCH, USER_AGENT, VARY, WARNING};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited, StreamBody};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower::{BoxError, Service};

use crate::request::{Query, Target};
use crate::server::ApiServer;
use crate::status_error::ApiError;
use crate::verbs::{Answer, Call};
use crate::view;

/// The largest request body: the real server's limit for a resource.
const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;
/// How long a connection may take to send a request's head, so that half-open
/// ones do not pile up.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long watches and slow answers may go on once the server shuts down.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);
/// How long to wait when a connection cannot be accepted, which is mostly for
/// want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

type AnswerBody = UnsyncBoxBody<Bytes, Infallible>;

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
        let target = Target::parse(head.uri.path());
        if let Err(error) = self.authenticate(&head.headers) {
            return refusal(&error);
        }
        let body = match Limited::new(body, BODY_BYTES_MAX).collect().await {
            Ok(collected) => collected.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return refusal(&ApiError::too_large(BODY_BYTES_MAX)),
            Err(error) => return refusal(&ApiError::bad_request(format!("unable to read the body: {error}"))),
        };
        let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = header(CONTENT_TYPE).split(';').next().unwrap_or_default().trim().to_owned();
        let agent = header(USER_AGENT).split('/').next().unwrap_or_default();
        let call = Call {
            method: head.method.clone(),
            query: Query::parse(head.uri.query().unwrap_or_default()),
            content_type: essence,
            accept: header(ACCEPT).to_owned(),
            if_none_match: header(IF_NONE_MATCH).to_owned(),
            agent: if agent.is_empty() { "unknown".to_owned() } else { agent.to_owned() },
            body,
        };
        match self.answer(target, call) {
            Ok(answer) => accept(answer),
            Err(error) => refusal(&error),
        }
    }

    fn authenticate(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let Some(token) = self.token() else { return Ok(()) };
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if given.strip_prefix("Bearer ") == Some(token) { Ok(()) } else { Err(ApiError::unauthorized()) }
    }

    /// Serves on a socket until `shutdown` resolves; then idle connections are
    /// closed, and running ones, watches among them, after a short grace.
    ///
    /// # Errors
    /// None at present; a connection's failure ends that connection alone.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
        builder.http2().timer(TokioTimer::new());
        let graceful = GracefulShutdown::new();
        let mut connections = tokio::task::JoinSet::new();
        tokio::pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut shutdown => break,
                accepted = listener.accept() => accepted,
                Some(_) = connections.join_next() => continue,
            };
            let Ok((socket, _)) = accepted else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            // Watches write small events that must not wait for each other.
            if let Err(error) = socket.set_nodelay(true) {
                tracing::debug!(%error, "a connection keeps its delay");
            }
            let service = TowerToHyperService::new(self.clone());
            let connection = builder.serve_connection(TokioIo::new(socket), service).into_owned();
            let connection = graceful.watch(connection);
            connections.spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(error, "a connection ended early");
                }
            });
        }
        drop(listener);
        if tokio::time::timeout(SHUTDOWN_GRACE, graceful.shutdown()).await.is_err() {
            tracing::debug!("connections were cut at the end of the grace");
        }
        connections.shutdown().await;
        Ok(())
    }
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

fn refusal(error: &ApiError) -> Response<AnswerBody> {
    if error.plain {
        let body = Bytes::from(format!("{}\n", error.message));
        return build(error.code, "text/plain; charset=utf-8", full(body));
    }
    build(error.code, "application/json", full(view::to_bytes(&error.to_status())))
}

/// What a client needs to ask again only for what has changed.
fn tag(response: &mut Response<AnswerBody>, etag: &str) {
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    if let Ok(etag) = etag.parse() {
        response.headers_mut().insert(ETAG, etag);
    }
}

fn accept(answer: Answer) -> Response<AnswerBody> {
    match answer {
        Answer::Body { code, content_type, etag, warnings, body } => {
            let mut response = build(code, content_type, full(body));
            if let Some(etag) = etag {
                tag(&mut response, &etag);
            }
            for warning in warnings {
                let quoted = format!("299 - \"{}\"", warning.replace('\\', "\\\\").replace('"', "\\\""));
                if let Ok(value) = quoted.parse() {
                    response.headers_mut().append(WARNING, value);
                }
            }
            response
        }
        Answer::NotModified { etag } => {
            // No content type: a client's cache would lay it over the one it has.
            let mut response = Response::new(full(Bytes::new()));
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            tag(&mut response, &etag);
            response
        }
        Answer::Watch(watch) => {
            let frames = watch.into_stream().map(|bytes| Ok(Frame::data(bytes)));
            build(200, "application/json", StreamBody::new(frames).boxed_unsync())
        }
    }
}
