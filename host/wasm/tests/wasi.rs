//! WASI is there, and nothing is behind it. The guest is written by hand: what
//! compilers make of WASI is tried with each language's own plugins.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

mod common;

use common::Guests;
use trimtab_core::limits::Limits;
use trimtab_wasm::{CallError, Level};
use wit_component::{StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{ManglingAndAbi, Resolve, WorldId};

const CONTRACT: &str = include_str!("../../../wit/next/plugin.wit");

/// The parts of WASI that compilers import, cut down to what is used here.
const WASI: &str = "
package wasi:io@0.2.0 {
    interface poll { resource pollable; poll: func(in: list<borrow<pollable>>) -> list<u32>; }
    interface error { resource error; }
    interface streams {
        use error.{error};
        variant stream-error { last-operation-failed(error), closed }
        resource output-stream { blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>; }
    }
}
package wasi:cli@0.2.0 {
    interface environment {
        get-environment: func() -> list<tuple<string, string>>;
        get-arguments: func() -> list<string>;
    }
    interface exit { exit: func(status: result); }
    interface stderr { use wasi:io/streams@0.2.0.{output-stream}; get-stderr: func() -> output-stream; }
}
package wasi:clocks@0.2.0 {
    interface wall-clock { record datetime { seconds: u64, nanoseconds: u32 } now: func() -> datetime; }
    interface monotonic-clock { now: func() -> u64; }
}
package wasi:random@0.2.0 { interface random { get-random-bytes: func(len: u64) -> list<u8>; } }
package wasi:filesystem@0.2.0 {
    interface types { resource descriptor; }
    interface preopens { use types.{descriptor}; get-directories: func() -> list<tuple<descriptor, string>>; }
}
package wasi:sockets@0.2.0 {
    interface network { resource network; }
    interface instance-network { use network.{network}; instance-network: func() -> network; }
}
";

const IMPORTS: &str = "
    import wasi:cli/environment@0.2.0; import wasi:cli/exit@0.2.0; import wasi:cli/stderr@0.2.0;
    import wasi:clocks/wall-clock@0.2.0; import wasi:clocks/monotonic-clock@0.2.0; import wasi:random/random@0.2.0;
    import wasi:filesystem/preopens@0.2.0; import wasi:sockets/instance-network@0.2.0; import wasi:io/poll@0.2.0;
";

/// A plugin that writes its first argument to stderr, in two pieces and with no
/// line end, and traps. Where it finds a variable or a folder it never ends.
const GUEST: &str = r#"
(module
  (import "cm32p2|wasi:cli/environment@0.2" "get-arguments" (func $arguments (param i32)))
  (import "cm32p2|wasi:cli/environment@0.2" "get-environment" (func $environment (param i32)))
  (import "cm32p2|wasi:filesystem/preopens@0.2" "get-directories" (func $directories (param i32)))
  (import "cm32p2|wasi:cli/stderr@0.2" "get-stderr" (func $stderr (result i32)))
  (import "cm32p2|wasi:io/streams@0.2" "[method]output-stream.blocking-write-and-flush"
    (func $write (param i32 i32 i32 i32)))
  (memory (export "cm32p2_memory") 1)
  (global $free (mut i32) (i32.const 1024))
  (func (export "cm32p2_realloc") (param i32 i32 i32 i32) (result i32)
    (global.get $free)
    (global.set $free (i32.and (i32.add (i32.add (global.get $free) (local.get 3)) (i32.const 7)) (i32.const -8))))
  (func (export "cm32p2|trimtab:plugin/controller@0.1|describe") (param i32 i32) (result i32)
    (local $list i32) (local $stream i32)
    (call $environment (i32.const 0))
    (if (i32.load (i32.const 4)) (then (loop (br 0))))
    (call $directories (i32.const 0))
    (if (i32.load (i32.const 4)) (then (loop (br 0))))
    (call $arguments (i32.const 0))
    (local.set $list (i32.load (i32.const 0)))
    (local.set $stream (call $stderr))
    (call $write (local.get $stream) (i32.load (local.get $list)) (i32.const 2) (i32.const 16))
    (call $write (local.get $stream) (i32.add (i32.load (local.get $list)) (i32.const 2))
      (i32.sub (i32.load offset=4 (local.get $list)) (i32.const 2)) (i32.const 16))
    unreachable)
  (func (export "cm32p2|trimtab:plugin/controller@0.1|reconcile")
    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
    unreachable))
"#;

/// The contract's world with WASI imported.
fn world() -> (Resolve, WorldId) {
    let contract = CONTRACT.replace("import host;", &format!("import host; {IMPORTS}"));
    let mut resolve = Resolve::default();
    let package = resolve.push_str("plugin.wit", &format!("{contract}{WASI}")).unwrap();
    let world = resolve.select_world(&[package], Some("plugin")).unwrap();
    (resolve, world)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_part_of_wasi_links() {
    let (resolve, world) = world();
    let mut module = dummy_module(&resolve, world, ManglingAndAbi::Standard32);
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    let guests = Guests::new(1);
    let plugin = guests.load("site.wasm", module.into()).await.unwrap();
    for import in ["wasi:cli/environment", "wasi:filesystem/preopens", "wasi:sockets/instance-network"] {
        assert!(plugin.imports().iter().any(|name| name.starts_with(import)), "{import}: {:?}", plugin.imports());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_argument_is_the_name_and_stderr_is_told_with_a_trap() {
    let (resolve, world) = world();
    let mut module = wat::parse_str(GUEST).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    let guests = Guests::new(1);
    let plugin = guests.load("canary/site@v2.wasm", module.into()).await.unwrap();
    let called = plugin.describe("{}".into(), &Limits::DEFAULT).await;
    let line = called.log.lines().next().expect("it wrote to stderr");
    assert_eq!((line.level, line.text.as_str()), (Level::Warn, "site@v2"));
    let message = "wasm trap: wasm `unreachable` instruction executed".to_owned();
    let error = CallError::Trap { message, log_tail: "site@v2".to_owned() };
    assert_eq!(called.outcome, Err(error));
}
