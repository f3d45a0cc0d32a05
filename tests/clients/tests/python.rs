//! The official Python client against both servers: see `python/`.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::path::{Path, PathBuf};
use std::process::Command;

use trimtab_clients::Servers;

/// A Python with the client, made once for each version of its requirements.
fn python() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/venv.sh");
    let output = Command::new(script).stderr(std::process::Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "the Python client cannot be had; it says above why");
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim()).join("bin/python")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_client_sees_the_same_of_both_servers() {
    let python = python();
    let servers = Servers::start().await;
    tokio::task::block_in_place(|| {
        servers.tell_the_same("python", |side| {
            let mut command = side.command(&python);
            command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("python/clients.py"));
            command
        });
    });
}
