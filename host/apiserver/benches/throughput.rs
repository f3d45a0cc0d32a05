//! How fast the API in memory takes writes, in process and over HTTP, and what
//! 100,000 objects weigh: `cargo bench -p trimtab-apiserver`.
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::time::Instant;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;
use trimtab_apiserver::{ApiServer, Config};

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
/// Requests of one kind that are timed.
const WRITES: usize = 10_000;
/// Connections over which they go, one after another on each.
const CONNECTIONS: usize = 8;
const KEPT: usize = 100_000;

/// What is sent.
#[derive(Clone, Copy)]
enum Load {
    Create,
    CreateDeployment,
    /// Server-side apply that changes a field of what is there.
    Apply,
    /// Server-side apply of what is there already.
    ApplySame,
}

const LOADS: [(&str, Load); 4] = [
    ("create a ConfigMap", Load::Create),
    ("create a Deployment", Load::CreateDeployment),
    ("apply a change", Load::Apply),
    ("apply no change", Load::ApplySame),
];

impl Load {
    fn request(self, number: usize) -> Request<Full<Bytes>> {
        let name = format!("o{number}");
        let (method, path, content_type, body) = match self {
            Self::Create => (Method::POST, CONFIG_MAPS.to_owned(), "application/json", config_map(&name, "1")),
            Self::CreateDeployment => (Method::POST, DEPLOYMENTS.to_owned(), "application/json", deployment(&name)),
            Self::Apply | Self::ApplySame => {
                let path = format!("{CONFIG_MAPS}/{name}?fieldManager=bench&force=true");
                (Method::PATCH, path, "application/apply-patch+yaml", config_map(&name, "2"))
            }
        };
        let builder = Request::builder().method(method).uri(path).header("host", "bench");
        builder.header("content-type", content_type).body(Full::new(Bytes::from(body.to_string()))).unwrap()
    }
}

fn config_map(name: &str, value: &str) -> Value {
    let labels = json!({ "app": "bench", "part": name });
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "labels": labels },
            "data": { "a": value, "b": "some text that is a little longer than the rest of it" } })
}

fn deployment(name: &str) -> Value {
    let container = json!({ "name": "main", "image": "nginx:1", "ports": [{ "containerPort": 80 }],
                            "env": [{ "name": "A", "value": "1" }], "resources": { "limits": { "cpu": "1" } } });
    let template = json!({ "metadata": { "labels": { "app": name } }, "spec": { "containers": [container] } });
    json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name },
            "spec": { "replicas": 2, "selector": { "matchLabels": { "app": name } }, "template": template } })
}

fn report(what: &str, how: &str, writes: usize, started: Instant) {
    let rate = writes as f64 / started.elapsed().as_secs_f64();
    println!("{what:<20} {how:<11} {rate:>8.0} per second");
}

async fn in_process(server: &ApiServer, load: Load) {
    for number in 0..WRITES {
        let response = server.clone().oneshot(load.request(number)).await.unwrap();
        assert!(response.status().is_success(), "{}", response.status());
        response.into_body().collect().await.unwrap();
    }
}

async fn connect(address: std::net::SocketAddr) -> SendRequest<Full<Bytes>> {
    let socket = TcpStream::connect(address).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let (sender, connection) = http1::handshake(TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn over_http(address: std::net::SocketAddr, load: Load) {
    let clients = (0..CONNECTIONS).map(|client| async move {
        let mut sender = connect(address).await;
        for number in (client..WRITES).step_by(CONNECTIONS) {
            let response = sender.send_request(load.request(number)).await.unwrap();
            assert!(response.status().is_success(), "{}", response.status());
            response.into_body().collect().await.unwrap();
        }
    });
    let clients: Vec<_> = clients.map(tokio::spawn).collect();
    futures::future::try_join_all(clients).await.unwrap();
}

/// The resident memory of this process, in KiB.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

async fn memory() {
    let server = ApiServer::new(Config { history_max: 1, ..Config::default() });
    let before = resident_kib();
    for number in 0..KEPT {
        let response = server.clone().oneshot(Load::Create.request(number)).await.unwrap();
        assert_eq!(response.status(), 201);
    }
    let grown = resident_kib() - before;
    println!("{KEPT} ConfigMaps take {} MiB, {} bytes each", grown / 1024, grown * 1024 / KEPT as u64);
}

#[tokio::main]
async fn main() {
    let server = ApiServer::new(Config::default());
    for (what, load) in LOADS {
        let started = Instant::now();
        in_process(&server, load).await;
        report(what, "in process", WRITES, started);
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(ApiServer::new(Config::default()).serve(listener, std::future::pending()));
    for (what, load) in LOADS {
        let started = Instant::now();
        over_http(address, load).await;
        report(what, "over HTTP", WRITES, started);
    }
    memory().await;
}
