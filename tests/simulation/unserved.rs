//! Objects that are marked for an instance that nobody serves.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::time::Duration;

use serde_json::{Value, json};
use trimtab_core::marks;
use trimtab_sim::{World, simulate};

use crate::{
    SEED,
    site::{CONFIG_MAPS, DEFINITION, DEFINITIONS, SITES, name, site},
    stage::STAGE,
};

const NOT_SERVED: &str = "NotServed";
const NOBODYS: &str = "nobodys";

/// A served Site and one that is marked.
async fn with_one_that_nobody_serves(wasm: std::sync::Arc<trimtab_wasm::Wasm>) -> World {
    let mut world = World::new(SEED, None, wasm);
    let definition = serde_saphyr::from_str::<Value>(DEFINITION).unwrap();
    world.api.create(DEFINITIONS, &definition).await.unwrap();
    for number in 0..2 {
        world.api.create(SITES, &site(number)).await.unwrap();
    }
    let mark = json!({ "metadata": { "labels": { marks::INSTANCE_LABEL: NOBODYS } } });
    world.api.merge(&format!("{SITES}/{}", name(1)), &mark).await.unwrap();
    world.put_folder(STAGE.folder(&[("", "site.wasm")]));
    world.start_host();
    world
}

fn counted(world: &World) -> bool {
    let line = format!("trimtab_unserved_objects{{instance_id=\"{NOBODYS}\",kind=\"Site.example.dev\"}} 1");
    world.metrics().concat().lines().any(|metric| metric == line)
}

async fn told(world: &World) -> usize {
    let events = world.api.get("/apis/events.k8s.io/v1/namespaces/default/events").await.unwrap();
    let items = events["items"].as_array().unwrap();
    items.iter().filter(|event| event["reason"] == NOT_SERVED && event["regarding"]["name"] == name(1)).count()
}

#[test]
fn an_object_that_nobody_serves_is_counted_at_once_and_told_after_a_grace_and_once() {
    let wasm = STAGE.wasm();
    simulate(async {
        let mut world = with_one_that_nobody_serves(wasm).await;
        world.pass(Duration::from_secs(45)).await.unwrap();
        assert_eq!((counted(&world), told(&world).await), (true, 0));
        world.pass(Duration::from_secs(3600)).await.unwrap();
        assert_eq!((counted(&world), told(&world).await), (true, 1));
        assert!(world.api.get(&format!("{CONFIG_MAPS}/{}", name(1))).await.is_err(), "nothing is made for it");

        world.put_folder(STAGE.folder(&[("", "site.wasm"), (NOBODYS, "site.wasm")]));
        world.settle().await.unwrap();
        world.pass(Duration::from_secs(30)).await.unwrap();
        assert!(!counted(&world), "it is served now");
        world.api.get(&format!("{CONFIG_MAPS}/{}", name(1))).await.unwrap();
    });
}

#[test]
fn an_object_whose_host_is_gone_for_good_is_one_that_nobody_serves() {
    let wasm = STAGE.wasm();
    simulate(async {
        let mut world = with_one_that_nobody_serves(wasm).await;
        let both = STAGE.folder(&[("", "site.wasm"), (NOBODYS, "site.wasm")]);
        world.put_folder(both);
        world.settle().await.unwrap();
        assert!(!counted(&world));
        world.put_folder(STAGE.folder(&[("", "site.wasm")]));
        world.pass(Duration::from_secs(180)).await.unwrap();
        assert_eq!((counted(&world), told(&world).await), (true, 1));
    });
}
