//! Rolling updates of Pods that become ready by themselves: whatever goes wrong,
//! no more of them are away than allowed, and all arrive.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::{error::Error, time::Duration};

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
    site::last_writes,
    stage::STAGE,
};

const PODS: &str = "/api/v1/namespaces/default/pods";
const REVISIONS: &str = "/apis/apps/v1/namespaces/default/controllerrevisions";
const ALL: usize = 3;
/// How often is looked whether too many are away: more often than anything happens to a Pod.
const STEP: Duration = Duration::from_millis(200);
/// Longer than three Pods take, one after the other, and a Lease that is waited out.
const STEPS: usize = 450;
/// Enough for the first Pod to be on its way, and for no other.
const SOME_STEPS: usize = 8;

const POLICY: &str = r#"
    [config.describe]
    role = "composite"
    objects = [{ apiVersion = "fixtures.trimtab.dev/v1", kind = "Mirror" }]
    [[config.describe.children]]
    apiVersion = "v1"
    kind = "Pod"
    update = "rolling-recreate"
    ready = [{ type = "Ready" }]
"#;

/// Pods that run an image.
fn children(image: &str) -> Value {
    let pod = |at| {
        json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": format!("p{at}") },
        "spec": { "containers": [{ "name": "c", "image": image }] } })
    };
    json!({ "children": (0..ALL).map(pod).collect::<Vec<_>>() })
}

/// Rolls out one image, and then the next ones, and says how many writes that took.
fn run(images: &[&str], fault: Option<Fault>) -> usize {
    let wasm = STAGE.wasm();
    simulate(async {
        let mut world = World::new(SEED, fault.clone(), wasm);
        if let Err(why) = play(&mut world, images).await {
            panic!("{images:?}, {fault:?}: {why}\n{}", last_writes(&world));
        }
        world.log().writes_since(Duration::ZERO).len()
    })
}

async fn play(world: &mut World, images: &[&str]) -> Result<(), Box<dyn Error>> {
    let api = world.api.clone();
    define(world).await?;
    let owner = format!("{MIRRORS}/a");
    let mirror = json!({ "apiVersion": "fixtures.trimtab.dev/v1", "kind": "Mirror", "metadata": { "name": "a" },
        "spec": children(images[0]) });
    api.create(MIRRORS, &mirror).await?;
    let slots = [STAGE.slot("", "mirror", "mirror.wasm", Some(POLICY))].into();
    world.put_folder(Folder { slots, read: true, ..Folder::default() });
    world.start_workloads();
    world.start_host();
    world.settle().await?;

    for (at, image) in images.iter().enumerate().skip(1) {
        api.merge(&owner, &json!({ "spec": children(image) })).await?;
        let last = at + 1 == images.len();
        // The next change comes in the middle.
        for _ in 0..if last { STEPS } else { SOME_STEPS } {
            world.pass(STEP).await?;
            let pods = list(world, PODS).await?;
            let away = ALL - pods.iter().filter(|pod| is_ready(pod)).count();
            if away > 1 {
                return Err(format!("{away} Pods are away").into());
            }
            if away == 0 && pods.iter().all(|pod| runs(pod, image)) {
                break;
            }
        }
    }
    world.settle().await?;
    let image = images.last().unwrap();
    let pods = list(world, PODS).await?;
    if pods.len() != ALL || !pods.iter().all(|pod| runs(pod, image)) {
        return Err(format!("not all run {image}: {pods:?}").into());
    }
    let status = api.get(&owner).await?["status"].take();
    let mut conditions = status["conditions"].as_array().into_iter().flatten();
    if !conditions.any(|it| it["type"] == "Updated" && it["reason"] == "OnLatestRevision" && it["status"] == "True") {
        return Err(format!("it is not told that all are there: {status}").into());
    }
    match list(world, REVISIONS).await?.len() {
        1 => Ok(()),
        kept => Err(format!("{kept} revisions are kept").into()),
    }
}

async fn list(world: &World, collection: &str) -> Result<Vec<Value>, Box<dyn Error>> {
    Ok(world.api.get(collection).await?["items"].as_array().cloned().unwrap_or_default())
}

fn runs(pod: &Value, image: &str) -> bool {
    pod["spec"]["containers"][0]["image"] == image
}

fn is_ready(pod: &Value) -> bool {
    let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    let ready = conditions.any(|it| it["type"] == "Ready" && it["status"] == "True");
    ready && pod["metadata"].get("deletionTimestamp").is_none()
}

#[test]
fn one_pod_at_a_time_is_made_anew_whatever_goes_wrong() {
    let images = ["a", "b"];
    let writes = run(&images, None);
    for what in [What::CrashAfter, What::Late] {
        for write in 1..=writes {
            run(&images, Some(Fault { when: When::Write(write), what: what.clone() }));
        }
    }
}

#[test]
fn a_change_in_the_middle_of_a_rollout_leaves_no_more_away() {
    run(&["a", "b", "c"], None);
}
