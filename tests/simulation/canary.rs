//! Canaries: a good one passes, a bad one goes back by itself, and whatever goes wrong
//! meanwhile, in one process or in two, each object ends where it should, with the
//! children that it had.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

mod hindered;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::{Value, json};
use trimtab_core::id::InstanceId;
use trimtab_engine::folder::Folder;
use trimtab_sim::{
    World,
    fault::{Fault, What, When},
    simulate,
};
use trimtab_wasm::Wasm;

use crate::{
    SEED,
    mirror::{DESCRIBE, MIRRORS, define},
    site::{CONFIG_MAPS, DEFINITIONS, last_writes},
    stage::STAGE,
};

const DEFINITION: &str = include_str!("../../deploy/crds/canaries.yaml");
const CANARIES: &str = "/apis/trimtab.dev/v1alpha1/namespaces/default/canaries";
const OBJECTS: usize = 8;
/// Longer than a canary takes from its beginning to its last step, or to its way back.
const OVER: Duration = Duration::from_secs(90);
/// As long as a new build is on probation, where its policy says nothing else.
const PROBATION: Duration = Duration::from_secs(300);
const STABLE: &str = "";
const GOOD: &str = "other = 1";
const BAD: &str = "faults = { third = \"trap\" }";
const FAILS_THE_ODD: &str = "faults = { odd = \"retry\" }";
/// Makes what an annotation says.
const MORE: &str = "wish = \"more\"";

fn folder(stable: &str, tried: &str) -> Folder {
    let policy = |config: &str| format!("[config]\n{config}\n{DESCRIBE}");
    let slots = [("", stable), ("next", tried)];
    let slots = slots.map(|(instance, config)| STAGE.slot(instance, "mine", "mirror.wasm", Some(&policy(config))));
    Folder { slots: slots.into(), read: true, ..Folder::default() }
}

fn config_map(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name } })
}

/// An object with a child, which the next build would give three more.
fn mirror(number: usize) -> Value {
    let own = config_map(&format!("m{number}"));
    let more = (0..3).map(|more| config_map(&format!("m{number}-more-{more}"))).chain([own.clone()]);
    let mut annotations = json!({ "more": json!({ "children": more.collect::<Vec<_>>() }).to_string() });
    if number % 2 == 1 {
        annotations["odd"] = json!("");
    }
    if number.is_multiple_of(3) {
        annotations["third"] = json!("");
    }
    json!({ "apiVersion": "fixtures.trimtab.dev/v1", "kind": "Mirror",
        "metadata": { "name": format!("m{number}"), "annotations": annotations }, "spec": { "children": [own] } })
}

fn canary(name: &str) -> Value {
    let steps = json!([{ "percent": 50, "holdSeconds": 10 }, { "percent": 100, "holdSeconds": 10 }]);
    let spec = json!({ "lineage": "mine", "kind": "Mirror.fixtures.trimtab.dev", "to": "next", "steps": steps });
    json!({ "apiVersion": "trimtab.dev/v1alpha1", "kind": "Canary", "metadata": { "name": name }, "spec": spec })
}

/// The processes of a world: which instances each of them serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hosts {
    One,
    Two,
    OneForEach,
}

async fn prepared(wasm: Arc<Wasm>) -> World {
    let world = World::new(SEED, None, wasm);
    define(&world).await.unwrap();
    world.api.create(DEFINITIONS, &serde_saphyr::from_str::<Value>(DEFINITION).unwrap()).await.unwrap();
    for number in 0..OBJECTS {
        world.api.create(MIRRORS, &mirror(number)).await.unwrap();
    }
    world
}

async fn served(stable: &str, tried: &str, hosts: Hosts, wasm: Arc<Wasm>) -> World {
    let mut world = prepared(wasm).await;
    world.put_folder(folder(stable, tried));
    match hosts {
        Hosts::One => world.start_host(),
        Hosts::Two => (0..2).for_each(|_| world.start_host()),
        Hosts::OneForEach => {
            for instance in ["", "next"] {
                world.start_host_of(Some([InstanceId::new(instance).unwrap()].into()));
            }
        }
    }
    world.settle().await.unwrap();
    world
}

fn in_world(stable: &str, tried: &str, hosts: Hosts, play: impl AsyncFnOnce(World)) {
    let wasm = STAGE.wasm();
    simulate(async { play(served(stable, tried, hosts, wasm).await).await });
}

async fn begin(world: &mut World, canary: &Value) {
    world.api.create(CANARIES, canary).await.unwrap();
}

async fn status(world: &World, name: &str) -> Value {
    world.api.get(&format!("{CANARIES}/{name}")).await.unwrap()["status"].clone()
}

/// The phase in which a canary is, once the time has passed that one takes.
async fn phase(world: &mut World) -> String {
    world.pass(OVER).await.unwrap();
    world.settle().await.unwrap_or_else(|error| panic!("{error}\n{}", last_writes(world)));
    status(world, "c").await["phase"].as_str().unwrap_or_default().to_owned()
}

async fn list(world: &World, path: &str) -> Vec<Value> {
    world.api.get(path).await.unwrap()["items"].as_array().cloned().unwrap_or_default()
}

/// How many objects are marked for the other instance, and how many bear a canary's mark.
async fn away(world: &World) -> (usize, usize) {
    let objects = list(world, MIRRORS).await;
    let has =
        |field: &str, name: &str| objects.iter().filter(|object| object["metadata"][field].get(name).is_some()).count();
    (has("labels", "trimtab.dev/instance-id"), has("annotations", "trimtab.dev/canary"))
}

async fn children(world: &World) -> BTreeMap<String, String> {
    let text = |child: &Value, field: &str| child["metadata"][field].as_str().unwrap_or_default().to_owned();
    list(world, CONFIG_MAPS).await.iter().map(|child| (text(child, "name"), text(child, "uid"))).collect()
}

#[test]
fn a_good_canary_passes_and_ends_when_the_stable_one_is_the_same() {
    for hosts in [Hosts::One, Hosts::OneForEach] {
        in_world(STABLE, GOOD, hosts, async |mut world| {
            let before = children(&world).await;
            begin(&mut world, &canary("c")).await;
            assert_eq!(phase(&mut world).await, "Passed", "{hosts:?}: {}", status(&world, "c").await);
            assert_eq!(away(&world).await, (OBJECTS, OBJECTS), "{hosts:?}");
            let said = status(&world, "c").await;
            assert_eq!((&said["tried"], &said["conditions"][0]["status"]), (&json!(OBJECTS), &json!("True")));

            world.api.create(MIRRORS, &mirror(OBJECTS)).await.unwrap();
            assert_eq!(phase(&mut world).await, "Passed");
            assert_eq!(away(&world).await.0, OBJECTS + 1, "{hosts:?}: who comes later goes there, too");

            world.put_folder(folder(GOOD, GOOD));
            assert_eq!(phase(&mut world).await, "Passed", "{hosts:?}: that may still be taken back");
            world.pass(PROBATION).await.unwrap();
            assert_eq!(phase(&mut world).await, "Promoted", "{hosts:?}");
            assert_eq!(away(&world).await, (0, 0), "{hosts:?}");
            let after = children(&world).await;
            assert!(before.iter().all(|(name, uid)| after.get(name) == Some(uid)), "{hosts:?}: a child was made anew");
        });
    }
}

/// Two deployments, neither of which says which instances it serves; that of the canary has
/// a plugin of this lineage.
fn in_two_deployments(lineage: &str, play: impl AsyncFnOnce(World)) {
    let wasm = STAGE.wasm();
    simulate(async {
        let mut world = prepared(wasm).await;
        let mut all = folder(STABLE, GOOD);
        all.slots.retain(|id, _| id.instance.is_default());
        world.start_host_with(all.clone());
        let policy = format!("[config]\n{GOOD}\n{DESCRIBE}");
        all.slots = [STAGE.slot("next", lineage, "mirror.wasm", Some(&policy))].into();
        world.start_host_with(all);
        world.settle().await.unwrap();
        play(world).await;
    });
}

#[test]
fn a_canary_in_another_deployment_is_found_by_its_lease() {
    in_two_deployments("mine", async |mut world| {
        begin(&mut world, &canary("c")).await;
        assert_eq!(phase(&mut world).await, "Passed", "{}", status(&world, "c").await);
        assert_eq!(away(&world).await, (OBJECTS, OBJECTS));
    });
}

#[test]
fn nothing_is_moved_to_a_plugin_of_another_lineage() {
    in_two_deployments("another", async |mut world| {
        begin(&mut world, &canary("c")).await;
        assert_eq!(phase(&mut world).await, "Pending", "{}", status(&world, "c").await);
        assert_eq!(away(&world).await, (0, 0));
    });
}

#[test]
fn a_bad_canary_goes_back_by_itself_and_is_not_tried_again_before_it_changes() {
    for hosts in [Hosts::One, Hosts::OneForEach] {
        in_world(STABLE, BAD, hosts, async |mut world| {
            let before = children(&world).await;
            begin(&mut world, &canary("c")).await;
            assert_eq!(phase(&mut world).await, "RolledBack", "{hosts:?}: {}", status(&world, "c").await);
            let said = status(&world, "c").await;
            assert!(said["message"].as_str().unwrap().contains("the plugin trapped"), "{hosts:?}: {said}");
            assert_eq!((away(&world).await, children(&world).await), ((0, 0), before.clone()), "{hosts:?}");
            let settled = list(&world, MIRRORS).await;
            let settled = settled.iter().all(|object| object["status"]["conditions"][0]["status"] == "True");
            assert!(settled, "{hosts:?}: the stable one serves them");

            let from = world.clock().elapsed();
            assert_eq!(phase(&mut world).await, "RolledBack");
            assert_eq!(world.log().writes_since(from).len(), 0, "{hosts:?}: it rests");
            let path = format!("{CANARIES}/c");
            world.api.merge(&path, &json!({ "spec": { "toleratedPercent": 100 } })).await.unwrap();
            assert_eq!(phase(&mut world).await, "Passed", "{hosts:?}: it was told to, and tolerates all");
        });
    }
}

#[test]
fn what_failed_before_is_no_blame() {
    in_world(FAILS_THE_ODD, "faults = { odd = \"trap\" }", Hosts::One, async |mut world| {
        begin(&mut world, &canary("c")).await;
        assert_eq!(phase(&mut world).await, "Passed", "{}", status(&world, "c").await);
        let tried = "faults = { odd = \"trap\" }";
        world.put_folder(folder(tried, tried));
        world.pass(PROBATION).await.unwrap();
        assert_eq!(phase(&mut world).await, "Promoted", "nor does it hold up the promotion");
        assert_eq!(away(&world).await, (0, 0));
    });
}

#[test]
fn what_it_has_made_is_listed_and_cleaned_on_the_way_back_however_much_it_is() {
    in_world(STABLE, MORE, Hosts::One, async |mut world| {
        let before = children(&world).await;
        begin(&mut world, &canary("c")).await;
        assert_eq!(phase(&mut world).await, "Passed", "{}", status(&world, "c").await);
        assert_eq!(children(&world).await.len(), before.len() * 4);
        let one_more = json!({ "metadata": { "annotations": { "third": "" } } });
        world.api.merge(&format!("{MIRRORS}/m1"), &one_more).await.unwrap();
        world.put_folder(folder(STABLE, &format!("{BAD}\n{MORE}")));
        assert_eq!(phase(&mut world).await, "RolledBack");
        let said = status(&world, "c").await;
        assert_eq!(
            (&said["made"]["count"], said["made"]["names"].as_array().unwrap().len()),
            (&json!(24), 20),
            "{said}"
        );
        assert_eq!((away(&world).await, children(&world).await), ((0, 0), before));
    });
}

#[test]
fn a_deleted_canary_leaves_all_as_it_was() {
    for wait in [0, 2, 5, 30, 90] {
        in_world(STABLE, GOOD, Hosts::One, async |mut world| {
            let before = children(&world).await;
            begin(&mut world, &canary("c")).await;
            world.pass(Duration::from_secs(wait)).await.unwrap();
            world.api.delete(&format!("{CANARIES}/c")).await.unwrap();
            world.settle().await.unwrap();
            assert_eq!(world.api.get(&format!("{CANARIES}/c")).await.map_err(|error| error.status()), Err(404));
            assert_eq!((away(&world).await, children(&world).await), ((0, 0), before), "after {wait} s");
        });
    }
}

#[test]
fn a_canary_whose_spec_cannot_be_read_any_more_goes_back() {
    for deleted in [false, true] {
        in_world(STABLE, GOOD, Hosts::One, async |mut world| {
            begin(&mut world, &canary("c")).await;
            assert_eq!(phase(&mut world).await, "Passed");
            let path = format!("{CANARIES}/c");
            world.api.merge(&path, &json!({ "spec": { "objects": { "selector": "a in" } } })).await.unwrap();
            if deleted {
                world.api.delete(&path).await.unwrap();
            }
            world.pass(OVER).await.unwrap();
            world.settle().await.unwrap();
            assert_eq!(away(&world).await, (0, 0));
            let left = world.api.get(&path).await.map(|canary| canary["status"]["message"].clone());
            match left {
                Ok(message) => assert!(message.as_str().unwrap().contains("objects.selector"), "{message}"),
                Err(error) => assert_eq!((error.status(), deleted), (404, true)),
            }
        });
    }
}

#[test]
fn of_two_for_the_same_objects_the_older_one_is_carried_out() {
    in_world(STABLE, GOOD, Hosts::One, async |mut world| {
        begin(&mut world, &canary("c")).await;
        world.pass(Duration::from_secs(2)).await.unwrap();
        begin(&mut world, &canary("b")).await;
        assert_eq!(phase(&mut world).await, "Passed");
        let refused = status(&world, "b").await;
        assert_eq!(refused["phase"], "Pending");
        assert!(refused["message"].as_str().unwrap().contains("c has begun before"), "{refused}");
        world.api.delete(&format!("{CANARIES}/c")).await.unwrap();
        world.pass(OVER).await.unwrap();
        assert_eq!(status(&world, "b").await["phase"], "Passed", "its turn has come");
    });
}

#[test]
fn nothing_is_moved_to_an_instance_that_nobody_serves_and_what_is_there_comes_back() {
    in_world(STABLE, GOOD, Hosts::OneForEach, async |mut world| {
        begin(&mut world, &canary("c")).await;
        assert_eq!(phase(&mut world).await, "Passed");
        while world.stop_host().await != Some([InstanceId::new("next").unwrap()].into()) {
            world.start_host_of(Some([InstanceId::default_instance()].into()));
        }
        world.pass(OVER).await.unwrap();
        assert_eq!(phase(&mut world).await, "RolledBack", "{}", status(&world, "c").await);
        assert_eq!(away(&world).await, (0, 0));
        world.api.merge(&format!("{CANARIES}/c"), &json!({ "spec": { "toleratedPercent": 2 } })).await.unwrap();
        assert_eq!(phase(&mut world).await, "Pending");
        assert!(status(&world, "c").await["message"].as_str().unwrap().contains("no host serves"));
        assert_eq!(away(&world).await, (0, 0));
    });
}

#[test]
fn another_leader_goes_on_where_the_last_one_was() {
    for (tried, wait, end) in
        [(GOOD, 3, "Passed"), (GOOD, 15, "Passed"), (BAD, 3, "RolledBack"), (BAD, 9, "RolledBack")]
    {
        in_world(STABLE, tried, Hosts::Two, async |mut world| {
            let before = children(&world).await;
            begin(&mut world, &canary("c")).await;
            world.pass(Duration::from_secs(wait)).await.unwrap();
            world.stop_host().await;
            world.start_host();
            assert_eq!(phase(&mut world).await, end, "{tried}, after {wait} s");
            assert_eq!(children(&world).await, before, "{tried}, after {wait} s");
        });
    }
}

/// Whatever write a host dies after, the canary comes to the same end.
fn survives(tried: &'static str, hosts: Hosts, end: &str) {
    let play = |fault: Option<Fault>| {
        let wasm = STAGE.wasm();
        simulate(async {
            let mut world = served(STABLE, tried, hosts, wasm).await;
            let (from, before) = (world.clock().elapsed(), children(&world).await);
            world.disturb(fault.clone());
            begin(&mut world, &canary("c")).await;
            world.pass(OVER).await.unwrap();
            let phase = phase(&mut world).await;
            assert_eq!(phase, end, "{tried}, {hosts:?}, {fault:?}: {}", status(&world, "c").await);
            assert_eq!(children(&world).await, before, "{tried}, {hosts:?}, {fault:?}");
            let moved = if end == "Passed" { OBJECTS } else { 0 };
            assert_eq!(away(&world).await, (moved, moved), "{tried}, {hosts:?}, {fault:?}");
            world.log().writes_since(from).len()
        })
    };
    let writes = play(None);
    assert!(writes > OBJECTS * 2, "only {writes} writes");
    for write in 1..=writes {
        play(Some(Fault { when: When::Write(write), what: What::CrashAfter }));
    }
}

#[test]
fn a_good_canary_passes_whatever_write_a_host_dies_after() {
    survives(GOOD, Hosts::One, "Passed");
}

#[test]
fn a_bad_canary_goes_back_whatever_write_a_host_dies_after() {
    survives(BAD, Hosts::OneForEach, "RolledBack");
}
