//! Composites of one kind that look for their instances at different marks: each
//! object has one of them at most, and no two ever write in turns.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::{error::Error, time::Duration};

use serde_json::{Value, json};
use trimtab_core::marks;
use trimtab_engine::folder::Folder;
use trimtab_sim::{World, simulate};

use crate::{
    QUIET_SHORTLY, SEED,
    mirror::{MIRRORS, define},
    site::last_writes,
    stage::STAGE,
};

const SHARD: &str = "example.com/shard";

/// Wants for an object what its annotation of this name says.
fn policy(lineage: &str, instance_key: &str) -> String {
    format!(
        r#"
        instance_key = {instance_key:?}
        [config]
        wish = {lineage:?}
        [config.describe]
        role = "composite"
        objects = [{{ apiVersion = "fixtures.trimtab.dev/v1", kind = "Mirror" }}]
        children = [{{ apiVersion = "v1", kind = "ConfigMap" }}]
        "#
    )
}

/// `one` goes by a label, in the default instance and in `y`; `two` goes by an
/// annotation, in `x`, with this module.
fn folder(two: &str) -> Folder {
    let (label, annotation) = (marks::INSTANCE_LABEL.to_owned(), format!("annotation:{SHARD}"));
    let slot =
        |instance, lineage, module, key: &str| STAGE.slot(instance, lineage, module, Some(&policy(lineage, key)));
    let mirror = "mirror.wasm";
    let slots = [slot("", "one", mirror, &label), slot("y", "one", mirror, &label), slot("x", "two", two, &annotation)];
    Folder { slots: slots.into(), read: true, ..Folder::default() }
}

async fn mirror(world: &World, name: &str, label: &str, shard: &str) -> Result<(), Box<dyn Error>> {
    let says = |who: &str| json!({ "status": { "who": who } }).to_string();
    let object = json!({
        "apiVersion": "fixtures.trimtab.dev/v1", "kind": "Mirror",
        "metadata": { "name": name, "labels": { marks::INSTANCE_LABEL: label },
            "annotations": { "one": says("one"), "two": says("two"), SHARD: shard } },
    });
    world.api.create(MIRRORS, &object).await?;
    Ok(())
}

async fn who(world: &World, name: &str) -> Result<Value, Box<dyn Error>> {
    Ok(world.api.get(&format!("{MIRRORS}/{name}")).await?["status"]["who"].take())
}

async fn play(world: &mut World) -> Result<(), Box<dyn Error>> {
    define(world).await?;
    let objects = [("plain", "", ""), ("labelled", "y", ""), ("sharded", "", "x"), ("torn", "y", "x")];
    for (name, label, shard) in objects {
        mirror(world, name, label, shard).await?;
    }
    world.put_folder(folder("other-world.wasm"));
    world.start_host();
    world.settle().await?;
    if who(world, "plain").await? != "one" || !who(world, "sharded").await?.is_null() {
        return Err("it was given to another, since the file that it is marked for is refused".into());
    }
    world.put_folder(folder("mirror.wasm"));
    world.settle().await?;
    let served = async |world: &World| -> Result<Vec<Value>, Box<dyn Error>> {
        let mut served = Vec::new();
        for (name, ..) in objects {
            served.push(who(world, name).await?);
        }
        Ok(served)
    };
    let found = served(world).await?;
    if found != [json!("one"), json!("one"), json!("two"), Value::Null] {
        return Err(format!("{objects:?} are served by {found:?}").into());
    }
    let unmarked = json!({ "metadata": { "annotations": { SHARD: null } } });
    world.api.merge(&format!("{MIRRORS}/torn"), &unmarked).await?;
    world.settle().await?;
    if who(world, "torn").await? != "one" {
        return Err("it has one mark, and is not served".into());
    }
    let settled = world.clock().elapsed();
    world.pass(QUIET_SHORTLY).await?;
    match world.log().writes_since(settled).first() {
        Some(write) => Err(format!("it was settled, and yet it wrote:\n{write}").into()),
        None => Ok(()),
    }
}

#[test]
fn an_object_goes_by_the_mark_that_it_bears_and_with_two_of_them_to_nobody() {
    let wasm = STAGE.wasm();
    simulate(async {
        let mut world = World::new(SEED, None, wasm);
        if let Err(why) = play(&mut world).await {
            panic!("{why}\n{}\n{:?}", last_writes(&world), world.log().writes_since(Duration::ZERO).len());
        }
    });
}
