//! A folder with scenarios, and `trimtab test` run in it.

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use tempfile::TempDir;

pub const PASSED: i32 = 0;
pub const FAILED: i32 = 1;
pub const UNUSABLE: i32 = 2;

/// What is tested.
const BINARY: &str = env!("CARGO_BIN_EXE_trimtab");
const PLUGINS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugins");

/// The folder of the examples, whose plugins are built.
pub fn examples() -> PathBuf {
    plugin("site");
    Path::new(PLUGINS).join("examples")
}

/// The module of a plugin. The first call builds them all; cargo decides what
/// has changed.
pub fn plugin(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let script = Path::new(PLUGINS).join("build.sh");
        let output = Command::new(&script).stdin(Stdio::null()).output().expect("there is bash");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Path::new(PLUGINS).join("target/plugins")
    });
    built.join(format!("{name}.wasm")).canonicalize().expect("it is built")
}

/// A folder of its own for each test.
pub struct Scene(TempDir);

/// What a run left.
pub struct Ran {
    pub stdout: String,
    stderr: String,
    code: Option<i32>,
}

impl Scene {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("there is room for a folder"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).expect("the folder is ours");
        self.path(name)
    }

    /// A scenario with the plugin site and its kind, and these steps.
    pub fn site(&self, name: &str, steps: &str) -> PathBuf {
        let (module, kind) = (plugin("site"), examples().join("site/crd.yaml").canonicalize().expect("it is there"));
        let text =
            format!("plugins:\n  site.wasm: {}\nsteps:\n  - apply: {}\n{steps}", module.display(), kind.display());
        self.write(name, &text)
    }

    /// Runs `trimtab test` in the folder.
    pub fn test(&self, arguments: &[&str]) -> Ran {
        self.run(Command::new(BINARY).arg("test").args(arguments))
    }

    /// Runs a command line as a person in that folder would.
    pub fn shell(&self, command: &str) -> Ran {
        let binaries = Path::new(BINARY).parent().expect("it lies in a folder");
        let path = env::join_paths([binaries, Path::new("/usr/bin"), Path::new("/bin")]).expect("no colon is in them");
        self.run(Command::new("sh").args(["-c", command]).env("PATH", path))
    }

    fn run(&self, command: &mut Command) -> Ran {
        // Kept from run to run: compiling takes longer than all the rest.
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled");
        let output = command
            .env("TRIMTAB_CACHE", cache)
            .env_remove("TRIMTAB_LOG")
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .output()
            .expect("cargo has built it");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran { stdout: text(&output.stdout), stderr: text(&output.stderr), code: output.status.code() }
    }
}

impl Ran {
    /// It ended with that code.
    pub fn ended(&self, code: i32) {
        assert_eq!(self.code, Some(code), "{self}");
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ended with {:?}\n{}\n{}", self.code, self.stdout, self.stderr)
    }
}
