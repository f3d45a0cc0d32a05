//! The two controllers, as processes.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use trimtab_bench::{
    process::{Usage, usage},
    site,
};
use trimtab_harness::eventually;

/// Generous: a round of the slowest controller known takes 13 s.
const SOON: Duration = Duration::from_secs(60);

/// One of the two.
pub struct Side {
    /// For people.
    pub name: &'static str,
    /// As whom it speaks to the API server.
    pub user: &'static str,
    program: PathBuf,
    /// The host's plugins folder and cache.
    folder: Option<TempDir>,
}

impl Side {
    /// The host with the plugin.
    pub fn trimtab(program: PathBuf) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let plugins = folder.path().join("plugins");
        fs::create_dir(&plugins)?;
        let plugin = site::plugin();
        fs::copy(&plugin, plugins.join("bench.wasm"))
            .with_context(|| format!("{}: run plugins/build.sh first", plugin.display()))?;
        Ok(Self { name: "trimtab", user: "bench-trimtab", program, folder: Some(folder) })
    }

    /// The controller on kube-rs.
    pub fn peer() -> Self {
        Self { name: "kube-rs", user: "bench-peer", program: env!("CARGO_BIN_EXE_peer").into(), folder: None }
    }

    /// Starts it. `group` is the control plane's: it ends with that.
    pub fn start(&self, kubeconfig: &Path, group: i32, sites: usize) -> anyhow::Result<Running> {
        let mut command = Command::new(&self.program);
        match &self.folder {
            Some(folder) => {
                let path = |name| folder.path().join(name);
                command.args(["run", "--admin-address", "127.0.0.1:0"]);
                command.arg("--plugins").arg(path("plugins")).arg("--cache").arg(path("cache"));
                command.arg("--kubeconfig").arg(kubeconfig);
            }
            None => {
                command.arg(kubeconfig).arg(sites.to_string());
            }
        }
        // The host speaks on stderr; what the peer says there are errors.
        let hosted = self.folder.is_some();
        let (stdout, stderr) =
            if hosted { (Stdio::null(), Stdio::piped()) } else { (Stdio::piped(), Stdio::inherit()) };
        let started = command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).process_group(group).spawn();
        let mut child = started.with_context(|| format!("{} does not start", self.program.display()))?;
        let lines = match (child.stdout.take(), child.stderr.take()) {
            (Some(stdout), _) => follow(stdout),
            (None, Some(stderr)) => follow(stderr),
            (None, None) => unreachable!("one of the two is piped"),
        };
        Ok(Running { child, user: self.user, lines, hosted, sites, accounted: Usage::default() })
    }
}

/// A controller that runs.
pub struct Running {
    child: Child,
    user: &'static str,
    /// What it says, as it says it.
    lines: Receiver<String>,
    hosted: bool,
    sites: usize,
    accounted: Usage,
}

impl Running {
    /// As whom it speaks to the API server.
    pub fn user(&self) -> &'static str {
        self.user
    }

    /// What it has used, now.
    pub fn usage(&mut self) -> anyhow::Result<Usage> {
        self.accounted = usage(self.child.id())?;
        Ok(self.accounted)
    }

    /// What it had used when it was last asked; nothing before.
    pub fn accounted(&self) -> Usage {
        self.accounted
    }

    /// Waits until it has been through all Sites since its start.
    pub async fn all_seen(&mut self) -> anyhow::Result<()> {
        if !self.hosted {
            return self.says("all seen").await.map(drop);
        }
        let line = self.says("admin interface").await?;
        let line = serde_json::from_str::<serde_json::Value>(&line).context("a line of the host's log")?;
        let address = line["address"].as_str().context("the host says where it listens")?.parse()?;
        let sites = self.sites as f64;
        eventually("the host has been through all Sites", SOON, async || {
            reconciled(address).await.ok().filter(|&reconciled| reconciled >= sites)
        })
        .await;
        Ok(())
    }

    async fn says(&self, what: &str) -> anyhow::Result<String> {
        Ok(eventually(&format!("it says {what:?}"), SOON, async || {
            self.lines.try_iter().find(|line| line.contains(what))
        })
        .await)
    }

    /// Asks it to end, and waits for that.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let ended = self.child.wait()?;
        // kube-rs leaves the signal to whoever writes a controller.
        if self.hosted && !ended.success() {
            bail!("the host ended with {ended}; it said: {}", self.lines.try_iter().collect::<Vec<_>>().join("\n"));
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// How many runs the host's metrics count.
async fn reconciled(admin: SocketAddr) -> anyhow::Result<f64> {
    let mut stream = TcpStream::connect(admin).await?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: trimtab\r\nConnection: close\r\n\r\n").await?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await?;
    let samples = response.lines().filter(|line| line.starts_with("controller_runtime_reconcile_total"));
    Ok(samples.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum())
}

/// The lines of a stream as they come.
fn follow(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (send, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            // Nobody listens to what is said while it ends.
            send.send(line).ok();
        }
    });
    lines
}
