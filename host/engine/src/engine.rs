//! Joins the rooms into one engine, starts its tasks in order and stops them in
//! order: no new work, what is in flight finishes, Events are flushed, and
//! only then the watches end and the Leases are released.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trimtab_cluster::{
    Client, canaries::Canaries, discovery::Discovery, events::Events, gate::Gate, lease::Sightings, reports::Reports,
    store::Store, watches::Watches,
};
use trimtab_core::{
    env::Env,
    id::{Lineage, SlotId},
};
use trimtab_wasm::Wasm;

use crate::{
    calls::{CallView, Calls},
    canarying::Canarying,
    configs::Configs,
    folder::Folder,
    holders::Holders,
    keep::Keep,
    leading::{Follow, Leading},
    memory::{Counts, Memory},
    metrics::Metrics,
    permit::RouteAndGrants,
    published::Published,
    queue::Queue,
    reporting::Reporting,
    settings::Settings,
    shadow::Shadows,
    shadowed::ShadowReport,
    slots::{Rooms, Slots},
    tasks::{TaskEnded, Tasks},
    triggers::Triggers,
    unserved::Unserved,
    view::{PluginView, SlotView},
    why::Why,
    workshop::Workshop,
};

/// What an engine is made from. The folder's contents arrive as messages, so
/// that a simulation can be the folder.
pub struct Parts {
    /// How to serve.
    pub settings: Settings,
    /// The cluster.
    pub client: Client,
    /// The plugins' engine.
    pub wasm: Arc<Wasm>,
    /// The plugins folder.
    pub folder: watch::Receiver<Arc<Folder>>,
    /// Time and chance.
    pub env: Arc<dyn Env>,
    /// What outlives this process; none: nothing does.
    pub keep: Option<Keep>,
}

/// One engine for one cluster.
pub struct Engine {
    client: Client,
    workshop: Arc<Workshop>,
    watches: Arc<Watches>,
    configs: Arc<Configs>,
    wasm: Arc<Wasm>,
    folder: watch::Receiver<Arc<Folder>>,
    keep: Option<Arc<Keep>>,
}

impl Engine {
    /// Joined, not started.
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts { settings, client, wasm, folder, env, keep } = parts;
        let settings = Arc::new(settings);
        let metrics = Metrics::new(settings.workers);
        let queue = Arc::new(Queue::new(metrics.clone()));
        let memory = Arc::new(Memory::default());
        let published = Arc::new(Published::default());
        let store = Store::new(Triggers::new(queue.clone(), memory.clone(), published.clone()));
        let discovery = Discovery::new(client.clone());
        let watches = Watches::new(client.clone(), store.clone(), discovery.kinds(), env.clone());
        let configs =
            Configs::new(client.clone(), &discovery, env.clone(), published.clone(), &settings.lease_namespace);
        let leading = Leading::new(client.clone(), env.clone(), settings.clone());
        let permit = RouteAndGrants::new(store.clone(), published.clone());
        let gate = Gate::new(client.clone(), discovery.kinds(), store.clone(), leading.clone(), permit, env.clone());
        let events = Events::new(client.clone(), leading.clone(), env.clone(), &settings.identity);
        let Settings { lease_namespace, installation, .. } = &*settings;
        let holders = Holders::new(Sightings::new(client.clone(), env.clone(), lease_namespace, installation));
        let calls = Calls::new(settings.calls_bytes);
        let workshop = Arc::new(Workshop {
            settings,
            env,
            store,
            discovery,
            queue,
            memory,
            published,
            leading,
            gate,
            events,
            metrics,
            holders,
            calls,
            shadows: Shadows::default(),
        });
        let keep = keep.map(Arc::new);
        Arc::new(Self { client, workshop, watches, configs, wasm, folder, keep })
    }

    /// Serves until `stop`, then stops in order. Give it a limit in time from outside.
    pub async fn run(&self, stop: CancellationToken) -> Result<(), TaskEnded> {
        let background = CancellationToken::new();
        let mut tasks = self.start(&background);
        let mut workers = self.start_workers();
        let ended = tokio::select! {
            biased;
            () = stop.cancelled() => Ok(()),
            ended = tasks.any_ended() => Err(ended),
            ended = workers.any_ended() => Err(ended),
        };
        let shop = &self.workshop;
        shop.queue.shutdown();
        if ended.is_ok() {
            workers.all_ended().await;
            shop.events.flush().await;
        }
        background.cancel();
        tasks.all_ended().await;
        ended
    }

    fn start(&self, stop: &CancellationToken) -> Tasks {
        let shop = &self.workshop;
        let rooms = Rooms {
            settings: shop.settings.clone(),
            env: shop.env.clone(),
            wasm: self.wasm.clone(),
            discovery: self.workshop.discovery.clone(),
            configs: self.configs.clone(),
            store: shop.store.clone(),
            watches: self.watches.clone(),
            queue: shop.queue.clone(),
            memory: shop.memory.clone(),
            leading: shop.leading.clone(),
            metrics: shop.metrics.clone(),
            keep: self.keep.clone(),
        };
        let slots = Slots::new(rooms, self.folder.clone(), shop.published.clone());
        let (discovery, watches) = (self.workshop.discovery.clone(), self.watches.clone());
        let (events, leading) = (shop.events.clone(), shop.leading.clone());
        let follow = Follow {
            watches: watches.clone(),
            published: shop.published.clone(),
            store: shop.store.clone(),
            queue: shop.queue.clone(),
        };
        let unserved = self.unserved();
        let marked = unserved.watches.clone();
        let reporting = self.reporting();
        let canarying = self.canarying();
        let of_canaries = canarying.watches.clone();
        let mut tasks = Tasks::default();
        let ended = stop.clone();
        tasks.start("canaries", async move { canarying.run(ended).await });
        let ended = stop.clone();
        tasks.start("watches of canaries", async move { of_canaries.run(ended).await });
        let ended = stop.clone();
        tasks.start("unserved", async move { unserved.run(ended).await });
        let ended = stop.clone();
        tasks.start("reports", async move { reporting.run(ended).await });
        let ended = stop.clone();
        tasks.start("watches of marks", async move { marked.run(ended).await });
        let (configs, ended) = (self.configs.watches.clone(), stop.clone());
        tasks.start("watches of configs", async move { configs.run(ended).await });
        let ended = stop.clone();
        tasks.start("discovery", async move { discovery.run(ended).await });
        let ended = stop.clone();
        tasks.start("watches", async move { watches.run(ended).await });
        let ended = stop.clone();
        tasks.start("slots", async move { slots.run(ended).await });
        let ended = stop.clone();
        tasks.start("leases", async move { leading.run(follow, ended).await });
        let (shop, ended) = (self.workshop.clone(), stop.clone());
        tasks.start("shadows", async move { shop.shadow(ended).await });
        let ended = stop.clone();
        tasks.start("events", async move { events.run(ended).await });
        tasks
    }

    fn reporting(&self) -> Reporting {
        let shop = self.workshop.clone();
        let Settings { lease_namespace, installation, .. } = &*shop.settings;
        let (lock, env) = (shop.leading.clone(), shop.env.clone());
        let reports = Reports::new(self.client.clone(), lock, env, lease_namespace, installation);
        Reporting { shop, reports }
    }

    fn canarying(&self) -> Canarying {
        let (shop, client) = (self.workshop.clone(), self.client.clone());
        let (lock, env) = (shop.leading.clone(), shop.env.clone());
        let Settings { lease_namespace, installation, .. } = &*shop.settings;
        let store = Store::new(Arc::new(()));
        Canarying {
            api: Canaries::new(client.clone(), lock, env.clone()),
            served: self.watches.clone(),
            watches: Watches::new(client.clone(), store.clone(), shop.discovery.kinds(), env.clone()),
            leases: Sightings::new(client, env, lease_namespace, installation),
            store,
            shop,
        }
    }

    fn unserved(&self) -> Unserved {
        let shop = &self.workshop;
        let (settings, env, client) = (shop.settings.clone(), shop.env.clone(), self.client.clone());
        let Settings { lease_namespace, installation, .. } = &*settings;
        let leases = Sightings::new(client.clone(), env.clone(), lease_namespace, installation);
        let marked = Store::new(Arc::new(()));
        let watches = Watches::of_metadata(client, marked.clone(), self.workshop.discovery.kinds(), env.clone());
        Unserved {
            settings,
            env,
            leading: shop.leading.clone(),
            published: shop.published.clone(),
            store: shop.store.clone(),
            marked,
            watches,
            leases,
            events: shop.events.clone(),
            metrics: shop.metrics.clone(),
        }
    }

    fn start_workers(&self) -> Tasks {
        let mut workers = Tasks::default();
        for _ in 0..self.workshop.settings.workers {
            let shop = self.workshop.clone();
            workers.start("worker", shop.work());
        }
        workers
    }

    /// The slots, for people.
    pub fn slots(&self) -> Arc<Vec<SlotView>> {
        self.workshop.published.view.load_full()
    }

    /// How many objects of each lineage are settled, wait, or fail.
    pub fn objects(&self) -> BTreeMap<Lineage, Counts> {
        self.workshop.memory.counts()
    }

    /// The slots, each with how many objects it serves and how they are; for that, all
    /// objects are routed.
    pub fn plugins(&self) -> Vec<PluginView> {
        let mut counts = self.workshop.counts();
        let views = self.slots();
        let with = |slot: &SlotView| PluginView {
            slot: slot.clone(),
            objects: counts.remove(&slot.path()).unwrap_or_default(),
        };
        views.iter().map(with).collect()
    }

    /// Why an object is as it is, see [`Why`]; the error says what is wrong with the question.
    pub fn why(&self, kind: &str, namespace: Option<&str>, name: &str) -> Result<Why, String> {
        self.workshop.why(kind, namespace, name)
    }

    /// Has a slot go back to what served there last and was good. What is begun, or why
    /// nothing is, for people.
    pub async fn roll_back(&self, slot: &str) -> Result<String, String> {
        let answer = self.workshop.published.roll_back(slot).await;
        answer.unwrap_or_else(|_| Err("this host is stopping".into()))
    }

    /// What a new generation of a slot would do otherwise than the one that serves, or, of
    /// one that shadows no more, would have done: for all objects or for one, by kind,
    /// namespace and name as for `why`. The error says what is wrong with the question.
    pub fn shadow(&self, slot: &str, object: Option<(&str, Option<&str>, &str)>) -> Result<ShadowReport, String> {
        self.workshop.shadow_report(slot, object)
    }

    /// The latest calls, the latest of them first.
    pub fn calls(&self) -> Vec<CallView> {
        self.workshop.calls.list()
    }

    /// The record of one of them, without the values of secrets or with them.
    pub fn call(&self, id: u64, unredacted: bool) -> Option<String> {
        self.workshop.calls.document(id, unredacted)
    }

    /// Whether all that can be started has been: the folder is read, and each
    /// slot serves, waits for something outside of this process, or is refused.
    /// The error says what is still on its way.
    pub fn ready(&self) -> Result<(), String> {
        let folder = self.folder.borrow().clone();
        if !folder.read {
            return Err("the plugins folder has not been read yet".into());
        }
        let slots = self.slots();
        let is_taken = |id: &SlotId| {
            slots.iter().any(|slot| slot.instance_id == id.instance.as_str() && slot.stem == id.stem.as_str())
        };
        let mut served = folder.slots.keys().filter(|id| self.workshop.settings.serves(&id.instance));
        if let Some(id) = served.find(|id| !is_taken(id)) {
            return Err(format!("{} has not been taken up yet", id.stem));
        }
        match slots.iter().find(|slot| slot.starting) {
            Some(slot) => Err(format!("{} is starting: {}", slot.stem, slot.reason.as_deref().unwrap_or_default())),
            None => Ok(()),
        }
    }

    /// All metrics as text.
    pub fn metrics(&self) -> String {
        self.workshop.metrics.queue(&self.workshop.queue.stats());
        let shop = &self.workshop;
        shop.metrics.held(shop.store.len(), shop.store.unreadable_len(), shop.events.dropped());
        shop.metrics.text()
    }
}
