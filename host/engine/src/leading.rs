//! Which instances this process leads: one elector for each instance that the
//! folder has, and after each taking of a Lease a fresh list of everything
//! before the first write.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;
use trimtab_cluster::{
    Client,
    gate::Lock,
    lease::{Candidate, LeaseState, Recorded},
    store::Store,
    watches::Watches,
};
use trimtab_core::{
    claim::Seat,
    env::Env,
    hash::Hash,
    id::{InstanceId, Lineage, SlotId},
    promotion::Rejected,
};

use crate::{
    published::Published,
    queue::{Priority, Queue},
    settings::Settings,
};

/// What is led, and by what right.
pub struct Leading {
    client: Client,
    env: Arc<dyn Env>,
    settings: Arc<Settings>,
    /// One for each instance that is wanted.
    instances: RwLock<BTreeMap<InstanceId, Instance>>,
    /// The slots that the folder has.
    wanted: watch::Sender<BTreeSet<SlotId>>,
}

/// What the Lease of its instance tells others of a slot.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// What was found bad there, the oldest first.
    pub rejected: Vec<Rejected>,
    /// What serves, where builds shadow before they do.
    pub passed: Option<Hash>,
}

struct Instance {
    candidate: Arc<Candidate>,
    /// Everything has been listed since the Lease was taken.
    fresh: bool,
}

/// What following the Leases needs of the other rooms.
pub struct Follow {
    pub watches: Arc<Watches>,
    pub published: Arc<Published>,
    pub store: Arc<Store>,
    pub queue: Arc<Queue>,
}

impl Leading {
    /// Leads nothing yet.
    pub fn new(client: Client, env: Arc<dyn Env>, settings: Arc<Settings>) -> Arc<Self> {
        let wanted = watch::Sender::new(BTreeSet::new());
        Arc::new(Self { client, env, settings, instances: RwLock::default(), wanted })
    }

    /// Whether this process may write for an instance now.
    pub fn leads(&self, instance: &InstanceId) -> bool {
        self.settings.dry_run || self.holds(instance, self.env.elapsed())
    }

    /// Which instances are wanted from now on, with the slots that the folder has,
    /// what is told of each, and which lineage has which kind in them: that
    /// goes into the Leases, so that restarts and leaders agree.
    pub fn set(&self, slots: &BTreeMap<SlotId, Told>, holders: &BTreeMap<Seat, Lineage>) {
        for (id, instance) in &*self.read() {
            let kinds = holders.iter().filter(|((of, _), _)| of == id);
            let incumbents = kinds.map(|((_, kind), lineage)| (kind.clone(), lineage.clone())).collect();
            let its = || slots.iter().filter(|(slot, _)| slot.instance == *id);
            let lineages = its().map(|(slot, _)| slot.stem.lineage()).collect();
            let rejected = its().filter(|(_, told)| !told.rejected.is_empty());
            let rejected = rejected.map(|(slot, told)| (slot.stem.clone(), told.rejected.clone())).collect();
            let passed = its().filter_map(|(slot, told)| Some((slot.stem.clone(), told.passed?))).collect();
            instance.candidate.record(Recorded { incumbents, lineages, rejected, passed });
        }
        let slots = slots.keys().cloned().collect::<BTreeSet<_>>();
        self.wanted.send_if_modified(|wanted| std::mem::replace(wanted, slots.clone()) != slots);
    }

    /// Whether it is known which lineages had the kinds of an instance before.
    pub fn has_seen_lease(&self, instance: &InstanceId) -> bool {
        let seen = |state: &LeaseState| *state != LeaseState::Standby { holder: None };
        self.settings.dry_run || self.read().get(instance).is_some_and(|it| seen(&it.candidate.state().borrow()))
    }

    /// Whether another process leads an instance, as far as this one has seen.
    pub fn is_led(&self, instance: &InstanceId) -> bool {
        let led = |state: &LeaseState| matches!(state, LeaseState::Standby { holder: Some(_) });
        self.read().get(instance).is_some_and(|it| led(&it.candidate.state().borrow()))
    }

    /// Ends when this process leads the slot's instance no more, or the folder no more
    /// has the slot: its Lease then lets others do what this one did.
    pub async fn lost(&self, slot: &SlotId) {
        if self.settings.dry_run {
            return std::future::pending().await;
        }
        let state = self.read().get(&slot.instance).map(|instance| instance.candidate.state());
        let (Some(mut state), mut wanted) = (state, self.wanted.subscribe()) else { return };
        let leads = |state: &LeaseState| matches!(state, LeaseState::Leading { .. });
        // Where there is no sender any more, there is no elector either.
        tokio::select! {
            biased;
            _ = state.wait_for(|state| !leads(state)) => {}
            _ = wanted.wait_for(|slots| !slots.contains(slot)) => {}
        }
    }

    /// What was found bad in a slot, as the Lease of its instance says.
    pub fn rejected(&self, slot: &SlotId) -> Vec<Rejected> {
        let instances = self.read();
        instances.get(&slot.instance).map(|it| it.candidate.rejected(&slot.stem)).unwrap_or_default()
    }

    /// Which generation the leader lets serve in a slot whose builds shadow first.
    pub fn passed(&self, slot: &SlotId) -> Option<Hash> {
        self.read().get(&slot.instance)?.candidate.passed(&slot.stem)
    }

    /// The lineage of each kind, as the Leases name them.
    pub fn incumbents(&self) -> BTreeMap<Seat, Lineage> {
        let instances = self.read();
        let of = |(id, instance): (&InstanceId, &Instance)| {
            let id = id.clone();
            instance.candidate.incumbents().into_iter().map(move |(kind, lineage)| ((id.clone(), kind), lineage))
        };
        instances.iter().flat_map(of).collect()
    }
}

impl Leading {
    /// Keeps an elector for each wanted instance until `stop`, then releases
    /// all Leases.
    pub async fn run(self: Arc<Self>, follow: Follow, stop: CancellationToken) {
        let follow = Arc::new(follow);
        let mut wanted = self.wanted.subscribe();
        let mut electors = BTreeMap::<InstanceId, CancellationToken>::new();
        let mut tasks = JoinSet::new();
        loop {
            let now = instances(&wanted.borrow_and_update());
            let now = if self.settings.dry_run { BTreeSet::new() } else { now };
            electors.retain(|id, end| {
                let stays = now.contains(id);
                if !stays {
                    end.cancel();
                }
                stays
            });
            for id in now {
                electors.entry(id.clone()).or_insert_with(|| {
                    let end = stop.child_token();
                    tasks.spawn(self.clone().lead(id, follow.clone(), end.clone()));
                    end
                });
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Ok(()) = wanted.changed() => {}
                Some(Err(error)) = tasks.join_next() => tracing::error!(%error, "an elector's task broke"),
            }
        }
        while tasks.join_next().await.is_some() {}
    }

    /// One instance: runs its elector, and follows what becomes of it.
    async fn lead(self: Arc<Self>, id: InstanceId, follow: Arc<Follow>, end: CancellationToken) {
        let Settings { lease_namespace, installation, identity, .. } = &*self.settings;
        let candidate =
            Candidate::new(self.client.clone(), self.env.clone(), lease_namespace, installation, &id, identity);
        self.write().insert(id.clone(), Instance { candidate: candidate.clone(), fresh: false });
        let mut state = candidate.state();
        tokio::select! {
            biased;
            () = candidate.run(end) => {}
            () = async {
                loop {
                    self.follow(&id, &follow, &mut state).await;
                }
            } => {}
        }
        self.write().remove(&id);
    }

    /// From standing by to standing by again.
    async fn follow(&self, id: &InstanceId, follow: &Follow, state: &mut watch::Receiver<LeaseState>) {
        let leading = |state: &LeaseState| matches!(state, LeaseState::Leading { .. });
        let mut lost = state.clone();
        if state.wait_for(leading).await.is_err() {
            return std::future::pending().await;
        }
        tracing::info!(instance = %id, "took the Lease, listing everything before the first write");
        // What it says was found bad stops serving before anything is called.
        follow.published.changed.notify_one();
        let lead = async {
            follow.relist(id).await;
            self.set_fresh(id, true);
            tracing::info!(instance = %id, "leading");
            follow.wake(id);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            _ = lost.wait_for(|state| !leading(state)) => {}
            () = lead => {}
        }
        self.set_fresh(id, false);
        follow.published.changed.notify_one();
        tracing::info!(instance = %id, "no longer leading, standing by");
    }

    fn set_fresh(&self, id: &InstanceId, fresh: bool) {
        if let Some(instance) = self.write().get_mut(id) {
            instance.fresh = fresh;
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<InstanceId, Instance>> {
        self.instances.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<InstanceId, Instance>> {
        // Each change is one call of the map, so a panic elsewhere leaves nothing half done.
        self.instances.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn instances(slots: &BTreeSet<SlotId>) -> BTreeSet<InstanceId> {
    slots.iter().map(|slot| slot.instance.clone()).collect()
}

impl Lock for Leading {
    fn deadline(&self, instance: &InstanceId) -> Option<Duration> {
        let instances = self.read();
        let instance = instances.get(instance).filter(|instance| instance.fresh)?;
        match *instance.candidate.state().borrow() {
            LeaseState::Leading { until } => Some(until),
            LeaseState::Standby { .. } => None,
        }
    }
}

impl Follow {
    /// Lists all that an instance's generations watch, also one that is only kept at hand: what was cached while
    /// another led may be older than what that one wrote last.
    async fn relist(&self, id: &InstanceId) {
        let serving = self.published.serving.load_full();
        let lists = serving.watches.get(id).into_iter().flatten().map(|spec| self.watches.relist(spec));
        // A watch that is no longer wanted needs no list.
        let _ = futures::future::join_all(lists).await;
    }

    /// Wakes all objects of the instance, and the slots that wait for a leader.
    fn wake(&self, id: &InstanceId) {
        let serving = self.published.serving.load_full();
        for generation in serving.of_instance(id) {
            generation.keys(&self.store).for_each(|key| self.queue.add(key, Priority::Low));
        }
        self.published.changed.notify_one();
    }
}
