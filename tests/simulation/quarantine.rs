//! A plugin that fails for every object, with nothing to go back to.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::time::Duration;

use serde_json::{Value, json};
use trimtab_engine::SlotState;
use trimtab_sim::{World, simulate};

use crate::{
    SEED,
    mirror::{MIRRORS, define},
    promotion::{GOOD, build, slot},
    site::CONFIG_MAPS,
    stage::STAGE,
};

const OBJECTS: usize = 40;
const HOUR: Duration = Duration::from_secs(3600);

/// An object that the bad build traps at.
fn mirror(number: usize) -> Value {
    let children =
        [json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": format!("m{number:02}") } })];
    json!({ "apiVersion": "fixtures.trimtab.dev/v1", "kind": "Mirror",
        "metadata": { "name": format!("m{number:02}"), "annotations": { "bad": "" } },
        "spec": { "children": children } })
}

/// A world in which a first build traps at every object.
fn in_world(play: impl AsyncFnOnce(World)) {
    let wasm = STAGE.wasm();
    simulate(async {
        let mut world = World::new(SEED, None, wasm);
        define(&world).await.unwrap();
        for number in 0..OBJECTS {
            world.api.create(MIRRORS, &mirror(number)).await.unwrap();
        }
        world.put_folder(build("faults = { bad = \"trap\" }"));
        world.start_host();
        world.pass(Duration::from_secs(60)).await.unwrap();
        play(world).await;
    });
}

fn failures(world: &World) -> usize {
    let metrics = world.metrics().remove(0);
    let lines = metrics.lines().filter(|line| line.starts_with("trimtab_call_failures_total{"));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap()).sum()
}

async fn served(world: &World) -> usize {
    world.api.get(CONFIG_MAPS).await.unwrap()["items"].as_array().unwrap().len()
}

#[test]
fn a_plugin_that_fails_for_all_is_tried_with_one_object_every_five_minutes() {
    in_world(async |mut world| {
        let view = slot(&world);
        assert_eq!(view.state, SlotState::Quarantined, "{view:?}");
        assert!(view.reason.unwrap().contains("fails for every object") && failures(&world) < 3 * OBJECTS);
        world.pass(HOUR).await.unwrap();
        let before = failures(&world);
        world.pass(HOUR).await.unwrap();
        let tries = failures(&world) - before;
        assert!((11..=12).contains(&tries), "{tries} tries in an hour");
        assert!(world.metrics()[0].contains("trimtab_plugin_slots{state=\"Quarantined\"} 1"), "{}", world.metrics()[0]);
    });
}

#[test]
fn an_object_that_is_mended_is_served_at_once_and_ends_it() {
    in_world(async |mut world| {
        world.pass(HOUR).await.unwrap();
        let mended = json!({ "metadata": { "annotations": { "bad": null } } });
        world.api.merge(&format!("{MIRRORS}/m07"), &mended).await.unwrap();
        world.pass(Duration::from_secs(5)).await.unwrap();
        assert_eq!((served(&world).await, slot(&world).state), (1, SlotState::Serving));
    });
}

#[test]
fn another_build_is_called_for_all_at_once() {
    in_world(async |mut world| {
        world.pass(HOUR).await.unwrap();
        world.put_folder(build(GOOD));
        world.pass(Duration::from_secs(30)).await.unwrap();
        assert_eq!((served(&world).await, slot(&world).state), (OBJECTS, SlotState::Serving));
    });
}
