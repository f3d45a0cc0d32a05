//! Objects that pass from a composite to a decorator which replaces it, and back:
//! whatever goes wrong, all that the one made becomes the other's where it lies, and
//! nothing is deleted, made twice or left of the one before.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::{collections::BTreeMap, error::Error, sync::Arc, time::Duration};

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
    mirror::{MIRRORS, SHARED, define_and_share},
    site::{CONFIG_MAPS, last_writes},
    stage::STAGE,
};

const OBJECTS: [&str; 2] = ["a", "b"];
/// Writes until the composite has made all children: a finalizer, two children and a
/// status for each object.
const MAKING: usize = 8;
/// Enough for some of the writes of a move, and for none to be the last.
const A_MOMENT: Duration = Duration::from_millis(30);

/// A plugin of one of the two roles, and who it inherits from.
fn policy(role: &str, inherits: Option<&str>) -> String {
    let inherit = inherits.map(|lineage| format!("inherit.lineage = {lineage:?}\n")).unwrap_or_default();
    format!(
        r#"
        {inherit}
        [grants]
        elsewhere = ["shared"]
        [config]
        wish = {role:?}
        [config.describe]
        role = {role:?}
        objects = [{{ apiVersion = "fixtures.trimtab.dev/v1", kind = "Mirror", labelSelector = "{role}" }}]
        children = [{{ apiVersion = "v1", kind = "ConfigMap" }}]
        "#
    )
}

/// A folder with these plugins, each as a lineage, of a role, inheriting or not.
fn folder(plugins: &[(&str, &str, Option<&str>)]) -> Folder {
    let slot = |(stem, role, inherits): &(&str, &str, Option<&str>)| {
        STAGE.slot("", stem, "mirror.wasm", Some(&policy(role, *inherits)))
    };
    Folder { slots: plugins.iter().map(slot).collect(), read: true, ..Folder::default() }
}

/// An object that both select, with a child in its namespace, of which the composite
/// wants one field more, and one that the host collects.
fn mirror(name: &str) -> Value {
    let config_map = |namespace: &str, data: Value| json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "namespace": namespace }, "data": data });
    let elsewhere = config_map("shared", json!({ "say": "both" }));
    let composite = json!({ "children": [config_map("default", json!({ "say": "both", "more": "x" })), elsewhere], "status": { "observed": 2 } });
    let decorator = json!({ "children": [config_map("default", json!({ "say": "both" })), elsewhere],
        "labels": { "told": "yes" }, "status": { "observed": 3 } });
    json!({
        "apiVersion": "fixtures.trimtab.dev/v1", "kind": "Mirror",
        "metadata": { "name": name, "labels": { "composite": "", "decorator": "" },
            "annotations": { "composite": composite.to_string(), "decorator": decorator.to_string() } },
        "spec": { "children": [] },
    })
}

type Uids = BTreeMap<String, String>;

/// The children, if each is there and all that is said of it is that this lineage
/// has made it.
async fn children(world: &World, lineage: &str) -> Result<Uids, Box<dyn Error>> {
    let mut uids = Uids::new();
    for (collection, name) in [CONFIG_MAPS, SHARED].iter().flat_map(|it| OBJECTS.map(|name| (it, name))) {
        let path = format!("{collection}/{name}");
        let child = world.api.get(&path).await?;
        let metadata = &child["metadata"];
        let owner = serde_json::from_str::<Value>(metadata["annotations"][marks::OWNER].as_str().unwrap_or("{}"))?;
        let managers = metadata["managedFields"].as_array().into_iter().flatten();
        let managers = managers.filter(|entry| entry["fieldsV1"] != json!({})).map(|entry| entry["manager"].as_str());
        let more = lineage == "site" && *collection == CONFIG_MAPS;
        if metadata["labels"][marks::PLUGIN_LABEL] != lineage
            || owner["lineage"] != lineage
            || managers.collect::<Vec<_>>() != [Some(&*format!("trimtab/{lineage}"))]
            || child["data"].get("more").is_some() != more
        {
            return Err(format!("it is not {lineage}'s alone: {child}").into());
        }
        uids.insert(path, metadata["uid"].to_string());
    }
    Ok(uids)
}

/// Whether nothing on the objects is of another lineage than this one.
async fn objects_are_of(world: &World, lineage: &str) -> Result<(), Box<dyn Error>> {
    for name in OBJECTS {
        let object = world.api.get(&format!("{MIRRORS}/{name}")).await?;
        let metadata = &object["metadata"];
        let decorated = lineage == "team";
        let fits = metadata["finalizers"] == json!([format!("trimtab.dev/{lineage}")])
            && metadata["labels"].get("told").is_some() == decorated
            && metadata["labels"].get("decorator.trimtab.dev/team").is_some() == decorated
            && metadata["annotations"].get("decorator.trimtab.dev/team").is_some() == decorated
            && object["status"]["observed"] == if decorated { 3 } else { 2 }
            && object["status"].get("conditions").is_some() != decorated;
        if !fits {
            return Err(format!("it is not {lineage}'s alone: {object}").into());
        }
    }
    Ok(())
}

/// Moves all objects there and back; how many writes that took.
fn run(by: By, fault: Option<Fault>) -> usize {
    let wasm = STAGE.wasm();
    simulate(async {
        let mut world = World::new(SEED, fault.clone(), wasm);
        if let Err(why) = play(&mut world, by).await {
            panic!("{by:?}, {fault:?}: {why}\n{}\n{:?}", last_writes(&world), world.slots());
        }
        world.log().writes_since(Duration::ZERO).len()
    })
}

/// What makes objects pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// The file of the one that had them is taken away.
    File,
    /// The one that had them selects them no more.
    Label,
}

async fn play(world: &mut World, by: By) -> Result<(), Box<dyn Error>> {
    let api = world.api.clone();
    define_and_share(world).await?;
    for name in OBJECTS {
        api.create(MIRRORS, &mirror(name)).await?;
    }
    world.put_folder(folder(&[("site", "composite", None)]));
    world.start_host();
    world.settle().await?;
    let uids = children(world, "site").await?;

    let there = [("site", "composite", None), ("team", "decorator", Some("site"))];
    pass(world, by, &there, "composite").await?;
    objects_are_of(world, "team").await?;
    expect_the_same(&uids, children(world, "team").await?)?;

    // The one that goes inherits no more: it would wait for the one that comes.
    world.put_folder(folder(&[("team", "decorator", None)]));
    world.settle().await?;
    let back = [("team", "decorator", None), ("site", "composite", Some("team"))];
    for name in OBJECTS {
        api.merge(&format!("{MIRRORS}/{name}"), &json!({ "metadata": { "labels": { "composite": "" } } })).await?;
    }
    pass(world, by, &back, "decorator").await?;
    objects_are_of(world, "site").await?;
    expect_the_same(&uids, children(world, "site").await?)?;

    let entries = world.log().entries();
    match entries.iter().find(|entry| entry.method == "DELETE") {
        Some(deletion) => Err(format!("something was deleted:\n{deletion}").into()),
        None => Ok(()),
    }
}

fn expect_the_same(before: &Uids, now: Uids) -> Result<(), String> {
    if *before == now { Ok(()) } else { Err(format!("{before:?} became {now:?}")) }
}

/// Lets the second of two plugins take over from the first, which selects by
/// `label`: side by side nothing happens, and in the middle the heir is swapped.
async fn pass(
    world: &mut World,
    by: By,
    plugins: &[(&str, &str, Option<&str>); 2],
    label: &str,
) -> Result<(), Box<dyn Error>> {
    let began = world.clock().elapsed();
    world.put_folder(folder(plugins));
    world.settle().await?;
    if let Some(write) = world.log().writes_since(began).first() {
        return Err(format!("side by side it wrote:\n{write}").into());
    }
    match by {
        By::File => world.put_folder(folder(&plugins[1..])),
        By::Label => {
            for name in OBJECTS {
                let deselected = json!({ "metadata": { "labels": { label: null } } });
                world.api.merge(&format!("{MIRRORS}/{name}"), &deselected).await?;
            }
        }
    }
    world.pass(A_MOMENT).await?;
    let kept = if by == By::File { &plugins[1..] } else { &plugins[..] };
    let mut swapped = folder(kept);
    let (_, heir) = swapped.slots.iter_mut().find(|(slot, _)| slot.stem.as_str() == plugins[1].0).unwrap();
    heir.policy = heir.policy.take().map(|policy| policy.replace("[config]", "[config]\nnext = true").into());
    world.put_folder(swapped);
    world.settle().await?;
    Ok(())
}

/// Disturbs each write but those that make the children.
fn disturb(by: By, what: &What) {
    let writes = run(by, None);
    for write in MAKING + 1..=writes {
        run(by, Some(Fault { when: When::Write(write), what: what.clone() }));
    }
}

#[test]
fn what_a_composite_made_passes_to_a_decorator_and_back_when_its_file_goes() {
    disturb(By::File, &What::CrashAfter);
}

#[test]
fn what_a_composite_made_passes_to_a_decorator_and_back_when_it_is_selected_no_more() {
    disturb(By::Label, &What::AnswerLost);
}

#[test]
fn an_heir_leaves_to_its_predecessor_what_neither_selects() {
    let wasm = STAGE.wasm();
    simulate(async {
        let mut world = World::new(SEED, None, wasm);
        let api = world.api.clone();
        define_and_share(&world).await.unwrap();
        for name in OBJECTS {
            let mut object = mirror(name);
            object["metadata"]["labels"] = json!({ "composite": "" });
            api.create(MIRRORS, &object).await.unwrap();
        }
        let mut plugins = folder(&[("site", "composite", None), ("team", "decorator", Some("site"))]);
        let (_, heir) = plugins.slots.iter_mut().find(|(slot, _)| slot.stem.as_str() == "team").unwrap();
        let asked = |policy: Arc<str>| policy.replace("objects =", "finalizes = true\n        objects =").into();
        heir.policy = heir.policy.take().map(asked);
        world.put_folder(plugins);
        world.start_host();
        world.settle().await.unwrap();
        let uids = children(&world, "site").await.unwrap();

        for name in OBJECTS {
            let deselected = json!({ "metadata": { "labels": { "composite": null } } });
            api.merge(&format!("{MIRRORS}/{name}"), &deselected).await.unwrap();
        }
        world.settle().await.unwrap();
        assert_eq!(children(&world, "site").await.unwrap(), uids);
        objects_are_of(&world, "site").await.unwrap();
    });
}

#[test]
fn an_heir_that_does_not_know_what_only_the_host_collects_is_refused() {
    let wasm = STAGE.wasm();
    simulate(async {
        let mut world = World::new(SEED, None, wasm);
        define_and_share(&world).await.unwrap();
        for name in OBJECTS {
            world.api.create(MIRRORS, &mirror(name)).await.unwrap();
        }
        world.put_folder(folder(&[("site", "composite", None)]));
        world.start_host();
        world.settle().await.unwrap();
        let blind = policy("decorator", Some("site")).replace("\"ConfigMap\"", "\"Service\"");
        let heir = STAGE.slot("", "team", "mirror.wasm", Some(&blind));
        let former = STAGE.slot("", "site", "mirror.wasm", Some(&policy("composite", None)));
        world.put_folder(Folder { slots: [former, heir].into(), read: true, ..Folder::default() });
        world.settle().await.unwrap();
        let slots = world.slots().remove(0);
        let heir = slots.iter().find(|slot| slot.stem == "team").unwrap();
        let told = "declare ConfigMap as a kind of children";
        assert!(heir.refused && heir.reason.as_ref().is_some_and(|why| why.ends_with(told)), "{heir:?}");
        children(&world, "site").await.unwrap();
    });
}
