//! What lies between a host and its API server, and may fail: requests that are held
//! back after they were sent, and answers that get lost.

use std::{
    convert::Infallible,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::StreamExt;
use http_body_util::BodyExt;
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot, watch},
};
use trimtab_cluster::Client;

/// Whether a request, by its method and path, is to be held back.
type Rule = fn(&str, &str) -> bool;

/// A way to the API server that a test can spoil.
#[derive(Clone)]
pub struct Proxy {
    link: Arc<Link>,
    address: SocketAddr,
    folder: Arc<TempDir>,
}

struct Link {
    client: Client,
    /// What is held back: nothing, at first.
    rule: watch::Sender<Option<Rule>>,
    /// Whether requests and what is being answered pass.
    passes: watch::Sender<Passes>,
    /// Changes where what is being answered breaks off.
    breaks: watch::Sender<()>,
    held: mpsc::UnboundedSender<Held>,
}

/// What passes.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Passes {
    requests: bool,
    answers: bool,
}

/// A request that the host has sent and the server does not have yet.
pub struct Held {
    /// `PATCH /api/v1/…`
    pub what: String,
    go: oneshot::Sender<oneshot::Sender<StatusCode>>,
}

impl Held {
    /// Lets it reach the server, and tells what that says.
    pub async fn release(self) -> StatusCode {
        let (answered, answer) = oneshot::channel();
        self.go.send(answered).expect("it is kept until it is let go");
        answer.await.expect("the server answers")
    }
}

impl Proxy {
    /// A way on which nothing fails yet, and what is held back on it.
    pub async fn start(client: Client) -> (Self, mpsc::UnboundedReceiver<Held>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let (held, holds) = mpsc::unbounded_channel();
        let passes = watch::Sender::new(Passes { requests: true, answers: true });
        let link = Link { client, rule: watch::Sender::new(None), passes, breaks: watch::Sender::new(()), held };
        let link = Arc::new(link);
        let app = Router::new().fallback(pass).with_state(link.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let folder = Arc::new(TempDir::with_prefix("trimtab-proxy-").expect("there is room for a folder"));
        (Self { link, address, folder }, holds)
    }

    /// A kubeconfig that leads over it, as whoever its client is.
    pub fn kubeconfig(&self) -> PathBuf {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "proxy",
            "clusters": [{ "name": "proxy", "cluster": { "server": format!("http://{}", self.address) } }],
            "users": [{ "name": "proxy", "user": {} }],
            "contexts": [{ "name": "proxy", "context": { "cluster": "proxy", "user": "proxy" } }],
        });
        let path = self.folder.path().join("kubeconfig");
        fs::write(&path, config.to_string()).expect("the folder is ours");
        path
    }

    /// Holds back, from now on, what fits.
    pub fn hold(&self, rule: Rule) {
        self.link.rule.send_replace(Some(rule));
    }

    /// Lets nothing pass any more in either direction, but for what is held and let go.
    pub fn cut(&self) {
        self.link.passes.send_replace(Passes { requests: false, answers: false });
    }

    /// Lets all answers pass, those of watches that are open too, and no request.
    pub fn lose_requests(&self) {
        self.link.passes.send_replace(Passes { requests: false, answers: true });
    }

    /// Breaks off all that is being answered: watches, above all.
    pub fn break_off(&self) {
        self.link.breaks.send_replace(());
    }

    /// Lets all requests pass, and no answer.
    pub fn lose_answers(&self) {
        self.link.passes.send_replace(Passes { requests: true, answers: false });
    }

    /// Lets all pass, and holds nothing back any more.
    pub fn mend(&self) {
        self.link.rule.send_replace(None);
        self.link.passes.send_replace(Passes { requests: true, answers: true });
    }
}

async fn pass(State(link): State<Arc<Link>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    // A host that was killed does not send what it has begun.
    let Ok(body) = body.collect().await else { return StatusCode::BAD_REQUEST.into_response() };
    let body = body.to_bytes();
    // It goes on its way also when its sender gives it up.
    let sent = tokio::spawn(link.clone().carry(parts, body));
    let answer = sent.await.expect("no task of the proxy breaks");
    link.answers().await;
    answer
}

impl Link {
    async fn carry(self: Arc<Self>, parts: Parts, body: Bytes) -> Response {
        let (method, path) = (parts.method.as_str(), parts.uri.path());
        let rule = *self.rule.borrow();
        if rule.is_some_and(|rule| rule(method, path)) {
            let (go, gone) = oneshot::channel();
            let what = format!("{method} {path}");
            self.held.send(Held { what, go }).ok();
            let Ok(told) = gone.await else { return StatusCode::BAD_GATEWAY.into_response() };
            let answer = self.ask(parts, body).await;
            told.send(answer.status()).ok();
            return answer;
        }
        self.passes.subscribe().wait_for(|passes| passes.requests).await.ok();
        self.ask(parts, body).await
    }

    async fn ask(self: &Arc<Self>, mut parts: Parts, body: Bytes) -> Response {
        for hop in [header::HOST, header::CONNECTION, header::CONTENT_LENGTH] {
            parts.headers.remove(hop);
        }
        let request = Request::from_parts(parts, body.to_vec().into());
        let Ok(answer) = self.client.send(request).await else {
            return StatusCode::BAD_GATEWAY.into_response();
        };
        let (mut parts, body) = answer.into_parts();
        parts.headers.remove(header::TRANSFER_ENCODING);
        let link = self.clone();
        let mut breaks = self.breaks.subscribe();
        let frames = body.into_data_stream().take_while(|frame| futures::future::ready(frame.is_ok()));
        let frames = frames.take_until(async move { breaks.changed().await });
        let frames = frames.then(move |frame| {
            let link = link.clone();
            async move {
                link.answers().await;
                Ok::<_, Infallible>(frame.expect("the stream ends at an error"))
            }
        });
        Response::from_parts(parts, Body::from_stream(frames))
    }

    /// Waits until answers pass.
    async fn answers(&self) {
        self.passes.subscribe().wait_for(|passes| passes.answers).await.ok();
    }
}
