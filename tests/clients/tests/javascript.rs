//! The official JavaScript client against both servers: see `js/`.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::path::Path;
use std::process::{Command, Stdio};

use trimtab_clients::Servers;

#[tokio::test(flavor = "multi_thread")]
async fn the_javascript_client_sees_the_same_of_both_servers() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("js");
    let installed = Command::new(here.join("install.sh")).stderr(Stdio::inherit()).output().unwrap();
    assert!(installed.status.success(), "the JavaScript client cannot be had; it says above why");
    let installed = String::from_utf8(installed.stdout).unwrap();
    let (node, modules) = installed.trim().split_once('\n').expect("a program and a folder");
    let servers = Servers::start().await;
    tokio::task::block_in_place(|| {
        servers.tell_the_same("javascript", |side| {
            let mut command = side.command(node);
            command.arg(here.join("clients.mjs")).arg(modules);
            command
        });
    });
}
