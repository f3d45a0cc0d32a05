//! One `trimtab run` as a process: its log, its admin interface, its end.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    os::unix::process::CommandExt,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use trimtab_harness::eventually;

use super::SOON;

/// Lines of the log that a failed test is shown.
const TAIL_LINES: usize = 60;

/// A running host, killed when it is dropped.
pub struct Host {
    child: Child,
    admin: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

impl Host {
    /// Starts `trimtab` in a process group, so that it goes with the control
    /// plane however the test ends, and waits for its admin interface.
    pub async fn start(args: &[String], environment: &[(&str, &str)], group: i32) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_trimtab"))
            .args(args)
            .env_remove("TRIMTAB_LOG")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(group)
            .spawn()
            .expect("cargo has built it");
        let log = Arc::default();
        keep(child.stdout.take().expect("it is piped"), &log);
        keep(child.stderr.take().expect("it is piped"), &log);
        let mut host = Self { child, admin: SocketAddr::from(([0, 0, 0, 0], 0)), log };
        host.admin = eventually("the host says where its admin interface listens", SOON, async || {
            let line = host.logged("admin interface").into_iter().next()?;
            line["address"].as_str().and_then(|address| address.parse().ok())
        })
        .await;
        host
    }

    /// The lines of the log with this message, as JSON.
    pub fn logged(&self, message: &str) -> Vec<Value> {
        let lines = self.printed();
        let lines = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["message"] == message).collect()
    }

    /// Where its admin interface listens.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// `/plugins`
    pub async fn slots(&self) -> Vec<Value> {
        let (status, body) = self.ask("/plugins").await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).expect("/plugins is a JSON list")
    }

    /// One slot of `/plugins`: `site`, `canary/site`. None where there is no such slot.
    pub async fn slot(&self, slot: &str) -> Option<Value> {
        let (instance, stem) = slot.split_once('/').unwrap_or(("", slot));
        self.slots().await.into_iter().find(|slot| slot["instanceId"] == instance && slot["stem"] == stem)
    }

    /// Waits until a slot is in this state and tells why it is.
    pub async fn becomes(&self, slot: &str, state: &str) -> String {
        let what = format!("the slot {slot} is {state}");
        let view = eventually(&what, SOON, async || self.slot(slot).await.filter(|slot| slot["state"] == state)).await;
        view["reason"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits until what the folder holds for a slot is refused and tells why.
    pub async fn refuses(&self, slot: &str) -> String {
        let what = format!("the file of the slot {slot} is refused");
        let view = eventually(&what, SOON, async || self.slot(slot).await.filter(|slot| slot["refused"] == true)).await;
        view["reason"].as_str().expect("a refusal has a reason").to_owned()
    }

    /// The sum of a metric's samples that have all of these labels.
    pub async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let (status, body) = self.ask("/metrics").await;
        assert_eq!(status, 200, "{body}");
        let labels = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect::<Vec<_>>();
        let samples = body.lines().filter_map(|line| {
            let (sample, value) = line.rsplit_once(' ')?;
            let (found, given) = sample.split_once('{').unwrap_or((sample, ""));
            let fits = found == name && labels.iter().all(|label| given.contains(label.as_str()));
            fits.then(|| value.parse::<f64>().expect("a sample ends with its value"))
        });
        samples.sum()
    }

    /// Whether `/readyz` says so; the error is what it says instead.
    pub async fn ready(&self) -> Result<(), String> {
        match self.ask("/readyz").await {
            (200, _) => Ok(()),
            (_, why) => Err(why),
        }
    }

    /// Asks it to stop, as Kubernetes does.
    pub fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it is our own child");
    }

    /// Stops it in the midst of whatever it does, until it is [resumed](Self::resume).
    pub fn pause(&self) {
        kill_process(Pid::from_child(&self.child), Signal::STOP).expect("it is our own child");
    }

    /// Lets it go on where it was stopped.
    pub fn resume(&self) {
        kill_process(Pid::from_child(&self.child), Signal::CONT).expect("it is our own child");
    }

    /// What it has in memory that is no copy of a file, in KiB: compiled code is one.
    pub fn anonymous_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let kib = status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB"));
        kib.and_then(|kib| kib.parse().ok()).expect("Linux says so")
    }

    /// Kills it, as a crash would.
    pub fn kill(&mut self) {
        self.child.kill().expect("it is our own child");
        self.child.wait().expect("it was killed");
    }

    /// Waits for its end.
    pub async fn ends_within(&mut self, timeout: Duration) -> ExitStatus {
        let child = Mutex::new(&mut self.child);
        eventually("the host ends", timeout, async || {
            child.lock().unwrap_or_else(PoisonError::into_inner).try_wait().expect("it is our own child")
        })
        .await
    }

    /// A GET of the admin interface: the status and the body.
    pub async fn ask(&self, path: &str) -> (u16, String) {
        self.ask_as(&self.admin.to_string(), path).await
    }

    /// The same, by another name for where it is.
    pub async fn ask_as(&self, name: &str, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.admin).await.expect("the admin interface listens");
        let request = format!("GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("it takes a request");
        let mut response = String::new();
        stream.read_to_string(&mut response).await.expect("it answers in text");
        let (head, body) = response.split_once("\r\n\r\n").expect("it is HTTP");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("it has a status");
        (status, body.to_owned())
    }

    /// All that it has said, the log included.
    pub fn printed(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if thread::panicking() {
            let lines = self.printed();
            let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
            eprintln!("the end of the host's log:\n{}", tail.join("\n"));
        }
    }
}

/// Keeps what a process says, line by line, until it ends.
fn keep(stream: impl Read + Send + 'static, log: &Arc<Mutex<Vec<String>>>) {
    let log = log.clone();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            log.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    });
}
