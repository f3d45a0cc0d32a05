//! Plugins that are retired: whatever goes wrong, nothing holds an object any more
//! and nothing says that they had it, and their children are gone or nobody's, as
//! the policy says.
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
    mirror::{MIRRORS, SHARED, define_and_share},
    site::{CONFIG_MAPS, last_writes},
    stage::STAGE,
};

/// A finalizer, two children, a status; the decorator's labels.
const MAKING: usize = 4;

/// A plugin of a role in an instance of its own, that is asked before its object goes,
/// or is `plain`: nothing holds its objects.
fn folder(role: &str, retire: &str, plain: bool) -> Folder {
    let finalizes = !plain;
    let policy = format!(
        r#"
        {retire}
        [grants]
        elsewhere = ["shared"]
        [config]
        wish = "wish"
        [config.describe]
        role = "{role}"
        objects = [{{ apiVersion = "fixtures.trimtab.dev/v1", kind = "Mirror", labelSelector = "team" }}]
        children = [{{ apiVersion = "v1", kind = "ConfigMap" }}]
        finalizes = {finalizes}
        "#
    );
    let slots = [STAGE.slot("blue", "mine", "mirror.wasm", Some(&policy))].into();
    Folder { slots, read: true, ..Folder::default() }
}

fn mirror(role: &str, plain: bool) -> Value {
    let config_map = |namespace: &str| {
        let metadata = json!({ "name": "a", "namespace": namespace, "labels": { "own": "yes" } });
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": { "say": "it" } })
    };
    let namespaces = if plain { &["default"][..] } else { &["default", "shared"] };
    let children = namespaces.iter().map(|namespace| config_map(namespace)).collect::<Vec<_>>();
    let mut wish = json!({ "children": children, "status": { "observed": 2 } });
    if role == "decorator" {
        wish["labels"] = json!({ "told": "yes" });
    }
    let labels = json!({ "team": "blue", "trimtab.dev/instance-id": "blue" });
    let metadata = json!({ "name": "a", "labels": labels, "annotations": { "wish": wish.to_string() } });
    json!({ "apiVersion": "fixtures.trimtab.dev/v1", "kind": "Mirror", "metadata": metadata, "spec": { "children": [] } })
}

fn run(role: &str, retire: &str, plain: bool, fault: Option<Fault>) -> usize {
    let wasm = STAGE.wasm();
    simulate(async {
        let mut world = World::new(SEED, fault.clone(), wasm);
        if let Err(why) = play(&mut world, role, retire, plain).await {
            panic!("{role}, {retire}, {fault:?}: {why}\n{}\n{:?}", last_writes(&world), world.slots());
        }
        world.log().writes_since(Duration::ZERO).len()
    })
}

async fn play(world: &mut World, role: &str, retire: &str, plain: bool) -> Result<(), Box<dyn Error>> {
    let api = world.api.clone();
    define_and_share(world).await?;
    let before = api.create(MIRRORS, &mirror(role, plain)).await?;
    world.put_folder(folder(role, "", plain));
    world.start_host();
    world.settle().await?;
    let made = children(world).await?;
    if made.len() != if plain { 1 } else { 2 } {
        return Err(format!("not all children are there: {made:?}").into());
    }
    world.put_folder(folder(role, &format!("retire = {retire:?}"), plain));
    world.settle().await?;

    let object = api.get(&format!("{MIRRORS}/a")).await?;
    for field in ["labels", "annotations", "finalizers"] {
        if object["metadata"][field] != before["metadata"][field] {
            return Err(format!("its {field} are not as they were: {object}").into());
        }
    }
    if object.get("status").is_some_and(|status| *status != json!({})) {
        return Err(format!("it still has a status: {object}").into());
    }
    let left = children(world).await?;
    if retire == "clean-up" && !left.is_empty() {
        return Err(format!("it left {left:?}").into());
    }
    let uid = |child: &Value| child["metadata"]["uid"].clone();
    let uids = |children: &BTreeMap<_, Value>| children.values().map(uid).collect::<Vec<_>>();
    let is_free = |child: &Value| {
        let metadata = &child["metadata"];
        metadata["labels"] == json!({ "own": "yes" })
            && metadata.get("annotations").is_none_or(|annotations| *annotations == json!({}))
            && metadata.get("ownerReferences").is_none()
            && child["data"]["say"] == "it"
    };
    if retire == "orphan" && (uids(&left) != uids(&made) || !left.values().all(is_free)) {
        return Err(format!("{made:?} became {left:?}").into());
    }
    let settled = world.clock().elapsed();
    world.put_folder(Folder { read: true, ..Folder::default() });
    world.settle().await?;
    match world.log().writes_since(settled).first() {
        Some(write) => Err(format!("it wrote when its file was gone:\n{write}").into()),
        None => Ok(()),
    }
}

/// All that there is besides what the namespaces hold by themselves.
async fn children(world: &World) -> Result<BTreeMap<String, Value>, Box<dyn Error>> {
    let mut children = BTreeMap::new();
    for collection in [CONFIG_MAPS, SHARED] {
        let path = format!("{collection}/a");
        if let Ok(child) = world.api.get(&path).await {
            children.insert(path, child);
        }
    }
    Ok(children)
}

fn disturb(role: &str, retire: &str) {
    let writes = run(role, retire, false, None);
    for write in MAKING + 1..=writes {
        run(role, retire, false, Some(Fault { when: When::Write(write), what: What::CrashAfter }));
    }
}

#[test]
fn a_retired_composite_lets_its_objects_go_and_its_children_too_or_leaves_them_to_nobody() {
    disturb("composite", "orphan");
    disturb("composite", "clean-up");
}

#[test]
fn a_retired_decorator_lets_its_objects_go_and_its_children_too_or_leaves_them_to_nobody() {
    disturb("decorator", "orphan");
    disturb("decorator", "clean-up");
}

#[test]
fn a_retired_plugin_that_never_held_its_objects_leaves_no_word_on_them_either() {
    for role in ["composite", "decorator"] {
        run(role, "orphan", true, None);
        run(role, "clean-up", true, None);
    }
}
