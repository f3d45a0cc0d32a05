//! Processes that must not outlive the one that started them, however that
//! ends: not after a panic, a SIGKILL or an abort either.
#![forbid(unsafe_code)]

use std::{
    fs::{self, File},
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};

/// Waits for its input to end, which happens when this process ends in whatever
/// way, then kills the process group that it leads and removes the folder that
/// it was given, if any. It leaves the group first (`setsid`), so that it lives
/// to do the second. (The kernel's own signal for the death of a parent is none
/// for this: it comes when the *thread* ends that started the child.)
const GUARD: &str =
    r#"cat >/dev/null; exec setsid sh -c 'kill -s KILL -- -"$1" 2>/dev/null; rm -rf "$2"' sh "$$" "$1""#;
/// Lines of a log that an error shows.
const LAST_WORDS: usize = 20;

/// Why a process does not run.
#[derive(thiserror::Error, Debug)]
pub enum Error {
    /// The guard is a shell script.
    #[error("sh does not start, which ends processes with this one: {0}")]
    Guard(io::Error),
    /// What it says has to go somewhere.
    #[error("the log {} cannot be written: {source}", path.display())]
    Log {
        /// Its path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The program is missing, or is none.
    #[error("{} does not start: {source}", program.display())]
    Start {
        /// Its path.
        program: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// It ran.
    #[error("{name} ended ({status}); its last words:\n{last_words}")]
    Ended {
        /// The program's.
        name: String,
        /// How.
        status: ExitStatus,
        /// The end of its log.
        last_words: String,
    },
}

/// A process group. Dropped, its processes are gone, and its folder.
pub struct Group {
    guard: Child,
    folder: PathBuf,
}

impl Group {
    /// An empty group.
    pub fn new() -> Result<Self, Error> {
        Self::with_folder(Path::new(""))
    }

    /// An empty group with a folder that goes with it.
    pub fn with_folder(folder: &Path) -> Result<Self, Error> {
        let mut guard = Command::new("sh");
        guard.args(["-c", GUARD, "guard"]).arg(folder).stdin(Stdio::piped()).process_group(0);
        Ok(Self { guard: guard.spawn().map_err(Error::Guard)?, folder: folder.to_owned() })
    }

    /// Its id: whoever is started in it is ended with it.
    pub fn id(&self) -> i32 {
        self.guard.id().try_into().expect("the ids of processes fit")
    }

    /// Starts a program of the group in a folder; what it says goes to
    /// `<name>.log` there.
    pub fn start(&self, program: &Path, args: &[String], folder: &Path) -> Result<Process, Error> {
        let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
        let log = folder.join(format!("{name}.log"));
        let unwritable = |source| Error::Log { path: log.clone(), source };
        let output = File::options().create(true).append(true).open(&log).map_err(unwritable)?;
        let child = Command::new(program)
            .args(args)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(unwritable)?)
            .stderr(output)
            .process_group(self.id())
            .spawn()
            .map_err(|source| Error::Start { program: program.to_owned(), source })?;
        Ok(Process { child, name, log })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Where one of these fails, the guard does the rest.
        kill_process_group(Pid::from_child(&self.guard), Signal::KILL).ok();
        self.guard.wait().ok();
        fs::remove_dir_all(&self.folder).ok();
    }
}

/// A program that a [`Group`] has started. Dropped, it is gone.
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Fails with the end of its log if it has ended.
    pub fn check(&mut self) -> Result<(), Error> {
        let asked = self.child.try_wait();
        let status = asked.map_err(|source| Error::Start { program: self.name.clone().into(), source })?;
        let Some(status) = status else { return Ok(()) };
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines = log.lines().collect::<Vec<_>>();
        let last_words = lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n");
        Err(Error::Ended { name: self.name.clone(), status, last_words })
    }

    /// Kills it, as a crash would.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(|_| ())
    }

    /// Stops it where it is: its connections stay open and nothing answers. Returns
    /// once the last of its threads has stopped, which is some time after the signal.
    pub fn pause(&self) -> io::Result<()> {
        let process = Pid::from_child(&self.child);
        kill_process(process, Signal::STOP)?;
        waitid(WaitId::Pid(process), WaitIdOptions::STOPPED)?;
        Ok(())
    }

    /// Lets it go on after [`Process::pause`].
    pub fn resume(&self) -> io::Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), Signal::CONT)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The guard would get it too; killed here, it is also reaped.
        self.kill().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_group_has_started_goes_with_it_and_so_does_its_folder() {
        let folder = tempfile::tempdir().unwrap().keep();
        let group = Group::with_folder(&folder).unwrap();
        let mut sleeper = Command::new("sleep").arg("1000").process_group(group.id()).spawn().unwrap();
        let process = group.start(Path::new("/bin/sleep"), &["1000".into()], &folder).unwrap();
        drop(process);
        drop(group);
        assert!(!sleeper.wait().unwrap().success(), "it was killed");
        assert!(!folder.exists());
    }

    #[test]
    fn a_process_that_ended_is_told_by_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let group = Group::new().unwrap();
        let args = ["-c", "echo no room; exit 3"].map(str::to_owned);
        let mut process = group.start(Path::new("/bin/sh"), &args, folder.path()).unwrap();
        process.child.wait().unwrap();
        let told = process.check().unwrap_err().to_string();
        assert_eq!(told, "sh ended (exit status: 3); its last words:\nno room");
        let missing = group.start(Path::new("/no/such/program"), &[], folder.path()).err().unwrap().to_string();
        assert!(missing.starts_with("/no/such/program does not start: No such file"), "{missing}");
    }
}
