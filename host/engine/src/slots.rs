//! The owner of all slots, and the only one that swaps generations: it compares
//! the folder with what serves and moves each difference through its stages. A
//! failure on the way leaves the last good generation serving.

mod by_hand;
mod kept;
mod loads;
mod promote;
mod shadow;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;
use trimtab_cluster::{
    discovery::{Discovery, Kinds},
    store::Store,
    watches::Watches,
};
use trimtab_core::{
    claim::{self, Claim, Claims},
    description::ObjectKind,
    env::Env,
    hash::Hash,
    id::{Key, Lineage, SlotId},
    object::Object,
    promotion::Promotion,
    route::{self, Table},
};
use trimtab_wasm::Wasm;

use self::loads::Load;
use crate::{
    configs::Configs,
    folder::Folder,
    generation::{Generation, Loaded},
    keep::{Keep, Record},
    leading::Leading,
    memory::Memory,
    metrics::Metrics,
    needs::Needs,
    published::Published,
    queue::{Bounds, Priority, Queue},
    serving::{Serving, Settling},
    settings::{RECHECK, Settings},
    slot::{Slot, Stage, Wait, unhealthy},
    succession,
};

/// What the slots need of the other rooms.
pub struct Rooms {
    pub settings: Arc<Settings>,
    pub env: Arc<dyn Env>,
    pub wasm: Arc<Wasm>,
    pub discovery: Arc<Discovery>,
    pub configs: Arc<Configs>,
    pub store: Arc<Store>,
    pub watches: Arc<Watches>,
    pub queue: Arc<Queue>,
    pub memory: Arc<Memory>,
    pub leading: Arc<Leading>,
    pub metrics: Arc<Metrics>,
    pub keep: Option<Arc<Keep>>,
}

/// What came of looking for a generation's kinds.
struct Found {
    loaded: Arc<Loaded>,
    /// What they were looked for in.
    kinds: Arc<Kinds>,
    needs: Result<Needs, String>,
}

/// The owner's own state.
pub struct Slots {
    rooms: Rooms,
    slots: BTreeMap<SlotId, Slot>,
    /// What was found bad in slots whose file is gone. One for each such name, at most.
    gone: BTreeMap<SlotId, Promotion>,
    /// What is kept of slots, as it was read or written last.
    kept: BTreeMap<SlotId, Record>,
    /// Modules of which a copy lies in the keep folder, or cannot.
    staged: HashMap<Hash, bool>,
    /// What is kept was compared with the folder's first reading.
    swept: bool,
    /// The keep folder could not be written, which was told.
    unkept: bool,
    /// When what is on probation is judged again (`Env::elapsed`).
    next_judgement: Duration,
    folder: watch::Receiver<Arc<Folder>>,
    kinds: watch::Receiver<Arc<Kinds>>,
    loads: JoinSet<Load>,
    finds: JoinSet<Found>,
    next_number: u64,
    published: Arc<Published>,
}

impl Slots {
    /// With nothing served yet.
    pub fn new(rooms: Rooms, folder: watch::Receiver<Arc<Folder>>, published: Arc<Published>) -> Self {
        let kinds = rooms.discovery.kinds();
        let (loads, finds) = (JoinSet::new(), JoinSet::new());
        let (slots, gone, kept, staged) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new(), HashMap::new());
        let next_judgement = Duration::ZERO;
        Self {
            rooms,
            slots,
            gone,
            kept,
            staged,
            swept: false,
            unkept: false,
            next_judgement,
            folder,
            kinds,
            loads,
            finds,
            next_number: 0,
            published,
        }
    }

    /// Follows the folder until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            self.step();
            let on_the_way = self.slots.values().any(|slot| slot.candidate.is_some() || slot.lacking.is_some());
            let on_probation = self.on_probation();
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(Ok(load)) = self.loads.join_next() => self.loaded(load),
                Some(Ok(found)) = self.finds.join_next() => self.found(found),
                Ok(()) = self.folder.changed() => {}
                Ok(()) = self.kinds.changed() => self.find_again(),
                () = self.published.changed.notified() => {}
                () = tokio::time::sleep(RECHECK), if on_the_way || on_probation => self.find_what_lacks(),
            }
        }
    }

    /// One pass over all slots: all that can be done without waiting.
    fn step(&mut self) {
        let mut woken = self.take_folder();
        self.rooms.configs.take(&mut self.slots);
        woken.extend(self.promote());
        let (answers, rolled_back) = self.roll_back_by_hand();
        woken.extend(rolled_back);
        self.start_finds();
        self.rooms.watches.set(self.slots.values().flat_map(Slot::watches).collect());
        for id in self.slots.keys().cloned().collect::<Vec<_>>() {
            // One at a time: what one swap serves may be in the way of the next.
            match self.blocked(&id, &self.claims()) {
                None => woken.extend(self.swap(&id)),
                Some(_) => woken.extend(self.newly_settling(&id)),
            }
        }
        self.put_back();
        self.start_loads();
        // Before anybody is told: what is found out is not forgotten with this process.
        self.keep();
        answers.into_iter().for_each(by_hand::Answer::send);
        woken.extend(self.publish());
        for generation in woken {
            // What a swap wakes may be all the cluster at once, and waits behind what people do.
            generation.keys(&self.rooms.store).for_each(|key| self.rooms.queue.add(key, Priority::Low));
        }
        self.let_in();
        self.show();
    }

    /// Takes up what the folder says. A removed file stops serving and deletes
    /// nothing; the generations beside it, which may take over its objects, are returned.
    fn take_folder(&mut self) -> Vec<Arc<Generation>> {
        let folder = self.folder.borrow_and_update().clone();
        self.sweep(&folder);
        let mut removed = Vec::new();
        for (id, slot) in self.slots.extract_if(.., |id, _| !folder.slots.contains_key(id)).collect::<Vec<_>>() {
            if slot.serving.is_some() {
                tracing::info!(slot = %id, "its file is gone and it stops serving; its objects and their children stay");
            }
            let inherited = slot.serving.as_ref().is_some_and(|it| it.inherits().is_some());
            removed.push((id.clone(), slot.inherits.is_some() || inherited));
            self.remember(&id, slot);
            self.keep_gone(&id);
        }
        let settings = self.rooms.settings.clone();
        for (id, source) in folder.slots.iter().filter(|(id, _)| settings.serves(&id.instance)) {
            if let Some(slot) = self.slots.get_mut(id) {
                slot.take(source);
            } else {
                let slot = self.returning(&folder, id, source);
                self.slots.insert(id.clone(), slot);
            }
        }
        succession::beside(&self.slots, &removed)
    }

    fn start_finds(&mut self) {
        for slot in self.slots.values_mut() {
            let Some(candidate) = &mut slot.candidate else { continue };
            if let Stage::Loaded(loaded) = &candidate.stage {
                let loaded = loaded.clone();
                candidate.stage = Stage::Finding(loaded.clone());
                spawn_find(&mut self.finds, &self.rooms, &self.kinds, loaded);
            }
        }
    }

    /// Discovery changed: what was lacking may have come, what was found may be
    /// another thing now.
    fn find_again(&mut self) {
        for slot in self.slots.values_mut() {
            if let Some(candidate) = &mut slot.candidate
                && let Stage::Finding(loaded) = &candidate.stage
            {
                candidate.stage = Stage::Loaded(loaded.clone());
            }
            for found in slot.serving.iter().chain(&slot.last_good).chain(slot.syncing()) {
                spawn_find(&mut self.finds, &self.rooms, &self.kinds, found.loaded.clone());
            }
        }
        self.find_what_lacks();
        // What was looked up and not served may be now.
        for key in self.rooms.memory.unanswered() {
            self.rooms.queue.add(key, Priority::Low);
        }
    }

    /// Not finding may also have been a failed request.
    fn find_what_lacks(&mut self) {
        for slot in self.slots.values_mut() {
            if let Some(candidate) = &mut slot.candidate
                && let Stage::Lacking(loaded) = &candidate.stage
            {
                candidate.stage = Stage::Loaded(loaded.clone());
            }
            if let Some(serving) = slot.serving.as_ref().filter(|_| slot.lacking.is_some()) {
                spawn_find(&mut self.finds, &self.rooms, &self.kinds, serving.loaded.clone());
            }
        }
    }

    fn found(&mut self, Found { loaded, kinds, needs }: Found) {
        if !Arc::ptr_eq(&kinds, &self.kinds.borrow()) {
            return; // looked for in what has changed since; it is being looked for again
        }
        let Some(slot) = self.slots.get_mut(&loaded.slot) else { return };
        let is_it = |other: &Arc<Loaded>| Arc::ptr_eq(other, &loaded);
        if let Some(serving) = slot.serving.as_ref().filter(|serving| is_it(&serving.loaded)) {
            // The same generation, seen against what the server serves now.
            slot.lacking = needs.as_ref().err().cloned();
            if let Ok(needs) = needs {
                slot.serving = Some(Arc::new(Generation { number: serving.number, loaded, needs }));
            }
            return;
        }
        if let Some(last_good) = slot.last_good.as_mut().filter(|last_good| is_it(&last_good.loaded)) {
            if let Ok(needs) = needs {
                *last_good = Arc::new(Generation { number: last_good.number, loaded, needs });
            }
            return;
        }
        let Some(candidate) = &mut slot.candidate else { return };
        let number = match &candidate.stage {
            Stage::Finding(finding) if is_it(finding) => {
                self.next_number += 1;
                self.next_number
            }
            Stage::Syncing(syncing) if is_it(&syncing.loaded) => syncing.number,
            _ => return,
        };
        match needs {
            Ok(needs) => candidate.stage = Stage::Syncing(Arc::new(Generation { number, loaded, needs })),
            Err(why) => {
                candidate.stage = Stage::Lacking(loaded.clone());
                slot.interrupt_shadow();
                slot.waits(&loaded.slot, Wait::For(why));
            }
        }
    }

    /// Why the slot's candidate may not serve yet; none if it may, or if there is none.
    fn blocked(&self, id: &SlotId, claims: &Claims) -> Option<Wait> {
        let candidate = self.slots[id].syncing()?;
        let rival =
            |(other, _): (&SlotId, &Slot)| other.instance == id.instance && other.stem.lineage() != id.stem.lineage();
        if self.slots.iter().any(rival) && !self.rooms.leading.has_seen_lease(&id.instance) {
            let why = "the instance's Lease, which says who had the kind, has not been read yet";
            return Some(Wait::For(why.into()));
        }
        if let Some(why) =
            succession::circular(&self.slots, id).or_else(|| succession::orphans(&self.slots, id, candidate))
        {
            return Some(Wait::Refused(why));
        }
        if let Some(refused) = claims.refused.iter().find(|refused| refused.slot == *id) {
            return Some(Wait::Refused(refused.to_string()));
        }
        let why = unhealthy(&self.rooms.store, &candidate.needs.watches).or_else(|| self.unmarked(id, candidate));
        why.map(Wait::For)
    }

    /// Who has which kind, and which slots claim what another one has.
    fn claims(&self) -> Claims {
        // What is gone back to, perhaps, keeps what it had.
        let serving = |slot: &Slot| {
            slot.serving.iter().chain(&slot.last_good).map(|it| (it.loaded.clone(), true)).collect::<Vec<_>>()
        };
        let loaded = |slot: &Slot| slot.loaded().map(|it| (it.clone(), false));
        let claims = self.slots.iter().flat_map(|(id, slot)| {
            let claims = move |(loaded, serving): (Arc<Loaded>, bool)| {
                let role = loaded.description.role;
                let objects = loaded.description.objects.clone().into_iter();
                objects.map(move |ObjectKind { kind, version, .. }| Claim {
                    slot: id.clone(),
                    kind,
                    version,
                    role,
                    serving,
                })
            };
            serving(slot).into_iter().chain(loaded(slot)).flat_map(claims)
        });
        let unknown = self.slots.iter().filter(|(_, slot)| slot.serving.is_none() && slot.loaded().is_none());
        let unknown = unknown.map(|(id, _)| id.clone()).collect();
        claim::settle(&self.rooms.leading.incumbents(), &claims.collect::<Vec<_>>(), &unknown)
    }

    /// The slots of the same lineage and instance.
    pub(in crate::slots) fn beside(&self, id: &SlotId) -> impl Iterator<Item = &Slot> {
        let is_beside = move |other: &SlotId| {
            other != id && other.instance == id.instance && other.stem.lineage() == id.stem.lineage()
        };
        self.slots.iter().filter(move |(other, _)| is_beside(other)).map(|(_, slot)| slot)
    }

    /// The version that a lineage serves alone in a slot's instance.
    fn alone(&self, id: &SlotId) -> Option<String> {
        let mut serving = self.beside(id).filter_map(|slot| slot.serving.as_ref());
        let alone = serving.next()?;
        let version = alone.loaded.description.composite_version().filter(|_| serving.next().is_none());
        version.map(str::to_owned)
    }

    /// Whether objects of the version that served alone still lack their marks.
    /// Its own workers write them, see [`Serving::settling`], so that only what
    /// these act on is waited for: it is selected and not paused.
    fn unmarked(&self, id: &SlotId, candidate: &Generation) -> Option<String> {
        let settling = self.settling(id)?;
        let mut serving = self.beside(id).filter_map(|slot| slot.serving.as_ref());
        let alone = serving.find(|it| it.loaded.description.composite_version() == Some(&settling.alone))?;
        let waits = |object: &Object| {
            let kind = alone.loaded.description.object(&object.meta.place.kind);
            alone.loaded.policy.retire.is_none()
                && kind.is_some_and(|kind| kind.selects(object))
                && alone.needs.instance_key.of(object) == id.instance.as_str()
                && !object.meta.is_paused()
                && !object.meta.deleting
                && route::settling_mark(&object.meta, &settling.lineage, &settling.alone, &settling.arriving).is_some()
        };
        let objects = candidate.needs.objects.iter().flat_map(|object| &object.watches);
        let count = objects.flat_map(|spec| self.rooms.store.list(spec)).filter(|object| waits(object)).count();
        (count > 0 && !self.rooms.settings.dry_run)
            .then(|| format!("{count} objects wait for the mark that keeps them on version {}", settling.alone))
    }

    /// The marks that a slot's candidate waits for, once nothing else is in its way.
    fn settling(&self, id: &SlotId) -> Option<Settling> {
        let slot = &self.slots[id];
        let arriving = slot.syncing()?.loaded.description.composite_version()?.to_owned();
        let alone = slot.alone_before.clone().filter(|alone| *alone != arriving && slot.serving.is_none())?;
        Some(Settling { instance: id.instance.clone(), lineage: id.stem.lineage(), alone, arriving })
    }

    /// The generation whose objects are to be marked from now on, told once.
    fn newly_settling(&self, id: &SlotId) -> Option<Arc<Generation>> {
        let settling = self.settling(id)?;
        let known = self.published.serving.load().settling.contains(&settling);
        self.slots[id].syncing().filter(|_| !known).cloned()
    }

    /// Publishes who serves, and tells the Leases which lineage has which kind. Those
    /// who waited for an heir that is none any more are returned.
    fn publish(&mut self) -> Vec<Arc<Generation>> {
        let serving = self.slots.iter().filter_map(|(id, slot)| Some((id, slot.serving.as_ref()?)));
        let entries = serving.clone().flat_map(|(id, generation)| {
            let description = &generation.loaded.description;
            description.objects.iter().map(|object| route::Serving {
                slot: id.clone(),
                role: description.role,
                object: object.clone(),
                retired: generation.loaded.policy.retire.is_some(),
                instance_key: generation.needs.instance_key.clone(),
                generation: generation.number,
            })
        });
        let idle = self.slots.iter().filter(|(_, slot)| slot.serving.is_none());
        let key = |slot: &Slot| slot.instance_key.as_ref().unwrap_or(&self.rooms.settings.instance_key).clone();
        let awaited = idle.clone().map(|(id, slot)| (id.clone(), key(slot)));
        let table = Table::new(entries, idle.clone().map(|(id, _)| id.clone())).awaiting(awaited);
        let generations = serving.map(|(_, generation)| (generation.number, generation.clone())).collect();
        let settling = self.slots.keys().filter_map(|id| self.settling(id)).collect();
        let heirs_to_come = succession::to_come(&self.slots);
        let mut watches = BTreeMap::<_, BTreeSet<_>>::new();
        for (id, slot) in &self.slots {
            watches.entry(id.instance.clone()).or_default().extend(slot.watches());
        }
        let before = self.published.serving.load_full();
        let gone = before.heirs_to_come.iter().filter(|heir| !heirs_to_come.contains(heir));
        let woken = gone.flat_map(|(_, heir)| succession::woken(&self.slots, &heir.instance, true));
        let left = table.awaits_no_more(&before.table).then(|| succession::marked_apart(&self.slots));
        let woken = woken.chain(left.into_iter().flatten()).collect();
        let shadows = self.slots.iter().filter_map(|(id, slot)| Some((id.clone(), slot.shadow()?.clone()))).collect();
        let shadowed = self.slots.iter().filter_map(|(id, slot)| Some((id.clone(), slot.shadowed.clone()?)));
        self.published.shadowed.store(Arc::new(shadowed.collect()));
        self.published.serving.store(Arc::new(Serving {
            table,
            generations,
            shadows,
            heirs_to_come,
            watches,
            settling,
        }));
        self.rooms.queue.bound(self.bounds());
        let slots = self.slots.iter().map(|(id, slot)| (id.clone(), slot.told()));
        self.rooms.leading.set(&slots.collect(), &self.claims().holders);
        woken
    }

    /// How fast lineages are worked on: where a lineage's files say different, as its
    /// slowest. One that may wait for others' answers leaves half of the workers to
    /// the rest.
    fn bounds(&self) -> HashMap<Lineage, Bounds> {
        let mut all = HashMap::<Lineage, Bounds>::new();
        for serving in self.slots.values().filter_map(|slot| slot.serving.as_ref()) {
            let policy = &serving.loaded.policy;
            let half = (!policy.http.is_empty()).then(|| (self.rooms.settings.workers / 2).max(1));
            let running_max = policy.work.concurrency.map(|most| most as usize).or(half).unwrap_or(usize::MAX);
            let interval = policy.work.calls_per_second.map_or(Duration::ZERO, |calls| Duration::from_secs(1) / calls);
            let bounds = all.entry(serving.loaded.lineage.clone()).or_default();
            bounds.running_max = bounds.running_max.min(running_max);
            bounds.interval = bounds.interval.max(interval);
            bounds.build = bounds.build.max(serving.number);
            bounds.cpu_per_second = [bounds.cpu_per_second, policy.work.cpu_per_second].into_iter().flatten().min();
        }
        all
    }

    /// Adds the keys again that were turned away, once their watches are synced.
    fn let_in(&self) {
        let serving = self.published.serving.load();
        let synced = |key: &Key| {
            let mut generations = serving.of_lineage(&key.lineage);
            generations.all(|generation| unhealthy(&self.rooms.store, &generation.needs.watches).is_none())
        };
        for key in self.published.let_in(synced) {
            self.rooms.queue.add(key, Priority::Low);
        }
    }

    /// Shows the state of all slots, and says why candidates wait.
    fn show(&mut self) {
        let (claims, store) = (self.claims(), self.rooms.store.clone());
        let mut views = Vec::with_capacity(self.slots.len());
        for id in self.slots.keys().cloned().collect::<Vec<_>>() {
            // What is synced between these two is about to serve, and has not started before it does.
            let starting = self.slots[&id].is_starting(&store);
            let blocked = self.blocked(&id, &claims);
            let slot = self.slots.get_mut(&id).expect("it was listed just now");
            let starting = starting || (blocked.is_none() && slot.syncing().is_some());
            if let Some(why) = blocked {
                slot.waits(&id, why);
            }
            views.push(slot.view(&id, &store, starting));
        }
        self.rooms.metrics.slots(&views);
        self.published.view.store(Arc::new(views));
    }
}

fn spawn_find(finds: &mut JoinSet<Found>, rooms: &Rooms, kinds: &watch::Receiver<Arc<Kinds>>, loaded: Arc<Loaded>) {
    let (discovery, settings, kinds) = (rooms.discovery.clone(), rooms.settings.clone(), kinds.borrow().clone());
    finds.spawn(async move {
        let needs = Needs::find(&loaded, &kinds, &discovery, &settings).await;
        Found { loaded, kinds, needs }
    });
}
