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
/// under a policy. Another controller has made it for the Site, or nobody.
fn found_and_then(policy: &str, controlled: bool) -> (Value, Value) {
    let wasm = STAGE.wasm();
    simulate(async {
        let mut world = World::new(SEED, None, wasm);
        let definition = serde_saphyr::from_str::<Value>(DEFINITION).unwrap();
        world.api.create(DEFINITIONS, &definition).await.unwrap();
        let site = world.api.create(SITES, &site(0)).await.unwrap();
        let mut page = json!({ "metadata": { "name": name(0) }, "data": { "index.html": "old", "theirs": "yes" } });
        if controlled {
            let (kind, uid) = ("Site", &site["metadata"]["uid"]);
            let owner = json!({ "apiVersion": site["apiVersion"], "kind": kind, "name": name(0), "uid": uid, "controller": true });
            page["metadata"]["ownerReferences"] = json!([owner]);
        }
        let found = world.api.create(CONFIG_MAPS, &page).await.unwrap();
        let slots = [STAGE.slot("", "site", "site.wasm", Some(policy))].into();
        world.put_folder(Folder { slots, read: true, ..Folder::default() });
        world.start_host();
        world.settle().await.unwrap();
        (found, world.api.get(&format!("{CONFIG_MAPS}/{}", name(0))).await.unwrap())
    })
}

#[test]
fn what_no_watch_shows_is_taken_over_too() {
    let (found, now) = found_and_then("adopt = [\"ConfigMap\"]", false);
    assert_eq!(now["metadata"]["uid"], found["metadata"]["uid"]);
    assert_eq!(now["metadata"]["labels"][marks::PLUGIN_LABEL], "site");
    assert_eq!(now["metadata"]["ownerReferences"][0]["name"], name(0));
    assert_eq!((&now["data"]["theirs"], &now["data"]["build"]), (&json!("yes"), &json!("1")));
}

#[test]
fn what_is_of_another_kind_than_the_policy_names_is_left_alone() {
    let (found, now) = found_and_then("adopt = [\"Service\"]", false);
    assert_eq!(now["metadata"]["resourceVersion"], found["metadata"]["resourceVersion"]);
}

#[test]
fn what_another_controller_made_for_the_object_is_inherited_and_not_adopted() {
    let (found, now) = found_and_then("inherit.children = [\"ConfigMap\"]", true);
    assert_eq!(now["metadata"]["uid"], found["metadata"]["uid"]);
    assert_eq!(now["metadata"]["labels"][marks::PLUGIN_LABEL], "site");
    assert_eq!((&now["data"]["theirs"], &now["data"]["build"]), (&json!("yes"), &json!("1")));
    let (found, now) = found_and_then("adopt = [\"ConfigMap\"]", true);
    assert_eq!(now["metadata"]["resourceVersion"], found["metadata"]["resourceVersion"]);
}
