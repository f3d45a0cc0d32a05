//! What a swap costs those who edit meanwhile: a host in this process, on an API in
//! memory, so that what takes time is the host itself. Each edit is timed from when it is
//! made to when the host has sent the child that follows from it; beside it, all objects
//! are looked at again by the new build.
//!
//!     cargo bench --package trimtab-bench --bench swap
#![forbid(unsafe_code)]

use std::{
    collections::HashMap,
    fs,
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, ensure};
use http::{Method, Request};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
    client::Body,
};
use serde_json::json;
use tempfile::TempDir;
use tokio::{runtime::Runtime, time};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use trimtab_apiserver::{ApiServer, Config};
use trimtab_bench::{
    guests,
    report::{Samples, Table, figure},
    site::{self, Site},
};
use trimtab_cluster::connect;
use trimtab_core::env::Env;
use trimtab_engine::{CALLS_BYTES, Engine, Parts, Settings, folder};

/// Rounds in which each side is measured once.
const ROUNDS: usize = 6;
/// How long each side of a round is measured: a swap is over by then, all objects looked at.
const LASTS: Duration = Duration::from_secs(8);
/// A person edits one of the Sites.
const PACE: Duration = Duration::from_millis(5);
const SITES: usize = 1_000;
const WORKERS: usize = 16;
/// Cores for guests.
const RUNNING: usize = 2;
const SETTLES: Duration = Duration::from_secs(60);
const NAMESPACE: &str = "default";
/// The mark of the build that is served first, and often again.
const KNOWN: &str = "known";

/// What goes on beside the edits.
#[derive(Clone, Copy)]
enum Beside {
    Nothing,
    /// The file is replaced by what was served before, and lies compiled in the cache.
    Known,
    /// By a build that has to be compiled.
    New,
}

const SIDES: [(Beside, &str); 3] =
    [(Beside::Nothing, "no swap"), (Beside::Known, "a swap"), (Beside::New, "a swap, to what is compiled first")];

fn main() -> ExitCode {
    guests::main("swap", measure)
}

fn measure() -> anyhow::Result<()> {
    let host = tokio::runtime::Builder::new_multi_thread().worker_threads(RUNNING).enable_all().build()?;
    let (bench, _guests) = Bench::start(&host)?;
    host.block_on(bench.settle())?;
    let mut figures: [[Samples; 3]; SIDES.len()] = Default::default();
    for round in 0..ROUNDS {
        for ((beside, name), figures) in SIDES.iter().zip(&mut figures) {
            eprintln!("round {} of {ROUNDS}: {name}", round + 1);
            let swaps = bench.swaps();
            bench.replace(*beside, round)?;
            let mut took = host.block_on(bench.edit())?;
            let swapped = bench.swaps() - swaps;
            ensure!(swapped == u32::from(!matches!(beside, Beside::Nothing)), "{swapped} swaps beside {name}");
            took.sort();
            let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
            figures.iter_mut().zip([0.5, 0.99, 1.0]).for_each(|(samples, share)| samples.add(at(share)));
        }
    }
    report(&figures);
    Ok(())
}

fn report(figures: &[[Samples; 3]; SIDES.len()]) {
    let edits = LASTS.as_millis() / PACE.as_millis();
    let title = format!(
        "an edit of one of {SITES} Sites, from when it is made to when the child is sent, in ms; \
         {ROUNDS} rounds of {edits} edits: median (most) of the rounds"
    );
    let mut table = Table::new(title, &["", "median", "99th of 100", "longest"]);
    for ((_, name), samples) in SIDES.iter().zip(figures) {
        table.row(*name, samples.each_ref().map(|it| format!("{} ({})", figure(it.median()), figure(it.most()))));
    }
    table.print();
    let [quiet, swap, _] = figures.each_ref().map(|[_, tail, _]| tail.median());
    println!("  {} ms more at the 99th with a swap; no edit was lost", figure(swap - quiet));
}

/// A host, and people who edit.
struct Bench {
    sites: Api<Site>,
    edits: Arc<Edits>,
    engine: Arc<Engine>,
    module: PathBuf,
    folder: TempDir,
}

impl Bench {
    /// Starts the host on an API with the Sites in it; the runtime is the guests'.
    fn start(host: &Runtime) -> anyhow::Result<(Self, Runtime)> {
        let folder = tempfile::tempdir()?;
        let (plugins, cache) = (folder.path().join("plugins"), folder.path().join("cache"));
        fs::create_dir(&plugins)?;
        let module = plugins.join("bench.wasm");
        fs::write(&module, build(KNOWN)?)?;
        let (guests, wasm) = guests::wasm(RUNNING, WORKERS as u32, &cache)?;
        let edits = Arc::<Edits>::default();
        let server = ApiServer::new(Config::default());
        let (contents, follower) = folder::follow(&plugins);
        let (sites, engine) = host.block_on(async {
            let person = connect::service(server.clone()).client;
            let sites = fill(person).await?;
            let heard = edits.clone();
            let client = connect::service(server.map_request(move |request| {
                heard.note(&request);
                request
            }))
            .client;
            let engine = Engine::new(Parts {
                settings: settings(),
                client,
                wasm,
                folder: contents,
                env: Arc::new(Clock(Instant::now())),
                keep: None,
            });
            let running = engine.clone();
            tokio::spawn(async move { running.run(CancellationToken::new()).await.expect("it is not stopped") });
            tokio::spawn(follower.run(CancellationToken::new()));
            anyhow::Ok((sites, engine))
        })?;
        Ok((Self { sites, edits, engine, module, folder }, guests))
    }

    /// Waits until each Site has its child, and lets another build serve than the known one.
    async fn settle(&self) -> anyhow::Result<()> {
        until("all Sites have settled", || self.edits.seen() >= SITES).await?;
        let swaps = self.swaps();
        self.put("other")?;
        until("another build serves", || self.swaps() > swaps).await?;
        time::sleep(LASTS).await;
        Ok(())
    }

    fn swaps(&self) -> u32 {
        let metrics = self.engine.metrics();
        let swaps = metrics.lines().filter(|line| line.starts_with("trimtab_plugin_swaps_total"));
        swaps.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u32>().ok()).sum()
    }

    /// Puts another build in the place of the one that serves.
    fn replace(&self, beside: Beside, round: usize) -> anyhow::Result<()> {
        let mark = match beside {
            Beside::Nothing => return Ok(()),
            Beside::Known => KNOWN.to_owned(),
            Beside::New => format!("new {round}"),
        };
        self.put(&mark)
    }

    fn put(&self, mark: &str) -> anyhow::Result<()> {
        let new = self.folder.path().join("new");
        fs::write(&new, build(mark)?)?;
        Ok(fs::rename(new, &self.module)?)
    }

    /// Edits one Site after the other, and returns how long each took.
    async fn edit(&self) -> anyhow::Result<Vec<Duration>> {
        let mut pace = time::interval(PACE);
        let over = Instant::now() + LASTS;
        for number in 0.. {
            pace.tick().await;
            if Instant::now() >= over {
                break;
            }
            let name = name(number % SITES);
            let page = format!("{:0>200}", format!("{number} {over:?}"));
            self.edits.begin(&name)?;
            let edit = Patch::Merge(json!({ "spec": { "page": page } }));
            self.sites.patch(&name, &PatchParams::default(), &edit).await?;
        }
        until("all edits are served", || self.edits.all_served()).await?;
        Ok(self.edits.take())
    }
}

async fn until(what: &str, is: impl Fn() -> bool) -> anyhow::Result<()> {
    let came = async {
        while !is() {
            time::sleep(PACE).await;
        }
    };
    time::timeout(SETTLES, came).await.with_context(|| format!("it takes longer than {SETTLES:?} until {what}"))
}

fn name(number: usize) -> String {
    format!("site-{number:04}")
}

/// The plugin with a mark in it: another build, for the host.
fn build(mark: &str) -> anyhow::Result<Vec<u8>> {
    let file = site::plugin();
    let mut bytes = fs::read(&file).with_context(|| format!("{}: run plugins/build.sh first", file.display()))?;
    // A custom section: its identifier, its length, and its name with the length of that.
    bytes.extend([0, mark.len() as u8 + 1, mark.len() as u8]);
    bytes.extend(mark.as_bytes());
    Ok(bytes)
}

async fn fill(client: Client) -> anyhow::Result<Api<Site>> {
    let definition = serde_saphyr::from_str::<CustomResourceDefinition>(&fs::read_to_string(site::crd())?)?;
    Api::all(client.clone()).create(&PostParams::default(), &definition).await?;
    let sites = Api::namespaced_with(client, NAMESPACE, &site::resource());
    for number in 0..SITES {
        let site = serde_json::from_value(site::created(&name(number), &site::page(1)))?;
        sites.create(&PostParams::default(), &site).await?;
    }
    Ok(sites)
}

fn settings() -> Settings {
    Settings {
        instances: None,
        instance_key: Default::default(),
        namespaces: Vec::new(),
        installation: "trimtab".into(),
        lease_namespace: NAMESPACE.into(),
        identity: "bench".into(),
        workers: WORKERS,
        calls_bytes: CALLS_BYTES,
        dry_run: false,
    }
}

/// Time since its making.
struct Clock(Instant);

impl Env for Clock {
    fn wall(&self) -> Duration {
        SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn random(&self) -> u64 {
        self.0.elapsed().as_nanos() as u64
    }
}

/// The edits that the host has still to serve, and how long the others took.
#[derive(Default)]
struct Edits(Mutex<Told>);

#[derive(Default)]
struct Told {
    /// By the Site's name, when it was edited; none: it is served.
    sites: HashMap<String, Option<Instant>>,
    took: Vec<Duration>,
}

impl Edits {
    fn told<T>(&self, work: impl FnOnce(&mut Told) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn begin(&self, site: &str) -> anyhow::Result<()> {
        let before = self.told(|told| told.sites.insert(site.to_owned(), Some(Instant::now())));
        ensure!(before.flatten().is_none(), "an edit of {site} has not been served in {:?}", PACE * SITES as u32);
        Ok(())
    }

    /// The host sends a request: if it is for a Site's page, that Site is served.
    fn note(&self, request: &Request<Body>) {
        let name = request.uri().path().rsplit('/').next();
        let is_write = matches!(*request.method(), Method::PATCH | Method::POST);
        let Some(site) = name.and_then(|name| name.strip_suffix("-page")).filter(|_| is_write) else { return };
        self.told(|told| {
            if let Some(began) = told.sites.entry(site.to_owned()).or_default().take() {
                told.took.push(began.elapsed());
            }
        });
    }

    fn seen(&self) -> usize {
        self.told(|told| told.sites.len())
    }

    fn all_served(&self) -> bool {
        self.told(|told| told.sites.values().all(Option::is_none))
    }

    fn take(&self) -> Vec<Duration> {
        self.told(|told| std::mem::take(&mut told.took))
    }
}
