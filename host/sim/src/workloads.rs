//! What a cluster does with workloads: Deployments, StatefulSets, DaemonSets
//! and Jobs get pods, pods become ready or fail, and statuses say so, as the
//! controllers, the scheduler and the kubelets of Kubernetes write them.
//!
//! [`Workloads`] is one more client of an API server, over its lists and
//! watches, and keeps no state that it could not lose. Its timers are tokio's,
//! so under a paused clock it is part of a simulation, and the same run makes
//! the same requests. Every look at an object is a function from what is known
//! to the writes that are missing; only this file performs them.
//!
//! How pods behave is set for all in [`Settings`], and for some by annotations
//! ([`FAIL`], [`READY_AFTER`], [`COMPLETE_AFTER`], [`STOP_AFTER`]) on a pod or
//! on what controls it.

mod behaviour;
mod change;
mod claim;
mod cluster;
mod conditions;
mod daemonset;
mod deployment;
mod job;
mod nodes;
mod object;
mod pods;
mod replicaset;
mod revision;
mod statefulset;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use futures::{
    FutureExt, StreamExt,
    stream::{BoxStream, SelectAll},
};
use http::Method;
use serde_json::Value;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use trimtab_apiserver::Clock;
use trimtab_cluster::Client;

pub use self::{
    behaviour::{COMPLETE_AFTER, FAIL, READY_AFTER, STOP_AFTER, asked_for},
    object::{is_made, runs},
};
use self::{
    change::{Change, Outcome},
    cluster::Cluster,
    nodes::{Kubelets, Node},
    object::{Key, Kind},
};
use crate::{
    feed::{self, Told},
    requests::{Failed, Requests},
};

/// After a write that failed for another reason than a state that has passed.
const RETRY: Duration = Duration::from_secs(1);

/// How workloads are simulated.
#[derive(Clone)]
pub struct Settings {
    /// The time that is written into statuses.
    pub now: Clock,
    /// How long a pod takes until it is ready.
    pub ready_after: Duration,
    /// How long the pod of a job works after that.
    pub complete_after: Duration,
    /// How long a deleted pod takes to end, if its grace is longer.
    pub stop_after: Duration,
    /// How many nodes there are.
    pub nodes: u8,
    /// Whether the controllers are simulated too, or only nodes, scheduler and
    /// volumes: where a real controller manager does the rest.
    pub controllers: bool,
}

impl Settings {
    /// One second for each step, two nodes, and all controllers.
    pub fn new(now: Clock) -> Self {
        let second = Duration::from_secs(1);
        Self { now, ready_after: second, complete_after: second, stop_after: second, nodes: 2, controllers: true }
    }
}

/// What one look at an object finds to do.
#[derive(Default)]
struct Look {
    changes: Vec<Change>,
    /// When something changes by itself.
    again_in: Option<Duration>,
}

impl Look {
    /// Writes a status, if it is another one.
    fn set_status(&mut self, kind: Kind, object: &Value, status: Value, kept_zeros: &[&str]) {
        let new = object::with_status(object, status, kept_zeros);
        if new["status"] != object["status"] {
            self.changes.push(Change::Status(kind, new));
        }
    }

    fn wake_in(&mut self, time: Option<Duration>) {
        self.again_in = self.again_in.into_iter().chain(time).min();
    }
}

/// The simulation of workloads on one cluster.
pub struct Workloads {
    settings: Settings,
    client: Client,
    requests: Requests,
    nodes: Vec<Node>,
    cluster: Cluster,
    kubelets: Kubelets,
    /// Kinds of which a whole list has been seen.
    listed: BTreeSet<Kind>,
    /// To be looked at.
    due: BTreeSet<Key>,
    /// To be looked at later: one time for each.
    timers: HashMap<Key, Instant>,
    last_write: watch::Sender<Option<Instant>>,
}

impl Workloads {
    /// Over a client, see [`trimtab_cluster::connect`].
    pub fn new(client: Client, settings: Settings) -> Self {
        Self {
            requests: Requests::new(client.clone()),
            client,
            nodes: (1..=settings.nodes).map(Node::new).collect(),
            settings,
            cluster: Cluster::default(),
            kubelets: Kubelets::default(),
            listed: BTreeSet::new(),
            due: BTreeSet::new(),
            timers: HashMap::new(),
            last_write: watch::Sender::default(),
        }
    }

    /// When it last changed something, for those who wait until it does no more.
    pub fn last_write(&self) -> watch::Receiver<Option<Instant>> {
        self.last_write.subscribe()
    }

    /// Runs until `stop`, or until it is dropped.
    pub async fn run(mut self, stop: CancellationToken) {
        let follow = |kind: Kind| {
            let told = feed::follow(self.client.clone(), kind.collection(None));
            told.map(move |told| (kind, told)).boxed()
        };
        let mut feeds = Kind::ALL.map(follow).into_iter().collect();
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = self.work(&mut feeds) => {}
        }
    }

    async fn work(&mut self, feeds: &mut SelectAll<BoxStream<'static, (Kind, Told)>>) {
        self.register_nodes().await;
        loop {
            let next = self.timers.values().min().copied();
            tokio::select! {
                biased;
                Some((kind, told)) = feeds.next() => self.take(kind, told),
                () = until(next) => {}
            }
            self.take_all(feeds);
            self.ring();
            // Before everything is known, a set without pods is not one that lacks them.
            if self.listed.len() == Kind::ALL.len() {
                while let Some(key) = self.due.pop_first() {
                    self.look_at(key).await;
                    // One look may lead to the next for long; what is told meanwhile counts.
                    self.take_all(feeds);
                }
            }
        }
    }

    /// Takes what has been told already.
    fn take_all(&mut self, feeds: &mut SelectAll<BoxStream<'static, (Kind, Told)>>) {
        while let Some(Some((kind, told))) = feeds.next().now_or_never() {
            self.take(kind, told);
        }
    }

    /// Makes the nodes, unless they are there from an earlier run.
    async fn register_nodes(&self) {
        for node in &self.nodes {
            match self.register(&node.object((self.settings.now)())).await {
                Err(error) if !error.is_stale() => tracing::warn!(%error, "a simulated node is not to be seen"),
                Ok(()) | Err(_) => {}
            }
        }
    }

    async fn register(&self, node: &Value) -> Result<(), Failed> {
        const NODES: &str = "/api/v1/nodes";
        let path = format!("{NODES}/{}", object::name(node));
        let mut made = self.requests.send(Method::POST, NODES, Some(node)).await?;
        if let Some(spec) = made["spec"].as_object_mut()
            && spec.remove("taints").is_some()
        {
            // A real server lets a new node wait for a controller that is not there.
            made = self.requests.send(Method::PUT, &path, Some(&made)).await?;
        }
        made["status"] = node["status"].clone();
        self.requests.send(Method::PUT, &format!("{path}/status"), Some(&made)).await.map(drop)
    }

    fn take(&mut self, kind: Kind, told: Told) {
        let concerned = match told {
            Told::Listed(mut objects, version) => {
                self.listed.insert(kind);
                objects.iter_mut().for_each(|object| kind.name_in(object));
                let lacking = self.cluster.lacking(kind, &objects, version);
                let mut concerned = lacking.iter().flat_map(|key| self.gone(key)).collect::<BTreeSet<_>>();
                concerned.extend(objects.into_iter().flat_map(|object| self.cluster.put(kind, object)));
                concerned
            }
            Told::Is(object) => self.cluster.put(kind, object),
            Told::Gone(object) => self.gone(&Key::of(kind, &object)),
        };
        self.due.extend(concerned);
    }

    fn gone(&mut self, key: &Key) -> BTreeSet<Key> {
        if let Some(uid) = self.cluster.get(key).map(object::uid) {
            self.kubelets.forget(uid);
        }
        self.timers.remove(key);
        self.cluster.remove(key)
    }

    /// Whose time has come is due.
    fn ring(&mut self) {
        let now = Instant::now();
        self.due.extend(self.timers.extract_if(|_, at| *at <= now).map(|(key, _)| key));
    }

    async fn look_at(&mut self, key: Key) {
        let Some(look) = self.look(&key) else { return };
        self.timers.remove(&key);
        if let Some(time) = look.again_in {
            self.timers.insert(key.clone(), Instant::now() + time);
        }
        for change in look.changes {
            self.last_write.send_replace(Some(Instant::now()));
            match change.carry_out(&self.requests).await {
                Ok(Outcome::Is(kind, object)) => {
                    let concerned = self.cluster.put(kind, object);
                    self.due.extend(concerned);
                }
                Ok(Outcome::Gone(key)) => {
                    let concerned = self.gone(&key);
                    self.due.extend(concerned);
                }
                Ok(Outcome::Unknown) => {}
                Err(error) if error.is_stale() => tracing::trace!(%error, "a state has passed"),
                Err(error) => {
                    tracing::debug!(%error, "tried again");
                    self.timers.insert(key.clone(), Instant::now() + RETRY);
                }
            }
        }
    }

    fn look(&mut self, key: &Key) -> Option<Look> {
        let Self { cluster, settings, nodes, kubelets, .. } = self;
        let object = cluster.get(key)?;
        let now = (settings.now)();
        let look = match key.kind {
            Kind::Pod => {
                let mut look = kubelets.look(object, cluster, nodes, settings);
                if settings.controllers {
                    look.changes.extend(job::look_at_orphan(object, cluster));
                }
                look
            }
            Kind::Claim => claim::look(object),
            _ if !settings.controllers => return None,
            Kind::Deployment => deployment::look(object, cluster, now),
            Kind::ReplicaSet => replicaset::look(object, cluster, now),
            Kind::StatefulSet => statefulset::look(object, cluster, now),
            Kind::DaemonSet => daemonset::look(object, cluster, nodes, now),
            Kind::Job => job::look(object, cluster, now),
            Kind::ControllerRevision => return None,
        };
        Some(look)
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
