//! What the engine is told by the binary, or by a simulation.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use tokio::runtime::Handle;

/// How plugins are loaded and called.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where compiled code is kept: a folder that nobody else may read.
    pub cache_dir: PathBuf,
    /// Calls at once, running or waiting for their turn. The pool is made for
    /// so many; further calls wait before they take anything.
    pub in_flight: u32,
    /// Who bounds a call.
    pub mode: Mode,
}

/// Who bounds a call, and where it runs.
#[derive(Debug, Clone)]
pub enum Mode {
    /// As a server: guests run on their own runtime, take turns on the cores
    /// and are bounded by clocks.
    Serve(Serve),
    /// As a simulation: guests run where they are called and are bounded by
    /// fuel, so that the same call always ends the same. Modules are compiled
    /// in this process: a paused clock would jump while a child is awaited.
    Simulate,
}

/// What serving needs.
#[derive(Debug, Clone)]
pub struct Serve {
    /// A runtime for guests alone, with timers and I/O enabled: whatever guests do,
    /// the others' timers fire.
    pub guests: Handle,
    /// Guests that run at once: as many as there are cores.
    pub running: usize,
    /// How to start a compilation.
    pub compile: CompileCommand,
}

/// The program that compiles a module in a process of its own. It is given its
/// arguments, then the path to read and the path to write, and is to call
/// [`crate::compile`] with those.
#[derive(Debug, Clone)]
pub struct CompileCommand {
    /// The program; the host itself, mostly.
    pub program: PathBuf,
    /// What comes before the two paths.
    pub args: Vec<OsString>,
    /// Time from its start to its end, after which it is killed.
    pub wall: Duration,
}

/// The slowest module tried (Python, 19 MB) takes 14 s of a core: a pod that is given
/// a twentieth of one still comes to an end.
pub const COMPILE_WALL: Duration = Duration::from_secs(600);
