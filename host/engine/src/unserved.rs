//! Objects that nobody serves: marked for an instance that no live Lease stands
//! for. Who submits one waits for ever and is told nothing, so whoever leads the
//! default instance looks for them, counts them, and after a grace says so at the
//! object.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio_util::sync::CancellationToken;
use trimtab_cluster::{
    events::{Events, Note},
    lease::Sightings,
    spec::WatchSpec,
    store::Store,
    watches::Watches,
};
use trimtab_core::{
    description::Role,
    env::Env,
    id::{GroupKind, InstanceId, Lineage, Uid},
    object::Object,
};

use crate::{generation::Generation, leading::Leading, metrics::Metrics, published::Published, settings::Settings};

/// Between two looks: a Lease's length, so that one which is not renewed is found
/// out by the second.
const SWEEP: Duration = Duration::from_secs(15);
/// After so long without a host an object is told: longer than it takes to start one.
const GRACE: Duration = Duration::from_secs(60);
const REASON: &str = "NotServed";

/// Looks for them.
pub struct Unserved {
    pub settings: Arc<Settings>,
    pub env: Arc<dyn Env>,
    pub leading: Arc<Leading>,
    pub published: Arc<Published>,
    /// What the plugins are served from: where this process is sent the objects of
    /// all instances, these are among them.
    pub store: Arc<Store>,
    /// The metadata of marked objects, where the server leaves those out.
    pub marked: Arc<Store>,
    pub watches: Arc<Watches>,
    pub leases: Sightings,
    pub events: Arc<Events>,
    pub metrics: Arc<Metrics>,
}

/// How long an object has been without a host, and whether it was told.
struct Known {
    since: Duration,
    told: bool,
}

/// An object that is marked for another instance than the default one.
struct Marked {
    object: Arc<Object>,
    instance: String,
    lineage: Lineage,
}

impl Unserved {
    /// Looks until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut known = HashMap::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.sweep(&mut known) => {}
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(SWEEP) => {}
            }
        }
    }

    async fn sweep(&self, known: &mut HashMap<Uid, Known>) {
        let marked = self.marked();
        let served = self.served(&marked).await;
        let is_served =
            |it: &Marked| served.get(&(it.instance.clone(), it.object.meta.place.kind.clone())) != Some(&false);
        let unserved = marked.into_iter().filter(|it| !is_served(it)).collect::<Vec<_>>();
        self.metrics.unserved(unserved.iter().map(|it| (&*it.instance, &it.object.meta.place.kind)));

        let uids = unserved.iter().map(|it| it.object.meta.uid.clone()).collect::<BTreeSet<_>>();
        known.retain(|uid, _| uids.contains(uid));
        let now = self.env.elapsed();
        for it in unserved {
            let known = known.entry(it.object.meta.uid.clone()).or_insert(Known { since: now, told: false });
            if now.saturating_sub(known.since) >= GRACE && !known.told {
                known.told = true;
                self.tell(&it);
            }
        }
    }

    /// All that is marked for other instances, of the kinds whose composites the
    /// default one serves here. While another process leads that one, it looks.
    fn marked(&self) -> Vec<Marked> {
        let default = InstanceId::default_instance();
        let serving = self.published.serving.load_full();
        let leads = self.leading.leads(&default);
        let composite = |generation: &&Arc<Generation>| generation.loaded.description.role == Role::Composite;
        let generations = serving.of_instance(&default).filter(composite).filter(|_| leads).collect::<Vec<_>>();
        let left_out = |generation: &Arc<Generation>| (generation.clone(), self.left_out(generation));
        let generations = generations.into_iter().map(left_out).collect::<Vec<_>>();
        self.watches.set(generations.iter().flat_map(|(_, left_out)| left_out).cloned().collect());
        let marked = generations.iter().flat_map(|(generation, left_out)| self.marked_for_others(generation, left_out));
        marked.collect()
    }

    /// The watches of what the server leaves out for a generation.
    fn left_out(&self, generation: &Generation) -> Vec<WatchSpec> {
        let key = &generation.needs.instance_key;
        if self.settings.object_selector(key).is_none() {
            return Vec::new();
        }
        let marked = |spec: &WatchSpec| WatchSpec { labels: Some(key.name().into()), ..spec.clone() };
        watches(generation).map(marked).collect()
    }

    fn marked_for_others(&self, generation: &Generation, left_out: &[WatchSpec]) -> Vec<Marked> {
        let objects = if left_out.is_empty() {
            watches(generation).flat_map(|spec| self.store.list(spec)).collect::<Vec<_>>()
        } else {
            left_out.iter().flat_map(|spec| self.marked.list(spec)).collect()
        };
        let marked = objects.into_iter().filter_map(|object| {
            let instance = generation.needs.instance_key.of(&object).into_owned();
            let lineage = generation.loaded.lineage.clone();
            let kind = generation.loaded.description.object(&object.meta.place.kind)?;
            (!instance.is_empty() && kind.selects(&object)).then_some(Marked { object, instance, lineage })
        });
        marked.collect()
    }

    /// Which of the instances are served, each kind by itself; what cannot be told
    /// is left out.
    async fn served(&self, marked: &[Marked]) -> BTreeMap<(String, GroupKind), bool> {
        let asked = marked.iter().map(|it| (it.instance.clone(), it.object.meta.place.kind.clone()));
        let asked = asked.collect::<BTreeSet<_>>();
        self.leases.keep(|instance| asked.iter().any(|(asked, _)| asked == instance.as_str()));
        let mut served = BTreeMap::new();
        for (instance, kind) in asked {
            // What is no id can be nobody's.
            let answer = match InstanceId::new(&instance) {
                Ok(id) => self.leases.is_served(&id, &kind).await,
                Err(_) => Ok(false),
            };
            match answer {
                Ok(is_served) => _ = served.insert((instance, kind), is_served),
                Err(error) => tracing::debug!(instance, %error, "whether anybody serves the instance cannot be told"),
            }
        }
        served
    }

    fn tell(&self, it: &Marked) {
        let Marked { object, instance, lineage } = it;
        let kind = &object.meta.place.kind;
        let message = format!(
            "it is marked for instance {instance:?}, and no host serves {kind} there: \
             add a plugin to the folder of that name, start a host that serves it, or change the mark"
        );
        tracing::warn!(place = %object.meta.place, instance, "nobody serves this object");
        let default = InstanceId::default_instance();
        self.events.publish(Note::new(&object.meta, lineage, &default, true, REASON, &message));
    }
}

/// What shows the objects of a generation.
fn watches(generation: &Generation) -> impl Iterator<Item = &WatchSpec> {
    generation.needs.objects.iter().flat_map(|object| &object.watches)
}
