//! Children in other namespaces and in none, which may not name their owner:
//! whatever goes wrong, none is left when the owner is gone.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::{error::Error, time::Duration};

use serde_json::{Value, json};
use trimtab_core::marks;
use trimtab_engine::folder::Folder;
use trimtab_sim::{
    World,
    fault::{Fault, What, When},
    simulate,
};

use crate::{
    SEED,
    mirror::{MIRRORS, NAMESPACES, SHARED, define_and_share},
    site::{CONFIG_MAPS, last_writes},
    stage::STAGE,
};

const POLICY: &str = r#"
    [grants]
    elsewhere = ["shared"]
    writes = ["Namespace"]
    [config.describe]
    role = "composite"
    objects = [{ apiVersion = "fixtures.trimtab.dev/v1", kind = "Mirror" }]
    children = [{ apiVersion = "v1", kind = "ConfigMap" }, { apiVersion = "v1", kind = "Namespace" }]
"#;

/// How its owner goes.
#[derive(Debug, Clone, Copy)]
enum End {
    /// As it should.
    Deleted,
    /// Somebody takes its finalizers away first.
    Forced,
    /// The same, and another object of its name is made, which wants the same.
    Replaced,
}

fn mirror() -> Value {
    let children = [
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "own" } }),
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "other", "namespace": "shared" } }),
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "made" } }),
    ];
    let spec = json!({ "children": children });
    json!({ "apiVersion": "fixtures.trimtab.dev/v1", "kind": "Mirror", "metadata": { "name": "a" }, "spec": spec })
}

/// Lets an object get its children and go, and says how many writes that took.
fn run(end: End, fault: Option<Fault>) -> usize {
    let wasm = STAGE.wasm();
    simulate(async {
        let mut world = World::new(SEED, fault.clone(), wasm);
        if let Err(why) = play(&mut world, end).await {
            panic!("{end:?}, {fault:?}: {why}\n{}", last_writes(&world));
        }
        world.log().writes_since(Duration::ZERO).len()
    })
}

async fn play(world: &mut World, end: End) -> Result<(), Box<dyn Error>> {
    let api = world.api.clone();
    define_and_share(world).await?;
    api.create(MIRRORS, &mirror()).await?;
    let slots = [STAGE.slot("", "mirror", "mirror.wasm", Some(POLICY))].into();
    world.put_folder(Folder { slots, read: true, ..Folder::default() });
    world.start_host();
    world.settle().await?;

    let children = children(world).await?;
    if children.len() != 3 {
        return Err(format!("not all children are there: {children:?}").into());
    }
    let owner = format!("{MIRRORS}/a");
    if !matches!(end, End::Deleted) {
        api.merge(&owner, &json!({ "metadata": { "finalizers": null } })).await?;
    }
    api.delete(&owner).await?;
    if matches!(end, End::Replaced) {
        api.create(MIRRORS, &mirror()).await?;
    }
    world.settle().await?;

    let left = self::children(world).await?;
    match end {
        End::Replaced => {
            let uid = api.get(&owner).await?["metadata"]["uid"].to_string();
            let its = |child: &&Value| child["metadata"]["annotations"][marks::OWNER].as_str().unwrap().contains(&uid);
            if left.iter().filter(its).count() != 3 {
                return Err(format!("the second one does not have its children: {left:?}").into());
            }
        }
        _ if api.get(&owner).await.is_ok() => return Err("it is still there".into()),
        _ if !left.is_empty() => return Err(format!("it left {left:?}").into()),
        _ => {}
    }
    Ok(())
}

/// All that a plugin made.
async fn children(world: &World) -> Result<Vec<Value>, Box<dyn Error>> {
    let mut children = Vec::new();
    for collection in [CONFIG_MAPS, SHARED, NAMESPACES] {
        let list = world.api.get(collection).await?;
        children.extend(list["items"].as_array().into_iter().flatten().cloned());
    }
    children.retain(|child| child["metadata"]["labels"].get(marks::PLUGIN_LABEL).is_some());
    Ok(children)
}

/// Disturbs each write of a run in each way.
fn disturb(end: End) {
    let writes = run(end, None);
    for what in [What::CrashAfter, What::AnswerLost, What::Late] {
        for write in 1..=writes {
            run(end, Some(Fault { when: When::Write(write), what: what.clone() }));
        }
    }
}

#[test]
fn what_may_not_name_its_owner_goes_before_it() {
    disturb(End::Deleted);
}

#[test]
fn what_an_owner_without_its_finalizer_leaves_is_collected() {
    disturb(End::Forced);
}

#[test]
fn what_an_earlier_owner_of_the_name_leaves_is_made_anew_for_the_next() {
    disturb(End::Replaced);
}

/// An object whose child elsewhere is not wanted any more, and that has one which a
/// server writes in another way than it was asked for.
async fn without_need(world: &mut World) -> Result<(), Box<dyn Error>> {
    let api = world.api.clone();
    define_and_share(world).await?;
    let container = json!({ "name": "c", "image": "i", "resources": { "requests": { "cpu": "1000m" } } });
    let pods = json!({ "metadata": { "labels": { "a": "b" } }, "spec": { "containers": [container] } });
    let deployment = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "own" },
        "spec": { "selector": { "matchLabels": { "a": "b" } }, "template": pods } });
    let other = mirror()["spec"]["children"][1].clone();
    let with = |children: Value| json!({ "spec": { "children": children } });
    let mut object = mirror();
    object["spec"]["children"] = json!([deployment, other]);
    api.create(MIRRORS, &object).await?;
    let policy = POLICY.replace("children = [", "children = [{ apiVersion = \"apps/v1\", kind = \"Deployment\" }, ");
    let slots = [STAGE.slot("", "mirror", "mirror.wasm", Some(&policy))].into();
    world.put_folder(Folder { slots, read: true, ..Folder::default() });
    world.start_host();
    world.settle().await?;
    let owner = format!("{MIRRORS}/a");
    if api.get(&owner).await?["metadata"]["finalizers"] != json!(["trimtab.dev/mirror"]) {
        return Err("it has no finalizer to lose".into());
    }
    api.merge(&owner, &with(json!([deployment]))).await?;
    world.settle().await?;
    match &api.get(&owner).await?["metadata"]["finalizers"] {
        Value::Null => Ok(()),
        left => Err(format!("it has still {left}").into()),
    }
}

#[test]
fn a_finalizer_that_is_needed_no_more_goes_also_if_the_host_starts_anew_in_between() {
    let run = |fault: Option<Fault>| {
        let wasm = STAGE.wasm();
        simulate(async {
            let mut world = World::new(SEED, fault.clone(), wasm);
            if let Err(why) = without_need(&mut world).await {
                panic!("{fault:?}: {why}\n{}", last_writes(&world));
            }
            world.log().writes_since(Duration::ZERO).len()
        })
    };
    for write in 1..=run(None) {
        run(Some(Fault { when: When::Write(write), what: What::CrashAfter }));
    }
}
