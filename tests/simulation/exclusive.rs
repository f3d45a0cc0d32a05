//! A plugin that acts outside of the cluster is never called for one object by two
//! instances at a time: whoever calls it holds the object, whatever goes wrong.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::{
    collections::BTreeSet,
    fmt::Debug,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::FutureExt;
use serde_json::{Value, json};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
};
use trimtab_core::{id::InstanceId, marks::INSTANCE_LABEL};
use trimtab_engine::folder::Folder;
use trimtab_sim::{
    Api, SplitMix, World,
    fault::{self, Draw, Fault, What, When},
    simulate,
};

use crate::{
    SEED,
    mirror::{MIRRORS, define},
    site::CONFIG_MAPS,
    stage::STAGE,
};

const HOLD: &str = "exclusive.trimtab.dev/mine";
const INSTANCES: [&str; 2] = ["blue", "green"];
const OBJECTS: usize = 4;
const SEEDS: u64 = 24;
/// People move objects until then, and faults begin.
const DISTURBED: Duration = Duration::from_secs(200);

/// The calls of all hosts, held to the rule when they are made.
#[derive(Clone)]
struct Calls {
    api: Api,
    made: Arc<Mutex<Vec<Call>>>,
}

/// One call: by which instance for which object, and who held that on the server.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Call {
    by: String,
    object: String,
    holder: Option<String>,
}

/// What a plugin says is a line of the log, with the key that it was called for.
#[derive(Default)]
struct Line {
    message: String,
    key: String,
    text: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let into = match field.name() {
            "message" => &mut self.message,
            "key" => &mut self.key,
            "line" => &mut self.text,
            _ => return,
        };
        *into = format!("{value:?}").trim_matches('"').to_owned();
    }
}

impl<S: Subscriber> Layer<S> for Calls {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        if line.message != "plugin" {
            return;
        }
        let object = (0..OBJECTS).map(name).find(|name| line.key.contains(name)).unwrap();
        let live = self.api.get(&path(&object)).now_or_never().expect("a world's API answers at once");
        // It may have been deleted since.
        let Ok(live) = live else { return };
        let holder = live["metadata"]["labels"][HOLD].as_str().map(str::to_owned);
        self.made.lock().unwrap().push(Call { by: line.text, object, holder });
    }
}

impl Calls {
    fn made(&self) -> Vec<Call> {
        self.made.lock().unwrap().clone()
    }

    fn broken(&self) -> Option<Call> {
        self.made().into_iter().find(|call| call.holder.as_ref() != Some(&call.by))
    }

    fn by(&self, instance: &str) -> usize {
        self.made().iter().filter(|call| call.by == instance).count()
    }
}

fn name(object: usize) -> String {
    format!("mirror-{object}")
}

fn path(object: &str) -> String {
    format!("{MIRRORS}/{object}")
}

/// The same plugin in these instances.
fn folder(instances: &[&str], exclusive: bool) -> Folder {
    let policy = format!(
        r#"
        exclusive = {exclusive}
        [config]
        logs = true
        [config.describe]
        role = "composite"
        objects = [{{ apiVersion = "fixtures.trimtab.dev/v1", kind = "Mirror" }}]
        children = [{{ apiVersion = "v1", kind = "ConfigMap" }}]
        "#
    );
    let slots = instances.iter().map(|instance| STAGE.slot(instance, "mine", "mirror.wasm", Some(&policy)));
    Folder { slots: slots.collect(), read: true, ..Folder::default() }
}

/// A world in which each object is made for one of the instances, and what its calls are.
fn in_world<T>(faults: Vec<Fault>, seed: u64, play: impl AsyncFnOnce(&mut World, &Calls) -> T) -> T {
    let wasm = STAGE.wasm();
    simulate(async {
        let mut world = World::new(seed, faults, wasm);
        let calls = Calls { api: world.api.clone(), made: Arc::default() };
        let told = tracing::subscriber::set_default(tracing_subscriber::registry().with(calls.clone()));
        define(&world).await.unwrap();
        for object in 0..OBJECTS {
            let child = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name(object) } });
            let metadata = json!({ "name": name(object), "labels": { INSTANCE_LABEL: INSTANCES[object % 2] } });
            let spec = json!({ "children": [child] });
            let mirror = json!({ "apiVersion": "fixtures.trimtab.dev/v1", "kind": "Mirror", "metadata": metadata, "spec": spec });
            world.api.create(MIRRORS, &mirror).await.unwrap();
        }
        world.put_folder(folder(&INSTANCES, true));
        let left = play(&mut world, &calls).await;
        drop(told);
        left
    })
}

/// One process for each instance.
fn start_two(world: &mut World) {
    for instance in INSTANCES {
        world.start_host_of(Some(BTreeSet::from([InstanceId::new(instance).unwrap()])));
    }
}

async fn send(world: &World, object: usize, instance: &str) {
    let labels = json!({ "metadata": { "labels": { INSTANCE_LABEL: instance } } });
    world.api.merge(&path(&name(object)), &labels).await.unwrap();
}

async fn get(world: &World, object: usize) -> Value {
    world.api.get(&path(&name(object))).await.unwrap()
}

fn condition(object: &Value) -> String {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    let reconciled = conditions.into_iter().find(|condition| condition["type"] == "Reconciled");
    reconciled.map_or_else(String::new, |it| {
        [&it["reason"], &it["message"]].map(|text| text.as_str().unwrap_or_default()).join(": ")
    })
}

/// Whether an object is held and served by the instance that it is marked for.
async fn is_served(world: &World, object: usize) -> bool {
    let (live, child) = (get(world, object).await, world.api.get(&format!("{CONFIG_MAPS}/{}", name(object))).await);
    let labels = &live["metadata"]["labels"];
    labels[HOLD] == labels[INSTANCE_LABEL]
        && condition(&live).starts_with("Settled")
        && child.unwrap()["metadata"]["labels"][INSTANCE_LABEL] == labels[INSTANCE_LABEL]
}

/// Two processes, while objects are moved to and fro and faults happen; the error says
/// what is not as it must be.
async fn disturbed(world: &mut World, calls: &Calls, dice: &SplitMix) -> Result<(), String> {
    start_two(world);
    while world.clock().elapsed() < DISTURBED {
        let pause = dice.below(Duration::from_secs(12));
        world.pass(pause).await.map_err(|why| why.to_string())?;
        let (object, instance) = (dice.next() as usize % OBJECTS, INSTANCES[dice.next() as usize % 2]);
        send(world, object, instance).await;
    }
    world.disturb_no_more();
    world.settle().await.map_err(|why| why.to_string())?;
    if let Some(call) = calls.broken() {
        return Err(format!("called by an instance that does not hold the object: {call:?}"));
    }
    for object in 0..OBJECTS {
        if !is_served(world, object).await {
            return Err(format!("not served by whom it is marked for: {}", get(world, object).await));
        }
    }
    Ok(())
}

#[test]
fn whatever_goes_wrong_only_the_instance_that_holds_an_object_calls_its_plugin_for_it() {
    for seed in 1..=SEEDS {
        let wanted = Draw { faults: 10, until: DISTURBED, hosts: 2, resources: &["mirrors", "configmaps", "leases"] };
        let faults = fault::draw(seed, &wanted);
        let ended = in_world(faults.clone(), seed, async |world, calls| {
            let dice = SplitMix::new(seed, u64::from_le_bytes(*b"movers\0\0"));
            let ended = disturbed(world, calls, &dice).await;
            assert!(INSTANCES.iter().all(|instance| calls.by(instance) > 0), "seed {seed}");
            ended
        });
        let faults = faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        ended.unwrap_or_else(|why| panic!("seed {seed}: {why}\n{faults}"));
    }
}

/// Two objects that are moved, one each way, between two processes.
async fn swapped(world: &mut World) {
    start_two(world);
    world.settle().await.unwrap();
    send(world, 0, "green").await;
    send(world, 1, "blue").await;
    world.pass(Duration::from_secs(60)).await.unwrap();
    world.settle().await.unwrap();
}

#[test]
fn a_crash_or_a_pause_at_any_write_leads_to_no_call_by_who_does_not_hold_the_object() {
    let writes = in_world(Vec::new(), SEED, async |world, calls| {
        swapped(world).await;
        assert_eq!(calls.broken(), None);
        world.log().writes_since(Duration::ZERO).len()
    });
    for write in 1..=writes {
        for what in [What::CrashAfter, What::Frozen(Duration::from_secs(40))] {
            let fault = Fault { when: When::Write(write), what };
            in_world(vec![fault.clone()], SEED, async |world, calls| {
                swapped(world).await;
                assert_eq!(calls.broken(), None, "{fault}");
                for object in 0..OBJECTS {
                    assert!(is_served(world, object).await, "{fault}: {}", get(world, object).await);
                }
            });
        }
    }
}

#[test]
fn in_one_process_an_object_changes_hands_at_once() {
    in_world(Vec::new(), SEED, async |world, calls| {
        world.start_host();
        world.settle().await.unwrap();
        send(world, 0, "green").await;
        world.pass(Duration::from_secs(1)).await.unwrap();
        assert!(is_served(world, 0).await, "{}", get(world, 0).await);
        assert_eq!(calls.broken(), None);
    });
}

#[test]
fn between_two_processes_an_object_changes_hands_as_soon_as_it_is_let_go() {
    in_world(Vec::new(), SEED, async |world, calls| {
        start_two(world);
        world.settle().await.unwrap();
        send(world, 0, "green").await;
        world.pass(Duration::from_secs(1)).await.unwrap();
        assert!(is_served(world, 0).await, "{}", get(world, 0).await);
        assert_eq!(calls.broken(), None);
    });
}

#[test]
fn what_a_silent_predecessor_holds_waits_and_says_for_whom_until_its_lease_has_run_out() {
    in_world(Vec::new(), SEED, async |world, calls| {
        start_two(world);
        world.settle().await.unwrap();
        let before = calls.by("green");
        // The next write is that of who is to let go.
        let frozen = Fault { when: When::At(Duration::ZERO), what: What::Frozen(Duration::from_secs(120)) };
        world.disturb([frozen]);
        send(world, 0, "green").await;
        world.pass(Duration::from_secs(8)).await.unwrap();
        let waiting = get(world, 0).await;
        let waits = "Waiting: the instance \"blue\" still holds it: this waits until that one lets go, \
                     or nobody serves it any more";
        assert_eq!(condition(&waiting), waits, "{waiting}");
        assert_eq!((waiting["metadata"]["labels"][HOLD].as_str(), calls.by("green")), (Some("blue"), before));
        world.pass(Duration::from_secs(20)).await.unwrap();
        assert!(is_served(world, 0).await, "{}", get(world, 0).await);
        world.settle().await.unwrap();
        assert_eq!(calls.broken(), None);
        assert!(is_served(world, 0).await, "what comes late changes nothing: {}", get(world, 0).await);
    });
}

#[test]
fn what_an_instance_held_that_nobody_serves_any_more_is_taken_at_once() {
    in_world(Vec::new(), SEED, async |world, calls| {
        start_two(world);
        world.settle().await.unwrap();
        world.put_folder(folder(&["green"], true));
        world.pass(Duration::from_secs(1)).await.unwrap();
        send(world, 0, "green").await;
        world.pass(Duration::from_secs(3)).await.unwrap();
        assert!(is_served(world, 0).await, "{}", get(world, 0).await);
        assert_eq!(calls.broken(), None);
    });
}

#[test]
fn a_restart_keeps_what_is_held_and_writes_nothing() {
    in_world(Vec::new(), SEED, async |world, calls| {
        start_two(world);
        world.settle().await.unwrap();
        let (settled, before) = (world.clock().elapsed(), calls.by("blue"));
        let instances = world.stop_host().await;
        world.start_host_of(instances);
        world.settle().await.unwrap();
        assert_eq!(world.log().writes_since(settled), []);
        assert!(calls.by("blue") > before, "it has looked at what it holds");
        assert_eq!(calls.broken(), None);
    });
}

#[test]
fn a_plugin_that_is_exclusive_no_more_lets_go_of_all() {
    in_world(Vec::new(), SEED, async |world, _| {
        start_two(world);
        world.settle().await.unwrap();
        world.put_folder(folder(&INSTANCES, false));
        world.settle().await.unwrap();
        for object in 0..OBJECTS {
            assert_eq!(get(world, object).await["metadata"]["labels"][HOLD], Value::Null);
        }
    });
}
