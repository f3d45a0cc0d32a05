//! Two decorators beside a composite, all of one object: whatever goes wrong, each
//! adds what it wants, none holds up another, and what no longer matches loses what
//! the decorators have added, and nothing else.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::{collections::BTreeSet, error::Error, sync::Arc, time::Duration};

use serde_json::{Value, json};
use trimtab_core::marks;
use trimtab_engine::folder::Folder;
use trimtab_sim::{
    World,
    fault::{Fault, What, When},
    simulate,
};
use trimtab_wasm::Wasm;

use crate::{
    SEED,
    mirror::{DESCRIBE, MIRRORS, define},
    site::{CONFIG_MAPS, last_writes},
    stage::STAGE,
};

const OBJECT: &str = "/apis/fixtures.trimtab.dev/v1/namespaces/default/mirrors/a";

/// One that is asked before it lets go, and finds its objects by a label.
const FINALIZES: &str = r#"
    config.wish = "one"
    [config.describe]
    role = "decorator"
    objects = [{ apiVersion = "fixtures.trimtab.dev/v1", kind = "Mirror", labelSelector = "team" }]
    children = [{ apiVersion = "v1", kind = "ConfigMap" }]
    finalizes = true
"#;

/// One that is not, and finds them by an annotation.
const DOES_NOT: &str = r#"
    config.wish = "two"
    [config.describe]
    role = "decorator"
    objects = [{ apiVersion = "fixtures.trimtab.dev/v1", kind = "Mirror", annotationSelector = "team" }]
    children = [{ apiVersion = "v1", kind = "ConfigMap" }]
"#;

fn config_map(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name } })
}

fn object() -> Value {
    let wish = |name: &str| {
        let labels = json!({ name: "set", "both": name, "old": null });
        json!({ "children": [config_map(name)], "labels": labels, "annotations": { "note": name }, "status": { name: true } })
    };
    json!({
        "apiVersion": "fixtures.trimtab.dev/v1",
        "kind": "Mirror",
        "metadata": {
            "name": "a",
            "labels": { "team": "blue", "old": "yes" },
            "annotations": { "team": "blue", "one": wish("one").to_string(), "two": wish("two").to_string() },
        },
        "spec": { "children": [config_map("own")] },
    })
}

/// Decorates an object and lets it go; how many writes that took.
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
    let api = world.api.clone();
    define(world).await?;
    api.create(MIRRORS, &object()).await?;
    let slot = |stem: &str, policy: &str| STAGE.slot("", stem, "mirror.wasm", Some(policy));
    let slots = [slot("owner", DESCRIBE), slot("one", FINALIZES), slot("two", DOES_NOT)].into();
    world.put_folder(Folder { slots, read: true, ..Folder::default() });
    world.start_host();
    world.settle().await?;
    let decorated = api.get(OBJECT).await?;
    expect("children", children(world).await?, ["one", "own", "two"])?;
    expect(
        "labels",
        keys(&decorated["metadata"]["labels"]),
        ["both", "decorator.trimtab.dev/one", "one", "team", "two"],
    )?;
    expect("finalizers", keys(&json!({ "has": decorated["metadata"]["finalizers"] })), ["has"])?;
    let status = ["conditions", "observed", "one", "two"];
    expect("status", keys(&decorated["status"]), status)?;
    if decorated["status"]["observed"] != 1 {
        return Err(format!("the composite is given {} children and has one", decorated["status"]["observed"]).into());
    }

    let matches_no_more = json!({ "metadata": { "labels": { "team": null }, "annotations": { "team": null } } });
    api.merge(OBJECT, &matches_no_more).await?;
    world.settle().await?;
    let left = api.get(OBJECT).await?;
    expect("children left", children(world).await?, ["own"])?;
    expect("labels left", keys(&left["metadata"]["labels"]), [])?;
    expect("annotations left", keys(&left["metadata"]["annotations"]), ["one", "two"])?;
    expect("status left", keys(&left["status"]), ["conditions", "observed"])?;
    if left["metadata"].get("finalizers").is_some() {
        return Err(format!("it is held by {}", left["metadata"]["finalizers"]).into());
    }
    Ok(())
}

fn keys(object: &Value) -> BTreeSet<String> {
    object.as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect()
}

fn expect<const N: usize>(what: &str, found: BTreeSet<String>, wanted: [&str; N]) -> Result<(), String> {
    let wanted = wanted.map(str::to_owned).into();
    if found == wanted { Ok(()) } else { Err(format!("the {what} are {found:?} and not {wanted:?}")) }
}

/// The names of all that a plugin made.
async fn children(world: &World) -> Result<BTreeSet<String>, Box<dyn Error>> {
    let list = world.api.get(CONFIG_MAPS).await?;
    let made = list["items"].as_array().into_iter().flatten();
    let made = made.filter(|child| child["metadata"]["labels"].get(marks::PLUGIN_LABEL).is_some());
    Ok(made.filter_map(|child| child["metadata"]["name"].as_str().map(str::to_owned)).collect())
}

#[test]
fn decorators_and_a_composite_share_an_object_and_only_theirs_goes_when_it_matches_no_more() {
    let writes = run(None);
    for what in [What::CrashAfter, What::AnswerLost] {
        for write in 1..=writes {
            run(Some(Fault { when: When::Write(write), what: what.clone() }));
        }
    }
}

/// A world with one object that a decorator of its own serves.
async fn decorated_by(wasm: Arc<Wasm>, policy: &str, object: &Value) -> World {
    let mut world = World::new(SEED, None, wasm);
    define(&world).await.unwrap();
    world.api.create(MIRRORS, object).await.unwrap();
    let slots = [STAGE.slot("", "one", "mirror.wasm", Some(policy))].into();
    world.put_folder(Folder { slots, read: true, ..Folder::default() });
    world.start_host();
    world
}

#[test]
fn a_decorator_that_takes_its_object_out_of_its_own_selector_is_refused_and_writes_no_more() {
    let deselects = |keys: Value| {
        let mut object = object();
        object["metadata"]["annotations"]["one"] = keys.to_string().into();
        let wasm = STAGE.wasm();
        simulate(async {
            let mut world = decorated_by(wasm, FINALIZES, &object).await;
            world.pass(Duration::from_secs(600)).await.unwrap();
            let to_object = world.log().writes_since(Duration::ZERO).into_iter();
            let to_object = to_object.filter(|entry| entry.path.starts_with(OBJECT)).count();
            assert_eq!(to_object, 2, "its label and its finalizer\n{}", last_writes(&world));
            let events = world.api.get("/apis/events.k8s.io/v1/namespaces/default/events").await.unwrap();
            let notes = events["items"].as_array().unwrap().iter().map(|event| event["note"].as_str().unwrap());
            assert!(notes.into_iter().any(|note| note.contains("no longer be selected")), "{events}");
            let metrics = world.metrics().concat();
            let failed = metrics.lines().find(|line| line.contains("reconcile_total{") && line.contains("\"error\""));
            let failures = failed.unwrap().rsplit(' ').next().unwrap().parse::<u32>().unwrap();
            assert!((5..20).contains(&failures), "it backs off: {failures}");
        });
    };
    deselects(json!({ "labels": { "team": null } }));
    deselects(json!({ "labels": { "other": "x", "team": null }, "children": [config_map("one")] }));
}

#[test]
fn a_last_status_that_meets_another_managers_field_is_told_and_holds_no_object() {
    let policy = FINALIZES.replace("config.wish = \"one\"", "");
    let wasm = STAGE.wasm();
    simulate(async {
        let mut world = decorated_by(wasm, &policy, &object()).await;
        world.settle().await.unwrap();
        world.api.merge(&format!("{OBJECT}/status"), &json!({ "status": { "observed": 99 } })).await.unwrap();
        world.settle().await.unwrap();
        world.api.delete(OBJECT).await.unwrap();
        world.settle().await.unwrap();
        assert_eq!(world.api.get(OBJECT).await.map_err(|refused| refused.status()), Err(404));
        let events = world.api.get("/apis/events.k8s.io/v1/namespaces/default/events").await.unwrap();
        let last = |event: &Value| event["note"].as_str().unwrap().starts_with("its last status is not written");
        assert!(events["items"].as_array().unwrap().iter().any(last), "{events}");
    });
}
