//! client-go and controller-runtime against both servers: see `go/`.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::path::Path;
use std::process::Command;

use trimtab_clients::Servers;

/// Builds the program; the tool-chain is found as that of the control plane is.
fn program(folder: &Path) -> std::path::PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = folder.join("clients");
    let build = Command::new(here.join("go/build.sh")).arg(&program).status().unwrap();
    assert!(build.success(), "the Go program does not build; it says above why");
    program
}

#[tokio::test(flavor = "multi_thread")]
async fn go_controllers_see_the_same_of_both_servers() {
    let folder = tempfile::TempDir::new().unwrap();
    let program = program(folder.path());
    let servers = Servers::start().await;
    tokio::task::block_in_place(|| servers.tell_the_same("go", |side| side.command(&program)));
}
