//! Compilation in a process of its own: what the child does, and how the parent
//! watches over it.
//!
//! A compiler works on what anybody may have dropped. It can hang, or eat all
//! memory; and it leaves a hundred megabytes behind in the process that ran it.

use std::{fs, io, path::Path, process::ExitCode, process::Stdio, time::Duration};

use rustix::process::{Resource, Rlimit, nice, setrlimit};
use tokio::{io::AsyncReadExt, process::Command};

use crate::{
    componentize::componentize,
    config::CompileCommand,
    engine::{self, Metering},
};

/// The child's exit code where the file is at fault and not the compiler. Its
/// stderr is then the reason (`EX_DATAERR`).
const REFUSED: u8 = 65;

/// The child gives way to everything that serves.
const NICENESS: i32 = 10;

/// How much of the child's stderr is kept: a reason is a line or two, and what
/// a crash leaves at its beginning names the cause.
const STDERR_BYTES_MAX: u64 = 4096;

/// What the child allows itself.
#[derive(Debug, Clone, Copy)]
pub struct CompileLimits {
    /// Writable memory. The largest module tried (Python, 19 MB) took 353 MB.
    pub memory_bytes: u64,
    /// Time on all cores. The slowest module tried (the same) took 14 s.
    pub cpu: Duration,
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self { memory_bytes: 1 << 30, cpu: Duration::from_secs(180) }
    }
}

/// What the child runs: confines itself, reads a module or component and writes
/// its compiled code. The reason of a failure goes to stderr.
pub fn compile(input: &Path, output: &Path, limits: CompileLimits) -> ExitCode {
    let done = confine(limits).and_then(|()| fs::read(input)).map(|module| compile_bytes(&module, Metering::Epochs));
    let written = match done {
        Ok(Ok(code)) => fs::write(output, code),
        Ok(Err(reason)) => {
            eprintln!("{reason}");
            return ExitCode::from(REFUSED);
        }
        Err(error) => Err(error),
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn confine(limits: CompileLimits) -> io::Result<()> {
    let limit = |resource, at: u64| setrlimit(resource, Rlimit { current: Some(at), maximum: Some(at) });
    // Not the address space: threads reserve of that what they never touch.
    limit(Resource::Data, limits.memory_bytes)?;
    limit(Resource::Cpu, limits.cpu.as_secs().max(1))?;
    limit(Resource::Core, 0)?;
    nice(NICENESS)?;
    Ok(())
}

/// The compiled code, or why there is none.
pub(crate) fn compile_bytes(module: &[u8], metering: Metering) -> Result<Vec<u8>, String> {
    let component = componentize(module).map_err(|unusable| unusable.to_string())?;
    let engine = engine::compiling(metering).map_err(|error| format!("{error:#}"))?;
    engine.precompile_component(&component).map_err(|error| format!("this component is not valid: {error:#}"))
}

/// Why the child left no code.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The file is at fault.
    #[error("{0}")]
    Refused(String),
    /// The child did not come to an end.
    #[error("compiling it took more than {} s and was stopped", .0.as_secs_f32())]
    TimedOut(Duration),
    /// The child came to a bad end, mostly at one of its limits.
    #[error("its compiler ended with {status}: {stderr}")]
    Died {
        /// An exit code or a signal.
        status: String,
        /// What it said.
        stderr: String,
    },
    /// The child could not be started.
    #[error("its compiler {program} cannot be run: {error}")]
    NotRun {
        /// The program.
        program: String,
        /// What the system says.
        error: io::Error,
    },
}

/// Runs the child on two files and waits for its end, which comes in time.
pub(crate) async fn compile_in_child(
    command: &CompileCommand,
    input: &Path,
    output: &Path,
) -> Result<(), CompileError> {
    let not_run = |error| CompileError::NotRun { program: command.program.display().to_string(), error };
    let mut child = Command::new(&command.program)
        .args(&command.args)
        .args([input, output])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(not_run)?;

    let mut stderr = child.stderr.take().expect("it is piped").take(STDERR_BYTES_MAX);
    let run = async {
        let mut said = Vec::new();
        // Closed when the limit is read, so that a talkative child ends too.
        let read = async move { stderr.read_to_end(&mut said).await.map(|_| said) };
        let (said, status) = tokio::join!(read, child.wait());
        Ok::<_, io::Error>((status?, String::from_utf8_lossy(&said?).trim().to_owned()))
    };
    match tokio::time::timeout(command.wall, run).await {
        Ok(ended) => {
            let (status, stderr) = ended.map_err(not_run)?;
            match status.code() {
                Some(0) => Ok(()),
                Some(code) if code == i32::from(REFUSED) => Err(CompileError::Refused(stderr)),
                _ => Err(CompileError::Died { status: status.to_string(), stderr }),
            }
        }
        Err(_) => {
            child.kill().await.map_err(not_run)?;
            Err(CompileError::TimedOut(command.wall))
        }
    }
}
