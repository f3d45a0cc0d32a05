//! The servers, with a kubeconfig for each, and programs that are run with it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use trimtab_apiserver::{ApiServer, Config};
use trimtab_harness::ControlPlane;

use crate::normal::{differences, normal};

/// The last line of a program that has done all that it had to do.
const TO_THE_END: &str = "told to the end";

/// One of the two servers.
pub struct Side {
    /// Which one it is, for people.
    pub name: &'static str,
    /// The admin's.
    pub kubeconfig: PathBuf,
    /// A home for caches: kubectl keeps what it discovers.
    home: TempDir,
    binaries: PathBuf,
}

/// Both servers, until they are dropped.
pub struct Servers {
    /// The API in memory.
    pub memory: Side,
    /// kube-apiserver.
    pub real: Side,
    _control_plane: ControlPlane,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Servers {
    /// Starts both.
    ///
    /// # Panics
    /// Where one does not start: a test never skips silently.
    pub async fn start() -> Self {
        let control_plane = ControlPlane::start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let serving = tokio::spawn(ApiServer::new(Config::default()).serve(listener, std::future::pending()));
        let home = TempDir::new().expect("there is room for a folder");
        let kubeconfig = home.path().join("kubeconfig");
        // The JavaScript client takes no plain HTTP where certificates are to be checked.
        let cluster = json!({ "server": format!("http://{address}"), "insecure-skip-tls-verify": true });
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{ "name": "test", "cluster": cluster }],
            "users": [{ "name": "test", "user": {} }],
            "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
        });
        std::fs::write(&kubeconfig, config.to_string()).expect("the folder is ours");
        let binaries = control_plane.binaries().to_owned();
        let memory = Side { name: "in memory", kubeconfig, home, binaries: binaries.clone() };
        let home = TempDir::new().expect("there is room for a folder");
        let real = Side { name: "real", kubeconfig: control_plane.kubeconfig(), home, binaries };
        Self { memory, real, _control_plane: control_plane, serving }
    }

    /// Runs the same on both at once, and returns what each printed:
    /// in memory, real.
    ///
    /// # Panics
    /// Where a program cannot be run at all.
    pub fn run(&self, command: impl Fn(&Side) -> Command + Sync) -> (String, String) {
        std::thread::scope(|scope| {
            let memory = scope.spawn(|| self.memory.run(command(&self.memory)));
            let real = self.real.run(command(&self.real));
            (memory.join().expect("running a program does not panic"), real)
        })
    }

    /// A program that is given the kubeconfig and a namespace of its own tells
    /// the same of both, and tells it to the end.
    ///
    /// # Panics
    /// Where it does not.
    pub fn tell_the_same(&self, namespace: &str, command: impl Fn(&Side) -> Command + Sync) {
        let (memory, real) = self.run(|side| {
            let mut kubectl = side.command("kubectl");
            kubectl.args(["create", "namespace", namespace]);
            kubectl
        });
        assert_eq!(memory, real);
        let (memory, real) = self.run(|side| {
            let mut command = command(side);
            command.arg(&side.kubeconfig).arg(namespace);
            command
        });
        let found = differences(&normal(&memory), &normal(&real));
        assert!(found.is_none(), "{}", found.unwrap_or_default());
        assert!(memory.contains(TO_THE_END), "it was not told to the end:\n{memory}");
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Side {
    /// A program that finds this server by its environment, and kubectl.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let paths = std::iter::once(self.binaries.clone()).chain(std::env::split_paths(&path));
        let mut command = Command::new(program.as_ref());
        command
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", self.home.path())
            .env("PATH", std::env::join_paths(paths).expect("paths came from such a list"))
            .stdin(Stdio::null());
        command
    }

    /// What a program prints, its errors, and its exit code if it failed.
    fn run(&self, mut command: Command) -> String {
        let output = command.output().with_context(|| format!("running {command:?}")).expect("the program is there");
        let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.push_str(&String::from_utf8_lossy(&output.stderr));
        if !output.status.success() {
            said.push_str(&format!("exit {}\n", output.status.code().unwrap_or(-1)));
        }
        said
    }
}
