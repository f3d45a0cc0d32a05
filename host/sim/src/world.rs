//! A world: an API in memory, a plugins folder, and host processes that come
//! and go, all under one clock and from one seed.

mod happenings;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use trimtab_apiserver::{ApiServer, Config};
use trimtab_cluster::connect;
use trimtab_core::{id::InstanceId, instance::InstanceKey};
use trimtab_engine::{CALLS_BYTES, Engine, Keep, Parts, Settings, ShadowReport, SlotView, folder::Folder};
use trimtab_wasm::Wasm;

use crate::{
    api::{Api, Refused},
    clock::Clock,
    env::SimEnv,
    fault::{Fault, What},
    log::{Entry, Log},
    refusal::Refusal,
    wire::{Happening, Traffic, Wire},
    workloads::{self, Workloads},
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
/// Where the plugins folder lies, for those who keep what is good of it.
const PLUGINS: &str = "/plugins";
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
    /// A host wrote what it must not, see [`crate::oracle`].
    #[error("{0}")]
    Rule(String),
    /// What was to happen to the API was refused.
    #[error("{0}")]
    Refused(#[from] Refused),
}

/// A world. Dropped, all its processes are gone.
pub struct World {
    /// The API, as a person sees it.
    pub api: Api,
    clock: Clock,
    seed: u64,
    traffic: Arc<Traffic>,
    happenings: mpsc::UnboundedReceiver<Happening>,
    wasm: Arc<Wasm>,
    keep: Option<PathBuf>,
    hosts: Vec<Host>,
    workloads: Option<Played>,
    started: u32,
    /// When processes are to be started for those that died, and what they serve.
    restarts: VecDeque<(Instant, Instances)>,
    /// Of each process, also of those to come.
    envs: BTreeMap<u32, Arc<SimEnv>>,
}

/// Workloads that are simulated.
struct Played {
    last_write: watch::Receiver<Option<Instant>>,
    task: JoinHandle<()>,
}

impl Drop for Played {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The instances that a process serves; none: all that the folder has.
type Instances = Option<BTreeSet<InstanceId>>;

/// One host process.
struct Host {
    process: u32,
    instances: Instances,
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
    /// inside of [`crate::simulate`], in which these faults are going to
    /// happen. `wasm` must be in its mode for simulations.
    pub fn new(seed: u64, faults: impl IntoIterator<Item = Fault>, wasm: Arc<Wasm>) -> Self {
        let clock = Clock::start();
        let config = Config { now: Arc::new(move || clock.timestamp()), seed, ..Config::default() };
        let server = ApiServer::new(config);
        let (traffic, happenings) = Traffic::new(server.clone(), clock, faults);
        Self {
            api: Api::new(server),
            clock,
            seed,
            traffic,
            happenings,
            wasm,
            keep: None,
            hosts: Vec::new(),
            workloads: None,
            started: 0,
            restarts: VecDeque::new(),
            envs: BTreeMap::new(),
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

    /// Lets more go wrong from now on.
    pub fn disturb(&self, faults: impl IntoIterator<Item = Fault>) {
        self.traffic.pending.add(faults);
    }

    /// From now on nothing more goes wrong than what is already under way.
    pub fn disturb_no_more(&self) {
        self.traffic.pending.clear();
    }

    /// What has gone wrong so far, and when.
    pub fn disturbances(&self) -> Vec<(Duration, What)> {
        self.traffic.pending.met()
    }

    /// How many events the hosts' watches have shown so far, by the plural names
    /// of what they were about.
    pub fn events(&self) -> BTreeMap<String, usize> {
        self.traffic.pending.events()
    }

    /// Puts files into the plugins folder, in place of what was there.
    pub fn put_folder(&self, folder: Folder) {
        self.traffic.folder.set(Arc::new(folder));
    }

    /// Hosts that start from now on keep what is good in this folder, and find there what
    /// the last one has kept.
    pub fn keep_in(&mut self, dir: &Path) {
        self.keep = Some(dir.to_owned());
    }

    /// Has a slot of the oldest host rolled back by hand, and says what came of it.
    pub async fn roll_back(&self, slot: &str) -> Result<String, String> {
        let oldest = self.hosts.first().ok_or("no host runs")?;
        oldest.engine.roll_back(slot).await
    }

    /// What each running host says of its slots.
    pub fn slots(&self) -> Vec<Arc<Vec<SlotView>>> {
        self.hosts.iter().map(|host| host.engine.slots()).collect()
    }

    /// What each host says of what shadows in a slot; nothing of those that know of none.
    pub fn shadows(&self, slot: &str) -> Vec<ShadowReport> {
        self.hosts.iter().filter_map(|host| host.engine.shadow(slot, None).ok()).collect()
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

    /// From now on workloads get pods. What the cluster does for itself is not
    /// on the wires: no fault meets it, and the log does not tell it.
    pub fn start_workloads(&mut self) {
        let clock = self.clock;
        let settings = workloads::Settings::new(Arc::new(move || clock.timestamp()));
        let client = connect::service(self.traffic.api.clone()).client;
        let workloads = Workloads::new(client, settings);
        let last_write = workloads.last_write();
        let task = tokio::spawn(workloads.run(CancellationToken::new()));
        self.workloads = Some(Played { last_write, task });
    }

    /// The age of the world when its workloads last changed something.
    pub fn workloads_wrote(&self) -> Option<Duration> {
        let last = *self.workloads.as_ref()?.last_write.borrow();
        Some(last?.duration_since(self.clock.instant(Duration::ZERO)))
    }

    /// Starts one more host process.
    pub fn start_host(&mut self) {
        self.start_host_of(None);
    }

    /// Starts one that serves these instances alone; none: all that the folder has.
    pub fn start_host_of(&mut self, instances: Option<BTreeSet<InstanceId>>) {
        self.start(instances, self.traffic.folder.subscribe());
    }

    /// Starts one of another deployment, whose folder holds these files from now on. Where
    /// it dies, one with the world's folder is started for it.
    pub fn start_host_with(&mut self, folder: Folder) {
        self.start(None, watch::Sender::new(Arc::new(folder)).subscribe());
    }

    fn start(&mut self, instances: Instances, folder: watch::Receiver<Arc<Folder>>) {
        self.started += 1;
        let process = self.started;
        let wire = Wire::new(self.traffic.clone(), process, self.seed);
        let engine = Engine::new(Parts {
            settings: Settings { instances: instances.clone(), ..settings(process) },
            client: connect::service(wire).client,
            wasm: self.wasm.clone(),
            folder,
            env: self.env(process).clone(),
            keep: self.keep.clone().map(|dir| Keep::open(&dir, Path::new(PLUGINS)).expect("the keep folder is ours")),
        });
        let stop = CancellationToken::new();
        let (running, stopping) = (engine.clone(), stop.clone());
        let task = tokio::spawn(async move {
            match running.run(stopping).await {
                Ok(()) => "it was stopped".to_owned(),
                Err(ended) => ended.to_string(),
            }
        });
        self.hosts.push(Host { process, instances, engine, stop, task });
    }

    /// Stops the oldest host, if there is one, as SIGTERM does, and waits until
    /// it has ended. What it served is returned.
    pub async fn stop_host(&mut self) -> Option<BTreeSet<InstanceId>> {
        if self.hosts.is_empty() {
            return None;
        }
        let mut host = self.hosts.remove(0);
        host.stop.cancel();
        // Its own end is all there is to know.
        let _ = (&mut host.task).await;
        host.instances.take()
    }

    /// Lets time pass. A host that is made to die is dead at once, and another
    /// one is started for it.
    pub async fn pass(&mut self, time: Duration) -> Result<(), Broken> {
        let until = Instant::now() + time;
        loop {
            let restart = self.restarts.front().map(|(at, _)| *at);
            let fault = self.traffic.pending.next_at().map(|at| self.clock.instant(at));
            let next = [restart, fault].into_iter().flatten().fold(until, Instant::min);
            tokio::select! {
                biased;
                Some(happening) = self.happenings.recv() => self.happen(happening).await?,
                () = sleep_until(next) => {}
            }
            self.traffic.tick();
            if let Some((_, instances)) = self.restarts.pop_front_if(|(at, _)| *at <= Instant::now()) {
                self.start_host_of(instances);
            }
            if Instant::now() >= until {
                return self.check().await;
            }
        }
    }

    /// No host ends unless it is stopped, and none breaks a rule.
    async fn check(&mut self) -> Result<(), Broken> {
        if let Some(why) = self.traffic.audit.broken() {
            return Err(Broken::Rule(why));
        }
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

    fn env(&mut self, process: u32) -> &Arc<SimEnv> {
        let (clock, seed) = (self.clock, self.seed);
        self.envs.entry(process).or_insert_with(|| Arc::new(SimEnv::new(clock, seed, process)))
    }
}

fn settings(process: u32) -> Settings {
    Settings {
        instances: None,
        instance_key: InstanceKey::default(),
        namespaces: Vec::new(),
        installation: "trimtab".into(),
        lease_namespace: "default".into(),
        identity: format!("host-{process}"),
        workers: WORKERS,
        calls_bytes: CALLS_BYTES,
        dry_run: false,
    }
}
