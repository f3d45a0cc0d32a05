//! The same service behind a socket, by HTTP/1.1 and HTTP/2.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use bytes::Bytes;
use common::*;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use trimtab_apiserver::{ApiServer, Config};

struct Running {
    address: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
}

async fn serve(config: Config) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let server = tokio::spawn(ApiServer::new(config).serve(listener, async {
        let _ = stopped.await;
    }));
    Running { address, stop, server }
}

async fn send(address: std::net::SocketAddr, http2: bool, request: Request<Full<Bytes>>) -> Response<Incoming> {
    let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
    if http2 {
        let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    }
}

fn request(address: std::net::SocketAddr, method: &str, path: &str, body: &Value) -> Request<Full<Bytes>> {
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    Request::builder()
        .method(method)
        .uri(format!("http://{address}{path}"))
        .header("host", address.to_string())
        .body(Full::new(body))
        .unwrap()
}

#[tokio::test]
async fn both_http_versions_serve_one_state_and_watches_stream() {
    let running = serve(config()).await;
    let address = running.address;
    let watch = request(address, "GET", &format!("{CONFIG_MAPS}?watch=1"), &Value::Null);
    let mut events = send(address, false, watch).await.into_body();
    let created =
        send(address, true, request(address, "POST", CONFIG_MAPS, &config_map("a", json!({ "x": "1" })))).await;
    assert_eq!(created.status(), 201);
    let line = events.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(line.starts_with(b"{\"type\":\"ADDED\",\"object\":{"), "{line:?}");
    running.stop.send(()).unwrap();
    running.server.await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_token_is_asked_for_where_one_is_set() {
    let running = serve(Config { token: Some("secret".to_owned()), ..config() }).await;
    let address = running.address;
    let path = "/api/v1/namespaces/default";
    let refused = send(address, false, request(address, "GET", path, &Value::Null)).await;
    assert_eq!(refused.status(), 401);
    let mut allowed = request(address, "GET", path, &Value::Null);
    allowed.headers_mut().insert("authorization", "Bearer secret".parse().unwrap());
    assert_eq!(send(address, false, allowed).await.status(), 200);
    running.stop.send(()).unwrap();
    running.server.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused() {
    let api = client();
    let body = config_map("a", json!({ "x": "y".repeat(4 * 1024 * 1024) }));
    let (code, status) = api.post(CONFIG_MAPS, body).await;
    assert_eq!((code, status["reason"].as_str()), (413, Some("RequestEntityTooLarge")));
}
