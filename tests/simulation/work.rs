//! What a policy says of how much and how often its plugin works.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::time::Duration;

use serde_json::{Value, json};
use trimtab_core::marks;
use trimtab_engine::folder::Folder;
use trimtab_sim::{World, simulate};

use crate::{
    SEED,
    site::{CONFIG_MAPS, DEFINITION, DEFINITIONS, SERVICES, SITES, name, site},
    stage::STAGE,
};

const COUNT: usize = 5;

/// What is asked of a world in which Sites are served under a policy.
fn served_under<T>(policy: &str, ask: impl AsyncFnOnce(World) -> T) -> T {
    let wasm = STAGE.wasm();
    simulate(async {
        let mut world = World::new(SEED, None, wasm);
        let definition = serde_saphyr::from_str::<Value>(DEFINITION).unwrap();
        world.api.create(DEFINITIONS, &definition).await.unwrap();
        for number in 0..COUNT {
            world.api.create(SITES, &site(number)).await.unwrap();
        }
        let slots = [STAGE.slot("", "site", "site.wasm", Some(policy))].into();
        world.put_folder(Folder { slots, read: true, ..Folder::default() });
        world.start_host();
        world.settle().await.unwrap();
        ask(world).await
    })
}

/// Which Site each write to one of its children was for, and when, in order.
fn writes(world: &World) -> Vec<(String, Duration)> {
    let entries = world.log().writes_since(Duration::ZERO).into_iter();
    let of_child = |path: &str| path.starts_with(CONFIG_MAPS) || path.starts_with(SERVICES);
    let site = |path: &str| (0..COUNT).map(name).find(|name| path.contains(name.as_str()));
    entries.filter(|entry| of_child(&entry.path)).filter_map(|entry| Some((site(&entry.path)?, entry.at))).collect()
}

/// How often the writes turn from one Site to another.
fn turns(policy: &str) -> usize {
    let writes = served_under(policy, async |world| writes(&world));
    assert!(writes.len() >= 2 * COUNT, "{writes:?}");
    writes.windows(2).filter(|pair| pair[0].0 != pair[1].0).count()
}

#[test]
fn with_a_concurrency_of_one_an_object_is_done_before_the_next_is_begun() {
    assert_eq!(turns("[work]\nconcurrency = 1"), COUNT - 1);
    assert!(turns("") > COUNT - 1, "without it they are worked on side by side");
}

#[test]
fn calls_are_as_far_apart_as_the_policy_says() {
    let mut firsts = Vec::<(String, Duration)>::new();
    for (site, at) in served_under("[work]\ncalls_per_second = 1", async |world| writes(&world)) {
        if firsts.iter().all(|(first, _)| *first != site) {
            firsts.push((site, at));
        }
    }
    assert_eq!(firsts.len(), COUNT);
    let apart = firsts.windows(2).map(|pair| pair[1].1 - pair[0].1).min().unwrap();
    assert!(apart > Duration::from_millis(900), "{firsts:?}");
}

/// How often the plugin has been called, or would have been had the run got so far.
fn calls(world: &World) -> u64 {
    let text = world.metrics().concat();
    let lines = text.lines().filter(|line| line.starts_with("controller_runtime_reconcile_total{"));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// How often it is called for a patch, until the world has settled.
async fn calls_for(world: &mut World, path: &str, patch: &Value) -> u64 {
    let before = calls(world);
    world.api.merge(path, patch).await.unwrap();
    world.settle().await.unwrap();
    calls(world) - before
}

#[test]
fn a_resync_of_the_policy_calls_again_though_nothing_changes() {
    let in_an_hour = |policy| {
        served_under(policy, async |mut world| {
            let before = calls(&world);
            world.pass(Duration::from_secs(3600)).await.unwrap();
            calls(&world) - before
        })
    };
    assert_eq!(in_an_hour(""), 0);
    let resyncs = in_an_hour("[work]\nresync_seconds = 600");
    assert!((5 * COUNT as u64..=6 * COUNT as u64).contains(&resyncs), "{resyncs}");
}

#[test]
fn each_new_value_of_the_trigger_calls_once() {
    served_under("", async |mut world| {
        let path = format!("{SITES}/{}", name(0));
        for (value, expected) in [("1", 1), ("1", 0), ("2", 1)] {
            let trigger = json!({ "metadata": { "annotations": { marks::TRIGGER: value } } });
            assert_eq!(calls_for(&mut world, &path, &trigger).await, expected, "{value}");
        }
    });
}

#[test]
fn a_change_of_the_status_alone_calls_unless_the_policy_ignores_it() {
    let (path, status) = (format!("{SITES}/{}", name(0)), json!({ "status": { "url": "another's" } }));
    let (of_status, url) = (format!("{path}/status"), "http://site-00.example.dev/");
    served_under("", async |mut world| {
        assert!(calls_for(&mut world, &of_status, &status).await > 0);
        assert_eq!(world.api.get(&path).await.unwrap()["status"]["url"], url);
    });
    served_under("[work]\nignore_status_changes = true", async |mut world| {
        assert_eq!(calls_for(&mut world, &of_status, &status).await, 0);
        assert_eq!(world.api.get(&path).await.unwrap()["status"]["url"], "another's");
        let edit = json!({ "spec": { "page": "new" } });
        assert!(calls_for(&mut world, &path, &edit).await > 0);
        assert_eq!(world.api.get(&path).await.unwrap()["status"]["url"], url, "a run looks at all of it");
        assert_eq!(calls_for(&mut world, &path, &edit).await, 0);
    });
}
