//! Taking over children that exist before their object, where no watch shows
//! them: the host watches only what carries its label.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use serde_json::{Value, json};
use trimtab_core::marks;
use trimtab_engine::folder::Folder;
use trimtab_sim::{World, simulate};

use crate::{
    SEED,
    site::{CONFIG_MAPS, DEFINITION, DEFINITIONS, SITES, name, site},
    stage::STAGE,
};

/// The page of a Site as it is found, with one field more, and what it becomes
/// under a policy.
fn found_and_then(policy: &str) -> (Value, Value) {
    let wasm = STAGE.wasm();
    simulate(async {
        let mut world = World::new(SEED, None, wasm);
        let definition = serde_saphyr::from_str::<Value>(DEFINITION).unwrap();
        world.api.create(DEFINITIONS, &definition).await.unwrap();
        let page = json!({ "metadata": { "name": name(0) }, "data": { "index.html": "old", "theirs": "yes" } });
        let found = world.api.create(CONFIG_MAPS, &page).await.unwrap();
        world.api.create(SITES, &site(0)).await.unwrap();
        let slots = [STAGE.slot("", "site", "site.wasm", Some(policy))].into();
        world.put_folder(Folder { slots, read: true, ..Folder::default() });
        world.start_host();
        world.settle().await.unwrap();
        (found, world.api.get(&format!("{CONFIG_MAPS}/{}", name(0))).await.unwrap())
    })
}

#[test]
fn what_no_watch_shows_is_taken_over_too() {
    let (found, now) = found_and_then("adopt = [\"ConfigMap\"]");
    assert_eq!(now["metadata"]["uid"], found["metadata"]["uid"]);
    assert_eq!(now["metadata"]["labels"][marks::PLUGIN_LABEL], "site");
    assert_eq!(now["metadata"]["ownerReferences"][0]["name"], name(0));
    assert_eq!((&now["data"]["theirs"], &now["data"]["build"]), (&json!("yes"), &json!("1")));
}

#[test]
fn what_is_of_another_kind_than_the_policy_names_is_left_alone() {
    let (found, now) = found_and_then("adopt = [\"Service\"]");
    assert_eq!(now["metadata"]["resourceVersion"], found["metadata"]["resourceVersion"]);
}
