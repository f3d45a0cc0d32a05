//! A build that shadows the one that serves: what it would change is read from the
//! command line, nothing of it is written, and a person has it served.

use std::process::Command;

use serde_json::json;
use trimtab_harness::eventually;

use crate::support::{Host, SOON, Scene};

const MIRROR: &str = "fixtures/mirror/crd.yaml";
const DESCRIBE: &str = r#"
[config.describe]
role = "composite"
objects = [{ apiVersion = "fixtures.trimtab.dev/v1", kind = "Mirror" }]
children = [{ apiVersion = "v1", kind = "ConfigMap" }, { apiVersion = "v1", kind = "Secret" }]
"#;
const SECRET: &str = "c2VjcmV0LXZhbHVl"; // secret-value

fn policy(rollout: &str, wish: &str) -> String {
    format!(
        "rollout = {{ {rollout} }}\ngrants = {{ writes = [\"Secret\"], reads = [\"Secret\"] }}\n[config]\nwish = \"{wish}\"\n{DESCRIBE}"
    )
}

/// What `trimtab shadow` says.
fn shadow(host: &Host, args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trimtab"));
    command.arg("shadow").args(args).arg("--admin").arg(host.admin().to_string()).env_remove("TRIMTAB_LOG");
    let output = command.output().expect("cargo has built it");
    String::from_utf8([output.stdout, output.stderr].concat()).expect("it prints text")
}

#[tokio::test]
async fn a_build_shadows_until_a_person_has_read_what_it_changes_and_accepts_it() {
    let scene = Scene::new().await;
    scene.define(MIRROR);
    let mirrors = scene.at("fixtures.trimtab.dev/v1", "mirrors", "");
    let wish = |name: &str, value: &str, secret: &str| {
        let map =
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": { "k": value } });
        let secret =
            json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "data": { "p": secret } });
        json!({ "children": [map, secret] }).to_string()
    };
    for name in ["anna", "ben"] {
        let changed =
            if name == "anna" { wish(name, "other", "b3RoZXItdmFsdWU=") } else { wish(name, "first", SECRET) };
        let annotations = json!({ "now": wish(name, "first", SECRET), "next": changed });
        let mirror = json!({ "apiVersion": "fixtures.trimtab.dev/v1", "kind": "Mirror",
            "metadata": { "name": name, "annotations": annotations }, "spec": { "children": [] } });
        scene.api.create(&mirrors, &mirror).await;
    }
    scene.write("mirror.toml", policy("probation_seconds = 60", "now"));
    scene.copy("mirror", "mirror.wasm");
    let host = scene.host().await;
    for name in ["anna", "ben"] {
        scene.condition(&format!("{mirrors}/{name}"), "Settled").await;
    }

    scene.write("mirror.toml", policy("shadow_until_accepted = true", "next"));
    eventually("both are compared", SOON, async || {
        shadow(&host, &["mirror"]).contains("2 tried; it would change 1, and fails for 0").then_some(())
    })
    .await;
    let told = shadow(&host, &["mirror", "mirror/anna", "-n", &scene.namespace]);
    assert!(told.contains("\n-  k: first\n+  k: other\n"), "{told}");
    assert!(told.contains("\n-  p: ") && !told.contains(SECRET) && !told.contains("secret-value"), "{told}");
    let same = shadow(&host, &["mirror", "mirror/ben", "-n", &scene.namespace]);
    assert!(same.contains("\n  no difference\n"), "{same}");
    let anna = scene.config_map("anna");
    assert_eq!(scene.api.get(&anna).await.expect("it is there")["data"]["k"], "first", "nothing is written");
    assert!(shadow(&host, &["nobody"]).contains("nothing shadows in"));

    let why = host.becomes("mirror", "Serving").await;
    let accepted = &why[why.find("accepted = ").expect("it says what to write")..];
    scene.write("mirror.toml", policy(&format!("shadow_until_accepted = true, {accepted}"), "next"));
    scene.sees("it serves", &anna, |map| (map["data"]["k"] == "other").then_some(())).await;
    assert!(shadow(&host, &["mirror"]).contains("mirror: shadows no more"));
    assert!(host.metric("trimtab_shadow_calls_total", &[("lineage", "mirror"), ("result", "differs")]).await >= 1.0);
}
