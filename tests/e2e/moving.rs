//! Objects that are moved between instances, in one process and between two,
//! while they are edited and their plugins are swapped. Sizes from the
//! environment: `OBJECTS=1000 MOVES=20` is the run that figures come from.

use std::{
    collections::BTreeMap,
    env,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use serde_json::{Value, json};
use trimtab_harness::eventually;

use crate::support::{Host, SITE, SOON, Scene};

/// The instances, and the build that each has in the end. Of those that one
/// process serves, an object passes to each other and to the other process.
const INSTANCES: [(&str, &str); 3] = [("", "1"), ("blue", "2"), ("green", "2")];
/// Which of them each of the two processes serves.
const PROCESSES: [&str; 2] = [",blue", "green"];
/// People that move and edit objects at once.
const PEOPLE: usize = 8;

fn size(variable: &str, otherwise: usize) -> usize {
    env::var(variable).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// The builds of all instances, in the folder that both processes read.
fn copy_builds(scene: &Scene, other_way_round: bool) {
    for (instance, build) in INSTANCES {
        let plugin = if (build == "1") == other_way_round { "site-next" } else { "site" };
        scene.copy(plugin, format!("{instance}/site.wasm").trim_start_matches('/'));
    }
}

fn name(object: usize) -> String {
    format!("site-{object:04}")
}

/// The children of all Sites: kind and name, and what must stay and what must be.
async fn children(scene: &Scene) -> BTreeMap<(String, String), Value> {
    let mut all = BTreeMap::new();
    for (version, plural) in [("v1", "configmaps"), ("v1", "services"), ("apps/v1", "deployments")] {
        let collection = format!("{}?labelSelector=trimtab.dev/plugin%3Dsite", scene.at(version, plural, ""));
        for child in scene.api.list(&collection).await {
            let name = child["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            all.insert((plural.to_owned(), name), child);
        }
    }
    all
}

fn uids(children: &BTreeMap<(String, String), Value>) -> Vec<&Value> {
    children.values().map(|child| &child["metadata"]["uid"]).collect()
}

/// What is not as the last move and the last edit of each object want it.
async fn wrong(scene: &Scene, objects: usize, moves: usize) -> Vec<String> {
    let children = children(scene).await;
    let mut wrong = Vec::new();
    for site in scene.api.list(&scene.site("")).await {
        let name = site["metadata"]["name"].as_str().unwrap_or_default();
        let object = name.trim_start_matches("site-").parse::<usize>().expect("its number");
        let (instance, build) = INSTANCES[(object + moves) % INSTANCES.len()];
        if site["status"]["build"] != build || site["status"]["observedGeneration"] != site["metadata"]["generation"] {
            wrong.push(format!("{name}: {}", site["status"]));
        }
        for plural in ["configmaps", "services", "deployments"] {
            let child = children.get(&(plural.to_owned(), name.to_owned())).unwrap_or(&Value::Null);
            let label = child["metadata"]["labels"]["trimtab.dev/instance-id"].as_str().unwrap_or_default();
            let data = &child["data"];
            let is_current =
                plural != "configmaps" || (data["build"] == build && data["index.html"] == format!("page {moves}"));
            if child.is_null() || label != instance || !is_current {
                wrong.push(format!("{plural} {name}: {} {data}", child["metadata"]["labels"]));
            }
        }
    }
    if children.len() != 3 * objects {
        wrong.push(format!("{} children", children.len()));
    }
    wrong
}

async fn writes(hosts: &[Host]) -> usize {
    let mut writes = 0.0;
    for host in hosts {
        writes += host.metric("trimtab_writes_total", &[]).await;
    }
    writes as usize
}

#[tokio::test]
async fn objects_that_move_between_instances_and_processes_lose_no_child_and_no_edit() {
    let (objects, moves) = (size("OBJECTS", 30), size("MOVES", 6));
    let patience = SOON + Duration::from_millis(100 * objects as u64);
    let scene = Scene::new().await;
    scene.define(SITE);
    copy_builds(&scene, false);
    for object in 0..objects {
        let (instance, _) = INSTANCES[object % INSTANCES.len()];
        let metadata = json!({ "name": name(object), "labels": { "trimtab.dev/instance-id": instance } });
        let spec = json!({ "host": "a.example.dev", "replicas": 0, "page": "page 0" });
        let site = json!({ "apiVersion": "example.dev/v1", "kind": "Site", "metadata": metadata, "spec": spec });
        scene.api.create(&scene.site(""), &site).await;
    }
    let mut hosts = Vec::new();
    for instances in PROCESSES {
        let flags = ["--namespaces", &scene.namespace, "--instances", instances];
        hosts.push(scene.host_with(&scene.plane().kubeconfig(), &flags).await);
    }
    let is_right = async |moves| wrong(&scene, objects, moves).await.is_empty().then_some(());
    eventually("each is served by its own instance", patience, async || is_right(0).await).await;
    let (before, wrote, began) = (children(&scene).await, writes(&hosts).await, Instant::now());

    stream::iter(0..PEOPLE)
        .for_each_concurrent(PEOPLE, async |person| {
            for step in 1..=moves {
                // Each person has some of the objects, and one of them swaps all builds.
                if person == 0 {
                    copy_builds(&scene, step % 2 == 0);
                }
                for object in (person..objects).step_by(PEOPLE) {
                    let (instance, _) = INSTANCES[(object + step) % INSTANCES.len()];
                    let moved = json!({ "metadata": { "labels": { "trimtab.dev/instance-id": instance } } });
                    scene.api.merge(&scene.site(&name(object)), &moved).await;
                    scene.edit_page(&name(object), &format!("page {step}")).await;
                }
            }
        })
        .await;
    let moved = began.elapsed();
    copy_builds(&scene, false);
    eventually("each is served by the instance that it was moved to last", patience, async || is_right(moves).await)
        .await;
    let (after, settled) = (children(&scene).await, began.elapsed());
    assert_eq!(uids(&before), uids(&after), "a child was made anew");
    println!(
        "{objects} objects, {moves} moves each: moved in {moved:?}, settled in {settled:?}, {} writes",
        writes(&hosts).await - wrote
    );
}
