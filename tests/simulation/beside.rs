//! A second version that comes beside the first: what it waits for, and what it
//! does not.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use serde_json::{Value, json};
use trimtab_core::marks;
use trimtab_engine::folder::Folder;
use trimtab_sim::{World, simulate};

use crate::{
    SEED,
    site::{DEFINITION, DEFINITIONS, SITES, name, site},
    stage::STAGE,
};

/// Both versions' files; the first as it was.
fn both() -> Folder {
    let slots = [("site", "site.wasm"), ("site@v2", "site-v2.wasm")];
    let slots = slots.map(|(stem, module)| STAGE.slot("", stem, module, None)).into();
    Folder { slots, read: true, ..Folder::default() }
}

fn version_mark(site: &Value) -> &Value {
    &site["metadata"]["annotations"][marks::VERSION]
}

#[test]
fn a_second_version_waits_for_the_marks_of_what_is_served_and_not_of_what_is_paused() {
    let wasm = STAGE.wasm();
    simulate(async {
        let mut world = World::new(SEED, None, wasm);
        world.api.create(DEFINITIONS, &serde_saphyr::from_str::<Value>(DEFINITION).unwrap()).await.unwrap();
        let mut paused = site(0);
        paused["metadata"]["annotations"] = json!({ marks::PAUSED: "true" });
        world.api.create(SITES, &paused).await.unwrap();
        world.api.create(SITES, &site(1)).await.unwrap();
        world.put_folder(STAGE.folder(&[("", "site.wasm")]));
        world.start_host();
        world.settle().await.unwrap();

        world.put_folder(both());
        world.settle().await.unwrap();
        let [paused, served] = [0, 1].map(|number| format!("{SITES}/{}", name(number)));
        assert_eq!(version_mark(&world.api.get(&served).await.unwrap()), "v1");
        assert_eq!(version_mark(&world.api.get(&paused).await.unwrap()), &Value::Null, "it is left alone");
        let waiting = world
            .slots()
            .into_iter()
            .flat_map(|slots| slots.to_vec())
            .filter_map(|slot| slot.reason)
            .collect::<Vec<_>>();
        assert_eq!(waiting, Vec::<String>::new());

        let goes_on = json!({ "metadata": { "annotations": { marks::PAUSED: null } } });
        world.api.merge(&paused, &goes_on).await.unwrap();
        world.settle().await.unwrap();
        assert_eq!(version_mark(&world.api.get(&paused).await.unwrap()), "v1", "it was made as v1");
    });
}
