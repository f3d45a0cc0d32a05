//! How many children a plugin may delete before somebody is asked.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use serde_json::{Value, json};
use trimtab_engine::folder::Folder;
use trimtab_sim::{World, simulate};

use crate::{
    SEED,
    mirror::{MIRRORS, define},
    site::CONFIG_MAPS,
    stage::STAGE,
};

const OBJECTS: usize = 20;
const CHILDREN_OF_EACH: usize = 3;
const ALL: usize = OBJECTS * CHILDREN_OF_EACH;

/// A build that makes what its objects say, or, in the next one, nothing.
fn folder(role: &str, more: &str, config: &str) -> Folder {
    let policy = format!(
        r#"
        {more}
        [config]
        {config}
        [config.describe]
        role = "{role}"
        objects = [{{ apiVersion = "fixtures.trimtab.dev/v1", kind = "Mirror", labelSelector = "team" }}]
        children = [{{ apiVersion = "v1", kind = "ConfigMap" }}]
        "#
    );
    Folder { slots: [STAGE.slot("", "mine", "mirror.wasm", Some(&policy))].into(), read: true, ..Folder::default() }
}

fn good(role: &str) -> Folder {
    folder(role, "", "")
}

fn emptied(role: &str, more: &str) -> Folder {
    folder(role, more, "wish = \"nothing\"")
}

fn mirror(number: usize, children: usize) -> Value {
    let child = |of: usize| json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": format!("m{number:02}-{of}") } });
    let metadata = json!({ "name": format!("m{number:02}"), "labels": { "team": "blue" } });
    let spec = json!({ "children": (0..children).map(child).collect::<Vec<_>>() });
    json!({ "apiVersion": "fixtures.trimtab.dev/v1", "kind": "Mirror", "metadata": metadata, "spec": spec })
}

/// A world in which all children are made.
fn served(role: &str, ask: impl AsyncFnOnce(&mut World)) {
    let wasm = STAGE.wasm();
    simulate(async {
        let mut world = World::new(SEED, None, wasm);
        define(&world).await.unwrap();
        for number in 0..OBJECTS {
            world.api.create(MIRRORS, &mirror(number, CHILDREN_OF_EACH)).await.unwrap();
        }
        swap(&mut world, good(role)).await;
        world.start_host();
        world.settle().await.unwrap();
        assert_eq!(children(&world).await, ALL);
        ask(&mut world).await;
    });
}

async fn swap(world: &mut World, folder: Folder) {
    world.put_folder(folder);
    world.settle().await.unwrap();
}

async fn children(world: &World) -> usize {
    world.api.get(CONFIG_MAPS).await.unwrap()["items"].as_array().unwrap().len()
}

/// The condition of an object that is held, if it is.
async fn held(world: &World, number: usize) -> Option<String> {
    let object = world.api.get(&format!("{MIRRORS}/m{number:02}")).await.unwrap();
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let held = conditions.into_iter().find(|condition| condition["reason"] == "DeletionsHeld")?;
    Some(held["message"].as_str().unwrap().to_owned())
}

/// The line of the policy that a held object's condition asks for.
fn confirmation(message: &str) -> String {
    message[message.find("deletions.confirmed = ").unwrap()..].to_owned()
}

#[test]
fn a_build_that_would_delete_all_is_held_until_that_is_confirmed() {
    served("composite", async |world| {
        swap(world, emptied("composite", "")).await;
        assert_eq!(children(world).await, ALL - 9, "three objects' children are within ten");
        let mut messages = Vec::new();
        for number in 0..OBJECTS {
            messages.extend(held(world, number).await);
        }
        assert_eq!(messages.len(), OBJECTS - 3, "{messages:?}");
        let slots = world.slots().remove(0);
        assert_eq!(slots[0].reason.as_ref(), messages.first(), "{slots:?}");

        world.api.create(MIRRORS, &mirror(OBJECTS, 0)).await.unwrap();
        world.settle().await.unwrap();
        let late = world.api.get(&format!("{MIRRORS}/m{OBJECTS}")).await.unwrap();
        assert_eq!(late["status"]["conditions"][0]["reason"], "Settled", "what deletes nothing is served: {late}");

        swap(world, emptied("composite", &confirmation(&messages[0]))).await;
        assert_eq!(children(world).await, 0);
        assert_eq!(held(world, OBJECTS - 1).await, None);
    });
}

#[test]
fn a_confirmation_holds_for_the_generation_that_it_names_alone() {
    served("composite", async |world| {
        let other = "deletions.confirmed = \"0123456789abcdef0123456789abcdef\"";
        swap(world, emptied("composite", other)).await;
        assert_eq!(children(world).await, ALL - 9);
        swap(world, good("composite")).await;
        assert_eq!(children(world).await, ALL, "the way back makes good what was lost");
    });
}

#[test]
fn what_goes_with_its_objects_is_never_held() {
    served("composite", async |world| {
        for number in 0..OBJECTS {
            world.api.delete(&format!("{MIRRORS}/m{number:02}")).await.unwrap();
        }
        world.settle().await.unwrap();
        assert_eq!(children(world).await, 0);
    });
    served("decorator", async |world| {
        swap(world, folder("decorator", "retire = \"clean-up\"", "")).await;
        assert_eq!(children(world).await, 0, "a policy says so");
    });
}

#[test]
fn a_decorator_that_selects_other_objects_all_at_once_is_held() {
    served("decorator", async |world| {
        let text = folder("decorator", "", "").slots.into_values().next().unwrap().policy.unwrap();
        let policy = text.replace("labelSelector = \"team\"", "labelSelector = \"teem\"");
        let slots = [STAGE.slot("", "mine", "mirror.wasm", Some(&policy))].into();
        swap(world, Folder { slots, read: true, ..Folder::default() }).await;
        assert_eq!(children(world).await, ALL - 9);
    });
}

#[test]
fn the_policy_says_how_many_may_go_in_a_minute() {
    served("composite", async |world| {
        swap(world, emptied("composite", "deletions = { least = 0, percent = 50 }")).await;
        assert_eq!(children(world).await, ALL / 2);
    });
    served("composite", async |world| {
        swap(world, folder("composite", "deletions = { least = 0, percent = 0 }", "")).await;
        world.api.merge(&format!("{MIRRORS}/m00"), &json!({ "spec": { "children": [] } })).await.unwrap();
        world.settle().await.unwrap();
        assert_eq!(children(world).await, ALL);
        assert!(held(world, 0).await.is_some());
    });
}

#[test]
fn what_the_policy_does_not_let_be_deleted_counts_as_no_deletion_and_holds_nothing() {
    served("composite", async |world| {
        let more = "rollout = { rollback = false }\ngrants = { verbs = { ConfigMap = [\"create\", \"update\"] } }";
        swap(world, emptied("composite", more)).await;
        assert_eq!(children(world).await, ALL);
        for number in 0..OBJECTS {
            assert_eq!(held(world, number).await, None);
        }
        let object = world.api.get(&format!("{MIRRORS}/m00")).await.unwrap();
        let said = object["status"]["conditions"].to_string();
        assert!(said.contains("to delete a ConfigMap is not granted"), "{said}");
    });
}
