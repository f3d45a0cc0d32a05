//! Processes that must not outlive this one, however it ends.

use std::{
    fs::File,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, bail};

/// Waits for its input to end, which happens when this process ends in whatever
/// way, and then kills the group that it leads. The kernel's own signal for the
/// death of a parent is none for this: it comes when the thread ends that
/// started the child.
const GUARD: &str = "cat >/dev/null; kill -s KILL 0";
/// Lines of a log that an error shows.
const LAST_WORDS: usize = 5;

/// A process group with a folder for its logs. Dropped, its processes are gone.
pub struct Group {
    guard: Child,
    folder: PathBuf,
}

impl Group {
    /// An empty group.
    pub fn new(folder: &Path) -> anyhow::Result<Self> {
        let mut guard = Command::new("sh");
        guard.args(["-c", GUARD]).stdin(Stdio::piped()).process_group(0);
        let guard = guard.spawn().context("sh is needed to end the processes of a control plane")?;
        Ok(Self { guard, folder: folder.to_owned() })
    }

    /// Starts a process of the group; what it says goes to `<name>.log`.
    pub fn start(&self, program: &Path, args: &[String]) -> anyhow::Result<Process> {
        let name = program.file_name().context("a program has a name")?.to_string_lossy().into_owned();
        let log = self.folder.join(format!("{name}.log"));
        let output = File::create(&log).with_context(|| format!("making {}", log.display()))?;
        let child = Command::new(program)
            .args(args)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(i32::try_from(self.guard.id()).context("the id of a group")?)
            .spawn()
            .with_context(|| format!("{} does not start", program.display()))?;
        Ok(Process { child, name, log })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        // It kills itself with the others.
        let _ = self.guard.wait();
    }
}

/// A process of a [`Group`].
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Fails with the end of its log if it has ended.
    pub fn check(&mut self) -> anyhow::Result<()> {
        let Some(status) = self.child.try_wait().context("asking for a child's end")? else { return Ok(()) };
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines = log.lines().collect::<Vec<_>>();
        let last = lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n  ");
        bail!("{} ended ({status}); its last words:\n  {last}", self.name)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The guard would get it too; killed here, it is also reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
