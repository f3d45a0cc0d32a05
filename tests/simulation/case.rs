//! One case: people, hosts and faults; and what must hold of it, whatever was
//! drawn.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};
use trimtab_sim::{
    Entry, World,
    fault::{self, Draw, Fault, What},
    oracle::{self, End},
    simulate,
};
use trimtab_wasm::Wasm;

use crate::{
    site::{CONFIG_MAPS, DEFINITION, DEFINITIONS, LINES_SHOWN, SERVICES, SITES, last_writes, name, site},
    stage::STAGE,
    user::{self, Action, Files, Step},
};

/// What hosts watch.
const WATCHED: &[&str] = &["sites", "configmaps", "services", "deployments", "leases", "customresourcedefinitions"];
/// When people have done the last thing.
const PEOPLE: Duration = Duration::from_secs(200);
/// When the last fault begins: after that, the end can be compared.
const FAULTS: Duration = Duration::from_secs(300);

/// What is drawn from a seed, and what a failure is shrunk to.
#[derive(Clone)]
pub struct Case {
    /// Chooses delays, identities and uids, too.
    pub seed: u64,
    /// Sites that are there at the beginning.
    pub sites: usize,
    /// Hosts at a time.
    pub hosts: u32,
    /// What people do.
    pub steps: Vec<Step>,
    /// What they put into the folder in the end, with which all can be served.
    pub last: Files,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// For how long nothing may be written in the end.
    pub quiet: Duration,
}

/// What a case left.
pub struct Left {
    /// What is in the cluster.
    pub end: End,
    /// Requests of all hosts.
    pub log: Vec<Entry>,
    /// Those that write, without those of Leases.
    pub writes: usize,
    /// What has gone wrong.
    pub met: Vec<What>,
}

/// How large a case is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub sites: usize,
    pub steps: usize,
    pub faults: usize,
    pub quiet: Duration,
}

impl Case {
    /// The case of a seed.
    pub fn draw(seed: u64, size: Size) -> Self {
        let hosts = 1 + (seed % 3) as u32;
        let (steps, last) = user::draw(seed, size.sites, size.steps, PEOPLE);
        let draw = Draw { faults: size.faults, until: FAULTS, hosts, resources: WATCHED };
        Self { seed, sites: size.sites, hosts, steps, last, faults: fault::draw(seed, &draw), quiet: size.quiet }
    }

    /// The same people with one host and nothing that goes wrong.
    pub fn undisturbed(&self) -> Self {
        Self { hosts: 1, faults: Vec::new(), quiet: Duration::ZERO, ..self.clone() }
    }

    /// Runs it with and without what goes wrong; the error says what is not as
    /// it must be.
    pub fn check(&self) -> Result<Left, String> {
        let undisturbed = self.undisturbed().run().map_err(|why| format!("undisturbed: {why}"))?;
        self.check_against(&undisturbed)
    }

    /// Runs it, and compares its end.
    pub fn check_against(&self, undisturbed: &Left) -> Result<Left, String> {
        let left = self.run()?;
        match left.end.differences(&undisturbed.end) {
            differences if differences.is_empty() => Ok(left),
            differences => Err(differences[..differences.len().min(LINES_SHOWN)].join("\n")),
        }
    }

    /// Runs it to its end.
    pub fn run(&self) -> Result<Left, String> {
        let wasm = STAGE.wasm();
        let run = || simulate(self.play(wasm));
        catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err("it panicked, as is told above".into()))
    }

    async fn play(&self, wasm: Arc<Wasm>) -> Result<Left, String> {
        let mut world = World::new(self.seed, self.faults.clone(), wasm);
        let played = self.play_in(&mut world).await;
        let told = |why| format!("{why}\n{}\nthe slots: {:?}", last_writes(&world), world.slots());
        let end = played.map_err(told)?;
        Ok(Left {
            end,
            log: world.log().entries(),
            writes: world.log().writes_since(Duration::ZERO).len(),
            met: world.disturbances().into_iter().map(|(_, what)| what).collect(),
        })
    }

    async fn play_in(&self, world: &mut World) -> Result<End, String> {
        let api = world.api.clone();
        let foreign = self.set_up(world).await.map_err(|refused| refused.to_string())?;
        for _ in 0..self.hosts {
            world.start_host();
        }
        let last = Step { at: PEOPLE, action: Action::Folder(self.last) };
        for step in self.steps.iter().chain([&last]) {
            let pause = step.at.saturating_sub(world.clock().elapsed());
            world.pass(pause).await.map_err(|broken| broken.to_string())?;
            step.action.act(world).await;
        }
        let pause = FAULTS.saturating_sub(world.clock().elapsed());
        world.pass(pause).await.map_err(|broken| broken.to_string())?;
        world.disturb_no_more();
        world.settle().await.map_err(|broken| broken.to_string())?;
        let end = End::of(&api).await.map_err(|refused| refused.to_string())?;
        self.check_the_end(world, &foreign).await?;
        let settled = world.clock().elapsed();
        world.pass(self.quiet).await.map_err(|broken| broken.to_string())?;
        match world.log().writes_since(settled).first() {
            Some(write) => Err(format!("it was settled, and yet it wrote:\n{write}")),
            None => Ok(end),
        }
    }

    async fn set_up(&self, world: &World) -> Result<Foreign, trimtab_sim::Refused> {
        let api = &world.api;
        let definition = serde_saphyr::from_str::<Value>(DEFINITION).expect("it is applied in other tests");
        api.create(DEFINITIONS, &definition).await?;
        for number in 0..self.sites {
            api.create(SITES, &site(number)).await?;
        }
        api.create(CONFIG_MAPS, &json!({ "metadata": { "name": "foreign" }, "data": { "key": "value" } })).await?;
        let service = json!({ "metadata": { "name": "foreign" }, "spec": { "ports": [{ "port": 80 }] } });
        api.create(SERVICES, &service).await?;
        oracle::foreign(api, &["sites"]).await
    }

    /// What must be in each world's end, compared with no other.
    async fn check_the_end(&self, world: &World, foreign: &Foreign) -> Result<(), String> {
        let now = oracle::foreign(&world.api, &["sites"]).await.map_err(|refused| refused.to_string())?;
        if now != *foreign {
            return Err(format!("something foreign was touched: {foreign:?} became {now:?}"));
        }
        // A Site always wants all of its children: whoever deletes one makes it anew without reason.
        let entries = world.log().entries();
        if let Some(deletion) = entries.iter().find(|entry| entry.method == "DELETE") {
            return Err(format!("a child was deleted:\n{deletion}"));
        }
        for number in 0..self.sites {
            // People may have deleted it.
            let Ok(site) = world.api.get(&format!("{SITES}/{}", name(number))).await else { continue };
            let build = user::build(&site);
            if site["status"]["build"] != build
                || site["status"]["observedGeneration"] != site["metadata"]["generation"]
            {
                return Err(format!("{} is not what build {build} makes: {site}", name(number)));
            }
        }
        Ok(())
    }
}

/// What no plugin made, see [`oracle::foreign`].
type Foreign = std::collections::BTreeMap<String, String>;

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, sites, hosts, steps, last, faults, .. } = self;
        writeln!(f, "seed {seed}, {sites} Sites, {hosts} hosts at a time; faults end at {FAULTS:?}")?;
        writeln!(f, "in the end: {last:?}")?;
        writeln!(f, "people:")?;
        steps.iter().try_for_each(|step| writeln!(f, "  {step}"))?;
        writeln!(f, "faults:")?;
        faults.iter().try_for_each(|fault| writeln!(f, "  {fault}"))
    }
}
