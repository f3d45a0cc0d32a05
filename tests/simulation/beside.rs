//! A second version that comes beside the first: what it waits for, and what it
//! does not.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use serde_json::{Value, json};
use trimtab_core::marks;
use trimtab_engine::folder::Folder;
use trimtab_sim::{Instead, Refusal, World, simulate};

use crate::{
    SEED,
    site::{CONFIG_MAPS, DEFINITION, DEFINITIONS, SITES, name, site},
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

/// Why slots do not serve what their files hold.
fn waiting(world: &World) -> Vec<String> {
    let slots = world.slots().into_iter().flat_map(|slots| slots.to_vec());
    slots.filter_map(|slot| slot.reason).collect()
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
        assert_eq!(waiting(&world), Vec::<String>::new());

        let goes_on = json!({ "metadata": { "annotations": { marks::PAUSED: null } } });
        world.api.merge(&paused, &goes_on).await.unwrap();
        world.settle().await.unwrap();
        assert_eq!(version_mark(&world.api.get(&paused).await.unwrap()), "v1", "it was made as v1");
    });
}

#[test]
fn what_has_failed_for_good_gets_its_mark_and_holds_up_no_second_version() {
    let wasm = STAGE.wasm();
    simulate(async {
        let mut world = World::new(SEED, None, wasm);
        world.api.create(DEFINITIONS, &serde_saphyr::from_str::<Value>(DEFINITION).unwrap()).await.unwrap();
        world.api.create(SITES, &site(0)).await.unwrap();
        world.put_folder(STAGE.folder(&[("", "site.wasm")]));
        let body = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 422,
            "reason": "Invalid", "message": "field is immutable" });
        let instead = Instead::Answer { code: 422, retry_after_s: None, body };
        world.refuse(Some(Refusal { path: format!("{CONFIG_MAPS}/{}", name(0)), reads: false, instead }));
        world.start_host();
        world.settle().await.unwrap();
        let failed = format!("{SITES}/{}", name(0));
        let reason = world.api.get(&failed).await.unwrap()["status"]["conditions"][0]["reason"].clone();
        assert_eq!(reason, "WriteFailed");

        world.put_folder(both());
        world.settle().await.unwrap();
        assert_eq!(version_mark(&world.api.get(&failed).await.unwrap()), "v1");
        assert_eq!(waiting(&world), Vec::<String>::new());
    });
}
