//! A build that shadows the one that serves: it is asked the same, what it would do
//! otherwise is told, and nothing of that is written. Then it serves, or it does not.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use serde_json::{Value, json};
use trimtab_engine::{ShadowReport, SlotState, SlotView, folder::Folder};
use trimtab_sim::{SETTLED, World, simulate};

use crate::{
    SEED,
    mirror::{DESCRIBE, MIRRORS, define},
    site::CONFIG_MAPS,
    stage::STAGE,
};

mod needs;

const OBJECTS: usize = 6;
/// What each build wants of an object stands in its annotation of this name.
const SAME: &str = "wish = \"same\"";
const CHANGED: &str = "wish = \"changed\"";
const LESS: &str = "wish = \"less\"";
const TRAPS: &str = "faults = { third = \"trap\" }";
const WAITS: &str = "faults = { \"*\" = \"wait\" }";
/// So long it shadows.
const A_WHILE: Duration = Duration::from_secs(60);
const FOR_A_WHILE: &str = "rollout = { shadow_seconds = 60 }";
const UNTIL_ACCEPTED: &str = "rollout = { shadow_until_accepted = true }";

fn build(rollout: &str, config: &str) -> Folder {
    let policy = format!("{rollout}\n[config]\n{config}\n{DESCRIBE}");
    Folder { slots: [STAGE.slot("", "mine", "mirror.wasm", Some(&policy))].into(), read: true, ..Folder::default() }
}

fn config_map(number: usize, value: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": format!("m{number}") }, "data": { "k": value } })
}

fn mirror(number: usize) -> Value {
    let status = json!({ "observed": 1 });
    let wish = |children: &[Value]| json!({ "children": children, "status": status }).to_string();
    let changed = if number == 0 { config_map(number, "other") } else { config_map(number, "first") };
    let mut annotations = json!({
        "same": wish(&[config_map(number, "first")]), "changed": wish(&[changed]), "less": wish(&[]),
    });
    if number.is_multiple_of(3) {
        annotations["third"] = json!("");
    }
    json!({ "apiVersion": "fixtures.trimtab.dev/v1", "kind": "Mirror",
        "metadata": { "name": format!("m{number}"), "annotations": annotations },
        "spec": { "children": [config_map(number, "first")] } })
}

fn in_world(hosts: usize, play: impl AsyncFnOnce(World)) {
    let wasm = STAGE.wasm();
    simulate(async {
        let mut world = World::new(SEED, None, wasm);
        define(&world).await.unwrap();
        for number in 0..OBJECTS {
            world.api.create(MIRRORS, &mirror(number)).await.unwrap();
        }
        world.put_folder(build("", ""));
        for _ in 0..hosts {
            world.start_host();
        }
        world.settle().await.unwrap();
        play(world).await;
    });
}

fn slot(world: &World) -> SlotView {
    world.slots()[0][0].clone()
}

fn report(world: &World) -> ShadowReport {
    world.shadows("mine").remove(0)
}

fn counts(report: &ShadowReport, kind: &str) -> usize {
    report.shadow.differences.get(kind).copied().unwrap_or_default()
}

/// What people do: one wish changes, one object comes, one goes.
async fn work(world: &mut World) {
    let children = json!({ "spec": { "children": [config_map(1, "second")] } });
    world.api.merge(&format!("{MIRRORS}/m1"), &children).await.unwrap();
    world.api.create(MIRRORS, &mirror(OBJECTS)).await.unwrap();
    world.api.delete(&format!("{MIRRORS}/m2")).await.unwrap();
    world.pass(A_WHILE).await.unwrap();
}

#[test]
fn nothing_of_what_a_shadow_wants_is_written_whatever_it_wants() {
    let play = |shadow: Option<&str>| {
        let mut written = Vec::new();
        in_world(1, async |mut world| {
            let (from, before) = (world.clock().elapsed(), slot(&world).generation);
            if let Some(config) = shadow {
                world.put_folder(build(UNTIL_ACCEPTED, config));
            }
            world.pass(A_WHILE).await.unwrap();
            work(&mut world).await;
            assert_eq!((slot(&world).state, slot(&world).generation), (SlotState::Serving, before));
            let tried = slot(&world).shadow.map(|shadow| shadow.tried);
            assert_eq!(tried, shadow.map(|_| OBJECTS), "{shadow:?}: one came and one went");
            let writes = world.log().writes_since(from);
            // A bit later, perhaps: the same writes of the same bodies with the same answers.
            written = writes.into_iter().map(|it| (it.method, it.path, it.body, it.status)).collect();
            written.sort_by_key(|it| format!("{it:?}"));
        });
        written
    };
    let alone = play(None);
    assert!(alone.len() > 4, "only {} writes", alone.len());
    for shadow in [SAME, CHANGED, LESS, WAITS] {
        assert_eq!(play(Some(shadow)), alone, "{shadow}");
    }
}

#[test]
fn a_build_that_answers_the_same_serves_after_its_time_and_not_before() {
    in_world(1, async |mut world| {
        let before = slot(&world).generation;
        world.put_folder(build(FOR_A_WHILE, SAME));
        world.pass(A_WHILE / 2).await.unwrap();
        let shadow = slot(&world).shadow.unwrap();
        assert_eq!((shadow.tried, shadow.changing, shadow.differences.len()), (OBJECTS, 0, 0), "{shadow:?}");
        assert_eq!(slot(&world).generation, before);
        assert!(slot(&world).reason.unwrap().contains("it would change 0"));
        world.pass(A_WHILE).await.unwrap();
        let view = slot(&world);
        assert!(view.generation > before && view.probation && view.shadow.is_none(), "{view:?}");
        let report = report(&world);
        assert!(report.over && report.objects.is_empty() && report.shadow.calls >= OBJECTS as u64, "{report:?}");
        let metric = format!(
            "trimtab_shadow_calls_total{{instance_id=\"\",lineage=\"mine\",result=\"same\"}} {}",
            report.shadow.calls
        );
        assert!(world.metrics()[0].contains(&metric), "{metric}");
    });
}

#[test]
fn one_field_that_differs_is_told_with_its_diff_and_only_for_its_object() {
    in_world(1, async |mut world| {
        world.put_folder(build(UNTIL_ACCEPTED, CHANGED));
        world.pass(10 * A_WHILE).await.unwrap();
        let report = report(&world);
        assert_eq!((report.shadow.tried, report.shadow.changing, report.over), (OBJECTS, 1, false));
        let [object] = &report.objects[..] else { panic!("{report:?}") };
        assert!(object.object.ends_with("default/m0"), "{object:?}");
        assert_eq!(object.differences, ["changes ConfigMap default/m0 (data.k)"]);
        let diff = object.diff.as_ref().unwrap();
        assert!(diff.starts_with("--- serving ConfigMap default/m0\n+++ shadow"), "{diff}");
        assert!(diff.contains("\n-  k: first\n+  k: other\n"), "{diff}");
    });
}

#[test]
fn a_build_that_traps_or_changes_more_than_it_may_never_serves() {
    for (rollout, config, why) in [
        (FOR_A_WHILE, TRAPS, "it fails for 2"),
        ("rollout = { shadow_seconds = 60, shadow_changes_max = 5 }", LESS, "it would change 6 objects"),
        (
            "rollout = { shadow_seconds = 60, shadow_fields = [\"Secret data\", \"status\"] }",
            CHANGED,
            "ConfigMap default/m0 (data.k)",
        ),
    ] {
        in_world(1, async |mut world| {
            let (from, before) = (world.clock().elapsed(), slot(&world).generation);
            world.put_folder(build(rollout, config));
            world.pass(3 * A_WHILE).await.unwrap();
            let view = slot(&world);
            assert_eq!(
                (view.state, view.generation, view.probation),
                (SlotState::RolledBack, before, false),
                "{config}"
            );
            let told = view.reason.unwrap();
            assert!(told.starts_with("not served") && told.contains(why), "{told}");
            assert!(told.contains("rollout.accepted = "), "{told}");
            assert_eq!(world.log().writes_since(from), [], "{config}: nothing is written");
            assert!(
                !world.metrics()[0].contains("trimtab_call_failures_total{"),
                "its failures are not the serving one's"
            );
            assert!(report(&world).over, "what was seen can still be read");
        });
    }
}

#[test]
fn what_it_may_change_lets_it_serve() {
    let fields = "rollout = { shadow_seconds = 60, shadow_changes_max = 1, shadow_fields = [\"ConfigMap data\"] }";
    in_world(1, async |mut world| {
        world.put_folder(build(fields, CHANGED));
        world.pass(3 * A_WHILE).await.unwrap();
        assert_eq!((slot(&world).state, slot(&world).probation), (SlotState::Serving, true));
        assert_eq!(world.api.get(&format!("{CONFIG_MAPS}/m0")).await.unwrap()["data"]["k"], "other");
    });
}

#[test]
fn a_person_has_it_served_by_its_name_whatever_it_changes() {
    in_world(1, async |mut world| {
        world.put_folder(build(UNTIL_ACCEPTED, CHANGED));
        world.pass(SETTLED).await.unwrap();
        let accepted = slot(&world).shadow.unwrap().generation;
        assert!(slot(&world).reason.unwrap().contains(&accepted));
        let rollout = format!("rollout = {{ shadow_until_accepted = true, accepted = \"{accepted}\" }}");
        world.put_folder(build(&rollout, CHANGED));
        world.settle().await.unwrap();
        assert_eq!((slot(&world).state, slot(&world).shadow), (SlotState::Serving, None));
        assert_eq!(world.api.get(&format!("{CONFIG_MAPS}/m0")).await.unwrap()["data"]["k"], "other");
    });
}

#[test]
fn another_file_a_restart_and_another_leader_begin_the_shadow_anew() {
    in_world(2, async |mut world| {
        world.put_folder(build(UNTIL_ACCEPTED, CHANGED));
        world.pass(A_WHILE).await.unwrap();
        world.put_folder(build(UNTIL_ACCEPTED, LESS));
        world.pass(A_WHILE).await.unwrap();
        let tried = world.shadows("mine").into_iter().map(|it| it.shadow.tried).collect::<Vec<_>>();
        assert!(tried.contains(&OBJECTS) && tried.contains(&0), "who does not lead asks nothing: {tried:?}");
        let leader = world.shadows("mine").into_iter().find(|it| it.shadow.tried > 0).unwrap();
        assert_eq!((counts(&leader, "deletes"), counts(&leader, "changes")), (OBJECTS, 0), "only of what shadows now");

        world.stop_host().await;
        world.pass(2 * A_WHILE).await.unwrap();
        assert_eq!((report(&world).shadow.tried, report(&world).shadow.changing), (OBJECTS, OBJECTS));

        // A process that starts with nothing kept knows nothing that served before: what lies there is good.
        world.stop_host().await;
        world.start_host();
        world.settle().await.unwrap();
        assert_eq!((slot(&world).state, slot(&world).shadow), (SlotState::Serving, None));
    });
}

#[test]
fn a_process_that_finds_what_was_good_goes_on_with_it_and_begins_the_shadow_anew() {
    let kept = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o700)).tempdir().unwrap();
    in_world(0, async |mut world| {
        world.keep_in(kept.path());
        world.start_host();
        world.settle().await.unwrap();
        world.put_folder(build(UNTIL_ACCEPTED, LESS));
        world.pass(A_WHILE).await.unwrap();
        let from = world.clock().elapsed();
        world.stop_host().await;
        world.start_host();
        world.pass(A_WHILE).await.unwrap();
        assert_eq!((report(&world).shadow.tried, counts(&report(&world), "deletes")), (OBJECTS, OBJECTS));
        assert_eq!(world.log().writes_since(from), [], "what was good serves");
    });
}

#[test]
fn who_stands_by_lets_nothing_serve_that_its_leader_has_not() {
    in_world(2, async |mut world| {
        let slow = "work = { calls_per_second = 1 }";
        for number in OBJECTS..200 {
            world.api.create(MIRRORS, &mirror(number)).await.unwrap();
        }
        world.put_folder(build(slow, ""));
        world.pass(Duration::from_secs(600)).await.unwrap();
        let now = |world: &World| world.slots().iter().map(|slots| slots[0].generation).collect::<Vec<_>>();
        let before = now(&world);
        // The leader cannot finish its round in the time for which it shadows.
        world.put_folder(build(&format!("{FOR_A_WHILE}\n{slow}"), SAME));
        world.pass(2 * A_WHILE).await.unwrap();
        assert_eq!(now(&world), before, "{:?}", world.slots());
        world.pass(Duration::from_secs(300)).await.unwrap();
        let after = now(&world);
        assert!(after.iter().zip(&before).all(|(after, before)| after > before), "then both do: {:?}", world.slots());
    });
}

#[test]
fn a_build_that_gives_no_answer_by_no_fault_of_its_own_ends_its_shadow() {
    in_world(1, async |mut world| {
        let rollout = format!("{FOR_A_WHILE}\n[grants]\nhttp = [\"https://hooks.example.dev\"]");
        world.put_folder(build(&rollout, "faults = { \"*\" = \"retry\" }"));
        world.pass(A_WHILE / 2).await.unwrap();
        assert_eq!(counts(&report(&world), "waits"), OBJECTS, "{:?}", report(&world));
        world.pass(A_WHILE).await.unwrap();
        assert_eq!((slot(&world).state, slot(&world).shadow), (SlotState::Serving, None));
    });
}

#[test]
fn what_a_shadow_says_of_its_own_secret_config_is_not_shown() {
    in_world(1, async |mut world| {
        let config = json!({ "says": "db://u:battery-staple@h", "password": "battery-staple" }).to_string();
        let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "own" },
            "stringData": { "config.yaml": config } });
        world.api.create("/api/v1/namespaces/default/secrets", &secret).await.unwrap();
        let from = "config_from = { secret = \"own\", key = \"config.yaml\" }";
        world.put_folder(build(&format!("{UNTIL_ACCEPTED}\n{from}"), ""));
        world.pass(A_WHILE).await.unwrap();
        let report = serde_json::to_string(&report(&world)).unwrap();
        assert!(report.contains("status.said") && report.contains("+  said"), "{report}");
        assert!(!report.contains("battery-staple"), "{report}");
    });
}

#[test]
fn objects_that_trouble_the_serving_one_hold_up_no_shadow() {
    in_world(1, async |mut world| {
        let broken = json!({ "spec": { "children": [{ "apiVersion": "v1", "metadata": { "name": "kindless" } }] } });
        world.api.merge(&format!("{MIRRORS}/m1"), &broken).await.unwrap();
        let paused = json!({ "metadata": { "annotations": { "trimtab.dev/paused": "true" } } });
        world.api.merge(&format!("{MIRRORS}/m2"), &paused).await.unwrap();
        world.settle().await.unwrap();
        world.put_folder(build(FOR_A_WHILE, SAME));
        world.pass(A_WHILE / 2).await.unwrap();
        assert_eq!(slot(&world).shadow.unwrap().tried, OBJECTS - 2);
        world.pass(A_WHILE).await.unwrap();
        assert_eq!((slot(&world).state, slot(&world).shadow), (SlotState::Serving, None));
    });
}

#[test]
fn what_waits_is_told_and_asked_again_and_is_no_blame() {
    in_world(1, async |mut world| {
        world.put_folder(build(FOR_A_WHILE, WAITS));
        world.pass(A_WHILE / 2).await.unwrap();
        assert_eq!(counts(&report(&world), "waits"), OBJECTS, "{:?} {:?}", report(&world), slot(&world));
        world.pass(A_WHILE).await.unwrap();
        assert_eq!((slot(&world).state, slot(&world).shadow), (SlotState::Serving, None));
    });
}
