//! `trimtab test` from outside: what it says and how it ends, with scenarios of
//! the example plugins and with ones that go wrong.

mod support;

use std::fs;

use support::{FAILED, PASSED, Scene, UNUSABLE, examples};

const SITE: &str =
    "  - apply: { apiVersion: example.dev/v1, kind: Site, metadata: { name: a }, spec: { host: h, page: hello } }\n";

#[test]
fn the_scenarios_of_the_examples_pass() {
    let ran = Scene::new().test(&[examples().to_str().unwrap()]);
    ran.ended(PASSED);
    assert!(ran.stdout.contains("passed    "), "{ran}");
    assert!(ran.stdout.contains(" 0 failed, 0 unusable"), "{ran}");
}

#[test]
fn what_is_not_as_expected_is_told_field_by_field_with_its_line() {
    let scene = Scene::new();
    let expect = "  - expect:\n      objects:\n        ConfigMap/a:\n          data: { index.html: goodbye }\n        Service/b: {}\n      conditions: { Site/a: { Reconciled: \"False\" } }\n      events: { Site/a: [Renamed] }\n      absent: [Site/a]\n      writes: 7\n";
    let file = scene.site("a.yaml", &format!("{SITE}{expect}"));
    let ran = scene.test(&["a.yaml"]);
    ran.ended(FAILED);
    let line =
        |text: &str| 1 + fs::read_to_string(&file).unwrap().lines().position(|line| line.contains(text)).unwrap();
    let expected = [
        format!(
            "a.yaml:{}: ConfigMap/a data.index.html\n        expected  \"goodbye\"\n        found     \"hello\"",
            line("goodbye")
        ),
        format!(
            "a.yaml:{}: Service/b\n        expected  there\n        found     absent; there are a",
            line("Service/b")
        ),
        format!("a.yaml:{}: Site/a condition Reconciled status\n        expected  \"False\"", line("conditions")),
        format!("a.yaml:{}: Site/a event\n        expected  \"Renamed\"\n        found     no Event", line("events")),
        format!("a.yaml:{}: Site/a\n        expected  absent\n        found     there", line("absent")),
        format!("a.yaml:{}: writes\n        expected  7\n        found     4", line("writes")),
    ];
    for expected in expected {
        assert!(ran.stdout.contains(&expected), "{expected}\n{ran}");
    }
    assert!(ran.stdout.contains("last writes of the host"), "{ran}");
}

#[test]
fn a_manifest_that_the_api_refuses_is_shown_by_its_own_line() {
    let scene = Scene::new();
    scene.write(
        "site.yaml",
        "apiVersion: example.dev/v1\nkind: Site\nmetadata: { name: a }\nspec:\n  host: h\n  replicas: 101\n",
    );
    scene.site("a.yaml", "  - apply: site.yaml\n");
    let ran = scene.test(&["a.yaml"]);
    ran.ended(FAILED);
    assert!(ran.stdout.contains("site.yaml:6: Site/a spec.replicas: "), "{ran}");
}

#[test]
fn what_cannot_be_played_is_told_with_file_line_column_and_path() {
    let scene = Scene::new();
    scene.write("a.yaml", "plugins: {}\nsteps:\n  - exspect: {}\n");
    scene.write("b.yaml", "plugins: { a.wasm: gone.wasm }\nsteps: []\n");
    let ran = scene.test(&["."]);
    ran.ended(UNUSABLE);
    assert!(
        ran.stdout.contains("a.yaml:3:5: steps[0]: there is no field \"exspect\" here; is \"expect\" meant?"),
        "{ran}"
    );
    assert!(ran.stdout.contains("b.yaml:1:20: plugins.a.wasm: "), "{ran}");
    for arguments in [["none.yaml"].as_slice(), &["a.yaml", "--filter", "no such name"], &["--seed", "many"]] {
        scene.test(arguments).ended(UNUSABLE);
    }
}

#[test]
fn recording_writes_what_was_found_and_keeps_the_comments() {
    let scene = Scene::new();
    let expect =
        "  - expect: # all of it\n      exact:\n        ConfigMap/a:\n        # the next\n      writes: 0 # so many\n";
    let file = scene.site("a.yaml", &format!("{SITE}{expect}"));
    scene.test(&["a.yaml"]).ended(FAILED);
    scene.test(&["a.yaml", "--update"]).ended(PASSED);
    let recorded = fs::read_to_string(file).unwrap();
    let page = "      exact:\n        ConfigMap/a:\n          data:\n            build: \"1\"\n            index.html: \"hello\"\n";
    assert!(
        recorded.contains(page) && recorded.contains("# the next") && recorded.contains("writes: 4 # so many"),
        "{recorded}"
    );
    scene.test(&["a.yaml"]).ended(PASSED);
}

#[test]
fn results_are_written_for_build_servers() {
    let scene = Scene::new();
    scene.site("good.yaml", &format!("{SITE}  - expect: {{ writes: 4 }}\n"));
    scene.site("failing.yaml", &format!("{SITE}  - expect: {{ writes: 5 }}\n"));
    scene.write("broken.yaml", "plugins: {}\nsteps:\n  - now: {}\n");
    scene.test(&["--junit", "junit.xml"]).ended(UNUSABLE);
    let xml = fs::read_to_string(scene.path("junit.xml")).unwrap();
    assert!(xml.contains(r#"failures="1" errors="1""#), "{xml}");
    assert!(xml.contains("found     4") && xml.contains("there is no field"), "{xml}");
}

#[test]
fn one_seed_gives_one_run() {
    let scene = Scene::new();
    scene.site("a.yaml", &format!("{SITE}  - expect: {{ writes: 5 }}\n"));
    // What a failure shows has the times and the order of the writes in it.
    let story =
        |seed| scene.test(&["a.yaml", "--seed", seed]).stdout.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    let (first, again, other) = (story("7"), story("7"), story("8"));
    assert_eq!(first[..first.len() - 1], again[..again.len() - 1]);
    assert_ne!(first, other);
}

#[test]
fn time_passes_only_where_it_is_told_to() {
    let scene = Scene::new();
    scene.site("a.yaml", &format!("{SITE}  - advance: 2h\n  - expect: {{ writes: 4, settled: true }}\n"));
    let ran = scene.test(&["a.yaml"]);
    ran.ended(PASSED);
    let simulated = ran.stdout.split(" s simulated").next().and_then(|text| text.rsplit(' ').next()).unwrap();
    assert!((7200.0..7400.0).contains(&simulated.parse::<f64>().unwrap()), "{ran}");
}

/// Explores a scenario of the examples: what is said of it.
fn explore(scenario: &str, arguments: &[&str]) -> support::Ran {
    let file = examples().join(scenario);
    Scene::new().test(&[&["--explore", file.to_str().expect("it is UTF-8")], arguments].concat())
}

#[test]
fn a_step_that_is_lost_between_two_writes_is_found() {
    let ran = explore("bug-database/tests/interrupted.yaml", &[]);
    ran.ended(FAILED);
    assert!(ran.stdout.contains("\n  crash-after:1: it ends otherwise than undisturbed:"), "{ran}");
    assert!(ran.stdout.contains("      Job/orders is not there and should be"), "{ran}");
    assert!(ran.stdout.contains("      Database/orders status.schema is \"none\" and should be \"made\""), "{ran}");
    assert!(ran.stdout.contains("** the host crashes just after write 1"), "{ran}");
}

#[test]
fn the_way_to_see_a_finding_again_can_be_pasted_into_a_shell() {
    let scene = Scene::new();
    let folder = examples().join("bug-database").canonicalize().unwrap();
    let example = fs::read_to_string(folder.join("tests/interrupted.yaml")).unwrap();
    let module = support::plugin("bug-database");
    let example = example.replace("../../../target/plugins/bug-database.wasm", module.to_str().unwrap());
    scene.write("it's a $HOME of bugs.yaml", &example.replace("../", &format!("{}/", folder.display())));
    let ran = scene.test(&["--explore", "--seed", "7", "it's a $HOME of bugs.yaml"]);
    ran.ended(FAILED);
    let command = ran.stdout.lines().find_map(|line| line.trim().strip_prefix("again: ")).unwrap();
    let again = scene.shell(command);
    again.ended(FAILED);
    assert!(again.stdout.contains("explored 2 runs"), "{again}");
    let story = |ran: &support::Ran| {
        let told = ran.stdout.split("what happened").nth(1).unwrap();
        told.split("the same after").next().unwrap().split("again:").next().unwrap().trim().to_owned()
    };
    assert_eq!(story(&ran), story(&again));
}

#[test]
fn what_is_kept_from_a_stale_view_is_found() {
    let ran = explore("bug-tenant/tests/stale.yaml", &[]);
    ran.ended(FAILED);
    assert!(ran.stdout.contains("\n  stale:2:configmaps: it ends otherwise than undisturbed:"), "{ran}");
    assert!(ran.stdout.contains("      Tenant/anna status.region is \"north\" and should be \"south\""), "{ran}");
}

#[test]
fn what_nobody_saw_is_found() {
    let ran = explore("bug-backup/tests/unseen.yaml", &[]);
    ran.ended(FAILED);
    assert!(ran.stdout.contains("hidden:3:backups"), "{ran}");
    assert!(ran.stdout.contains("      Job/nightly-1 is not there and should be"), "{ran}");
}

#[test]
fn the_same_plugins_without_their_bugs_come_to_one_end_whatever_happens() {
    for fixed in ["bug-database", "bug-tenant", "bug-backup"] {
        let ran = explore(&format!("{fixed}/tests/fixed.yaml"), &[]);
        ran.ended(PASSED);
        assert!(ran.stdout.contains(" a minute: 0 wrong"), "{ran}");
    }
}

#[test]
fn a_site_comes_to_one_end_whatever_happens() {
    explore("site/tests/served.yaml", &[]).ended(PASSED);
}

/// A scenario that swaps plugins and takes one away: what comes after that is
/// served by nobody, whatever is tried before it must have been seen.
#[test]
fn a_plugin_that_is_taken_away_is_no_finding() {
    explore("site/tests/swapped.yaml", &[]).ended(PASSED);
}

#[test]
fn a_site_whose_pods_come_and_go_comes_to_one_end_whatever_happens() {
    explore("site/tests/ready.yaml", &[]).ended(PASSED);
}

#[test]
fn what_is_no_disturbance_is_refused() {
    explore("site/tests/served.yaml", &["--only", "crash-after"]).ended(UNUSABLE);
}

#[test]
fn plugins_are_swapped_and_a_broken_one_leaves_the_last_good_one_serving() {
    let scene = Scene::new();
    scene.write("broken.wasm", "this is no module");
    let swaps = format!(
        "{SITE}  - swap: {{ site.wasm: {} }}\n  - expect: {{ objects: {{ Site/a: {{ status: {{ build: \"2\" }} }} }} }}\n  \
         - swap: {{ site.wasm: broken.wasm }}\n  - patch: {{ Site/a: {{ spec: {{ page: new }} }} }}\n  \
         - expect: {{ objects: {{ ConfigMap/a: {{ data: {{ index.html: new, build: \"2\" }} }} }} }}\n",
        support::plugin("site-next").display(),
    );
    scene.site("a.yaml", &swaps);
    scene.test(&["a.yaml"]).ended(PASSED);
}
