//! `trimtab init` from outside: the project builds, and its tests pass.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use crate::support::{file, source};

/// Runs a command in a folder.
fn run(folder: &Path, program: &str, args: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(args).current_dir(folder).env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"));
    // What cargo tells its tests is not meant for another cargo.
    let of_cargo =
        std::env::vars().map(|(name, _)| name).filter(|name| name.starts_with("CARGO_") && name != "CARGO_HOME");
    of_cargo.for_each(|name| _ = command.env_remove(name));
    // The plugins' own builds have compiled what the project needs already.
    command.env("CARGO_TARGET_DIR", source("target")).env_remove("RUSTFLAGS");
    command.output().unwrap_or_else(|error| panic!("{program}: {error}"))
}

fn trimtab(folder: &Path, args: &[&str]) -> Output {
    run(folder, env!("CARGO_BIN_EXE_trimtab"), args)
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said).into_owned()).concat()
}

#[test]
fn a_new_project_builds_and_its_tests_and_its_scenario_pass() {
    // For the tool chain of plugins.
    file("site");
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let sdk = source("sdk/rust");
    let made = trimtab(folder.path(), &["init", "my-plugin", "--sdk", sdk.to_str().expect("its path is text")]);
    assert!(made.status.success(), "{}", said(&made));

    let project = folder.path().join("my-plugin");
    // Without a network: the versions that the plugins here are locked to.
    fs::copy(source("Cargo.lock"), project.join("Cargo.lock")).expect("the folder is ours");
    for args in [&["plugin", "--offline", "--quiet"][..], &["test", "--offline", "--quiet"], &["fmt", "--check"]] {
        let done = run(&project, "cargo", args);
        assert!(done.status.success(), "cargo {args:?}: {}", said(&done));
    }
    // The scenario names the module where cargo leaves it by itself.
    let module = "wasm32-unknown-unknown/release/my_plugin.wasm";
    let at = project.join("target").join(module);
    fs::create_dir_all(at.parent().expect("it lies in a folder")).expect("the folder is ours");
    fs::copy(source("target").join(module), &at).expect("it was built");
    // To be dropped, it bears the plugin's name.
    fs::copy(&at, project.join("my-plugin.wasm")).expect("the folder is ours");
    let checked = trimtab(&project, &["check", "my-plugin.wasm"]);
    assert!(said(&checked).contains("MyPlugin.example.dev"), "{}", said(&checked));
    let passed = trimtab(&project, &["test", "tests"]);
    assert!(passed.status.success(), "{}", said(&passed));
}

/// The tool chains that the plugins here are built with, in place of those that
/// an author installs: `make` and `npm` find in the project what it names.
const TOOLS: &str = r#"
set -euo pipefail
source "$PLUGINS/toolchains.sh"
built_in() { # LANGUAGE
	case $1 in
	js) # as `npm install` leaves it
		find_node
		mkdir -p node_modules/@trimtab node_modules/.bin
		ln -s "$PLUGINS/sdk/js/node_modules" sdk/node_modules
		ln -s ../../sdk node_modules/@trimtab/plugin
		ln -s ../@trimtab/plugin/src/build.js node_modules/.bin/trimtab-plugin
		chmod +x sdk/src/build.js
		PATH="$PWD/node_modules/.bin:$PATH"
		sh -c "$(node -p 'require("./package.json").scripts.test')"
		sh -c "$(node -p 'require("./package.json").scripts.build')"
		;;
	python)
		find_python
		PYTHONPATH="$PWD/sdk/src:${PYTHONPATH#*:}"
		mkdir .venv
		make test all PYTHON=python3
		;;
	go)
		find_go
		test -z "$(gofmt -l .)"
		make test all
		;;
	c)
		find_zig
		PYTHONPATH="$cache/zig/$zig_version" make test all ZIG='python3 -m ziglang' CFLAGS='-Wall -Wextra -Werror'
		;;
	esac
}
built_in "$1"
"#;

/// A project in a language, with its SDK in it: one command builds it, its own
/// test passes, and its scenario.
fn a_project_works(language: &str) {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let made = trimtab(folder.path(), &["init", "my-plugin", "--lang", language]);
    assert!(made.status.success(), "{}", said(&made));
    let project = folder.path().join("my-plugin");
    let built = Command::new("bash")
        .args(["-c", TOOLS, "tools", language])
        .env("PLUGINS", source("").canonicalize().expect("it is there"))
        .current_dir(&project)
        .output()
        .expect("there is bash");
    assert!(built.status.success(), "{}", said(&built));
    let passed = trimtab(&project, &["test", "tests"]);
    assert!(passed.status.success(), "{}", said(&passed));
}

#[test]
fn a_new_project_in_javascript_builds_and_its_tests_and_its_scenario_pass() {
    a_project_works("js");
}

#[test]
fn a_new_project_in_python_builds_and_its_tests_and_its_scenario_pass() {
    a_project_works("python");
}

#[test]
fn a_new_project_in_go_builds_and_its_tests_and_its_scenario_pass() {
    a_project_works("go");
}

#[test]
fn a_new_project_in_c_builds_and_its_tests_and_its_scenario_pass() {
    a_project_works("c");
}

#[test]
fn a_folder_that_is_not_empty_and_a_name_that_is_no_label_are_refused() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    fs::create_dir(folder.path().join("taken")).expect("the folder is ours");
    fs::write(folder.path().join("taken/notes"), "mine").expect("the folder is ours");
    for (name, told) in [("taken", "not empty"), ("My_Plugin", "DNS label"), ("../up", "DNS label"), ("2nd", "letter")]
    {
        let refused = trimtab(folder.path(), &["init", name, "--sdk", "0.1"]);
        assert_eq!(refused.status.code(), Some(1), "{name}");
        assert!(said(&refused).contains(told), "{}", said(&refused));
    }
    let refused = trimtab(folder.path(), &["init", "page", "--lang", "go", "--sdk", "0.1"]);
    assert!(said(&refused).contains("--sdk is for Rust"), "{}", said(&refused));
    let left = fs::read_dir(folder.path()).expect("it is there").count();
    assert_eq!(left, 1);
    assert_eq!(fs::read_dir(folder.path().join("taken")).expect("it is there").count(), 1);
}
