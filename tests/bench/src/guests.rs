//! What benchmarks of plugins share: a program that is also the child which
//! compiles them, as the host's binary is, and a cache with nothing in it.

use std::{env, io, path::Path, process::ExitCode, sync::Arc};

use trimtab_core::object::Object;
use trimtab_wasm::{COMPILE_WALL, CompileCommand, CompileLimits, Group, KindRef, LookUp, Lookup, Refusal, Request};

use crate::site;

const COMPILE: &str = "compile";

/// The `main` of the benchmark `name`: measures, or compiles where it was started
/// by [`compiler`].
pub fn main(name: &str, measure: fn() -> anyhow::Result<()>) -> ExitCode {
    if let [_, command, input, output] = env::args().collect::<Vec<_>>().as_slice()
        && command == COMPILE
    {
        return trimtab_wasm::compile(Path::new(input), Path::new(output), CompileLimits::default());
    }
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// This program, as the child that compiles. The error is that it is not known
/// where it lies.
pub fn compiler() -> io::Result<CompileCommand> {
    Ok(CompileCommand { program: env::current_exe()?, args: vec![COMPILE.into()], wall: COMPILE_WALL })
}

/// A call for a Site of 1.5 kB with its two children.
pub fn request() -> Request {
    let (name, page) = ("site-0000", site::page(1));
    let files = site::files(name, 1, &page);
    let objects = files.iter().map(|(name, data)| site::live_child(name, data).to_string().into()).collect();
    let of = KindRef { cluster: None, api_version: "v1".into(), kind: "ConfigMap".into() };
    Request {
        cluster: "".into(),
        instance_id: None,
        now: "2026-01-02T03:04:05Z".into(),
        config: "{}".into(),
        object: site::live(name, &page).to_string().into(),
        children: vec![Group { of, objects }],
        finalizing: false,
        extra: "{}".into(),
    }
}

/// A synced cache in which nothing is found.
pub struct Nothing;

impl Lookup for Nothing {
    fn find(&self, _: &LookUp) -> Result<Vec<Arc<Object>>, Refusal> {
        Ok(Vec::new())
    }
}
