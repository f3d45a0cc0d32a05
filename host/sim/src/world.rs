//! A world: an API in memory, a plugins folder, and host processes that come
//! and go, all under one clock and from one seed.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use trimtab_apiserver::{ApiServer, Config};
use trimtab_cluster::connect;
use trimtab_core::marks;
use trimtab_engine::{Engine, Parts, Settings, SlotView, folder::Folder};
use trimtab_wasm::Wasm;

use crate::{
    api::Api,
    clock::Clock,
    env::SimEnv,
    log::{Entry, Log},
    refusal::Refusal,
    wire::{Disturbance, Traffic, Wire},
};

/// How long nothing must have been written for a world to count as settled:
/// longer than a Lease that has to be waited out, than a watch that has to end
/// before its loss is noticed, and than a late write.
pub const SETTLED: Duration = Duration::from_secs(60);
/// How long a world may take to settle: five times the longest way there, a
/// crash in the middle of a swap.
const SETTLE_MAX: Duration = Duration::from_secs(600);
/// How long it takes until a process that died is started again.
const RESTART: Duration = Duration::from_secs(2);
/// Workers of each host: enough that several objects are worked on at once.
const WORKERS: usize = 4;

/// What must not happen in any world.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// A host gave up.
    #[error("host {process} ended by itself: {why}")]
    HostEnded {
        /// Which one.
        process: u32,
        /// What it said.
        why: String,
    },
    /// It goes on writing.
    #[error("not settled after {SETTLE_MAX:?}; the last write was {0}")]
    Restless(Box<Entry>),
}

/// A world. Dropped, all its processes are gone.
pub struct World {
    /// The API, as a person sees it.
    pub api: Api,
    clock: Clock,
    seed: u64,
    traffic: Arc<Traffic>,
    deaths: mpsc::Receiver<u32>,
    folder: watch::Sender<Arc<Folder>>,
    wasm: Arc<Wasm>,
    hosts: Vec<Host>,
    started: u32,
}

/// One host process.
struct Host {
    process: u32,
    engine: Arc<Engine>,
    stop: CancellationToken,
    task: JoinHandle<String>,
}

impl Drop for Host {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl World {
    /// A world with an empty cluster, an empty plugins folder and no host yet,
    /// inside of [`crate::simulate`]. `wasm` must be in its mode for simulations.
    pub fn new(seed: u64, disturbance: Option<Disturbance>, wasm: Arc<Wasm>) -> Self {
        let clock = Clock::start();
        let config = Config { now: Arc::new(move || clock.timestamp()), seed, ..Config::default() };
        let server = ApiServer::new(config);
        let (traffic, deaths) = Traffic::new(server.clone(), clock, disturbance);
        Self {
            api: Api::new(server),
            clock,
            seed,
            traffic,
            deaths,
            folder: watch::Sender::default(),
            wasm,
            hosts: Vec::new(),
            started: 0,
        }
    }

    /// The world's clock.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// What the hosts have asked of the API so far.
    pub fn log(&self) -> &Log {
        &self.traffic.log
    }

    /// Puts files into the plugins folder, in place of what was there.
    pub fn put_folder(&self, folder: Folder) {
        self.folder.send_replace(Arc::new(folder));
    }

    /// What each running host says of its slots.
    pub fn slots(&self) -> Vec<Arc<Vec<SlotView>>> {
        self.hosts.iter().map(|host| host.engine.slots()).collect()
    }

    /// What each running host counts, as its `/metrics` show it.
    pub fn metrics(&self) -> Vec<String> {
        self.hosts.iter().map(|host| host.engine.metrics()).collect()
    }

    /// From now on some requests of all hosts are refused, instead of those
    /// that were before; none: the API has the last word on all of them again.
    pub fn refuse(&self, refusal: Option<Refusal>) {
        self.traffic.refusals.set(refusal);
    }

    /// Starts one more host process.
    pub fn start_host(&mut self) {
        self.started += 1;
        let process = self.started;
        let wire = Wire::new(self.traffic.clone(), process, self.seed);
        let engine = Engine::new(Parts {
            settings: settings(process),
            client: connect::service(wire).client,
            wasm: self.wasm.clone(),
            folder: self.folder.subscribe(),
            env: Arc::new(SimEnv::new(self.clock, self.seed, process)),
        });
        let stop = CancellationToken::new();
        let (running, stopping) = (engine.clone(), stop.clone());
        let task = tokio::spawn(async move {
            match running.run(stopping).await {
                Ok(()) => "it was stopped".to_owned(),
                Err(ended) => ended.to_string(),
            }
        });
        self.hosts.push(Host { process, engine, stop, task });
    }

    /// Stops the oldest host as SIGTERM does, and waits until it has ended.
    pub async fn stop_host(&mut self) {
        let mut host = self.hosts.remove(0);
        host.stop.cancel();
        // Its own end is all there is to know.
        let _ = (&mut host.task).await;
    }

    /// Lets time pass. A host that is made to die is dead at once, and another
    /// one is started for it.
    pub async fn pass(&mut self, time: Duration) -> Result<(), Broken> {
        let until = Instant::now() + time;
        loop {
            tokio::select! {
                biased;
                Some(process) = self.deaths.recv() => self.replace(process).await,
                () = sleep_until(until) => return self.check().await,
            }
        }
    }

    /// No host ends unless it is stopped.
    async fn check(&mut self) -> Result<(), Broken> {
        let Some(host) = self.hosts.iter_mut().find(|host| host.task.is_finished()) else { return Ok(()) };
        let why = (&mut host.task).await.unwrap_or_else(|error| error.to_string());
        Err(Broken::HostEnded { process: host.process, why })
    }

    /// Lets time pass until no host has written anything but Leases for
    /// [`SETTLED`].
    pub async fn settle(&mut self) -> Result<(), Broken> {
        let began = self.clock.elapsed();
        loop {
            let from = self.clock.elapsed();
            self.pass(SETTLED).await?;
            match self.log().writes_since(from).pop() {
                None => return Ok(()),
                Some(last) if from - began >= SETTLE_MAX => return Err(Broken::Restless(last.into())),
                Some(_) => {}
            }
        }
    }

    /// Buries a process that has died, and starts another after a while.
    async fn replace(&mut self, process: u32) {
        tracing::info!(process, "died");
        self.hosts.retain(|host| host.process != process);
        sleep(RESTART).await;
        self.start_host();
    }
}

fn settings(process: u32) -> Settings {
    Settings {
        instances: None,
        instance_label: marks::INSTANCE_LABEL.into(),
        namespaces: Vec::new(),
        installation: "trimtab".into(),
        lease_namespace: "default".into(),
        identity: format!("host-{process}"),
        workers: WORKERS,
        dry_run: false,
    }
}
