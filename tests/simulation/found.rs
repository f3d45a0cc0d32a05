//! What seeds have found, each made as small as it can be.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use serde_json::{Value, json};
use trimtab_core::marks;
use trimtab_sim::{World, simulate};

use crate::{
    SEED,
    site::{CONFIG_MAPS, DEFINITION, DEFINITIONS, SITES, name, site},
    stage::STAGE,
};

#[test]
fn a_child_that_has_lost_its_label_gets_it_back_and_is_not_made_anew() {
    let wasm = STAGE.wasm();
    simulate(async {
        let mut world = World::new(SEED, None, wasm);
        let definition = serde_saphyr::from_str::<Value>(DEFINITION).unwrap();
        world.api.create(DEFINITIONS, &definition).await.unwrap();
        world.api.create(SITES, &site(0)).await.unwrap();
        world.put_folder(STAGE.folder(&[("", "site.wasm")]));
        world.start_host();
        world.settle().await.unwrap();
        let page = format!("{CONFIG_MAPS}/{}", name(0));
        let before = world.api.get(&page).await.unwrap();

        let unmarked = json!({ "metadata": { "labels": { marks::PLUGIN_LABEL: null } } });
        world.api.merge(&page, &unmarked).await.unwrap();
        world.settle().await.unwrap();
        let after = world.api.get(&page).await.unwrap();
        assert_eq!(after["metadata"]["labels"], before["metadata"]["labels"]);
        assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
    });
}
