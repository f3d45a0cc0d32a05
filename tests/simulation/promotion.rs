//! A build dropped over a good one: it serves on probation, and goes again where it does
//! worse. Whatever goes wrong meanwhile, the cluster ends as the good one leaves it.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use trimtab_engine::{SlotState, SlotView, folder::Folder};
use trimtab_sim::{
    Instead, Refusal, World,
    fault::{Fault, What, When},
    oracle::End,
    simulate,
};
use trimtab_wasm::Wasm;

use crate::{
    SEED,
    mirror::{DESCRIBE, MIRRORS, define},
    site::CONFIG_MAPS,
    stage::STAGE,
};

const OBJECTS: usize = 6;
pub const GOOD: &str = "";
/// Fails for those that are odd alone, as all builds after it.
const FIRST: &str = "faults = { odd = \"retry\" }";
pub const TRAPS: &str = "faults = { \"*\" = \"trap\" }";
pub const TRAPS_AT_A_THIRD: &str = "faults = { third = \"trap\" }";
const TRAPS_AT_THE_ODD: &str = "faults = { odd = \"trap\" }";
const WAITS: &str = "faults = { \"*\" = \"wait\" }";

fn with_policy(rollout: &str, config: &str) -> Folder {
    let policy = format!("{rollout}\n[config]\n{config}\n{DESCRIBE}");
    Folder { slots: [STAGE.slot("", "mine", "mirror.wasm", Some(&policy))].into(), read: true, ..Folder::default() }
}

pub fn build(config: &str) -> Folder {
    with_policy("", config)
}

fn mirror(number: usize) -> Value {
    let mut annotations = json!({});
    if number % 2 == 1 {
        annotations["odd"] = json!("");
    }
    if number.is_multiple_of(3) {
        annotations["third"] = json!("");
    }
    let children = [json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": format!("m{number}") } })];
    json!({ "apiVersion": "fixtures.trimtab.dev/v1", "kind": "Mirror",
        "metadata": { "name": format!("m{number}"), "annotations": annotations }, "spec": { "children": children } })
}

/// A world with a first build in its folder.
pub async fn prepared(first: &str, world: World) -> World {
    define(&world).await.unwrap();
    for number in 0..OBJECTS {
        world.api.create(MIRRORS, &mirror(number)).await.unwrap();
    }
    world.put_folder(build(first));
    world
}

/// A world in which a first build serves.
async fn served(first: &str, hosts: usize, wasm: Arc<Wasm>) -> World {
    let mut world = prepared(first, World::new(SEED, None, wasm)).await;
    for _ in 0..hosts {
        world.start_host();
    }
    world.settle().await.unwrap();
    world
}

fn in_world(first: &str, hosts: usize, play: impl AsyncFnOnce(World)) {
    let wasm = STAGE.wasm();
    simulate(async { play(served(first, hosts, wasm).await).await });
}

pub async fn put(world: &mut World, folder: Folder) {
    world.put_folder(folder);
    world.settle().await.unwrap();
}

fn slots(world: &World) -> Vec<SlotView> {
    world.slots().iter().map(|slots| slots[0].clone()).collect()
}

pub fn slot(world: &World) -> SlotView {
    slots(world).remove(0)
}

/// An edit that only who serves can follow.
pub async fn is_served(world: &mut World, number: usize) -> bool {
    let name = format!("m{number}-{}", world.clock().elapsed().as_secs());
    let children = [json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name } })];
    world.api.merge(&format!("{MIRRORS}/m{number}"), &json!({ "spec": { "children": children } })).await.unwrap();
    world.settle().await.unwrap();
    world.api.get(&format!("{CONFIG_MAPS}/{name}")).await.is_ok()
}

#[test]
fn a_build_that_traps_makes_way_for_the_last_good_one() {
    for bad in [TRAPS, TRAPS_AT_A_THIRD] {
        in_world(GOOD, 1, async |mut world| {
            let before = slot(&world).generation;
            put(&mut world, build(bad)).await;
            let view = slot(&world);
            assert_eq!((view.state, view.refused, view.probation), (SlotState::RolledBack, true, false), "{bad}");
            assert_eq!(view.generation, before, "{bad}: the very one that served");
            let why = view.reason.unwrap();
            assert!(why.contains("the plugin trapped") && why.contains("rollout.accepted = "), "{why}");
            assert!(is_served(&mut world, 0).await, "{bad}");
            assert!(world.metrics()[0].contains("trimtab_plugin_rollbacks_total{instance_id=\"\",lineage=\"mine\"} 1"));
        });
    }
}

#[test]
fn what_failed_before_waits_or_was_not_tried_is_no_blame() {
    for build_of in [FIRST, TRAPS_AT_THE_ODD, WAITS] {
        in_world(FIRST, 1, async |mut world| {
            let before = slot(&world).generation;
            put(&mut world, with_policy("rollout = { probation_seconds = 600 }", build_of)).await;
            let view = slot(&world);
            assert_eq!((view.state, view.probation), (SlotState::Serving, true), "{build_of}");
            assert!(view.generation > before, "{build_of}");
            world.pass(Duration::from_secs(700)).await.unwrap();
            let view = slot(&world);
            assert_eq!((view.state, view.probation), (SlotState::Serving, false), "{build_of}: its probation is over");
        });
    }
}

#[test]
fn a_server_that_refuses_writes_for_want_of_time_is_no_blame_and_hides_none() {
    for code in [429, 500, 503] {
        for (tried, end) in [("wish = \"more\"", SlotState::Serving), (TRAPS_AT_A_THIRD, SlotState::RolledBack)] {
            in_world(GOOD, 1, async |mut world| {
                for number in 0..OBJECTS {
                    let more = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": format!("more{number}") } });
                    let wish = json!({ "children": [more] }).to_string();
                    let marked = json!({ "metadata": { "annotations": { "more": wish } } });
                    world.api.merge(&format!("{MIRRORS}/m{number}"), &marked).await.unwrap();
                }
                world.settle().await.unwrap();
                let before = slot(&world).generation;
                let instead = Instead::Answer { code, retry_after_s: Some(1), body: json!("no time") };
                world.refuse(Some(Refusal { path: "/configmaps".into(), reads: false, instead }));
                world.put_folder(build(tried));
                world.pass(Duration::from_secs(120)).await.unwrap();
                world.refuse(None);
                world.pass(Duration::from_secs(300)).await.unwrap();
                world.settle().await.unwrap();
                let view = slot(&world);
                assert_eq!(
                    (view.state, view.generation > before),
                    (end, end == SlotState::Serving),
                    "{code}: {view:?}"
                );
                let made = world.api.get(&format!("{CONFIG_MAPS}/more0")).await.is_ok();
                assert_eq!(made, end == SlotState::Serving, "{code}, {tried}");
            });
        }
    }
}

#[test]
fn an_object_that_comes_during_the_probation_tells_nothing() {
    in_world(GOOD, 1, async |mut world| {
        put(&mut world, build("faults = { late = \"trap\" }")).await;
        let mut late = mirror(OBJECTS);
        late["metadata"]["annotations"]["late"] = json!("");
        world.api.create(MIRRORS, &late).await.unwrap();
        world.settle().await.unwrap();
        assert_eq!((slot(&world).state, slot(&world).probation), (SlotState::Serving, true));
    });
}

#[test]
fn what_was_found_bad_is_tried_again_when_it_changes_or_a_person_says_so() {
    in_world(GOOD, 1, async |mut world| {
        put(&mut world, build(TRAPS)).await;
        let why = slot(&world).reason.unwrap();
        let accepted = why[why.find("rollout.accepted = ").unwrap()..].to_owned();

        world.put_folder(Folder { read: true, ..Folder::default() });
        world.pass(Duration::from_secs(10)).await.unwrap();
        put(&mut world, build(TRAPS)).await;
        let view = slot(&world);
        assert_eq!(
            (view.state, view.generation),
            (SlotState::Refused, None),
            "it is known, and nothing else is at hand"
        );

        put(&mut world, build(GOOD)).await;
        assert_eq!(slot(&world).state, SlotState::Serving);
        put(&mut world, build(TRAPS)).await;
        assert_eq!(slot(&world).state, SlotState::RolledBack);
        let swaps =
            world.metrics()[0].matches("trimtab_plugin_swaps_total{instance_id=\"\",lineage=\"mine\"} 3").count();
        assert_eq!(swaps, 1, "it was not tried again");

        put(&mut world, with_policy(&accepted, TRAPS)).await;
        assert_eq!((slot(&world).state, slot(&world).probation), (SlotState::Serving, false));
        assert!(!is_served(&mut world, 0).await, "it serves as it is");

        put(&mut world, build(TRAPS)).await;
        let view = slot(&world);
        assert_eq!((view.state, view.refused), (SlotState::RolledBack, true), "his word is taken back");
        assert!(view.generation.is_some(), "and what he accepted serves until there is something else");
        put(&mut world, build(TRAPS_AT_A_THIRD)).await;
        assert!(slot(&world).probation, "what comes after it is judged as ever");
    });
}

#[test]
fn what_people_wish_otherwise_by_now_or_delete_is_no_blame() {
    in_world(GOOD, 1, async |mut world| {
        let before = slot(&world).generation;
        put(&mut world, build("other = 1")).await;
        let invalid = json!({ "spec": { "children": [{ "apiVersion": "v1", "metadata": { "name": "kindless" } }] } });
        world.api.merge(&format!("{MIRRORS}/m0"), &invalid).await.unwrap();
        world.api.delete(&format!("{MIRRORS}/m1")).await.unwrap();
        world.settle().await.unwrap();
        let view = slot(&world);
        assert_eq!((view.state, view.probation), (SlotState::Serving, true));
        assert!(view.generation > before);
    });
}

#[test]
fn a_build_that_mends_all_is_what_the_next_one_is_measured_by() {
    in_world(FIRST, 1, async |mut world| {
        put(&mut world, build(GOOD)).await;
        world.pass(Duration::from_secs(400)).await.unwrap();
        assert!(!slot(&world).probation);
        put(&mut world, build(TRAPS_AT_THE_ODD)).await;
        assert_eq!(slot(&world).state, SlotState::RolledBack);
    });
}

#[test]
fn a_swap_during_a_probation_keeps_the_last_good_one_and_the_way_back_needs_no_probation() {
    in_world(GOOD, 1, async |mut world| {
        let before = slot(&world).generation;
        put(&mut world, build("other = 1")).await;
        assert!(slot(&world).probation);
        put(&mut world, build(TRAPS)).await;
        assert_eq!((slot(&world).state, slot(&world).generation), (SlotState::RolledBack, before));
        put(&mut world, build("other = 2")).await;
        assert!(slot(&world).probation);
        put(&mut world, build(GOOD)).await;
        let view = slot(&world);
        assert_eq!((view.state, view.refused, view.probation), (SlotState::Serving, false, false));
        assert!(is_served(&mut world, 1).await);
    });
}

#[test]
fn neither_another_leader_nor_a_restart_tries_again_what_was_found_bad() {
    in_world(GOOD, 2, async |mut world| {
        put(&mut world, build(TRAPS)).await;
        assert!(slots(&world).iter().any(|view| view.state == SlotState::RolledBack), "{:?}", slots(&world));
        world.stop_host().await;
        world.settle().await.unwrap();
        assert_eq!(slot(&world).state, SlotState::RolledBack, "the other one kept the last good one, too");
        assert!(is_served(&mut world, 2).await);

        // A new process knows no last good one, and calls nothing.
        world.stop_host().await;
        world.start_host();
        world.settle().await.unwrap();
        let view = slot(&world);
        assert_eq!((view.state, view.generation), (SlotState::Refused, None));
        assert!(view.reason.unwrap().contains("put back what served before"));
        assert!(!world.metrics()[0].contains("trimtab_call_failures_total{"), "{}", world.metrics()[0]);
        put(&mut world, build(GOOD)).await;
        assert!(is_served(&mut world, 3).await);
    });
}

#[test]
fn who_takes_over_during_a_probation_begins_it_anew() {
    in_world(GOOD, 1, async |mut world| {
        world.start_host();
        world.settle().await.unwrap();
        world.put_folder(build("other = 1"));
        world.pass(Duration::from_secs(280)).await.unwrap();
        world.stop_host().await;
        world.pass(Duration::from_secs(280)).await.unwrap();
        assert!(slot(&world).probation, "it has not seen the build for as long as that takes");
        world.pass(Duration::from_secs(60)).await.unwrap();
        assert!(!slot(&world).probation);
    });
}

#[test]
fn what_a_rollback_takes_away_again_counts_as_nobodys_deletions() {
    in_world(GOOD, 1, async |mut world| {
        for number in [0, 2, 4] {
            let child = |of: usize| {
                let name = if of == 0 { format!("m{number}") } else { format!("m{number}-{of}") };
                json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name } })
            };
            let more = json!({ "children": (0..8).map(child).collect::<Vec<_>>() }).to_string();
            let more = json!({ "metadata": { "annotations": { "more": more } } });
            world.api.merge(&format!("{MIRRORS}/m{number}"), &more).await.unwrap();
        }
        world.settle().await.unwrap();
        let from = world.clock().elapsed();
        put(&mut world, build(&format!("wish = \"more\"\n{TRAPS_AT_THE_ODD}"))).await;
        let deleted = world.log().writes_since(from).iter().filter(|write| write.method == "DELETE").count();
        assert_eq!(deleted, 21, "more than may be deleted in a minute");
        let why = slot(&world).reason.unwrap();
        assert!(slot(&world).state == SlotState::RolledBack && why.starts_with("rolled back"), "{why}");
        let left = world.api.get(CONFIG_MAPS).await.unwrap()["items"].as_array().unwrap().len();
        assert_eq!(left, OBJECTS);
    });
}

#[test]
fn who_takes_over_lists_anew_what_the_last_good_one_watches_too() {
    in_world(GOOD, 1, async |mut world| {
        world.start_host();
        world.settle().await.unwrap();
        let policy = format!("[config]\nwish = \"nothing\"\n{DESCRIBE}").replace("ConfigMap", "Service");
        let file = STAGE.slot("", "mine", "mirror.wasm", Some(&policy));
        put(&mut world, Folder { slots: [file].into(), read: true, ..Folder::default() }).await;
        assert!(slots(&world).iter().all(|view| view.probation), "{:?}", slots(&world));
        let from = world.clock().elapsed();
        world.stop_host().await;
        world.settle().await.unwrap();
        let entries = world.log().entries();
        let since = entries.iter().filter(|entry| entry.at >= from && entry.process == 2 && !entry.writes());
        let listed = |plural: &str| since.clone().any(|it| it.watches().is_none() && it.path.contains(plural));
        assert!(listed("/services?") && listed("/configmaps?"));
    });
}

#[test]
fn whatever_goes_wrong_meanwhile_the_cluster_ends_as_the_good_one_leaves_it() {
    let play = |fault: Option<Fault>| {
        let wasm = STAGE.wasm();
        simulate(async {
            let mut world = served(GOOD, 2, wasm).await;
            let from = world.clock().elapsed();
            world.disturb(fault);
            world.put_folder(build(TRAPS_AT_A_THIRD));
            world.pass(Duration::from_secs(60)).await.unwrap();
            // A process that was alone when it died knows of nothing good: then a person mends it.
            put(&mut world, build(GOOD)).await;
            (End::of(&world.api).await.unwrap(), world.log().writes_since(from).len())
        })
    };
    let (undisturbed, writes) = play(None);
    assert!(writes > 4, "only {writes} writes");
    for write in 1..=writes {
        for what in [What::CrashAfter, What::CrashBefore] {
            let fault = Fault { when: When::Write(write), what };
            let (end, _) = play(Some(fault.clone()));
            assert_eq!(end.differences(&undisturbed), Vec::<String>::new(), "{fault}");
        }
    }
}
