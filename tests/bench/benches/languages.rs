//! What the same plugin costs in each language: the size of its module, the time
//! to compile it in the child and to load it again, a call with a fresh instance,
//! and the memory of one instance in the middle of its call.
//!
//!     cargo bench --package trimtab-bench --bench languages
#![forbid(unsafe_code)]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{self, ExitCode},
    sync::{Arc, Barrier},
    time::{Duration, Instant},
};

use anyhow::Context;
use serde_json::json;
use tokio::runtime::Runtime;
use trimtab_bench::{
    guests::{self, Nothing},
    process::usage,
    report::{Samples, Table, figure},
    site,
};
use trimtab_core::{
    limits::{Limits, MIB},
    object::Object,
};
use trimtab_wasm::{Config, Group, KindRef, LookUp, Lookup, Mode, Plugin, Refusal, Request, Serve, Wasm};

const LANGUAGES: [(&str, &str); 5] =
    [("Rust", "page"), ("JavaScript", "page-js"), ("Python", "page-python"), ("Go", "page-go"), ("C", "page-c")];
/// Calls of which the median is told, for each size of the object.
const CALLS: usize = 300;
const SIZES_BYTES: [usize; 2] = [1_500, 64_000];
/// Instances that live at once when their memory is measured.
const INSTANCES: usize = 16;

fn main() -> ExitCode {
    guests::main("languages", measure)
}

fn measure() -> anyhow::Result<()> {
    let mut table = Table::new(
        format!("one plugin in each language; calls: medians of {CALLS}, one after the other"),
        &[
            "",
            "module kB",
            "compile s",
            "code MB",
            "load again ms",
            "call 1.5 kB µs",
            "call 64 kB µs",
            "memories MiB",
            "in RAM KiB",
        ],
    );
    for (language, name) in LANGUAGES {
        table.row(language, Figures::of(name)?.cells());
    }
    table.print();
    Ok(())
}

struct Figures {
    module_bytes: usize,
    compile: Duration,
    code_bytes: u64,
    load: Duration,
    calls: [Samples; 2],
    memory_bytes: u64,
    resident_kib: f64,
}

impl Figures {
    fn of(name: &str) -> anyhow::Result<Self> {
        let file = site::plugin().with_file_name(format!("{name}.wasm"));
        let bytes: Arc<[u8]> =
            fs::read(&file).with_context(|| format!("{}: run plugins/build.sh first", file.display()))?.into();
        let private = fs::Permissions::from_mode(0o700);
        let cache = tempfile::Builder::new().permissions(private).tempdir()?;
        let guests = Guests::start(cache.path())?;
        let (_, compile) = guests.load(&bytes)?;
        let (plugin, load) = guests.load(&bytes)?;
        let code =
            fs::read_dir(cache.path())?.map(|entry| Ok(entry?.metadata()?.len())).sum::<anyhow::Result<u64>>()?;

        let resident_kib = guests.resident_kib(&plugin)?;
        let mut memory_bytes = 0;
        let mut calls: [Samples; 2] = Default::default();
        for (samples, size) in calls.iter_mut().zip(SIZES_BYTES) {
            for _ in 0..CALLS {
                let began = Instant::now();
                let reconciled = plugin.reconcile(request(size, false), Arc::new(Nothing), &Limits::DEFAULT);
                let called = guests.host.block_on(reconciled);
                samples.add(began.elapsed().as_secs_f64() * 1e6);
                called.outcome?;
                memory_bytes = called.cost.memory_peak_bytes.max(memory_bytes);
            }
        }
        Ok(Self { module_bytes: bytes.len(), compile, code_bytes: code, load, calls, memory_bytes, resident_kib })
    }

    fn cells(&self) -> [String; 8] {
        [
            self.module_bytes as f64 / 1e3,
            self.compile.as_secs_f64(),
            self.code_bytes as f64 / 1e6,
            self.load.as_secs_f64() * 1e3,
            self.calls[0].median(),
            self.calls[1].median(),
            self.memory_bytes as f64 / MIB as f64,
            self.resident_kib,
        ]
        .map(figure)
    }
}

/// A host for plugins, with a thread for each instance that lives at once.
struct Guests {
    guests: Runtime,
    host: Runtime,
    wasm: Arc<Wasm>,
}

impl Guests {
    fn start(cache: &Path) -> anyhow::Result<Self> {
        let guests = tokio::runtime::Builder::new_multi_thread().worker_threads(INSTANCES).enable_time().build()?;
        let host = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let compile = guests::compiler()?;
        let mode = Mode::Serve(Serve { guests: guests.handle().clone(), running: INSTANCES, compile });
        let wasm = Wasm::new(Config { cache_dir: cache.to_owned(), in_flight: INSTANCES as u32, mode })?;
        Ok(Self { guests, host, wasm })
    }

    fn load(&self, bytes: &Arc<[u8]>) -> anyhow::Result<(Arc<Plugin>, Duration)> {
        let began = Instant::now();
        let plugin = self.host.block_on(self.wasm.load("page.wasm", bytes.clone()))?;
        Ok((plugin, began.elapsed()))
    }

    /// What an instance that asks for a Secret takes of RAM. All of them wait for
    /// the answer until what they hold is read.
    fn resident_kib(&self, plugin: &Arc<Plugin>) -> anyhow::Result<f64> {
        let resident = || anyhow::Ok(usage(process::id())?.anonymous_kib);
        let before = resident()?;
        let lookup = Arc::new(Together { come: Barrier::new(INSTANCES + 1), go: Barrier::new(INSTANCES + 1) });
        let calls: Vec<_> = (0..INSTANCES)
            .map(|_| {
                let (plugin, lookup) = (plugin.clone(), lookup.clone());
                let call = async move {
                    plugin.reconcile(request(SIZES_BYTES[0], true), lookup, &Limits::DEFAULT).await.outcome.is_err()
                };
                self.guests.spawn(call)
            })
            .collect();
        lookup.come.wait();
        let during = resident()?;
        lookup.go.wait();
        for call in calls {
            anyhow::ensure!(self.host.block_on(call)?, "without its Secret a page waits");
        }
        Ok((during as f64 - before as f64) / INSTANCES as f64)
    }
}

fn request(bytes: usize, tls: bool) -> Request {
    let mut spec = json!({ "host": "anna.example.dev", "replicas": 2, "text": "x".repeat(bytes) });
    if tls {
        spec["tls"] = json!("cert");
    }
    let metadata = json!({ "name": "anna", "namespace": "default", "generation": 3 });
    let object = json!({ "apiVersion": "example.dev/v1", "kind": "Page", "metadata": metadata, "spec": spec });
    let group = |(api_version, kind): (&str, &str)| Group {
        of: KindRef { cluster: None, api_version: api_version.into(), kind: kind.into() },
        objects: Vec::new(),
    };
    Request {
        cluster: "".into(),
        instance_id: None,
        now: "2026-01-02T03:04:05Z".into(),
        config: "{}".into(),
        object: object.to_string().into(),
        children: [("v1", "ConfigMap"), ("apps/v1", "Deployment"), ("v1", "Service")].map(group).into(),
        finalizing: false,
        extra: "{}".into(),
    }
}

/// Nothing is found, once all have come to ask and are let go.
struct Together {
    come: Barrier,
    go: Barrier,
}

impl Lookup for Together {
    fn find(&self, _: &LookUp) -> Result<Vec<Arc<Object>>, Refusal> {
        self.come.wait();
        self.go.wait();
        Ok(Vec::new())
    }
}
