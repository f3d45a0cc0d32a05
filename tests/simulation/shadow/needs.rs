//! What a build that shadows needs otherwise than the one that serves: kinds that may go
//! meanwhile, and other versions of its objects.

use serde_json::{Value, json};
use trimtab_engine::{SlotState, folder::Folder};
use trimtab_sim::{World, simulate};

use super::{A_WHILE, FOR_A_WHILE, OBJECTS, SAME, UNTIL_ACCEPTED, counts, in_world, report, slot};
use crate::{
    SEED,
    mirror::DESCRIBE,
    site::{DEFINITION, DEFINITIONS, SITES, site},
    stage::STAGE,
};

async fn define_sites(world: &World) {
    let definition = serde_saphyr::from_str::<Value>(DEFINITION).unwrap();
    world.api.create(DEFINITIONS, &definition).await.unwrap();
}

fn folder(policy: &str) -> Folder {
    Folder { slots: [STAGE.slot("", "mine", "mirror.wasm", Some(policy))].into(), read: true, ..Folder::default() }
}

#[test]
fn a_build_whose_kind_goes_meanwhile_begins_its_shadow_anew_when_that_returns() {
    in_world(1, async |mut world| {
        define_sites(&world).await;
        world.settle().await.unwrap();
        let with_sites =
            DESCRIBE.replace("children = [", "children = [{ apiVersion = \"example.dev/v1\", kind = \"Site\" }, ");
        world.put_folder(folder(&format!("{FOR_A_WHILE}\n[config]\n{SAME}\n{with_sites}")));
        world.pass(A_WHILE / 2).await.unwrap();
        assert_eq!(slot(&world).shadow.unwrap().tried, OBJECTS);

        world.api.delete(&format!("{DEFINITIONS}/sites.example.dev")).await.unwrap();
        world.pass(3 * A_WHILE).await.unwrap();
        let view = slot(&world);
        assert!(view.shadow.is_none() && view.reason.unwrap().contains("no kind Site"));
        define_sites(&world).await;
        world.pass(A_WHILE / 2).await.unwrap();
        assert_eq!(slot(&world).shadow.unwrap().tried, OBJECTS, "it is asked for all of them again");
        world.pass(A_WHILE).await.unwrap();
        assert_eq!((slot(&world).state, slot(&world).shadow), (SlotState::Serving, None));
    });
}

#[test]
fn objects_that_a_build_for_another_version_selects_no_more_are_told() {
    let decorates = |rollout: &str, version: &str, selector: &str| {
        folder(&format!(
            "{rollout}\n[config]\n{SAME}\n[config.describe]\nrole = \"decorator\"\nchildren = []\n\
             objects = [{{ apiVersion = \"example.dev/{version}\", kind = \"Site\"{selector} }}]"
        ))
    };
    let wasm = STAGE.wasm();
    simulate(async {
        let mut world = World::new(SEED, None, wasm);
        define_sites(&world).await;
        for number in 0..OBJECTS {
            let mut site = site(number);
            site["metadata"]["labels"] = json!({ "team": if number == 0 { "red" } else { "blue" } });
            world.api.create(SITES, &site).await.unwrap();
        }
        world.put_folder(decorates("", "v1", ""));
        world.start_host();
        world.settle().await.unwrap();
        world.put_folder(decorates(UNTIL_ACCEPTED, "v2", ", labelSelector = \"team=blue\""));
        world.pass(A_WHILE).await.unwrap();
        let report = report(&world);
        assert_eq!((report.shadow.tried, counts(&report, "deselects")), (OBJECTS, 1), "{report:?}");
    });
}
