//! What is dropped, and what becomes of it: served from a cache, or refused
//! with the file, what was found and what is expected.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

mod common;

use std::{fs, os::unix::fs::PermissionsExt, sync::Arc, time::Duration};

use common::{Absent, Guests, compiler, fixture, misbehave};
use trimtab_core::limits::Limits;
use trimtab_wasm::{COMPILE_WALL, CompileCommand, CompileError, LoadCause};
use wit_component::{StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{ManglingAndAbi, Resolve};

/// The only file of compiled code in the cache.
fn compiled(guests: &Guests) -> std::path::PathBuf {
    let mut files = fs::read_dir(&guests.cache).unwrap().map(|entry| entry.unwrap().path());
    let file = files.next().expect("one file");
    assert_eq!(files.next(), None, "nothing else is left in the cache");
    file
}

async fn refused(file: &str, bytes: &[u8]) -> String {
    let guests = Guests::new(1);
    let error = guests.load(file, bytes.into()).await.expect_err("it is refused");
    assert_eq!(fs::read_dir(&guests.cache).unwrap().count(), 0, "a refused file leaves nothing behind");
    error.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_core_module_with_its_component_type_is_served() {
    let guests = Guests::new(1);
    let plugin = guests.plugin("raw").await;
    assert_eq!(plugin.name(), "raw");
    assert_eq!(plugin.imports(), ["trimtab:plugin/types@0.1.0", "trimtab:plugin/host@0.1.0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_is_served_as_it_is() {
    let module = fixture("raw");
    let encoder = wit_component::ComponentEncoder::default().module(&module).unwrap();
    let component = { encoder }.encode().unwrap();
    let guests = Guests::new(1);
    let plugin = guests.load("raw.wasm", component.into()).await.unwrap();
    plugin.describe("{}".into(), &Limits::DEFAULT).await.outcome.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_file_is_refused() {
    assert_eq!(
        refused("site.wasm", b"this is no plugin at all").await,
        "site.wasm: this is not WebAssembly: it begins with \"this is no plugi\"; expected a component that \
         exports trimtab:plugin/controller@0.1.0, or the core module of one"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_cut_short_anywhere_is_refused() {
    let module = fixture("raw");
    for part in [8, 100, module.len() / 2, module.len() - 1] {
        let message = refused("site.wasm", &module[..part]).await;
        assert!(message.starts_with("site.wasm: this "), "{part}: {message}");
    }
    let message = refused("site.wasm", &module[..module.len() / 2]).await;
    assert!(message.contains("damaged or cut short"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_of_another_world_is_refused() {
    assert_eq!(
        refused("greeter.wasm", &fixture("other-world")).await,
        "greeter.wasm: this is no plugin: it exports greet; expected trimtab:plugin/controller@0.1.0"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_for_another_version_of_the_contract_is_refused() {
    assert_eq!(
        refused("site.wasm", &fixture("wrong-version")).await,
        "site.wasm: this is a plugin for another version of the contract: it exports \
         trimtab:plugin/controller@0.9.0; expected trimtab:plugin/controller@0.1.0"
    );
}

const CONTRACT: &str = include_str!("../../../wit/next/plugin.wit");

/// A module for the world `plugin` of a WIT text, which does nothing but trap.
fn module_for(wit: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("plugin.wit", wit).unwrap();
    let world = resolve.select_world(&[package], Some("plugin")).unwrap();
    let mut module = dummy_module(&resolve, world, ManglingAndAbi::Standard32);
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    module
}

/// Loads a file that compiles, and gives the reason for which it is refused.
async fn refused_after_compiling(bytes: Vec<u8>) -> String {
    let guests = Guests::new(1);
    guests.load("site.wasm", bytes.into()).await.expect_err("it is refused").to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_of_another_type_is_refused_at_load() {
    let wit = CONTRACT.replace("requeue-after-ms: option<u32>", "requeue-after-ms: option<u64>");
    let message = refused_after_compiling(module_for(&wit)).await;
    let expected = "site.wasm: reconcile of its trimtab:plugin/controller@0.1.0 has other types than the contract";
    assert!(message.starts_with(expected), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_function_is_refused_at_load() {
    let wit = CONTRACT.replace("describe: func(config: json) -> result<json, string>;", "");
    let message = refused_after_compiling(module_for(&wit)).await;
    assert_eq!(message, "site.wasm: its trimtab:plugin/controller@0.1.0 has no function describe");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_the_host_does_not_have_is_refused_and_named() {
    let wit = CONTRACT.replace("import host;", "import host; import missing: func();");
    let message = refused_after_compiling(module_for(&wit)).await;
    assert!(message.contains("imports what this host does not have") && message.contains("missing"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_release_of_the_contract_is_served() {
    let wit = CONTRACT.replace("package trimtab:plugin@0.1.0", "package trimtab:plugin@0.1.1");
    assert_ne!(wit, CONTRACT);
    Guests::new(1).load("site.wasm", module_for(&wit).into()).await.unwrap();
}

/// A component of so many instances of one core module.
fn instances(count: usize, module: &str) -> Vec<u8> {
    let instances = "(core instance (instantiate $module))".repeat(count);
    let export = r#"(instance $none) (export "trimtab:plugin/controller@0.1.0" (instance $none))"#;
    wat::parse_str(format!("(component (core module $module {module}) {instances} {export})")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_is_larger_than_its_place_in_the_pool_is_refused() {
    for (count, module, cause) in [
        (33, "", "core module instances"),
        (5, "(memory 1)", "memories"),
        (9, "(table 1 funcref)", "tables"),
        (1, "(memory 4097)", "memory"),
        (1, "(table 100001 funcref)", "table"),
    ] {
        let message = refused_after_compiling(instances(count, module)).await;
        assert!(message.contains(cause) && !message.contains("no function"), "{count} × {module:?}: {message}");
    }
    // One less of each fits, and fails only for what it does not export.
    for (count, module) in [(32, ""), (4, "(memory 1)"), (8, "(table 1 funcref)"), (1, "(memory 4096)")] {
        let message = refused_after_compiling(instances(count, module)).await;
        assert!(message.ends_with("has no function describe"), "{count} × {module:?}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_that_says_nothing_of_its_component_is_refused() {
    let message = refused("site.wasm", b"\0asm\x01\0\0\0").await;
    assert!(message.contains("neither a component-type section"), "{message}");
}

/// A core module without a component type that exports one name.
fn exporting(name: &str) -> Vec<u8> {
    wat::parse_str(format!(r#"(module (func (export "{name}")))"#)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_that_names_another_draft_of_the_contract_is_refused_and_told_both() {
    let message = refused("site.wasm", &exporting("trimtab-draft-0123456789abcdef")).await;
    assert!(message.contains("it exports trimtab-draft-0123456789abcdef; expected trimtab-draft-"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_that_names_the_draft_and_lacks_the_functions_is_refused() {
    let told = refused("site.wasm", &exporting("other")).await;
    let at = told.find("trimtab-draft-").unwrap();
    let message = refused("site.wasm", &exporting(&told[at..at + 30])).await;
    assert!(message.contains("cannot be made a component") && message.contains("describe"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compilation_that_hangs_is_killed() {
    let wall = Duration::from_millis(300);
    let args = ["-c", "exec sleep 600"].map(Into::into).to_vec();
    let guests = Guests::with_compiler(1, CompileCommand { program: "/bin/sh".into(), args, wall });
    let error = guests.load("site.wasm", fixture("raw")).await.expect_err("it hangs");
    assert_eq!(error.to_string(), "site.wasm: compiling it took more than 0.3 s and was stopped");
    assert_eq!(fs::read_dir(&guests.cache).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compilation_that_eats_memory_ends_and_the_host_goes_on() {
    let guests = Guests::with_compiler(1, compiler(&["8"]));
    let error = guests.load("site.wasm", fixture("misbehave")).await.expect_err("8 MiB do not suffice");
    assert!(matches!(error.cause, LoadCause::Compile(CompileError::Died { .. })), "{error}");
    assert!(error.to_string().contains("memory"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compiler_that_cannot_be_run_is_named() {
    let command = CompileCommand { program: "/nowhere/trimtab".into(), args: vec![], wall: COMPILE_WALL };
    let guests = Guests::with_compiler(1, command);
    let error = guests.load("site.wasm", fixture("raw")).await.expect_err("there is none");
    assert!(error.to_string().starts_with("site.wasm: its compiler /nowhere/trimtab cannot be run"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_compiler_leaves_that_is_no_code_is_refused() {
    let args = ["-c", "echo nonsense > \"$1\""].map(Into::into).to_vec();
    let guests = Guests::with_compiler(1, CompileCommand { program: "/bin/sh".into(), args, wall: COMPILE_WALL });
    let error = guests.load("site.wasm", fixture("raw")).await.expect_err("that is no code");
    assert!(matches!(error.cause, LoadCause::Mismatch(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_load_of_a_file_compiles_nothing() {
    let guests = Guests::new(1);
    guests.plugin("raw").await;
    let path = compiled(&guests);
    let made = fs::metadata(&path).unwrap().created().unwrap();
    guests.plugin("raw").await;
    assert_eq!(compiled(&guests), path);
    assert_eq!(fs::metadata(&path).unwrap().created().unwrap(), made);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_byte_in_the_cache_is_noticed_and_the_code_made_anew() {
    let guests = Guests::new(1);
    guests.plugin("misbehave").await;
    let path = compiled(&guests);
    let sound = fs::read(&path).unwrap();
    let mut broken = sound.clone();
    let at = broken.len() / 2;
    broken[at] ^= 1;
    fs::write(&path, &broken).unwrap();
    let plugin = guests.plugin("misbehave").await;
    assert_eq!(fs::read(compiled(&guests)).unwrap(), sound);
    plugin.reconcile(misbehave(""), Arc::new(Absent), &Limits::DEFAULT).await.outcome.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn code_in_the_cache_that_was_compiled_for_another_engine_is_made_anew() {
    let guests = Guests::new(1);
    guests.plugin("raw").await;
    let kept = compiled(&guests);
    let key = kept.file_name().unwrap().to_str().unwrap().split('-').next().unwrap().to_owned();
    fs::remove_file(&kept).unwrap();
    // What a simulation compiles counts its instructions, which a serving engine does not take.
    Guests::simulated_in(&guests.cache).plugin("raw").await;
    let other = compiled(&guests);
    let sum = other.file_name().unwrap().to_str().unwrap().split_once('-').unwrap().1.to_owned();
    fs::rename(&other, guests.cache.join(format!("{key}-{sum}"))).unwrap();

    guests.plugin("raw").await;
    assert_eq!(compiled(&guests), kept, "it takes the other's place");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_whose_code_is_evicted_goes_on_serving() {
    let guests = Guests::new(1);
    let plugin = guests.plugin("misbehave").await;
    fs::remove_file(compiled(&guests)).unwrap();
    plugin.reconcile(misbehave(""), Arc::new(Absent), &Limits::DEFAULT).await.outcome.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn compiled_code_is_for_this_user_alone() {
    let guests = Guests::new(1);
    guests.plugin("raw").await;
    assert_eq!(fs::metadata(compiled(&guests)).unwrap().permissions().mode() & 0o777, 0o600);
}
