//! How a host gets to its cluster: what an ordinary kubeconfig may ask for.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use trimtab_harness::ControlPlane;

use crate::support::Scene;

#[tokio::test]
async fn a_token_comes_from_the_command_that_the_kubeconfig_names() {
    let scene = Scene::new().await;
    let credential = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
        "status": { "token": ControlPlane::TOKEN },
    });
    let kubeconfig = kubeconfig(&scene, |user| {
        *user = json!({ "exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never",
            "command": "sh", "args": ["-c", format!("echo '{credential}'")],
        } });
    });
    scene.set_up_anna().await;
    let _host = scene.host_with(&kubeconfig, &["--namespaces", &scene.namespace]).await;
    scene.page_is("anna", "one").await;
}

#[tokio::test]
async fn the_cluster_is_reached_through_the_proxy_of_the_environment() {
    let scene = Scene::new().await;
    scene.set_up_anna().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let proxy = format!("http://{}", listener.local_addr().expect("it is bound"));
    let tunnels = Arc::new(AtomicUsize::new(0));
    let task = tokio::spawn(tunnel_all(listener, tunnels.clone()));

    let environment = [("HTTPS_PROXY", &*proxy), ("NO_PROXY", ""), ("no_proxy", "")];
    let flags = ["--namespaces", &scene.namespace];
    let _host = scene.host_in(&environment, &scene.plane().kubeconfig(), &flags).await;
    scene.page_is("anna", "one").await;
    assert!(tunnels.load(Ordering::Relaxed) > 0, "the host went past the proxy");
    task.abort();
}

/// The admin's kubeconfig with another user.
fn kubeconfig(scene: &Scene, change: impl Fn(&mut Value)) -> PathBuf {
    let text = fs::read_to_string(scene.plane().kubeconfig()).expect("it was written");
    let mut kubeconfig: Value = serde_json::from_str(&text).expect("it is JSON");
    change(&mut kubeconfig["users"][0]["user"]);
    // A dotfile of the plugins folder is left alone, and goes with the scene.
    let path = scene.folder().join(".kubeconfig");
    fs::write(&path, kubeconfig.to_string()).expect("the folder is ours");
    path
}

/// An HTTP proxy that knows CONNECT.
async fn tunnel_all(listener: TcpListener, tunnels: Arc<AtomicUsize>) {
    while let Ok((client, _)) = listener.accept().await {
        let tunnels = tunnels.clone();
        tokio::spawn(async move {
            let mut client = BufReader::new(client);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if client.read_line(&mut head).await.expect("it is text") == 0 {
                    return;
                }
            }
            let target = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
            let target = target.unwrap_or_else(|| panic!("no CONNECT: {head}"));
            let mut server = TcpStream::connect(target).await.expect("the API server listens");
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.expect("the host waits for it");
            tunnels.fetch_add(1, Ordering::Relaxed);
            // Either end may close as it likes.
            let _ = copy_bidirectional(&mut client, &mut server).await;
        });
    }
}
