//! Children by their objects' own selectors: whatever goes wrong, what is selected and
//! nobody's becomes the child of one object, what is selected no more becomes nobody's,
//! and nothing else is touched.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::{error::Error, time::Duration};

use serde_json::{Value, json};
use trimtab_core::marks;
use trimtab_engine::folder::Folder;
use trimtab_sim::{
    World,
    fault::{Fault, Stream, What, When},
    simulate,
};

use crate::{
    QUIET_SHORTLY, SEED,
    mirror::{MIRRORS, define},
    site::{CONFIG_MAPS, last_writes},
    stage::STAGE,
};

const POLICY: &str = r#"
    children_selector = "spec.selector"
    [config.describe]
    role = "composite"
    objects = [{ apiVersion = "fixtures.trimtab.dev/v1", kind = "Mirror" }]
    children = [{ apiVersion = "v1", kind = "ConfigMap" }]
"#;
/// Another lineage's instance.
const OTHER: &str = "other";

fn folder() -> Folder {
    let slots = [("", "one"), (OTHER, "two")].map(|(at, stem)| STAGE.slot(at, stem, "mirror.wasm", Some(POLICY)));
    Folder { slots: slots.into(), read: true, ..Folder::default() }
}

fn config_map(name: &str, app: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "labels": { "app": app } },
        "data": { "say": "it" } })
}

/// An object that selects by this and wants these.
async fn mirror(world: &World, name: &str, app: &str, children: &[Value]) -> Result<Value, Box<dyn Error>> {
    let spec = json!({ "selector": { "matchLabels": { "app": app } }, "children": children });
    let object = json!({ "apiVersion": "fixtures.trimtab.dev/v1", "kind": "Mirror",
        "metadata": { "name": name }, "spec": spec });
    Ok(world.api.create(MIRRORS, &object).await?)
}

/// What is there before anybody looks: of `a`, `found` is wanted and `unwanted` is not;
/// two objects of two lineages want `shared`; `goes` is being deleted.
async fn set_up(world: &World) -> Result<(), Box<dyn Error>> {
    let api = &world.api;
    define(world).await?;
    mirror(world, "a", "a", &[config_map("found", "a"), config_map("made", "a")]).await?;
    mirror(world, "b", "shared", &[config_map("shared", "shared")]).await?;
    mirror(world, "c", "shared", &[config_map("shared", "shared")]).await?;
    let moved = json!({ "metadata": { "labels": { marks::INSTANCE_LABEL: OTHER } } });
    api.merge(&format!("{MIRRORS}/c"), &moved).await?;
    mirror(world, "goes", "goes", &[]).await?;
    let held = json!({ "metadata": { "finalizers": ["example.com/held"] } });
    api.merge(&format!("{MIRRORS}/goes"), &held).await?;
    api.delete(&format!("{MIRRORS}/goes")).await?;
    for (name, app) in [("found", "a"), ("unwanted", "a"), ("shared", "shared"), ("left", "goes"), ("beside", "none")] {
        let mut found = config_map(name, app);
        found["data"] = json!({ "theirs": name });
        api.create(CONFIG_MAPS, &found).await?;
    }
    let somebody = api.create(CONFIG_MAPS, &config_map("somebody", "none")).await?;
    let mut controlled = config_map("controlled", "a");
    controlled["metadata"]["ownerReferences"] = json!([{ "apiVersion": "v1", "kind": "ConfigMap", "controller": true,
        "name": "somebody", "uid": somebody["metadata"]["uid"] }]);
    api.create(CONFIG_MAPS, &controlled).await?;
    Ok(())
}

async fn get(world: &World, name: &str) -> Result<Value, Box<dyn Error>> {
    Ok(world.api.get(&format!("{CONFIG_MAPS}/{name}")).await?)
}

/// The name of the Mirror whose child it is.
fn owner(child: &Value) -> Option<&str> {
    let mut owners = child["metadata"]["ownerReferences"].as_array()?.iter();
    owners.find(|owner| owner["controller"] == true && owner["kind"] == "Mirror")?["name"].as_str()
}

fn expect(what: &str, is: bool, seen: &Value) -> Result<(), String> {
    if is { Ok(()) } else { Err(format!("{what}: {seen}")) }
}

async fn play(world: &mut World) -> Result<(), Box<dyn Error>> {
    set_up(world).await?;
    let untouched = ["left", "beside", "controlled"];
    let mut before = Vec::new();
    for name in untouched {
        before.push(get(world, name).await?);
    }
    let found = get(world, "found").await?["metadata"]["uid"].clone();
    world.put_folder(folder());
    world.start_host();
    world.settle().await?;

    let now = get(world, "found").await?;
    let kept = now["metadata"]["uid"] == found && now["data"] == json!({ "theirs": "found", "say": "it" });
    expect("it is a's, with what it had", kept && owner(&now) == Some("a"), &now)?;
    let made = get(world, "made").await?;
    expect("it is made", owner(&made) == Some("a"), &made)?;
    expect("what is selected and not wanted goes", get(world, "unwanted").await.is_err(), &Value::Null)?;
    let shared = get(world, "shared").await?;
    let (lineage, of) = (&shared["metadata"]["labels"][marks::PLUGIN_LABEL], owner(&shared));
    let one = (*lineage == "one" && of == Some("b")) || (*lineage == "two" && of == Some("c"));
    expect("one of two has it", one, &shared)?;

    // Somebody takes one child out of the selection, and puts another object in.
    let moved = json!({ "metadata": { "labels": { "app": "none" } } });
    world.api.merge(&format!("{CONFIG_MAPS}/made"), &moved).await?;
    let late = json!({ "metadata": { "name": "late", "labels": { "app": "a" } } });
    world.api.create(CONFIG_MAPS, &late).await?;
    world.settle().await?;
    let released = get(world, "made").await?;
    let metadata = &released["metadata"];
    let is_free = metadata.get("ownerReferences").is_none()
        && metadata["labels"] == json!({ "app": "none" })
        && metadata.get("annotations").is_none_or(|annotations| *annotations == json!({}));
    expect("it is nobody's", is_free && metadata["uid"] == made["metadata"]["uid"], &released)?;
    expect("what came later goes, as it is not wanted", get(world, "late").await.is_err(), &Value::Null)?;

    for (name, before) in untouched.iter().zip(before) {
        let now = get(world, name).await?;
        expect("it is left alone", now == before, &now)?;
    }
    let settled = world.clock().elapsed();
    world.pass(QUIET_SHORTLY).await?;
    // Whoever has not got what both want goes on telling it.
    let writes = world.log().writes_since(settled);
    match writes.iter().find(|write| !write.path.starts_with("/apis/events.k8s.io/")) {
        Some(write) => Err(format!("it was settled, and yet it wrote:\n{write}").into()),
        None => Ok(()),
    }
}

fn run(fault: Option<Fault>) -> usize {
    let wasm = STAGE.wasm();
    simulate(async {
        let mut world = World::new(SEED, fault.clone(), wasm);
        if let Err(why) = play(&mut world).await {
            panic!("{fault:?}: {why}\n{}", last_writes(&world));
        }
        world.log().writes_since(Duration::ZERO).len()
    })
}

fn disturb(what: &What) {
    for write in 1..=run(None) {
        run(Some(Fault { when: When::Write(write), what: what.clone() }));
    }
}

#[test]
fn what_is_selected_is_taken_and_what_is_not_is_given_back_wherever_a_host_dies() {
    disturb(&What::CrashAfter);
}

#[test]
fn what_is_selected_is_taken_once_though_a_write_comes_late() {
    disturb(&What::Late);
}

#[test]
fn what_is_selected_is_taken_once_though_what_is_seen_is_old() {
    disturb(&What::Watches { of: None, stream: Stream::Held(Duration::from_secs(5)) });
}
