//! The children of a test, and the guard that sees to it that none of them
//! outlives it: not after a panic, a SIGKILL or an abort either.

use std::{
    fs::File,
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

/// Waits for its input to end, which happens when the test ends in whatever
/// way, then kills the process group and removes the folder. It leaves the
/// group first (`setsid`), so that it lives to do the second. (A parent-death
/// signal would fire when the *thread* that spawned ends, and each test has a
/// thread of its own.)
const GUARD: &str =
    r#"cat >/dev/null; exec setsid sh -c 'kill -s KILL -- -"$1" 2>/dev/null; rm -rf "$2"' sh "$$" "$1""#;

/// A folder and the processes that work in it; both go when this is dropped.
pub struct Group {
    guard: Child,
    folder: PathBuf,
}

impl Group {
    /// An empty group with a new folder.
    pub fn new() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("trimtab-control-plane-").tempdir()?.keep();
        let guard = Command::new("sh")
            .args(["-c", GUARD, "guard"])
            .arg(&folder)
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .context("sh is needed to guard the control plane's processes")?;
        Ok(Self { guard, folder })
    }

    /// Where the processes keep their data and logs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The id of the group.
    pub fn id(&self) -> i32 {
        self.guard.id().try_into().expect("the ids of processes fit")
    }

    /// Starts a process of the group; what it says goes to `<name>.log`.
    pub fn spawn(&self, program: &Path, args: &[String]) -> anyhow::Result<Process> {
        let name = program.file_name().context("a program has a name")?.to_string_lossy().into_owned();
        let log = self.folder.join(format!("{name}.log"));
        let output = File::options().create(true).append(true).open(&log)?;
        let child = Command::new(program)
            .args(args)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(self.id())
            .spawn()
            .with_context(|| format!("{} does not start", program.display()))?;
        Ok(Process { child, log })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        self.guard.wait().ok();
    }
}

/// One process of a [`Group`].
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Fails with the end of its log if the process has ended.
    pub fn check(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            let tail = log.lines().rev().take(20).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n");
            bail!("{} ended ({status}); its last words:\n{tail}", self.log.display());
        }
        Ok(())
    }

    /// Kills it, as a crash would.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(|_| ())
    }

    /// Stops it where it is: its connections stay open and nothing answers. Returns
    /// once the last of its threads has stopped, which is some time after the signal.
    pub fn pause(&self) -> io::Result<()> {
        kill_process(self.pid(), Signal::STOP)?;
        waitid(WaitId::Pid(self.pid()), WaitIdOptions::STOPPED)?;
        Ok(())
    }

    /// Lets it go on after [`Process::pause`].
    pub fn resume(&self) -> io::Result<()> {
        Ok(kill_process(self.pid(), Signal::CONT)?)
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The guard would get it too; killed here, it is also reaped.
        self.kill().ok();
    }
}
