//! The least program that compiles plugins for a host: what `trimtab compile`
//! does, and what the tests of this crate start as their child.
//!
//!     compile [MEMORY_MIB] INPUT OUTPUT
#![forbid(unsafe_code)]

use std::{env, path::Path, process::ExitCode};

use trimtab_wasm::CompileLimits;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let mut limits = CompileLimits::default();
    let [rest @ .., input, output] = args.as_slice() else {
        eprintln!("usage: compile [MEMORY_MIB] INPUT OUTPUT");
        return ExitCode::FAILURE;
    };
    if let Some(mib) = rest.first().and_then(|mib| mib.parse::<u64>().ok()) {
        limits.memory_bytes = mib << 20;
    }
    trimtab_wasm::compile(Path::new(input), Path::new(output), limits)
}
