//! What benchmarks of plugins share: a program that is also the child which
//! compiles them, as the host's binary is, and a cache with nothing in it.

use std::{env, fs, io, path::Path, process::ExitCode, sync::Arc};

use anyhow::Context;
use tokio::runtime::Runtime;
use trimtab_core::object::Object;
use trimtab_wasm::{
    COMPILE_WALL, CompileCommand, CompileLimits, Config, Group, KindRef, LookUp, Lookup, Mode, Plugin, Refusal,
    Request, Serve, Wasm,
};

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

/// What runs plugins on so many cores, those of the runtime, and compiles into `cache`.
pub fn wasm(running: usize, in_flight: u32, cache: &Path) -> anyhow::Result<(Runtime, Arc<Wasm>)> {
    let guests = tokio::runtime::Builder::new_multi_thread().worker_threads(running).enable_time().build()?;
    let mode = Mode::Serve(Serve { guests: guests.handle().clone(), running, compile: compiler()? });
    let wasm = Wasm::new(Config { cache_dir: cache.to_owned(), in_flight, mode })?;
    Ok((guests, wasm))
}

/// The benchmark's plugin on such, compiled by `host`.
pub fn load(running: usize, in_flight: u32, cache: &Path, host: &Runtime) -> anyhow::Result<(Runtime, Arc<Plugin>)> {
    let (guests, wasm) = wasm(running, in_flight, cache)?;
    let file = site::plugin();
    let bytes = fs::read(&file).with_context(|| format!("{}: run plugins/build.sh first", file.display()))?;
    let plugin = host.block_on(wasm.load("bench.wasm", bytes.into()))?;
    Ok((guests, plugin))
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
