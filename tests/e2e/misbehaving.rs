//! Plugins whose answers cannot be acted on: nothing is written from such an
//! answer, it is told and counted, and the other objects are served.

use serde_json::{Value, json};
use trimtab_harness::eventually;

use crate::support::{MISBEHAVE, SOON, Scene};

#[tokio::test]
async fn each_bad_answer_is_told_and_counted_and_writes_nothing() {
    let scene = Scene::new().await;
    scene.define(MISBEHAVE);
    scene.copy("misbehave", "misbehave.wasm");
    let cases = [
        // mode, reason, what is told, the metric's word
        ("trap", "PluginFailed", "the plugin trapped", "Trapped"),
        ("loop", "PluginFailed", "more than its 1000 ms of CPU time", "CpuExceeded"),
        ("alloc", "PluginFailed", "more than its 67108864 bytes of memory", "MemoryExceeded"),
        ("huge-answer", "PluginFailed", "more than the 4194304 bytes", "AnswerTooLarge"),
        ("retry", "PluginFailed", "asked to retry", "Failed"),
        ("broken-json", "AnswerRefused", "is not JSON", ""),
        ("undeclared-kind", "AnswerRefused", "Service", ""),
        ("no-kind", "AnswerRefused", "has no kind", ""),
        ("no-name", "AnswerRefused", "has no metadata.name", ""),
        ("generate-name", "AnswerRefused", "generateName", ""),
        ("elsewhere", "AnswerRefused", "does not serve", ""),
        ("twice", "AnswerRefused", "is in the answer twice", ""),
        ("secret", "AnswerRefused", "Secret", ""),
        ("too-many-children", "AnswerRefused", "1001 children", ""),
        ("broken-status", "AnswerRefused", "is not JSON", ""),
        ("labels", "AnswerRefused", "labels", ""),
    ];
    for (mode, ..) in cases {
        scene.create_misbehave(mode, mode).await;
    }
    let host = scene.host().await;
    for (mode, reason, told, word) in cases {
        let event = scene.event(mode, reason).await;
        assert_eq!(event["type"], "Warning", "{mode}: {event}");
        let note = event["note"].as_str().expect("an Event has a note");
        assert!(note.contains(told), "{mode}: {note}");
        let condition = scene.condition(&scene.misbehave(mode), reason).await;
        assert_eq!(condition["status"], "False", "{mode}: {condition}");
        assert!(condition["message"].as_str().is_some_and(|message| message.contains(told)), "{mode}: {condition}");
        if !word.is_empty() {
            assert!(host.metric("trimtab_call_failures_total", &[("result", word)]).await >= 1.0, "{mode}: {word}");
        }
    }
    assert!(host.metric("controller_runtime_reconcile_errors_total", &[]).await >= cases.len() as f64);

    scene.create_misbehave("good", "").await;
    scene.sees("a good answer is acted on", &scene.config_map("good"), |_| Some(())).await;
    assert_eq!(children(&scene).await, ["good"], "no other answer is");
}

#[tokio::test]
async fn objects_are_served_beside_guests_that_never_return() {
    let scene = Scene::new().await;
    scene.define(MISBEHAVE);
    scene.copy("misbehave", "misbehave.wasm");
    for name in ["endless-1", "endless-2"] {
        scene.create_misbehave(name, "loop").await;
    }
    let host = scene.host().await;
    let stopped = async || host.metric("controller_runtime_reconcile_timeouts_total", &[]).await;
    eventually("both have been stopped once", SOON, async || (stopped().await >= 2.0).then_some(())).await;

    let names = (0..20).map(|at| format!("good-{at}")).collect::<Vec<_>>();
    for name in &names {
        scene.create_misbehave(name, "").await;
    }
    for name in &names {
        scene.sees(&format!("{name} is served"), &scene.config_map(name), |_| Some(())).await;
    }
    let before = stopped().await;
    eventually("the endless ones go on", 2 * SOON, async || (stopped().await > before).then_some(())).await;
    assert_eq!(children(&scene).await.len(), names.len());
}

#[tokio::test]
async fn a_child_that_is_someone_elses_is_left_alone_and_its_owner_named() {
    let scene = Scene::new().await;
    scene.define(MISBEHAVE);
    let owner = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "landlord" } });
    let owner = scene.api.create(&scene.config_map(""), &owner).await;
    let reference = json!({ "apiVersion": "v1", "kind": "ConfigMap", "name": "landlord",
        "uid": owner["metadata"]["uid"], "controller": true });
    let foreign = json!({ "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "foreign", "ownerReferences": [reference] }, "data": { "theirs": "yes" } });
    let before = scene.api.create(&scene.config_map(""), &foreign).await;

    scene.copy("misbehave", "misbehave.wasm");
    scene.create_misbehave("anna", "foreign").await;
    let _host = scene.host().await;
    let event = scene.event("anna", "Conflict").await;
    let note = event["note"].as_str().expect("an Event has a note");
    assert!(note.contains("foreign") && note.contains("controlled by ConfigMap landlord"), "{note}");
    let condition = scene.condition(&scene.misbehave("anna"), "Conflict").await;
    assert!(condition["message"].as_str().is_some_and(|message| message.contains("landlord")), "{condition}");
    let now = scene.api.fetch(&scene.config_map("foreign")).await;
    assert_eq!(now["metadata"]["resourceVersion"], before["metadata"]["resourceVersion"], "it is not touched");

    // The way out is the person's: without the other one, the child is made.
    scene.api.delete(&scene.config_map("foreign")).await;
    scene
        .sees("it is ours now", &scene.config_map("foreign"), |child| {
            (child["metadata"]["labels"]["trimtab.dev/plugin"] == "misbehave").then_some(())
        })
        .await;
    scene.condition(&scene.misbehave("anna"), "Settled").await;
}

#[tokio::test]
async fn what_exists_and_belongs_to_nobody_is_taken_over_where_the_policy_says_so() {
    let scene = Scene::new().await;
    scene.define(MISBEHAVE);
    let found = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "foreign" }, "data": { "theirs": "yes" } });
    let before = scene.api.create(&scene.config_map(""), &found).await;
    scene.copy("misbehave", "misbehave.wasm");
    scene.create_misbehave("anna", "foreign").await;
    let _host = scene.host().await;
    let message = scene.condition(&scene.misbehave("anna"), "Conflict").await["message"].clone();
    assert!(message.as_str().is_some_and(|message| message.contains("`adopt`")), "it says how: {message}");

    scene.write("misbehave.toml", "adopt = [\"ConfigMap\"]");
    let now = scene
        .sees("it is ours now", &scene.config_map("foreign"), |child| {
            (child["metadata"]["labels"]["trimtab.dev/plugin"] == "misbehave").then(|| child.clone())
        })
        .await;
    assert_eq!(now["metadata"]["uid"], before["metadata"]["uid"]);
    assert_eq!(now["data"]["theirs"], "yes", "what others have written stays");
    assert_eq!(now["metadata"]["ownerReferences"][0]["name"], "anna");
    scene.condition(&scene.misbehave("anna"), "Settled").await;
}

#[tokio::test]
async fn one_refused_child_stops_neither_the_others_nor_the_status() {
    let scene = Scene::new().await;
    scene.define(MISBEHAVE);
    scene.copy("misbehave", "misbehave.wasm");
    scene.create_misbehave("anna", "refused").await;
    let host = scene.host().await;
    let condition = scene.condition(&scene.misbehave("anna"), "WriteFailed").await;
    assert!(condition["message"].as_str().is_some_and(|message| message.contains("anna-refused")), "{condition}");
    scene.event("anna", "WriteFailed").await;
    scene.sees("the other child is made", &scene.config_map("anna"), |_| Some(())).await;

    // What only a change can mend is not tried again: another object's whole
    // way is longer than the first ten delays.
    let tried = host.metric("trimtab_writes_total", &[]).await;
    scene.create_misbehave("ben", "status").await;
    scene.condition(&scene.misbehave("ben"), "Settled").await;
    let tried = host.metric("trimtab_writes_total", &[]).await - tried;
    assert!((2.0..=6.0).contains(&tried), "{tried} writes for one child and one status");
}

/// The names of the ConfigMaps that were made from answers.
async fn children(scene: &Scene) -> Vec<String> {
    let made = scene.api.list(&format!("{}?labelSelector=trimtab.dev/plugin", scene.config_map(""))).await;
    let name = |child: Value| child["metadata"]["name"].as_str().expect("each object has one").to_owned();
    made.into_iter().map(name).collect()
}
