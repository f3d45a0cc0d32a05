//! The owner of the watch tasks: keeps them equal to what is wanted and to what
//! the server serves.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard},
};

use kube::Client;
use tokio::{
    sync::watch,
    task::{AbortHandle, Id, JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;
use trimtab_core::{env::Env, kind::Kind};

use crate::{
    discovery::Kinds,
    fanout::Fanout,
    spec::{Health, WatchSpec},
    store::{Intake, Store},
    watch::{Content, Relists, Watch},
};

/// All watches of one cluster.
pub struct Watches {
    client: Client,
    store: Arc<Store>,
    kinds: watch::Receiver<Arc<Kinds>>,
    env: Arc<dyn Env>,
    content: Content,
    wanted: Mutex<BTreeMap<WatchSpec, Wanted>>,
    /// Rings when `wanted` has changed.
    changed: watch::Sender<()>,
}

/// One watch that is wanted, whether or not it can run yet.
struct Wanted {
    /// Counts the requests for a list.
    lists: watch::Sender<u64>,
    /// The newest of them that a finished list began after.
    done: Arc<Fanout<u64>>,
}

/// A watch's task has ended though no one stopped it: a fault of ours. The
/// process should end too, rather than serve from a store that grows old.
#[derive(Debug, thiserror::Error)]
#[error("the watch of {spec} has ended unexpectedly: {why}")]
pub struct WatchEnded {
    /// Which one.
    pub spec: String,
    /// How.
    pub why: String,
}

/// The list that was waited for will not come: the watch is not wanted any more.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not watched")]
pub struct NotWatched(pub WatchSpec);

impl Watches {
    /// Over `client`, feeding `store`, of the `kinds` that discovery publishes;
    /// nothing is asked before [`Watches::run`].
    pub fn new(client: Client, store: Arc<Store>, kinds: watch::Receiver<Arc<Kinds>>, env: Arc<dyn Env>) -> Arc<Self> {
        Self::of(Content::Whole, client, store, kinds, env)
    }

    /// The same, of the metadata alone. It needs a store of its own: what it holds
    /// is not the objects.
    pub fn of_metadata(
        client: Client,
        store: Arc<Store>,
        kinds: watch::Receiver<Arc<Kinds>>,
        env: Arc<dyn Env>,
    ) -> Arc<Self> {
        Self::of(Content::Metadata, client, store, kinds, env)
    }

    fn of(
        content: Content,
        client: Client,
        store: Arc<Store>,
        kinds: watch::Receiver<Arc<Kinds>>,
        env: Arc<dyn Env>,
    ) -> Arc<Self> {
        let (changed, _) = watch::channel(());
        Arc::new(Self { client, store, kinds, env, content, wanted: Mutex::default(), changed })
    }

    /// What is to be watched from now on: what is new is started, what is no
    /// longer wanted is stopped and forgotten.
    pub fn set(&self, specs: BTreeSet<WatchSpec>) {
        let mut wanted = self.wanted();
        wanted.retain(|spec, _| specs.contains(spec));
        for spec in specs {
            wanted.entry(spec).or_insert_with(|| Wanted { lists: watch::Sender::new(0), done: Arc::default() });
        }
        drop(wanted);
        self.changed.send_replace(());
    }

    /// Returns when a list that was begun after this call has been taken in.
    /// Waits for as long as there is none, so a caller that cannot puts a limit
    /// on it.
    pub async fn relist(&self, spec: &WatchSpec) -> Result<(), NotWatched> {
        let (number, mut done) = {
            let wanted = self.wanted();
            let wanted = wanted.get(spec).ok_or_else(|| NotWatched(spec.clone()))?;
            (wanted.want_list(), wanted.done.subscribe())
        };
        let fresh = done.wait_for(|done| *done >= number).await;
        fresh.map(|_| ()).map_err(|_| NotWatched(spec.clone()))
    }

    /// Runs the watches until `stop`; an error means that one has ended by
    /// itself.
    pub async fn run(&self, stop: CancellationToken) -> Result<(), WatchEnded> {
        let mut changed = self.changed.subscribe();
        let mut kinds = self.kinds.clone();
        let mut running = Running::default();
        loop {
            let known = kinds.borrow_and_update().clone();
            self.reconcile(&known, &mut running);
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                Some(ended) = running.tasks.join_next_with_id() => running.ended(ended)?,
                Ok(()) = changed.changed() => {}
                Ok(()) = kinds.changed() => {}
            }
        }
    }

    fn wanted(&self) -> MutexGuard<'_, BTreeMap<WatchSpec, Wanted>> {
        self.wanted.lock().expect("no one panics while they hold the list of what is wanted")
    }

    /// Makes the tasks what they should be.
    fn reconcile(&self, kinds: &Kinds, running: &mut Running) {
        let wanted = self.wanted();
        running.open.retain(|spec, open| {
            let keep = wanted.contains_key(spec);
            if !keep {
                open.stop();
            }
            keep
        });
        for (spec, wanted) in &*wanted {
            let open = running.open.entry(spec.clone()).or_insert_with(|| Open {
                intake: Arc::new(self.store.open(spec)),
                task: None,
                revision: None,
            });
            let served = kinds.get(&spec.kind).filter(|kind| kind.version(&spec.version).is_some());
            match served {
                Some(kind) => self.serve(kind, kinds, wanted, open, &mut running.tasks),
                None if kinds.is_known() => self.vanish(open),
                None => {}
            }
        }
    }

    /// Starts a watch of a kind that is served, or has it list again where the
    /// kind has changed: a changed default alters objects at the same resource
    /// version, and no watch shows that.
    fn serve(
        &self,
        kind: &Arc<Kind>,
        kinds: &Kinds,
        wanted: &Wanted,
        open: &mut Open,
        tasks: &mut JoinSet<Infallible>,
    ) {
        let revision = kinds.revision(&kind.id, &open.intake.spec().version).cloned();
        if open.task.is_none() {
            tracing::info!(watch = %open.intake.spec(), "watching");
            let relists = Relists { wanted: wanted.lists.subscribe(), done: wanted.done.clone() };
            let (client, env, intake) = (self.client.clone(), self.env.clone(), open.intake.clone());
            let watch = Watch::new(client, env, self.content, kind, intake, relists);
            open.intake.health(Health::Starting);
            open.task = Some(tasks.spawn(watch.run()));
        } else if open.revision.is_some() && revision.is_some() && open.revision != revision {
            tracing::info!(watch = %open.intake.spec(), "the kind has changed; listing it again");
            open.intake.health(Health::Starting);
            wanted.want_list();
        }
        open.revision = revision.or(open.revision.take());
    }

    /// Empties the partition of a kind that is not served. A new one takes its
    /// place, since the task that is being stopped may still hold the old one.
    fn vanish(&self, open: &mut Open) {
        if open.task.is_some() {
            tracing::warn!(watch = %open.intake.spec(), "the kind is no longer served");
            open.stop();
            open.intake.empty();
            open.intake = Arc::new(self.store.open(open.intake.spec()));
        }
        open.revision = None;
        open.intake.health(Health::Missing);
    }
}

impl Wanted {
    /// Asks for one more list and returns its number.
    fn want_list(&self) -> u64 {
        let mut number = 0;
        self.lists.send_modify(|lists| {
            *lists += 1;
            number = *lists;
        });
        number
    }
}

/// The tasks, and the partitions that they feed.
#[derive(Default)]
struct Running {
    open: BTreeMap<WatchSpec, Open>,
    tasks: JoinSet<Infallible>,
}

/// The partition of one watch.
struct Open {
    intake: Arc<Intake>,
    /// None while the kind is not served.
    task: Option<AbortHandle>,
    revision: Option<Arc<str>>,
}

impl Open {
    fn stop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

impl Running {
    /// A task is over: as it should be where we stopped it, else a fault.
    fn ended(&self, ended: Result<(Id, Infallible), JoinError>) -> Result<(), WatchEnded> {
        let error = match ended {
            Ok((_, never)) => match never {},
            Err(error) if error.is_cancelled() => return Ok(()),
            Err(error) => error,
        };
        let this = |open: &&Open| open.task.as_ref().is_some_and(|task| task.id() == error.id());
        let spec = self.open.values().find(this).map(|open| open.intake.spec().to_string());
        Err(WatchEnded { spec: spec.unwrap_or_else(|| "a kind no longer wanted".into()), why: error.to_string() })
    }
}
