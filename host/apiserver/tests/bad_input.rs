//! What no well-behaved client sends: it is refused or cut, and the rest goes on.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::*;
use http::Method;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use trimtab_apiserver::ApiServer;

/// Far longer than an answer takes, and shorter than any time-out of the server.
const SOON: Duration = Duration::from_secs(8);

async fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(ApiServer::new(config()).serve(listener, std::future::pending()));
    address
}

/// What the server answers to these bytes, up to its closing the connection.
async fn say(address: SocketAddr, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    // It may be cut before all is sent.
    let _ = socket.write_all(bytes).await;
    let mut said = Vec::new();
    let _ = tokio::time::timeout(SOON, socket.read_to_end(&mut said)).await.expect("an answer or the end comes soon");
    String::from_utf8_lossy(&said).into_owned()
}

async fn is_well(address: SocketAddr) {
    let said = say(address, b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(said.starts_with("HTTP/1.1 200 OK"), "{said}");
}

#[tokio::test]
async fn garbage_is_refused_and_others_are_served() {
    let address = serve().await;
    for garbage in [&b"\0\x01\x02\x03\r\n\r\n"[..], b"GET\r\n\r\n", b"HELO example.com\r\n\r\n", &[b'x'; 1_000_000]] {
        let said = say(address, garbage).await;
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 4"), "{said}");
    }
    is_well(address).await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_with_a_status_over_the_socket() {
    let address = serve().await;
    let head = "POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nhost: x\r\nconnection: close\r\n";
    let body = "x".repeat(4 * 1024 * 1024);
    for length in [format!("content-length: {}\r\n\r\n", body.len()), "content-length: 99999999999\r\n\r\n".to_owned()]
    {
        let said = say(address, format!("{head}{length}{body}").as_bytes()).await;
        assert!(said.starts_with("HTTP/1.1 413 "), "{said:.200}");
        assert!(said.contains("Request entity too large: limit is 3145728"), "{said:.600}");
    }
    is_well(address).await;
}

#[tokio::test]
async fn thousands_of_silent_connections_keep_nobody_out() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let address = serve().await;
    let mut silent = Vec::new();
    for _ in 0..2_000 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    is_well(address).await;
    // The first of them was cut to make room for the last.
    let mut rest = [0; 1];
    let cut = tokio::time::timeout(SOON, silent[0].read(&mut rest)).await.expect("it was cut before its time");
    assert!(matches!(cut, Ok(0) | Err(_)), "{cut:?}");
    is_well(address).await;
}

#[tokio::test]
async fn what_is_malformed_is_refused_with_a_status() {
    let api = client();
    let posted = async |headers: &[(&str, &str)], body: &str| api.send(Method::POST, CONFIG_MAPS, headers, body).await;
    let protobuf = [("content-type", "application/vnd.kubernetes.protobuf")];
    for (headers, body) in [
        (&[][..], "{"),
        (&[], "[]"),
        (&[], "\"text\""),
        (&[], ""),
        (&[], &"[".repeat(100_000)),
        (&protobuf[..], "{}"),
        (&protobuf, "k8s\0\u{7f}\u{7f}"),
    ] {
        let (code, status) = posted(headers, body).await;
        assert_eq!((code, status["reason"].as_str()), (400, Some("BadRequest")), "{body:.20}: {status}");
        assert_eq!(status["kind"], "Status");
    }
    assert_eq!(posted(&[("content-type", "text/html")], "<p>").await.0, 415);
    assert_eq!(posted(&[("accept", "text/html")], "{}").await.0, 406);
    assert_eq!(api.send(Method::PUT, CONFIG_MAPS, &[], "{}").await.0, 405);
    assert_eq!(api.send(Method::POST, "/version", &[], "{}").await.0, 405);
    assert_eq!(api.get("/nope").await.0, 404);
    assert_eq!(api.get("/apis/nope/v1/things").await.0, 404);
    assert_eq!(api.must_get("/api/v1/configmaps").await["items"].as_array().unwrap().len(), 0);
}
