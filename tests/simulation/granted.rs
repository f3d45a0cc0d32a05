//! What a policy lets be done to children, through the whole host.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use serde_json::{Value, json};
use trimtab_engine::{SlotState, folder::Folder};
use trimtab_sim::{World, simulate};

use crate::{
    SEED,
    site::{CONFIG_MAPS, DEFINITION, DEFINITIONS, SERVICES, SITES, name, site},
    stage::STAGE,
};

fn folder(policy: &str) -> Folder {
    let slots = [STAGE.slot("", "site", "site.wasm", Some(policy))].into();
    Folder { slots, read: true, ..Folder::default() }
}

async fn page(world: &World) -> Value {
    world.api.get(&format!("{CONFIG_MAPS}/{}", name(0))).await.unwrap()["data"]["index.html"].clone()
}

#[test]
fn a_child_is_made_and_not_changed_where_the_policy_says_so_and_the_rest_goes_on() {
    let wasm = STAGE.wasm();
    simulate(async {
        let mut world = World::new(SEED, None, wasm);
        world.api.create(DEFINITIONS, &serde_saphyr::from_str::<Value>(DEFINITION).unwrap()).await.unwrap();
        world.api.create(SITES, &site(0)).await.unwrap();
        world.put_folder(folder("[grants.verbs]\nConfigMap = [\"create\"]"));
        world.start_host();
        world.settle().await.unwrap();
        let (path, before) = (format!("{SITES}/{}", name(0)), page(&world).await);

        world.api.merge(&path, &json!({ "spec": { "page": "other", "replicas": 7 } })).await.unwrap();
        world.settle().await.unwrap();
        assert_eq!(page(&world).await, before);
        let deployments = "/apis/apps/v1/namespaces/default/deployments";
        let deployment = world.api.get(&format!("{deployments}/{}", name(0))).await.unwrap();
        assert_eq!(deployment["spec"]["replicas"], 7);
        world.api.get(&format!("{SERVICES}/{}", name(0))).await.unwrap();
        let said = world.api.get(&path).await.unwrap()["status"]["conditions"][0].clone();
        assert_eq!((&said["type"], &said["status"]), (&json!("Reconciled"), &json!("False")), "{said}");
        assert!(said["message"].as_str().unwrap().contains("to update a ConfigMap is not granted"), "{said}");

        world.put_folder(folder("[grants.verbs]\nConfigMap = [\"create\", \"update\"]"));
        world.settle().await.unwrap();
        assert_eq!(page(&world).await, "other");
    });
}

#[test]
fn verbs_of_a_kind_that_the_plugin_does_not_write_are_refused() {
    let wasm = STAGE.wasm();
    simulate(async {
        let mut world = World::new(SEED, None, wasm);
        world.put_folder(folder("[grants.verbs]\nDeployment = [\"create\"]"));
        world.start_host();
        world.settle().await.unwrap();
        let slot = world.slots()[0][0].clone();
        assert_eq!(slot.state, SlotState::Refused);
        let reason = slot.reason.unwrap();
        assert!(reason.contains("grants.verbs: kind Deployment is not among the children"), "{reason}");
    });
}
