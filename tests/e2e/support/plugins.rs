//! The built plugins.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

/// The file of a plugin, `site` for `site.wasm`. The first call builds them all;
/// cargo decides what has changed.
pub fn file(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let file = BUILT.get_or_init(build).join(format!("{name}.wasm"));
    assert!(file.exists(), "plugins/build.sh makes no {name}.wasm");
    file
}

/// A file of the sources of the plugins, such as `examples/site/crd.yaml`.
pub fn source(path: &str) -> PathBuf {
    folder().join(path)
}

fn build() -> PathBuf {
    let script = folder().join("build.sh");
    let output = Command::new(&script).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{} does not run: {error}; it needs bash", script.display()));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} failed, run it by hand: {said}", script.display());
    folder().join("target/plugins")
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugins"))
}
