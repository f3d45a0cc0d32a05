//! What a Lease says of its instance, and how it passes from one process to the next.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use trimtab_engine::SlotState;
use trimtab_sim::{Api, Clock, Entry, World, simulate};
use trimtab_wasm::Wasm;

use crate::{
    SEED,
    site::{CONFIG_MAPS, DEFINITION, DEFINITIONS, SITES, name, site},
    stage::STAGE,
};

const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases/trimtab-trimtab";
/// More than a leader works on at once.
const OBJECTS: usize = 20;
/// Much less than lies between two renewals.
const A_MOMENT: Duration = Duration::from_millis(300);
/// Between the steps of a rolling restart: a host that comes is ready.
const BETWEEN: Duration = Duration::from_secs(5);

#[test]
fn a_file_that_comes_or_goes_is_told_in_the_lease_at_once() {
    let wasm = STAGE.wasm();
    simulate(async {
        let mut world = World::new(SEED, None, wasm);
        let definition = serde_saphyr::from_str::<Value>(DEFINITION).unwrap();
        world.api.create(DEFINITIONS, &definition).await.unwrap();
        let one = STAGE.folder(&[("", "site.wasm")]);
        let mut two = one.clone();
        two.slots.extend([STAGE.slot("", "other", "mirror.wasm", None)]);
        world.put_folder(one.clone());
        world.start_host();
        world.settle().await.unwrap();
        for (folder, lineages) in [(two, r#"["other","site"]"#), (one, r#"["site"]"#)] {
            // At whatever time since the last renewal.
            for _ in 0..5 {
                world.put_folder(folder.clone());
                world.pass(A_MOMENT).await.unwrap();
                let lease = world.api.get(LEASE).await.unwrap();
                assert_eq!(lease["metadata"]["annotations"]["trimtab.dev/lineages"], lineages);
            }
        }
    });
}

/// A world in which one host serves all objects.
async fn served(wasm: Arc<Wasm>) -> World {
    let mut world = World::new(SEED, None, wasm);
    let definition = serde_saphyr::from_str::<Value>(DEFINITION).unwrap();
    world.api.create(DEFINITIONS, &definition).await.unwrap();
    for number in 0..OBJECTS {
        world.api.create(SITES, &site(number)).await.unwrap();
    }
    world.put_folder(STAGE.folder(&[("", "site.wasm")]));
    world.start_host();
    world.settle().await.unwrap();
    world
}

#[test]
fn a_standby_lists_afresh_and_writes_within_a_second_of_its_leader_s_leave() {
    let wasm = STAGE.wasm();
    simulate(async {
        let mut world = served(wasm).await;
        world.start_host();
        world.settle().await.unwrap();
        assert_eq!(world.slots()[1][0].state, SlotState::Serving, "its plugin is compiled and its watches are live");

        for number in 0..OBJECTS {
            let edit = json!({ "spec": { "page": "new" } });
            world.api.merge(&format!("{SITES}/{}", name(number)), &edit).await.unwrap();
        }
        let asked = world.clock().elapsed();
        world.stop_host().await;
        world.settle().await.unwrap();
        let mut log = world.log().entries();
        log.retain(|entry| entry.at >= asked && !entry.is_about_an_event());
        let is_served = |entry: &Entry| ["/sites", "/configmaps", "/services"].iter().any(|of| entry.path.contains(of));
        let found = |process, is: &dyn Fn(&Entry) -> bool| {
            let at = log.iter().enumerate().filter(|(_, entry)| entry.process == process && is(entry));
            at.map(|(at, _)| at).collect::<Vec<_>>()
        };
        let of_lease = |entry: &Entry| entry.writes() && entry.is_about_a_lease();
        let write = |entry: &Entry| entry.writes() && is_served(entry);
        let list = |entry: &Entry| !entry.writes() && is_served(entry) && entry.watches().is_none();
        let released = *found(1, &of_lease).last().unwrap();
        let (taken, listed, wrote) = (found(2, &of_lease)[0], found(2, &list), found(2, &write));
        assert!(found(1, &write).iter().all(|at| *at < released), "it writes after it has let go");
        assert!(released < taken && listed.iter().all(|at| taken < *at && *at < wrote[0]), "{listed:?}");
        assert!(listed.len() >= 3, "what the leader wrote last may not be in the cache yet");
        let took = log[wrote[0]].at - log[released].at;
        assert!(took < Duration::from_secs(1), "{took:?}");
    });
}

#[test]
fn in_a_rolling_restart_no_edit_waits_a_second_longer_than_usual() {
    let wasm = STAGE.wasm();
    simulate(async {
        let mut world = served(wasm).await;

        let edits = tokio::spawn(edit(world.api.clone(), world.clock()));
        world.pass(BETWEEN).await.unwrap();
        for _ in 0..3 {
            world.start_host();
            world.pass(BETWEEN).await.unwrap();
            world.stop_host().await;
            world.pass(BETWEEN).await.unwrap();
        }
        assert!(!edits.is_finished(), "an edit has waited too long");
        edits.abort();
        let log = world.log().entries();
        let released = log.iter().filter(|entry| entry.writes() && entry.is_about_a_lease());
        let leaders = released.map(|entry| entry.process).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(leaders.len(), 4, "each has led");
    });
}

/// Edits one object after the other, and fails where one waits too long.
async fn edit(api: Api, clock: Clock) {
    for edition in 0.. {
        let (name, page) = (name(edition % OBJECTS), format!("edition {edition}"));
        api.merge(&format!("{SITES}/{name}"), &json!({ "spec": { "page": page } })).await.unwrap();
        let began = clock.elapsed();
        while api.get(&format!("{CONFIG_MAPS}/{name}")).await.unwrap()["data"]["index.html"] != page {
            assert!(clock.elapsed() - began < Duration::from_secs(1), "{name} waits for {page}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
