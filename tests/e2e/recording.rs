//! A call that went wrong on a real cluster, downloaded from the host and made again
//! elsewhere: with the plugin that failed, and with one that does not.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use trimtab_harness::eventually;

use crate::support::{Host, MISBEHAVE, SOON, Scene, file};

/// The plugin that does not fail: it answers with what its object says.
const MENDED: &str = r#"
[config.describe]
role = "composite"
objects = [{ apiVersion = "fixtures.trimtab.dev/v1", kind = "Misbehave" }]
children = [{ apiVersion = "v1", kind = "ConfigMap" }]
"#;

/// Its exit code, and what it printed.
fn trimtab(args: &[&str]) -> (Option<i32>, String) {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled");
    let mut command = Command::new(env!("CARGO_BIN_EXE_trimtab"));
    let output = command.args(args).env("TRIMTAB_CACHE", cache).env_remove("TRIMTAB_LOG").output();
    let output = output.expect("cargo has built it");
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    (output.status.code(), said)
}

/// The latest call for an object, once there is one.
async fn call_of(host: &Host, name: &str) -> Value {
    eventually(&format!("a call for {name} is kept"), SOON, async || {
        let (status, body) = host.ask("/calls").await;
        assert_eq!(status, 200, "{body}");
        let calls: Vec<Value> = serde_json::from_str(&body).expect("/calls is a JSON list");
        calls.into_iter().find(|call| call["name"] == name)
    })
    .await
}

/// Downloads a record into a folder.
async fn download(host: &Host, call: &Value, query: &str, to: PathBuf) -> (String, String) {
    let (status, body) = host.ask(&format!("/calls/{}{query}", call["id"])).await;
    assert_eq!(status, 200, "{body}");
    fs::write(&to, &body).expect("the folder is ours");
    (path(&to), body)
}

fn path(path: &Path) -> String {
    path.to_str().expect("the path is text").to_owned()
}

#[tokio::test]
async fn a_failed_call_is_downloaded_replayed_and_made_a_scenario() {
    let (scene, folder) = (Scene::new().await, TempDir::new().expect("there is room for a folder"));
    scene.define(MISBEHAVE);
    scene.copy("misbehave", "misbehave.wasm");
    scene.create_misbehave("bad", "trap").await;
    let host = scene.host().await;
    let call = call_of(&host, "bad").await;
    assert_eq!((&call["outcome"], &call["plugin"]), (&json!("Trapped"), &json!("misbehave")), "{call}");
    let (record, _) = download(&host, &call, "", folder.path().join("bad.json")).await;

    let failing = path(&file("misbehave"));
    let (code, said) = trimtab(&["replay", &record, "--with", &failing]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("the same failure: Trapped: the plugin trapped"), "{said}");

    let (mirror, policy) = (path(&file("mirror")), path(&folder.path().join("mended.toml")));
    fs::write(&policy, MENDED).expect("the folder is ours");
    let mended = ["--with", &mirror, "--policy", &policy];
    let (code, said) = trimtab(&[&["replay", &record], &mended[..]].concat());
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("- Trapped: ") && said.contains("+ an answer with 0 children"), "{said}");

    for (name, with, replayed) in [("mended", &mended[..], 1), ("failing", &["--with", &failing][..], 0)] {
        let scenario = path(&folder.path().join(format!("{name}.yaml")));
        let (code, said) = trimtab(&[&["replay", &record, "--scenario", &scenario], with].concat());
        assert_eq!(code, Some(replayed), "{said}");
        let (code, said) = trimtab(&["test", &scenario]);
        assert_eq!(code, Some(0), "{said}");
    }
    // It expects what each made of the call: the one passes no test of the other.
    let text = fs::read_to_string(folder.path().join("mended.yaml")).expect("it was written");
    let scenario = folder.path().join("other.yaml");
    fs::write(&scenario, text.replace("\"Reconciled\": \"True\"", "\"Reconciled\": \"False\"")).expect("it is ours");
    assert_eq!(trimtab(&["test", &path(&scenario)]).0, Some(1));

    let (code, said) = trimtab(&["replay", &failing, "--with", &failing]);
    assert_eq!(code, Some(2), "{said}");
}

#[tokio::test]
async fn no_value_of_a_secret_leaves_the_host_unless_it_is_asked_for_on_loopback() {
    let (scene, folder) = (Scene::new().await, TempDir::new().expect("there is room for a folder"));
    scene.define(MISBEHAVE);
    scene.copy("misbehave", "misbehave.wasm");
    scene.write("misbehave.toml", "[grants]\nreads = [\"Secret\"]\n");
    scene.apply(&json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "key" },
        "stringData": { "password": "correct horse" } }));
    let object = json!({ "apiVersion": "fixtures.trimtab.dev/v1", "kind": "Misbehave", "metadata": { "name": "looks" },
        "spec": { "mode": "get:Secret", "name": "key" } });
    scene.api.create(&scene.misbehave(""), &object).await;
    let host = scene.host().await;
    scene
        .sees("the status tells it", &scene.misbehave("looks"), |seen| {
            seen["status"]["found"].as_object()?.len().into()
        })
        .await;

    let call = call_of(&host, "looks").await;
    let (redacted, text) = download(&host, &call, "", folder.path().join("redacted.json")).await;
    let base64 = "Y29ycmVjdCBob3JzZQ==";
    assert!(!text.contains(base64) && !text.contains("correct horse"), "{text}");
    let (whole, text) = download(&host, &call, "?unredacted=true", folder.path().join("whole.json")).await;
    assert!(text.contains(base64), "{text}");

    let plugin = path(&file("misbehave"));
    for record in [redacted, whole] {
        let (code, said) = trimtab(&["replay", &record, "--with", &plugin]);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("the same answer, byte for byte") || said.contains("the same plan"), "{said}");
    }
}
