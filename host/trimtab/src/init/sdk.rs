//! The SDKs of the languages besides Rust. They are small, and an author has no
//! checkout of this repository: they come with this program and are laid into the
//! project, so that both speak the same contract.

use super::language::File;

macro_rules! sdk {
    ($folder:literal: $($path:literal),* $(,)?) => {
        [$(($path, include_str!(concat!("../../../../plugins/sdk/", $folder, "/", $path)))),*]
    };
}

pub const JS: [File; 16] = sdk!("js":
    "README.md",
    "package.json",
    "plugin.wit",
    "src/answer.js",
    "src/build.js",
    "src/failure.js",
    "src/host-test.js",
    "src/host-wasm.js",
    "src/index.d.ts",
    "src/index.js",
    "src/kind.js",
    "src/metacontroller.d.ts",
    "src/metacontroller.js",
    "src/stack.js",
    "src/testing.d.ts",
    "src/testing.js",
);

pub const PYTHON: [File; 12] = sdk!("python":
    "README.md",
    "pyproject.toml",
    "src/trimtab/__init__.py",
    "src/trimtab/_failure.py",
    "src/trimtab/_guest.py",
    "src/trimtab/_objects.py",
    "src/trimtab/_plugin.py",
    "src/trimtab/_run.py",
    "src/trimtab/build.py",
    "src/trimtab/metacontroller.py",
    "src/trimtab/plugin.wit",
    "src/trimtab/testing.py",
);

pub const GO: [File; 7] =
    sdk!("go": "README.md", "go.mod", "guest.go", "plugin.go", "run.go", "testing.go", "trimtab.go");

pub const C: [File; 6] = sdk!("c": "README.md", "json.c", "testing.c", "testing.h", "trimtab.c", "trimtab.h");

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        fs,
        path::{Path, PathBuf},
    };

    use super::*;

    /// The files below a folder, but for tests, locks and what tools have left.
    fn files(folder: &Path, found: &mut BTreeSet<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
            let is_left_out = name.starts_with('.')
                || name.ends_with("_test.go")
                || ["node_modules", "__pycache__", "package-lock.json", "test", "tests"].contains(&name.as_str());
            match () {
                () if is_left_out => {}
                () if path.is_dir() => files(&path, found),
                () => _ = found.insert(path),
            }
        }
    }

    #[test]
    fn an_sdk_comes_whole() {
        let sdks = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/sdk");
        for (folder, sdk) in [("js", &JS[..]), ("python", &PYTHON), ("go", &GO), ("c", &C)] {
            let mut there = BTreeSet::new();
            files(&sdks.join(folder), &mut there);
            let listed = sdk.iter().map(|(path, _)| sdks.join(folder).join(path)).collect::<BTreeSet<_>>();
            assert_eq!(listed, there, "{folder}");
        }
    }
}
