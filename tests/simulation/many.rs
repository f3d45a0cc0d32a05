//! A folder in which very much changes at once: it ends with what the folder says, and
//! nobody whose plugin was not touched waits for the others.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::time::Duration;

use serde_json::{Value, json};
use trimtab_engine::{SlotState, folder::Folder};
use trimtab_sim::{Api, SplitMix, World, simulate};

use crate::{
    SEED,
    mirror::{DESCRIBE, MIRRORS, define},
    site::CONFIG_MAPS,
    stage::STAGE,
};

const PLUGINS: usize = 100;
/// What builds make of their objects; none: there is no file.
type Build = Option<usize>;
const BUILDS: usize = 4;
/// The one that is not touched.
const QUIET: usize = PLUGINS;
/// What an edit may take, with all that goes on beside it.
const SERVED_WITHIN: Duration = Duration::from_secs(2);

fn instance(number: usize) -> String {
    format!("i{number:03}")
}

fn config_map(number: usize, build: usize) -> Value {
    let metadata = json!({ "name": instance(number) });
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": { "by": build.to_string() } })
}

/// An object for which each build makes a child of its own.
fn mirror(number: usize) -> Value {
    let wish = |build| json!({ "children": [config_map(number, build)] }).to_string();
    let wishes = (0..BUILDS).map(|build| (format!("b{build}"), wish(build).into())).collect::<serde_json::Map<_, _>>();
    json!({ "apiVersion": "fixtures.trimtab.dev/v1", "kind": "Mirror", "spec": {},
        "metadata": { "name": instance(number), "annotations": wishes,
            "labels": { "trimtab.dev/instance-id": instance(number) } } })
}

fn folder(builds: &[Build]) -> Folder {
    let slot = |(number, build): (usize, &Build)| {
        let policy = format!("[config]\nwish = \"b{}\"\n{DESCRIBE}", (*build)?);
        Some(STAGE.slot(&instance(number), "mine", "mirror.wasm", Some(&policy)))
    };
    let slots = builds.iter().enumerate().filter_map(slot).collect();
    Folder { slots, read: true, ..Folder::default() }
}

/// Which build has made the child of an object.
async fn made_by(api: &Api, number: usize) -> Option<usize> {
    let child = api.get(&format!("{CONFIG_MAPS}/{}", instance(number))).await.ok()?;
    child["data"]["by"].as_str()?.parse().ok()
}

/// Edits the object of the plugin that is not touched, again and again, and tells how long
/// the longest edit waited.
async fn edit(world: &mut World, edits: usize) -> Duration {
    let mut longest = Duration::ZERO;
    for number in 0..edits {
        let wish = json!({ "children": [config_map(QUIET, BUILDS + number)] }).to_string();
        let edit = json!({ "metadata": { "annotations": { "b0": wish } } });
        world.api.merge(&format!("{MIRRORS}/{}", instance(QUIET)), &edit).await.unwrap();
        let from = world.clock().elapsed();
        while made_by(&world.api, QUIET).await != Some(BUILDS + number) {
            world.pass(Duration::from_millis(50)).await.unwrap();
        }
        longest = longest.max(world.clock().elapsed() - from);
    }
    longest
}

#[test]
fn a_hundred_plugins_that_are_replaced_at_once_and_again_end_as_the_folder_says() {
    let (seed, wasm) = (SEED, STAGE.wasm());
    simulate(async {
        let random = SplitMix::new(seed, u64::from_le_bytes(*b"many\0\0\0\0"));
        let below = |limit: usize| (random.next() % limit as u64) as usize;
        let mut world = World::new(seed, None, wasm);
        define(&world).await.unwrap();
        for number in 0..=PLUGINS {
            world.api.create(MIRRORS, &mirror(number)).await.unwrap();
        }
        let mut builds = vec![Some(0); PLUGINS + 1];
        world.put_folder(folder(&builds));
        world.start_host();
        world.settle().await.unwrap();

        builds[..PLUGINS].fill(Some(1));
        world.put_folder(folder(&builds));
        for _ in 0..3 {
            let longest = edit(&mut world, 1 + below(9)).await;
            assert!(longest <= SERVED_WITHIN, "seed {seed}: an edit waited {longest:?}");
            for build in &mut builds[..PLUGINS] {
                if below(2) == 0 {
                    *build = (below(5) > 0).then(|| below(BUILDS));
                }
            }
            world.put_folder(folder(&builds));
        }
        world.settle().await.unwrap();
        let served = world.slots()[0].iter().filter(|slot| slot.state == SlotState::Serving).count();
        assert_eq!(served, builds.iter().flatten().count(), "seed {seed}: {:?}", world.slots());
        for (number, build) in builds.iter().enumerate().take(PLUGINS).filter(|(_, build)| build.is_some()) {
            assert_eq!(made_by(&world.api, number).await, *build, "seed {seed}: {number}");
        }
    });
}
