//! The scenario: Sites that are served, one swap and one move between
//! instances at once, and a child deleted by hand; and what must hold after it.

use std::{
    error::Error,
    fmt::{self, Write},
    time::Duration,
};

use serde_json::{Value, json};
use trimtab_core::marks;
use trimtab_sim::{
    Entry, World,
    fault::Fault,
    oracle::{self, End},
    simulate,
};

use crate::stage::STAGE;

pub const DEFINITION: &str = include_str!("../../plugins/examples/site/crd.yaml");
pub const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
pub const SITES: &str = "/apis/example.dev/v1/namespaces/default/sites";
pub const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
pub const SERVICES: &str = "/api/v1/namespaces/default/services";

/// The instance that keeps the first build when the default one gets the next:
/// at the end each object shows which of the two served it.
pub const HELD_BACK: &str = "held-back";

/// Of differences and of requests: enough to see what happened.
pub const LINES_SHOWN: usize = 25;

/// One run of the scenario.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Chooses delays, identities and uids.
    pub seed: u64,
    /// How many Sites there are; two at least.
    pub sites: usize,
    /// What goes wrong.
    pub fault: Option<Fault>,
    /// Hosts at a time: one that leads, and others that stand by.
    pub hosts: u32,
    /// For how long nothing may be written in the end.
    pub quiet: Duration,
}

/// What a run left.
pub struct Run {
    /// All requests of all hosts.
    pub log: Vec<Entry>,
    /// The writes among them but those of Leases.
    pub writes: usize,
    /// What is in the cluster.
    pub end: End,
}

impl Scenario {
    /// Runs it. A failure names the seed and shows the last writes.
    pub fn run(&self) -> Run {
        self.checked(|_| Vec::new())
    }

    /// Runs it, and compares its end with that of an undisturbed run.
    pub fn run_to_the_end_of(&self, undisturbed: &Run) -> Run {
        self.checked(|end| end.differences(&undisturbed.end))
    }

    fn checked(&self, differences: impl Fn(&End) -> Vec<String>) -> Run {
        let wasm = STAGE.wasm();
        simulate(async {
            let mut world = World::new(self.seed, self.fault.clone(), wasm);
            let failure = match self.play(&mut world).await {
                Ok(run) => match differences(&run.end) {
                    differences if differences.is_empty() => return run,
                    differences => differences[..differences.len().min(LINES_SHOWN)].join("\n"),
                },
                Err(error) => error.to_string(),
            };
            panic!("{self:?}\n{failure}\n{}", last_writes(&world));
        })
    }

    async fn play(&self, world: &mut World) -> Result<Run, Box<dyn Error>> {
        let api = world.api.clone();
        api.create(DEFINITIONS, &serde_saphyr::from_str::<Value>(DEFINITION)?).await?;
        for number in 0..self.sites {
            api.create(SITES, &site(number)).await?;
        }
        api.create(CONFIG_MAPS, &json!({ "metadata": { "name": "foreign" }, "data": { "key": "value" } })).await?;
        let service = json!({ "metadata": { "name": "foreign" }, "spec": { "ports": [{ "port": 80 }] } });
        api.create(SERVICES, &service).await?;
        let foreign = oracle::foreign(&api, &["sites"]).await?;

        for _ in 0..self.hosts {
            world.start_host();
        }
        world.put_folder(STAGE.folder(&[("", "site.wasm")]));
        world.settle().await?;

        world.put_folder(STAGE.folder(&[("", "site-next.wasm"), (HELD_BACK, "site.wasm")]));
        let moved = json!({ "metadata": { "labels": { marks::INSTANCE_LABEL: HELD_BACK } } });
        api.merge(&format!("{SITES}/{}", name(0)), &moved).await?;
        api.delete(&format!("{CONFIG_MAPS}/{}", name(1))).await?;
        world.settle().await?;

        let end = End::of(&api).await?;
        self.check_that_each_is_served(world).await?;
        let now = oracle::foreign(&api, &["sites"]).await?;
        if now != foreign {
            return Err(format!("something foreign was touched: {foreign:?} became {now:?}").into());
        }
        let settled = world.clock().elapsed();
        world.pass(self.quiet).await?;
        if let Some(write) = world.log().writes_since(settled).first() {
            return Err(format!("it was settled, and yet it wrote:\n{write}").into());
        }
        let writes = world.log().writes_since(Duration::ZERO).len();
        Ok(Run { log: world.log().entries(), writes, end })
    }

    /// Without this, worlds in which nothing is served would all be equal.
    async fn check_that_each_is_served(&self, world: &World) -> Result<(), Box<dyn Error>> {
        for number in 0..self.sites {
            let site = world.api.get(&format!("{SITES}/{}", name(number))).await?;
            let page = world.api.get(&format!("{CONFIG_MAPS}/{}", name(number))).await?;
            let build = if number == 0 { "1" } else { "2" };
            if site["status"]["build"] != build || page["data"]["build"] != build {
                let slots = world.slots();
                return Err(format!("{site} and {page} are not what build {build} makes; {slots:?}").into());
            }
        }
        Ok(())
    }
}

pub fn name(number: usize) -> String {
    format!("site-{number:02}")
}

/// A Site as a person creates it.
pub fn site(number: usize) -> Value {
    json!({
        "apiVersion": "example.dev/v1",
        "kind": "Site",
        "metadata": { "name": name(number) },
        "spec": { "host": format!("{}.example.dev", name(number)), "replicas": 2, "page": "hello" },
    })
}

/// What led to a failure.
pub fn last_writes(world: &World) -> String {
    let writes = world
        .log()
        .entries()
        .into_iter()
        .filter(|entry| entry.writes() && !entry.is_about_a_lease())
        .collect::<Vec<_>>();
    let mut text = format!("the last of {} writes besides those of Leases:\n", writes.len());
    for write in writes.iter().skip(writes.len().saturating_sub(LINES_SHOWN)) {
        let _: fmt::Result = writeln!(text, "{write}");
    }
    text
}
