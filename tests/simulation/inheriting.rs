//! A decorator that takes the place of a controller from outside: whatever goes wrong
//! on the way, it has that one's children and finalizer, and nothing of another's.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::{collections::BTreeMap, error::Error, time::Duration};

use serde_json::{Value, json};
use trimtab_engine::folder::Folder;
use trimtab_sim::{
    World,
    fault::{Fault, What, When},
    simulate,
};

use crate::{
    SEED,
    mirror::{MIRRORS, define},
    site::{CONFIG_MAPS, last_writes},
    stage::STAGE,
};

const FINALIZER: &str = "left.dev/behind";

const POLICY: &str = r#"
    config.wish = "wish"
    [config.describe]
    role = "decorator"
    objects = [{ apiVersion = "fixtures.trimtab.dev/v1", kind = "Mirror" }]
    children = [{ apiVersion = "v1", kind = "ConfigMap" }]
    finalizes = true
    [inherit]
    children = ["ConfigMap"]
    annotations = "left.dev/by=it"
    finalizers = ["left.dev/behind"]
"#;

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

async fn play(world: &mut World) -> Result<(), Box<dyn Error>> {
    define(world).await?;
    let stays = left(world, "stays").await?;
    let goes = left(world, "goes").await?;
    for (owner, name, by) in [
        (&stays, "wanted", Some("it")),
        (&stays, "unwanted", Some("it")),
        (&stays, "of-another", Some("another")),
        (&stays, "of-nobody", None),
        (&goes, "last", Some("it")),
    ] {
        made(world, owner, name, by).await?;
    }
    world.api.delete(&format!("{MIRRORS}/goes")).await?;
    let before = children(world).await?;

    let slots = [STAGE.slot("", "one", "mirror.wasm", Some(POLICY))].into();
    world.put_folder(Folder { slots, read: true, ..Folder::default() });
    world.start_host();
    world.settle().await?;

    let after = children(world).await?;
    let kept = ["wanted", "of-another", "of-nobody"].map(|name| (name.to_owned(), before[name].clone()));
    if after != BTreeMap::from(kept) {
        return Err(format!("the children are {after:?} and were {before:?}").into());
    }
    if world.api.get(&format!("{MIRRORS}/goes")).await.is_ok() {
        return Err("it is still there".into());
    }
    let finalizers = &world.api.get(&format!("{MIRRORS}/stays")).await?["metadata"]["finalizers"];
    if *finalizers != json!(["trimtab.dev/one"]) {
        return Err(format!("it is held by {finalizers}").into());
    }
    Ok(())
}

/// An object that the other controller holds.
async fn left(world: &World, name: &str) -> Result<Value, Box<dyn Error>> {
    let wanted = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "wanted" } });
    let wish = json!({ "children": [wanted] }).to_string();
    let metadata = json!({ "name": name, "finalizers": [FINALIZER], "annotations": { "wish": wish } });
    let object = json!({ "apiVersion": "fixtures.trimtab.dev/v1", "kind": "Mirror", "metadata": metadata });
    Ok(world.api.create(MIRRORS, &object).await?)
}

async fn made(world: &World, owner: &Value, name: &str, by: Option<&str>) -> Result<(), Box<dyn Error>> {
    let owner = json!({ "apiVersion": "fixtures.trimtab.dev/v1", "kind": "Mirror", "controller": true,
        "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"] });
    let annotations = by.map_or_else(|| json!({}), |by| json!({ "left.dev/by": by }));
    let metadata = json!({ "name": name, "ownerReferences": [owner], "annotations": annotations });
    let child = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata });
    world.api.create(CONFIG_MAPS, &child).await?;
    Ok(())
}

/// The children by their names, with their uids.
async fn children(world: &World) -> Result<BTreeMap<String, String>, Box<dyn Error>> {
    let list = world.api.get(CONFIG_MAPS).await?;
    let items = list["items"].as_array().into_iter().flatten();
    let owned = items.filter(|child| child["metadata"].get("ownerReferences").is_some());
    let text = |child: &Value, field: &str| child["metadata"][field].as_str().unwrap_or_default().to_owned();
    Ok(owned.map(|child| (text(child, "name"), text(child, "uid"))).collect())
}

#[test]
fn what_another_controller_left_is_taken_over_and_goes_with_its_object_though_it_was_never_marked() {
    let writes = run(None);
    for what in [What::CrashAfter, What::AnswerLost] {
        for write in 1..=writes {
            run(Some(Fault { when: When::Write(write), what: what.clone() }));
        }
    }
}
