//! What stands in a canary's way and is none of its build's fault: writes that are refused
//! or never answered, a stable plugin that is gone for a while, an older definition.

use trimtab_sim::{Instead, Refusal};

use super::*;

/// A canary that has moved all, and so many more objects that come before all others by
/// their names.
async fn passed_with(world: &mut World, more: usize) {
    for number in 0..more {
        let mut object = mirror(OBJECTS + number);
        object["metadata"]["name"] = json!(format!("a{number:03}"));
        world.api.create(MIRRORS, &object).await.unwrap();
    }
    world.settle().await.unwrap();
    begin(world, &canary("c")).await;
    assert_eq!(phase(world).await, "Passed");
    assert_eq!(away(world).await.0, OBJECTS + more);
}

async fn is_gone(world: &World) -> bool {
    world.api.get(&format!("{CANARIES}/c")).await.is_err_and(|error| error.status() == 404)
}

#[test]
fn objects_that_cannot_be_moved_hold_up_no_other_and_are_told() {
    in_world(STABLE, GOOD, Hosts::One, async |mut world| {
        passed_with(&mut world, 70).await;

        let instead = Instead::Answer { code: 403, retry_after_s: None, body: json!("a webhook says no") };
        world.refuse(Some(Refusal { path: "/mirrors/a".into(), reads: false, instead }));
        let from = world.clock().elapsed();
        world.api.delete(&format!("{CANARIES}/c")).await.unwrap();
        world.pass(OVER).await.unwrap();
        assert_eq!(away(&world).await.0, 70, "the others are home");
        let said = status(&world, "c").await;
        let message = &said["conditions"][0]["message"];
        assert!(message.as_str().unwrap().contains("70 objects cannot be moved, such as"), "{said}");
        let writes = world.log().writes_since(from).len();
        assert!(writes < 70 * 12 + OBJECTS * 10, "{writes} writes");
        world.refuse(None);
        world.pass(OVER).await.unwrap();
        assert_eq!(away(&world).await, (0, 0));
        assert!(is_gone(&world).await);
    });
}

#[test]
fn objects_whose_writes_are_never_answered_hold_up_no_other() {
    // So many that the first of them are due again before the last has been tried.
    const SILENT: usize = 200;
    in_world(STABLE, GOOD, Hosts::One, async |mut world| {
        passed_with(&mut world, SILENT).await;
        world.refuse(Some(Refusal { path: "/mirrors/a".into(), reads: false, instead: Instead::Silence }));
        world.api.delete(&format!("{CANARIES}/c")).await.unwrap();
        world.pass(Duration::from_secs(600)).await.unwrap();
        assert_eq!(away(&world).await.0, SILENT, "the others are home");
    });
}

#[test]
fn a_status_that_cannot_be_written_holds_up_no_object_on_its_way_back() {
    in_world(STABLE, GOOD, Hosts::One, async |mut world| {
        passed_with(&mut world, 0).await;
        let instead = Instead::Answer { code: 403, retry_after_s: None, body: json!("a webhook says no") };
        let refusal = |path: &str| Some(Refusal { path: path.into(), reads: false, instead: instead.clone() });
        world.refuse(refusal("/mirrors/"));
        world.api.delete(&format!("{CANARIES}/c")).await.unwrap();
        world.pass(OVER).await.unwrap();
        assert_eq!((&status(&world, "c").await["phase"], away(&world).await.0), (&json!("Aborting"), OBJECTS));
        world.refuse(refusal("/canaries/c/status"));
        // So that there is something to be said.
        world.api.create(MIRRORS, &mirror(OBJECTS)).await.unwrap();
        world.pass(OVER).await.unwrap();
        assert_eq!((away(&world).await, is_gone(&world).await), ((0, 0), true));
    });
}

#[test]
fn a_hold_does_not_count_the_time_without_a_stable_plugin() {
    in_world(STABLE, GOOD, Hosts::One, async |mut world| {
        // Another plugin keeps its instance led.
        let another = STAGE.folder(&[("", "site.wasm")]).slots;
        let mut whole = folder(STABLE, GOOD);
        whole.slots.extend(another.clone());
        world.put_folder(whole.clone());
        world.settle().await.unwrap();
        let mut canary = canary("c");
        canary["spec"]["steps"] = json!([{ "percent": 100, "holdSeconds": 60 }]);
        begin(&mut world, &canary).await;
        world.pass(Duration::from_secs(20)).await.unwrap();
        let mut without = whole.clone();
        without.slots.retain(|id, _| !id.instance.is_default() || another.contains_key(id));
        world.put_folder(without);
        world.pass(Duration::from_secs(90)).await.unwrap();
        let said = status(&world, "c").await;
        assert!(said["message"].as_str().unwrap().contains("no plugin of the lineage"), "{said}");
        world.put_folder(whole);
        world.pass(Duration::from_secs(20)).await.unwrap();
        assert_eq!(status(&world, "c").await["phase"], "Progressing");
        assert_eq!(phase(&mut world).await, "Passed");
    });
}

#[test]
fn what_cannot_begin_writes_no_faster_for_a_definition_that_is_older() {
    in_world(STABLE, GOOD, Hosts::One, async |mut world| {
        let path = format!("{DEFINITIONS}/canaries.trimtab.dev");
        let mut versions = world.api.get(&path).await.unwrap()["spec"]["versions"].take();
        let schema = &mut versions[0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"];
        schema.as_object_mut().unwrap().remove("made").unwrap();
        world.api.merge(&path, &json!({ "spec": { "versions": versions } })).await.unwrap();
        let mut canary = canary("c");
        canary["spec"]["lineage"] = json!("nobody");
        let from = world.clock().elapsed();
        begin(&mut world, &canary).await;
        world.pass(Duration::from_secs(60)).await.unwrap();
        assert_eq!(status(&world, "c").await["phase"], "Pending");
        let writes = world.log().writes_since(from).len();
        assert!(writes <= 61, "{writes} writes");
    });
}
