//! What a webhook costs: the same controller as a hook of Metacontroller's kind,
//! which the bridge calls over HTTP on this machine, and as a plugin. Calls alone:
//! what is watched and written is the same for both.
//!
//!     cargo bench --package trimtab-bench --bench hooks
#![forbid(unsafe_code)]

use std::{
    collections::BTreeSet,
    env, fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    sync::Arc,
    time::Instant,
};

use anyhow::{Context, ensure};
use axum::{Json, Router, routing::post};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use trimtab_bench::{
    guests::{self, Nothing},
    process::own_cpu,
    report::{Table, figure},
    site,
};
use trimtab_core::{limits::Limits, origin::Origin};
use trimtab_wasm::{Config, Group, KindRef, Mode, Plugin, Request, Response, Serve, Wasm};

/// Syncs of each kind, after those that warm up.
const SYNCS: usize = 5_000;
const WARM_UP: usize = 200;
/// Half of a host's workers, as many as may wait for a hook at once.
const IN_FLIGHT: usize = 8;

/// The argument by which this program is the hook.
const HOOK: &str = "hook";

fn main() -> ExitCode {
    if env::args().nth(1).as_deref() == Some(HOOK) {
        return hook();
    }
    guests::main("hooks", measure)
}

fn measure() -> anyhow::Result<()> {
    let private = fs::Permissions::from_mode(0o700);
    let cache = tempfile::Builder::new().permissions(private).tempdir()?;
    let host = Host::start(cache.path())?;
    let hook = Hook::start()?;
    let origin = Origin::parse(&format!("http://{}", hook.address)).context("an address is an origin")?;
    let bridge = host.plugin("bridge")?.with_http(&BTreeSet::from([origin]))?;
    let plugin = host.plugin("bench")?;
    let config = config(hook.address).to_string();
    let (by_hook, by_plugin) = (host.answer(&bridge, &config)?, host.answer(&plugin, "{}")?);
    ensure!(by_hook == by_plugin, "the hook answers {by_hook:?} and the plugin {by_plugin:?}");

    let title = format!("{SYNCS} syncs of a Site of {} bytes with two children", site::SITE_BYTES);
    let at_once = format!("syncs/s, {IN_FLIGHT} at once");
    let mut table = Table::new(title, &["", "µs, one by one", &at_once, "CPU µs per sync", "of it the guest's"]);
    for (name, plugin, config) in
        [("a webhook through the bridge", &bridge, config.as_str()), ("a plugin", &plugin, "{}")]
    {
        table.row(name, host.figures(plugin, config)?.map(figure));
    }
    table.print();
    println!("  CPU is the host's, of the kernel for it included, without the hook's own");
    Ok(())
}

/// What the guests of a host run on.
struct Host {
    guests: Runtime,
    wasm: Arc<Wasm>,
}

impl Host {
    fn start(cache: &Path) -> anyhow::Result<Self> {
        let guests = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let running = std::thread::available_parallelism()?.get();
        let mode = Mode::Serve(Serve { guests: guests.handle().clone(), running, compile: guests::compiler()? });
        let wasm = Wasm::new(Config { cache_dir: cache.to_owned(), in_flight: 2 * IN_FLIGHT as u32, mode })?;
        Ok(Self { guests, wasm })
    }

    fn plugin(&self, name: &str) -> anyhow::Result<Arc<Plugin>> {
        let file = site::plugin().with_file_name(format!("{name}.wasm"));
        let bytes = fs::read(&file).with_context(|| format!("{}: run plugins/build.sh first", file.display()))?;
        Ok(self.guests.block_on(self.wasm.load(&format!("{name}.wasm"), bytes.into()))?)
    }

    /// What comes of a sync: children and status.
    fn answer(&self, plugin: &Arc<Plugin>, config: &str) -> anyhow::Result<(Vec<Value>, Value)> {
        let called = self.guests.block_on(sync(plugin, config));
        let Response { children, status, .. } = called?.0;
        let children = children.iter().map(|child| serde_json::from_str(child)).collect::<Result<_, _>>()?;
        Ok((children, serde_json::from_str(status.as_deref().unwrap_or("null"))?))
    }

    /// Microseconds of a sync alone, syncs in a second, and what one takes of a core.
    fn figures(&self, plugin: &Arc<Plugin>, config: &str) -> anyhow::Result<[f64; 4]> {
        self.syncs(plugin, config, WARM_UP, IN_FLIGHT)?;
        let began = Instant::now();
        self.syncs(plugin, config, SYNCS / 10, 1)?;
        let alone_us = began.elapsed().as_secs_f64() * 1e6 / (SYNCS / 10) as f64;
        let (began, cpu) = (Instant::now(), own_cpu());
        let guest_us = self.syncs(plugin, config, SYNCS, IN_FLIGHT)?;
        let cpu_us = (own_cpu() - cpu).as_secs_f64() * 1e6 / SYNCS as f64;
        Ok([alone_us, SYNCS as f64 / began.elapsed().as_secs_f64(), cpu_us, guest_us])
    }

    /// So many syncs, some at once; returns the mean CPU microseconds of the guest.
    fn syncs(&self, plugin: &Arc<Plugin>, config: &str, count: usize, at_once: usize) -> anyhow::Result<f64> {
        let calls = stream::iter(0..count).map(|_| sync(plugin, config)).buffer_unordered(at_once);
        let cpu = self.guests.block_on(calls.map_ok(|(_, cpu)| cpu).try_fold(0.0, async |sum, cpu| Ok(sum + cpu)))?;
        Ok(cpu / count as f64)
    }
}

async fn sync(plugin: &Arc<Plugin>, config: &str) -> anyhow::Result<(Response, f64)> {
    let called = plugin.reconcile(request(config), Arc::new(Nothing), &Limits::DEFAULT).await;
    Ok((called.outcome?, called.cost.cpu.as_secs_f64() * 1e6))
}

fn request(config: &str) -> Request {
    let page = site::page(0);
    let children = site::files("site-0000", 1, &page);
    let of = KindRef { cluster: None, api_version: "v1".into(), kind: "ConfigMap".into() };
    Request {
        cluster: "".into(),
        instance_id: None,
        now: "2026-01-02T03:04:05Z".into(),
        config: config.into(),
        object: site::live("site-0000", &page).to_string().into(),
        children: vec![Group {
            of,
            objects: children.iter().map(|(name, data)| site::live_child(name, data).to_string().into()).collect(),
        }],
        finalizing: false,
        extra: "{}".into(),
    }
}

/// What `trimtab migrate metacontroller` makes of the controller of this hook.
fn config(hook: SocketAddr) -> Value {
    json!({
        "kinds": { "sites.bench.trimtab.dev": "Site", "configmaps": "ConfigMap" },
        "controller": {
            "apiVersion": "metacontroller.k8s.io/v1alpha1", "kind": "CompositeController",
            "metadata": { "name": "site" },
            "spec": {
                "parentResource": { "apiVersion": site::API_VERSION, "resource": "sites" },
                "childResources": [{ "apiVersion": "v1", "resource": "configmaps" }],
                "hooks": { "sync": { "webhook": { "url": format!("http://{hook}/sync") } } },
            },
        },
    })
}

/// The hook, a process of its own, so that what it uses is not counted.
struct Hook {
    process: Child,
    address: SocketAddr,
}

impl Hook {
    fn start() -> anyhow::Result<Self> {
        // It ends with its input.
        let mut process =
            Command::new(env::current_exe()?).arg(HOOK).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("it is piped")?).read_line(&mut line)?;
        Ok(Self { process, address: line.trim().parse().context("the hook says where it listens")? })
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        _ = self.process.wait();
    }
}

fn hook() -> ExitCode {
    let serve = async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        tokio::task::spawn_blocking(|| {
            _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            std::process::exit(0);
        });
        axum::serve(listener, Router::new().route("/sync", post(decide))).await
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(serve)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hook: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What the plugin `bench` decides.
async fn decide(Json(request): Json<Value>) -> Json<Value> {
    let parent = &request["parent"];
    let child = |suffix: &str, data: Value| {
        let name = format!("{}-{suffix}", parent["metadata"]["name"].as_str().unwrap_or_default());
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": data })
    };
    let generation = parent["metadata"]["generation"].to_string();
    Json(json!({
        "status": { "ready": true },
        "children": [
            child("page", json!({ "index.html": parent["spec"]["page"] })),
            child("settings", json!({ "generation": generation })),
        ],
    }))
}
