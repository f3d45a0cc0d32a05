//! Webhooks on this machine, as Metacontroller's users have them.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::Command,
    sync::{Arc, Mutex},
    time::Instant,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{Uri, header},
    response::{IntoResponse, Response},
};
use serde_json::Value;
use tempfile::Builder;
use tokio::net::{TcpListener, TcpSocket};

/// What a hook of that name answers to a request; none: nothing ever.
type Answer = fn(&Hooks, &str, &Value) -> Option<Response>;

/// The hooks of one controller, and what they were asked.
#[derive(Clone)]
pub struct Hooks {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    answer: Answer,
}

/// One call of a hook.
#[derive(Clone)]
pub struct Asked {
    hook: String,
    pub request: Value,
    pub at: Instant,
}

impl Hooks {
    /// Serves hooks. A call is among those that were asked from its answer on.
    pub async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let hooks = Self { address, asked: Arc::default(), answer };
        let app = Router::new().fallback(serve).with_state(hooks.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        hooks
    }

    /// What a hook was asked about an object.
    pub fn asked(&self, hook: &str, name: &str) -> Vec<Asked> {
        let asked = self.asked.lock().expect("no holder panics");
        let about = |request: &Value| ["parent", "object"].iter().any(|it| request[it]["metadata"]["name"] == name);
        asked.iter().filter(|asked| asked.hook == hook && about(&asked.request)).cloned().collect()
    }
}

async fn serve(State(hooks): State<Hooks>, uri: Uri, body: Bytes) -> Response {
    let at = Instant::now();
    let request = serde_json::from_slice::<Value>(&body).expect("the bridge sends JSON");
    let hook = uri.path().trim_start_matches('/').to_owned();
    let answer = (hooks.answer)(&hooks, &hook, &request);
    hooks.asked.lock().expect("no holder panics").push(Asked { hook, request, at });
    match answer {
        Some(answer) => answer,
        None => std::future::pending().await,
    }
}

/// What a hook answers that knows what it wants.
pub fn json_answer(answer: &Value) -> Option<Response> {
    Some(([(header::CONTENT_TYPE, "application/json")], answer.to_string()).into_response())
}

/// An address that refuses connections for as long as this is held: its port is
/// taken, and nobody listens.
pub fn nobody_listens() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().expect("there are sockets");
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a port is free");
    let address = socket.local_addr().expect("it is bound");
    (socket, address)
}

/// What `trimtab migrate metacontroller` prints of a controller.
pub fn migrated(controller: &str, definitions: PathBuf) -> String {
    let file = Builder::new().suffix(".yaml").tempfile().expect("there is room for a file");
    fs::write(file.path(), controller).expect("the file is ours");
    let mut migrate = Command::new(env!("CARGO_BIN_EXE_trimtab"));
    let output = migrate.args(["migrate", "metacontroller"]).arg(file.path()).arg(definitions).output();
    let output = output.expect("cargo has built it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("a policy is text")
}
