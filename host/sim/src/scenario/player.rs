//! A scenario's steps in a world: each is done, and then the world comes to rest.

use std::{sync::Arc, time::Duration};

use trimtab_wasm::Wasm;

use super::{
    Action, Outcome, Plugins, Scenario,
    cluster::{Cluster, Undone},
    stage::Stage,
    swap,
};
use crate::{
    fault::{Fault, What},
    log::Entry,
    workloads,
    world::{Broken, World},
};

/// For how long nothing must have been written for the next step to begin: a
/// step's last consequences are written within milliseconds, but a new kind may
/// be noticed by the poll of discovery alone, each two seconds.
pub const REST: Duration = Duration::from_secs(3);
/// The same after a crash: another host waits for the Lease, 15 s, and begins.
const REST_AFTER_CRASH: Duration = Duration::from_secs(25);
/// How long a step may take to come to rest; what still writes then, writes for
/// ever.
const REST_MAX: Duration = Duration::from_secs(600);

/// Plays steps.
pub struct Player<'a> {
    /// Where.
    pub world: World,
    /// Its objects.
    pub cluster: Cluster,
    stage: &'a Stage,
    plugins: Plugins,
    workloads: bool,
    /// When each step that was played began, by its index.
    pub began: Vec<(usize, Duration)>,
}

/// Why a step came to no end.
#[derive(Debug, thiserror::Error)]
pub enum Stuck {
    /// It could not be done.
    #[error(transparent)]
    Undone(#[from] Undone),
    /// The world it was done in is broken.
    #[error(transparent)]
    Broken(#[from] Broken),
}

impl<'a> Player<'a> {
    /// A world in which this will go wrong, with nothing in it yet.
    pub fn new(
        scenario: &Scenario,
        stage: &'a Stage,
        wasm: Arc<Wasm>,
        seed: u64,
        faults: impl IntoIterator<Item = Fault>,
    ) -> Self {
        let mut world = World::new(seed, faults, wasm);
        if scenario.workloads {
            world.start_workloads();
        }
        let cluster = Cluster::new(world.api.clone());
        let (plugins, workloads) = (scenario.plugins.clone(), scenario.workloads);
        Self { world, cluster, stage, plugins, workloads, began: Vec::new() }
    }

    /// Starts a host with the scenario's plugins, and waits until it leads.
    pub async fn begin(&mut self) -> Result<(), Broken> {
        self.world.put_folder(self.stage.folder(&self.plugins));
        self.world.start_host();
        self.rest().await
    }

    /// Does what a step says, and waits for its consequences. What is expected
    /// is not looked at here.
    pub async fn play(&mut self, index: usize, action: &Action) -> Result<(), Stuck> {
        self.began.push((index, self.world.clock().elapsed()));
        self.act(action).await?;
        Ok(self.rest().await?)
    }

    async fn act(&mut self, action: &Action) -> Result<(), Stuck> {
        let cluster = &mut self.cluster;
        match action {
            Action::Apply(manifests) => {
                for manifest in manifests {
                    cluster.apply(manifest).await?;
                }
            }
            Action::Patch(patches) => {
                for (of, patch) in patches {
                    cluster.merge(of, patch).await?;
                }
            }
            Action::Label(labels) => {
                for (of, marks) in labels {
                    cluster.mark(of, "labels", marks).await?;
                }
            }
            Action::Annotate(annotations) => {
                for (of, marks) in annotations {
                    cluster.mark(of, "annotations", marks).await?;
                }
            }
            Action::Delete(references) => {
                for of in references {
                    cluster.delete(of).await?;
                }
            }
            Action::Report(references, outcome) => {
                let now = self.world.clock().timestamp().to_string();
                let asked = workloads::asked_for(*outcome == Outcome::Ready);
                for of in references {
                    // Where somebody reports already, it is he who is asked.
                    match self.workloads && workloads::runs(of.group.as_deref(), &of.kind) {
                        true => cluster.mark(of, "annotations", &asked).await?,
                        false => cluster.report(of, *outcome, &now).await?,
                    }
                }
            }
            Action::Advance(time) => self.world.pass(*time).await?,
            Action::Swap(files) => {
                swap(&mut self.plugins, files);
                self.world.put_folder(self.stage.folder(&self.plugins));
            }
            Action::Expect(_) => {}
        }
        Ok(())
    }

    /// Lets time pass until nothing has been written for a while, or for a
    /// longer while if there is a new host that has to begin. Workloads that go
    /// on and on are waited for no longer than a host would be.
    async fn rest(&mut self) -> Result<(), Broken> {
        let (began, crashes) = (self.world.clock().elapsed(), self.crashes());
        loop {
            let now = self.world.clock().elapsed();
            let quiet = if self.crashes() > crashes { REST_AFTER_CRASH } else { REST };
            let last = self.world.log().writes_since(began).pop();
            let of_workloads = self.world.workloads_wrote().unwrap_or(began);
            let until = last.as_ref().map_or(began, |last| last.at).max(of_workloads) + quiet;
            match last {
                _ if until <= now => return Ok(()),
                Some(last) if now - began >= REST_MAX => return Err(Broken::Restless(last.into())),
                None if now - began >= REST_MAX => return Ok(()),
                _ => self.world.pass(until - now).await?,
            }
        }
    }

    fn crashes(&self) -> usize {
        let is_crash = |what: &What| matches!(what, What::CrashBefore | What::CrashAfter);
        self.world.disturbances().iter().filter(|(_, what)| is_crash(what)).count()
    }

    /// The writes since then that an author counts: children, statuses and
    /// marks, but no Leases and no Events.
    pub fn writes_since(&self, since: Duration) -> Vec<Entry> {
        let mut writes = self.world.log().writes_since(since);
        writes.retain(|write| !write.is_about_an_event());
        writes
    }
}
