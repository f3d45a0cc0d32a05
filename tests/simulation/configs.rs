//! Configs that lie in the cluster: waited for, followed, and kept when they go.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use trimtab_engine::{SlotState, SlotView, folder::Folder};
use trimtab_sim::{Instead, Refusal, World, simulate};
use trimtab_wasm::Wasm;

use crate::{
    SEED,
    mirror::{DESCRIBE, MIRRORS, define},
    site::CONFIG_MAPS,
    stage::STAGE,
};

const SECRETS: &str = "/api/v1/namespaces/default/secrets";
const OF_CONFIG_MAP: &str = r#"config_from = { config_map = "wishes" }"#;
const OF_SECRET: &str = r#"config_from = { secret = "wishes", key = "config.yaml" }"#;

/// A world with one object, whose annotations `one` and `two` each wish for a
/// ConfigMap of that name: the config says which of them counts.
fn in_world(from: &str, play: impl AsyncFnOnce(World)) {
    let wasm = STAGE.wasm();
    simulate(async { play(world(from, wasm).await).await });
}

async fn world(from: &str, wasm: Arc<Wasm>) -> World {
    let mut world = World::new(SEED, None, wasm);
    define(&world).await.unwrap();
    let wish = |name: &str| {
        json!({ "children": [{ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name } }] }).to_string()
    };
    let annotations = json!({ "one": wish("one"), "two": wish("two") });
    let mirror = json!({ "apiVersion": "fixtures.trimtab.dev/v1", "kind": "Mirror",
        "metadata": { "name": "a", "annotations": annotations }, "spec": {} });
    world.api.create(MIRRORS, &mirror).await.unwrap();
    let slots = [STAGE.slot("", "mirror", "mirror.wasm", Some(&format!("{from}\n{DESCRIBE}")))].into();
    world.put_folder(Folder { slots, read: true, ..Folder::default() });
    world.start_host();
    world
}

fn slot(world: &World) -> SlotView {
    world.slots()[0][0].clone()
}

fn reason(world: &World) -> String {
    slot(world).reason.unwrap_or_default()
}

async fn has(world: &World, name: &str) -> bool {
    world.api.get(&format!("{CONFIG_MAPS}/{name}")).await.is_ok()
}

fn config_map(wish: &str) -> Value {
    json!({ "metadata": { "name": "wishes" }, "data": { "wish": wish } })
}

#[test]
fn a_config_map_is_waited_for_and_each_change_of_it_is_a_generation() {
    in_world(OF_CONFIG_MAP, async |mut world| {
        world.settle().await.unwrap();
        assert_eq!(slot(&world).state, SlotState::Pending);
        assert!(reason(&world).starts_with("ConfigMap default/wishes holds its config and does not exist"));

        world.api.create(CONFIG_MAPS, &config_map("one")).await.unwrap();
        world.settle().await.unwrap();
        assert_eq!((slot(&world).state, slot(&world).generation), (SlotState::Serving, Some(1)));
        assert!(has(&world, "one").await);

        let wishes = format!("{CONFIG_MAPS}/wishes");
        world.api.merge(&wishes, &json!({ "data": { "wish": "two" } })).await.unwrap();
        world.settle().await.unwrap();
        assert_eq!(slot(&world).generation, Some(2));
        assert_eq!((has(&world, "one").await, has(&world, "two").await), (false, true));

        world.api.merge(&wishes, &json!({ "metadata": { "labels": { "a": "b" } } })).await.unwrap();
        world.settle().await.unwrap();
        assert_eq!(slot(&world).generation, Some(2), "its data is the same");
    });
}

#[test]
fn a_config_map_that_goes_leaves_what_serves_and_is_told() {
    in_world(OF_CONFIG_MAP, async |mut world| {
        let wishes = format!("{CONFIG_MAPS}/wishes");
        world.api.create(CONFIG_MAPS, &config_map("one")).await.unwrap();
        world.settle().await.unwrap();
        world.api.delete(&wishes).await.unwrap();
        world.api.delete(&format!("{CONFIG_MAPS}/one")).await.unwrap();
        world.settle().await.unwrap();
        assert_eq!((slot(&world).state, slot(&world).generation), (SlotState::Serving, Some(1)));
        assert!(reason(&world).contains("does not exist"), "{}", reason(&world));
        assert!(has(&world, "one").await, "it is served on");

        world.api.create(CONFIG_MAPS, &config_map("two")).await.unwrap();
        world.settle().await.unwrap();
        assert_eq!((slot(&world).generation, reason(&world)), (Some(2), String::new()));
        assert!(has(&world, "two").await);

        // Another process knows of no last config.
        world.api.delete(&wishes).await.unwrap();
        world.stop_host().await;
        world.start_host();
        world.settle().await.unwrap();
        assert_eq!(slot(&world).state, SlotState::Pending);
        assert!(has(&world, "two").await, "who does not serve deletes nothing");
    });
}

#[test]
fn a_config_that_may_not_be_read_is_waited_for_and_holds_up_no_readiness() {
    in_world(OF_SECRET, async |mut world| {
        let body = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 403,
            "message": "secrets \"wishes\" is forbidden", "reason": "Forbidden" });
        let instead = Instead::Answer { code: 403, retry_after_s: None, body };
        world.refuse(Some(Refusal { path: "/secrets?".into(), reads: true, instead }));
        world.api.create(SECRETS, &secret("wish: one")).await.unwrap();
        world.pass(Duration::from_secs(60)).await.unwrap();
        assert_eq!(slot(&world).state, SlotState::Pending);
        assert!(reason(&world).contains("forbidden"), "{}", reason(&world));
        assert!(!slot(&world).starting);

        world.refuse(None);
        world.settle().await.unwrap();
        assert!(has(&world, "one").await);
    });
}

#[test]
fn a_bad_secret_is_refused_without_a_word_of_it_and_the_last_good_one_goes_on() {
    in_world(OF_SECRET, async |mut world| {
        world.api.create(SECRETS, &secret("wish: one")).await.unwrap();
        world.settle().await.unwrap();
        assert!(has(&world, "one").await);
        for bad in ["wish: [hush", "hush", "describe: hush"] {
            world.api.merge(&format!("{SECRETS}/wishes"), &secret(bad)).await.unwrap();
            world.settle().await.unwrap();
            let view = slot(&world);
            assert_eq!((view.state, view.refused, view.generation), (SlotState::Serving, true, Some(1)), "{bad}");
            assert!(reason(&world).contains("its"), "{}", reason(&world));
            assert!(!format!("{view:?}").contains("hush"), "{view:?}");
        }
        world.api.merge(&format!("{SECRETS}/wishes"), &secret("wish: two")).await.unwrap();
        world.settle().await.unwrap();
        assert_eq!((slot(&world).generation, slot(&world).refused), (Some(2), false));
        assert!(has(&world, "two").await);
        assert!(!world.metrics().concat().contains("hush"));
    });
}

fn secret(text: &str) -> Value {
    json!({ "metadata": { "name": "wishes" }, "stringData": { "config.yaml": text } })
}
