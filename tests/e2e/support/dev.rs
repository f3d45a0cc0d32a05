//! A command of the binary as a process that says lines and runs until it is
//! told to end: `trimtab dev`.

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use trimtab_cluster::connect;
use trimtab_harness::eventually;

use super::{Api, SOON};

/// A running `trimtab dev`, killed when it is dropped.
pub struct Dev {
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
}

impl Dev {
    /// Starts it. Its output is no terminal, so it says plain lines.
    pub fn start(args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_trimtab"))
            .arg("dev")
            .args(args)
            .env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"))
            .env_remove("TRIMTAB_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("cargo has built it");
        let said = Arc::default();
        keep(child.stdout.take().expect("it is piped"), &said);
        keep(child.stderr.take().expect("it is piped"), &said);
        Self { child, said }
    }

    /// All lines so far.
    pub fn said(&self) -> Vec<String> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for a line that contains this.
    pub async fn says(&self, text: &str) -> String {
        self.says_within(text, SOON).await
    }

    /// The same, where it takes longer.
    pub async fn says_within(&self, text: &str, timeout: Duration) -> String {
        let line = async || self.said().into_iter().find(|line| line.contains(text));
        eventually(&format!("it says {text:?}"), timeout, line).await
    }

    /// What it says behind a word: `kubeconfig:`.
    pub async fn told(&self, word: &str) -> String {
        let line = self.says(word).await;
        line.split_once(word).map(|(_, rest)| rest.trim().to_owned()).expect("the line contains it")
    }

    /// Its kubeconfig.
    pub async fn kubeconfig(&self) -> PathBuf {
        self.told("kubeconfig:").await.into()
    }

    /// A client of its API.
    pub async fn api(&self) -> Api {
        let connection = connect::kubeconfig(&self.kubeconfig().await).await;
        Api::new(connection.expect("the kubeconfig leads to it").client)
    }

    /// What all its threads have computed so far, as coarse as the kernel tells it.
    pub fn cpu_ms(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("Linux has it");
        // The second field is a name in parentheses; utime and stime are the 14th and the 15th (proc_pid_stat(5)).
        let (_, fields) = stat.rsplit_once(')').expect("the name is in parentheses");
        let ticks = fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number"));
        ticks.sum::<u64>() * 1000 / rustix::param::clock_ticks_per_second()
    }

    /// Ctrl-C.
    pub fn interrupt(&self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).expect("it is our own child");
    }

    /// SIGKILL, after which it can end nothing itself.
    pub fn kill(&mut self) {
        self.child.kill().expect("it is our own child");
    }

    /// Waits for its end.
    pub async fn ends(&mut self) -> ExitStatus {
        let child = Mutex::new(&mut self.child);
        eventually("it ends", SOON, async || {
            child.lock().unwrap_or_else(PoisonError::into_inner).try_wait().expect("it is our own child")
        })
        .await
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if thread::panicking() {
            eprintln!("it said:\n{}", self.said().join("\n"));
        }
    }
}

/// The processes of this machine whose command line names a path, or that run in
/// it: what is started in a folder need not be told its whole name.
pub fn processes_of(path: &Path) -> usize {
    let processes = std::fs::read_dir("/proc").expect("Linux has it").filter_map(|entry| Some(entry.ok()?.path()));
    let name = path.to_str().expect("its path is text");
    let names = |process: &Path| std::fs::read_to_string(process.join("cmdline")).is_ok_and(|line| line.contains(name));
    // The folder of a process outlives its name: the kernel marks it as deleted.
    let runs_in = |process: &Path| {
        let folder = std::fs::read_link(process.join("cwd"));
        folder.is_ok_and(|folder| folder.to_str().is_some_and(|folder| folder.starts_with(name)))
    };
    processes.filter(|process| names(process) || runs_in(process)).count()
}

fn keep(stream: impl Read + Send + 'static, said: &Arc<Mutex<Vec<String>>>) {
    let said = said.clone();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            said.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    });
}
