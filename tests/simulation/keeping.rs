//! What is good and what was found bad, over the ends of processes: the next one finds it
//! in the keep folder.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use trimtab_engine::{SlotState, folder::Folder};
use trimtab_sim::{
    World,
    fault::{Fault, What, When},
    simulate,
};

use crate::{
    SEED,
    promotion::{GOOD, TRAPS, TRAPS_AT_A_THIRD, build, is_served, prepared, put, slot},
    stage::STAGE,
};

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases";

fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o700)).tempdir().unwrap()
}

/// A world in which a good build serves, on a machine that keeps what is good.
fn in_world(play: impl AsyncFnOnce(World)) {
    let (wasm, kept) = (STAGE.wasm(), folder());
    simulate(async {
        let mut world = prepared(GOOD, World::new(SEED, None, wasm)).await;
        world.keep_in(kept.path());
        world.start_host();
        world.settle().await.unwrap();
        play(world).await;
    });
}

/// Another process on the same machine, which nobody else has told anything.
async fn restart(world: &mut World) {
    world.stop_host().await;
    world.api.delete(&format!("{LEASES}/trimtab-trimtab")).await.unwrap();
    world.start_host();
    world.settle().await.unwrap();
}

fn swaps(world: &World) -> usize {
    let metrics = world.metrics().remove(0);
    let line = metrics.lines().find(|line| line.starts_with("trimtab_plugin_swaps_total{")).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_restart_goes_on_with_the_last_good_one_and_does_not_try_the_bad_one_again() {
    in_world(async |mut world| {
        put(&mut world, build(TRAPS)).await;
        assert_eq!(slot(&world).state, SlotState::RolledBack);
        for number in [1, 2] {
            restart(&mut world).await;
            let view = slot(&world);
            assert_eq!((view.state, view.refused), (SlotState::RolledBack, true), "{view:?}");
            assert!(is_served(&mut world, number).await);
            assert_eq!(swaps(&world), 1, "nothing but the good one has served");
            assert!(!world.metrics()[0].contains("trimtab_call_failures_total{"), "{}", world.metrics()[0]);
        }
    });
}

#[test]
fn a_probation_goes_on_in_the_next_process() {
    in_world(async |mut world| {
        put(&mut world, build("other = 1")).await;
        assert!(slot(&world).probation);
        restart(&mut world).await;
        assert!(slot(&world).probation, "{:?}", slot(&world));
        put(&mut world, build(TRAPS)).await;
        assert_eq!(slot(&world).state, SlotState::RolledBack);
        assert!(is_served(&mut world, 1).await);

        put(&mut world, build("other = 2")).await;
        world.pass(Duration::from_secs(400)).await.unwrap();
        assert!(!slot(&world).probation);
        restart(&mut world).await;
        assert_eq!((slot(&world).probation, swaps(&world)), (false, 1), "what has passed is what is good");
    });
}

#[test]
fn a_file_that_was_away_for_a_moment_is_measured_by_what_served_before() {
    in_world(async |mut world| {
        let gone = || Folder { read: true, ..Folder::default() };
        put(&mut world, gone()).await;
        put(&mut world, build(TRAPS)).await;
        assert_eq!(slot(&world).state, SlotState::RolledBack);
        assert!(is_served(&mut world, 0).await);

        world.put_folder(gone());
        world.pass(Duration::from_secs(4000)).await.unwrap();
        put(&mut world, build(TRAPS_AT_A_THIRD)).await;
        assert_eq!((slot(&world).state, slot(&world).probation), (SlotState::Serving, false), "long ago is never");
    });
}

#[test]
fn what_is_kept_and_cannot_be_served_any_more_makes_way_for_what_the_folder_holds() {
    in_world(async |mut world| {
        put(&mut world, build("other = 1")).await;
        world.api.delete(&format!("{}/mirrors.fixtures.trimtab.dev", crate::site::DEFINITIONS)).await.unwrap();
        restart(&mut world).await;
        world.pass(Duration::from_secs(120)).await.unwrap();
        let view = slot(&world);
        assert_eq!((view.state, view.generation), (SlotState::Pending, None));
        crate::mirror::define(&world).await.unwrap();
        world.settle().await.unwrap();
        assert_eq!((slot(&world).state, slot(&world).probation), (SlotState::Serving, false));
    });
}

#[test]
fn a_person_goes_back_during_a_probation_and_after_it_and_is_told_where_nothing_is_left() {
    in_world(async |mut world| {
        let before = slot(&world).generation;
        assert!(world.roll_back("mine").await.unwrap_err().contains("nothing that served here before"));
        assert!(world.roll_back("other").await.unwrap_err().contains("there is no slot"));

        put(&mut world, build("other = 1")).await;
        world.roll_back("mine").await.unwrap();
        world.settle().await.unwrap();
        let view = slot(&world);
        assert_eq!((view.state, view.generation), (SlotState::RolledBack, before));
        assert!(view.reason.unwrap().contains("rolled back by hand"));
        assert!(world.roll_back("mine").await.unwrap_err().contains("rolled back already"));

        put(&mut world, build("other = 2")).await;
        world.pass(Duration::from_secs(400)).await.unwrap();
        assert!(!slot(&world).probation);
        world.roll_back("mine").await.unwrap();
        world.settle().await.unwrap();
        let view = slot(&world);
        assert_eq!((view.state, view.probation), (SlotState::RolledBack, false), "{view:?}");
        assert!(is_served(&mut world, 1).await);
        restart(&mut world).await;
        assert_eq!(slot(&world).state, SlotState::RolledBack, "and so it stays");
        put(&mut world, build("other = 3")).await;
        assert!(slot(&world).probation, "what comes next is tried");
    });
}

#[test]
fn another_process_follows_a_rollback_by_hand_to_what_it_has_kept_itself() {
    in_world(async |mut world| {
        let own = folder();
        world.keep_in(own.path());
        world.start_host();
        world.settle().await.unwrap();
        put(&mut world, build("other = 1")).await;
        world.pass(Duration::from_secs(400)).await.unwrap();
        world.roll_back("mine").await.unwrap();
        world.settle().await.unwrap();
        world.stop_host().await;
        world.settle().await.unwrap();
        assert_eq!(slot(&world).state, SlotState::RolledBack, "{:?}", slot(&world));
        assert!(is_served(&mut world, 1).await);
    });
}

#[test]
fn whatever_goes_wrong_meanwhile_the_last_good_one_serves_in_the_end() {
    let play = |fault: Option<Fault>, kept: &Path| {
        let wasm = STAGE.wasm();
        simulate(async {
            let mut world = prepared(GOOD, World::new(SEED, None, wasm)).await;
            world.keep_in(kept);
            world.start_host();
            world.settle().await.unwrap();
            let from = world.clock().elapsed();
            world.disturb(fault);
            put(&mut world, build(TRAPS_AT_A_THIRD)).await;
            let served = is_served(&mut world, 3).await;
            assert_eq!((slot(&world).state, served), (SlotState::RolledBack, true), "{:?}", slot(&world));
            world.log().writes_since(from).len()
        })
    };
    let writes = play(None, folder().path());
    assert!(writes > 4, "only {writes} writes");
    for write in 1..=writes {
        for what in [What::CrashAfter, What::CrashBefore] {
            let fault = Fault { when: When::Write(write), what };
            println!("{fault}");
            play(Some(fault), folder().path());
        }
    }
}
