//! One plugin, written in each language: the same requests get the same answers,
//! and the same bytes each time; and what authors do wrong is told to them.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

mod common;

use std::{
    fs,
    path::Path,
    sync::{Arc, LazyLock},
    time::Duration,
};

use common::{Absent, Guests, One, assert_replays, recorded};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use trimtab_core::{description::Description, limits::Limits};
use trimtab_wasm::{CallError, Called, Group, KindRef, Lookup, Outcome, Plugin, Request, Response};

/// The reference plugin, in each language; the first is what the others are
/// compared with.
const PAGES: [&str; 5] = ["page", "page-js", "page-python", "page-go", "page-c"];

/// A machine that builds other things beside may be slow.
const PATIENT: Limits = Limits { cpu: Duration::from_secs(10), wall: Duration::from_secs(60), ..Limits::DEFAULT };

/// One host for all tests.
static GUESTS: LazyLock<Guests> = LazyLock::new(|| Guests::kept(2));

/// Who compiles: one test at a time, so that the others find the code in the cache.
static COMPILES: Mutex<()> = Mutex::const_new(());

async fn plugin(name: &str) -> Arc<Plugin> {
    let _compiles = COMPILES.lock().await;
    GUESTS.plugin(name).await
}

/// One request, and what is to come of it.
struct Case {
    name: &'static str,
    object: Value,
    children: Vec<Value>,
    config: Value,
    finalizing: bool,
    secret: bool,
    /// Part of the outcome, so that not all may be wrong alike.
    expected: Value,
}

fn case(name: &'static str, spec: Value, expected: Value) -> Case {
    let metadata = json!({ "name": "anna", "namespace": "default", "generation": 3, "uid": "u-1" });
    let object = json!({ "apiVersion": "example.dev/v1", "kind": "Page", "metadata": metadata, "spec": spec });
    Case { name, object, children: vec![], config: json!({}), finalizing: false, secret: false, expected }
}

fn child(api_version: &str, kind: &str, name: &str, rest: Value) -> Value {
    let mut child =
        json!({ "apiVersion": api_version, "kind": kind, "metadata": { "name": name, "namespace": "default" } });
    child.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    child
}

fn web(ready: u32) -> Value {
    child("apps/v1", "Deployment", "anna", json!({ "status": { "readyReplicas": ready } }))
}

/// Every way through the plugin, and texts and numbers that a language may treat
/// in its own way.
fn cases() -> Vec<Case> {
    let spec = json!({ "host": "anna.example.dev", "replicas": 2, "text": "hello" });
    let with = |key: &str, value: Value| {
        let mut spec = spec.clone();
        spec[key] = value;
        spec
    };
    let odd = "\u{0}\u{1f}\" \\ / \u{7f} é 日本 🦀 \u{2028}</script>\r\n\t";
    let numbers = json!({ "whole": 9_007_199_254_740_991_i64, "negative": -1, "part": 2.5, "zero": 0, "small": 1e-7,
        "large": 1e21, "list": [1, null, true, "x", {}, []], "nested": { "a": { "b": {} } }, "": "no name" });
    let pages = (0..40).map(|at| child("v1", "ConfigMap", &format!("p{at}"), json!({ "data": { "n": "é" } })));
    vec![
        case("new", spec.clone(), json!({ "status": { "ready": false, "pages": 0 }, "requeueAfterMs": 30_000 })),
        Case {
            children: vec![web(1)],
            ..case("not ready", spec.clone(), json!({ "status": { "ready": false }, "events": [] }))
        },
        Case {
            children: vec![web(2), child("v1", "ConfigMap", "anna", json!({}))],
            ..case(
                "ready",
                spec.clone(),
                json!({ "status": { "ready": true, "pages": 1, "url": "http://anna.example.dev/" }, "requeueAfterMs": null,
                    "events": [{ "warning": false, "reason": "Served", "message": "anna.example.dev is served" }] }),
            )
        },
        Case { children: pages.collect(), ..case("many children", spec.clone(), json!({ "status": { "pages": 40 } })) },
        case("defaults", json!({ "host": "h" }), json!({ "status": { "settings": {}, "observedGeneration": 3 } })),
        case("waits", with("tls", json!("cert")), json!({ "waiting": "waiting for the secret cert" })),
        Case {
            secret: true,
            ..case(
                "has its secret",
                with("tls", json!("wanted")),
                json!({ "status": { "url": "https://anna.example.dev/" } }),
            )
        },
        case("refused", json!({ "host": "" }), json!({ "terminal": "spec.host is empty" })),
        Case {
            finalizing: true,
            ..case("goes", spec.clone(), json!({ "finalized": true, "children": [], "status": null }))
        },
        Case {
            config: json!({ "image": "example.dev/nginx:2" }),
            ..case("configured", spec.clone(), json!({ "status": { "ready": false } }))
        },
        case("odd text", with("text", json!(odd)), json!({ "status": { "ready": false } })),
        case("numbers", with("settings", numbers.clone()), json!({ "status": { "settings": numbers } })),
        case("a large text", with("text", json!("é".repeat(200_000))), json!({ "status": { "ready": false } })),
    ]
}

fn request(case: &Case) -> Request {
    let kinds = [("v1", "ConfigMap"), ("apps/v1", "Deployment"), ("v1", "Service")];
    let group = |(api_version, kind): (&str, &str)| {
        let observed = case.children.iter().filter(|child| child["apiVersion"] == api_version && child["kind"] == kind);
        Group {
            of: KindRef { cluster: None, api_version: api_version.into(), kind: kind.into() },
            objects: observed.map(|child| child.to_string().into()).collect(),
        }
    };
    Request {
        cluster: "here".into(),
        instance_id: None,
        now: "2026-01-02T03:04:05Z".into(),
        config: case.config.to_string().into(),
        object: case.object.to_string().into(),
        children: kinds.map(group).into(),
        finalizing: case.finalizing,
        extra: "{}".into(),
    }
}

async fn answered(plugin: &Plugin, case: &Case) -> Called<Response> {
    let lookup: Arc<dyn Lookup> = if case.secret { Arc::new(One::new()) } else { Arc::new(Absent) };
    plugin.reconcile(request(case), lookup, &PATIENT).await
}

/// What came of a call, with all JSON texts read: equal for equal meaning.
fn canonical(called: &Called<Response>) -> Value {
    let read = |text: &String| serde_json::from_str::<Value>(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let log: Vec<_> = called.log.lines().map(|line| format!("{}: {}", line.level, line.text)).collect();
    match &called.outcome {
        Ok(answer) => json!({
            "children": answer.children.iter().map(read).collect::<Vec<_>>(),
            "status": answer.status.as_ref().map(read),
            "labels": answer.labels, "annotations": answer.annotations,
            "events": answer.events.iter()
                .map(|event| json!({ "warning": event.warning, "reason": event.reason, "message": event.message }))
                .collect::<Vec<_>>(),
            "requeueAfterMs": answer.requeue_after_ms, "finalized": answer.finalized, "extra": answer.extra, "log": log,
        }),
        Err(CallError::Failed(failure)) => {
            let outcome = match failure.outcome {
                Outcome::Retry => "retry",
                Outcome::Waiting => "waiting",
                Outcome::Terminal => "terminal",
            };
            json!({ outcome: failure.message, "after": failure.retry_after_ms, "log": log })
        }
        Err(error) => panic!("{error}"),
    }
}

/// That all of `expected` is in `found`, as it is there.
fn assert_part(expected: &Value, found: &Value, path: &str) {
    match expected {
        Value::Object(fields) if !fields.is_empty() => {
            fields.iter().for_each(|(key, value)| assert_part(value, &found[key], &format!("{path}.{key}")))
        }
        _ => assert_eq!(found, expected, "{path}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_language_answers_alike_and_twice_with_the_same_bytes() {
    let reference = plugin(PAGES[0]).await;
    for name in PAGES {
        let plugin = plugin(name).await;
        for case in cases() {
            let called = answered(&plugin, &case).await;
            let found = canonical(&called);
            assert_part(&case.expected, &found, &format!("{name}: {}", case.name));
            assert_eq!(found, canonical(&answered(&reference, &case).await), "{name}: {}", case.name);
            let again = answered(&plugin, &case).await;
            assert_eq!(again.outcome, called.outcome, "{name}: {}", case.name);
            assert!(again.looked_up.keys().eq(called.looked_up.keys()), "{name}: {}", case.name);
        }
    }
}

/// Recorded as served, played as served and as simulated.
#[tokio::test(flavor = "multi_thread")]
async fn every_call_replays_byte_for_byte_in_every_language() {
    let simulated = Guests::simulated();
    for name in PAGES {
        let (plugin, simulated) = (plugin(name).await, simulated.plugin(name).await);
        for case in cases() {
            let called = answered(&plugin, &case).await;
            let record = recorded(&plugin, request(&case), called);
            let what = format!("{name}: {}", case.name);
            assert_replays(&plugin, &record, &PATIENT, &what).await;
            assert_replays(&simulated, &record, &PATIENT, &what).await;
        }
    }
}

/// What the SDK for Rust plays natively in its own tests is what this host records.
#[tokio::test(flavor = "multi_thread")]
async fn the_record_that_is_kept_for_native_replays_is_what_is_recorded_now() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/examples/page/tests/call.json");
    let plugin = Guests::simulated().plugin(PAGES[0]).await;
    let case = cases().into_iter().find(|case| case.secret).unwrap();
    let called = answered(&plugin, &case).await;
    let record = recorded(&plugin, request(&case), called);
    if fs::read_to_string(&kept).unwrap() != format!("{}\n", record.text()) {
        let now = Path::new(env!("CARGO_TARGET_TMPDIR")).join("call.json");
        fs::write(&now, format!("{}\n", record.text())).unwrap();
        panic!("{} is another one by now: see {}, and whether the SDK still reads it", kept.display(), now.display());
    }
}

/// What authors do wrong, what rests on chance or on time, and what looks up.
#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_replays_byte_for_byte_in_every_language() {
    let modes = [("js", "throw"), ("js", "sleep"), ("python", "throw"), ("python", "select"), ("python", "sleep")];
    let more = [("go", "throw"), ("go", "sleep"), ("go", "random"), ("go", "select"), ("rust", "throw")];
    for (language, mode) in modes.into_iter().chain(more).chain([("rust", "hoard"), ("c", "throw"), ("c", "select")]) {
        let called = misbehaves(language, mode).await;
        let plugin = plugin(&format!("misbehave-{language}")).await;
        let record = recorded(&plugin, wrong(mode), called);
        assert_replays(&plugin, &record, &PATIENT, &format!("{language}: {mode}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_record_does_not_hold_is_a_difference_and_ends_the_run_as_waiting() {
    let plugin = plugin("misbehave-go").await;
    let mut other = recorded(&plugin, wrong("throw"), misbehaves("go", "throw").await);
    other.request = wrong("select");
    let replayed = plugin.replay(&other, &PATIENT).await;
    let told = "\"v1\" \"Secret\"";
    assert!(matches!(&replayed.called.outcome, Err(CallError::Waiting { why }) if why.contains(told)), "{replayed:?}");
    assert!(replayed.differences[0].contains("which the record does not hold"), "{:?}", replayed.differences);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_language_describes_itself_alike() {
    let mut descriptions = Vec::new();
    for name in PAGES {
        let described = plugin(name).await.describe("{}".into(), &PATIENT).await.outcome.unwrap();
        descriptions
            .push(Description::parse(&described).unwrap_or_else(|error| panic!("{name}: {error:?}: {described}")));
    }
    for (name, description) in PAGES.iter().zip(&descriptions) {
        assert_eq!(description, &descriptions[0], "{name}");
    }
}

#[tokio::test]
async fn a_simulated_call_is_answered_as_a_served_one_in_every_language() {
    let simulated = Guests::simulated();
    for name in PAGES {
        let (served, simulated) = (plugin(name).await, simulated.plugin(name).await);
        let case = &cases()[2];
        assert_eq!(answered(&simulated, case).await.outcome, answered(&served, case).await.outcome, "{name}");
    }
}

fn wrong(mode: &str) -> Request {
    let mut wrong = case("", json!({ "mode": mode, "size": 1 }), json!({}));
    wrong.object["kind"] = json!("Misbehave");
    request(&wrong)
}

/// Calls what does wrong on purpose; there is one Secret.
async fn misbehaves(language: &str, mode: &str) -> Called<Response> {
    let limits = Limits { cpu: Duration::from_secs(5), ..PATIENT };
    let plugin = plugin(&format!("misbehave-{language}")).await;
    plugin.reconcile(wrong(mode), Arc::new(One::new()), &limits).await
}

/// What an author is told of each mistake: (language, mode, parts of the text or
/// of what was logged before).
const MISTAKES: &[(&str, &str, &[&str])] = &[
    ("js", "throw", &["TypeError", "undefined", "misbehave.ts:17"]),
    ("js", "throw-text", &["threw a text"]),
    ("js", "wrong-type", &["children is \"web\"; expected an array"]),
    ("js", "wrong-key", &["the answer has a key 'childs'; expected children, status"]),
    ("js", "null", &["reconcile returned null; expected an object"]),
    ("js", "async", &["it must not be async"]),
    ("js", "recurse", &["call stack exhausted"]),
    ("js", "undeclared", &["v1/Pod is not declared as a child", "declared are v1/ConfigMap"]),
    ("js", "hoard", &["more than its 67108864 bytes of memory"]),
    ("python", "throw", &["AttributeError", "'int' object has no attribute 'nothing'", "misbehave.py:24 in throw"]),
    ("python", "wrong-type", &["children is 'web'; expected a list"]),
    ("python", "wrong-key", &["TypeError", "unexpected keyword argument 'childs'", "misbehave.py:"]),
    ("python", "null", &["reconcile returned None; expected an Answer"]),
    ("python", "recurse", &["RecursionError", "misbehave.py:28 in deep"]),
    ("python", "undeclared", &["v1/Pod is not declared as a child", "declared are v1/ConfigMap"]),
    ("python", "hoard", &["more than its 67108864 bytes of memory"]),
    ("python", "exit", &["SystemExit", "misbehave.py:"]),
    ("python", "read", &["FileNotFoundError", "/etc/passwd"]),
    ("go", "throw", &["panicked", "nil pointer dereference", "main.throw (main.go:75)"]),
    ("go", "error", &["the cloud is closed"]),
    ("go", "wrong-type", &["the status: json: unsupported type: chan int"]),
    ("go", "null", &["Reconcile of example.dev/v1/Misbehave returned neither an answer nor an error"]),
    ("go", "recurse", &["main.deep(...)", "main.go:79"]),
    ("go", "undeclared", &["v1/Pod is not declared as a child"]),
    ("go", "hoard", &["more than its 67108864 bytes of memory"]),
    ("go", "exit", &["exit"]),
    ("go", "read", &["/etc/passwd"]),
    ("rust", "throw", &["panicked: index out of bounds", "misbehave/rust/src/lib.rs:59:"]),
    ("rust", "error", &["invalid digit found in string"]),
    ("rust", "wrong-type", &["the status is no JSON: key must be a string"]),
    ("rust", "null", &["panicked: a child is a JSON object, this ConfigMap is null"]),
    ("rust", "recurse", &["call stack exhausted"]),
    ("rust", "undeclared", &["panicked: v1 Pod is not declared as a child"]),
    ("rust", "hoard", &["more than its 67108864 bytes of memory"]),
    ("c", "throw", &["misbehave.c:37: cannot go on"]),
    ("c", "recurse", &["deep (misbehave.c:21)"]),
    ("c", "hoard", &["more than its 67108864 bytes of memory"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_is_told_with_its_message_and_its_place() {
    let mut untold = Vec::new();
    for (language, mode, parts) in MISTAKES {
        let Called { outcome, log, .. } = misbehaves(language, mode).await;
        let logged: String = log.lines().map(|line| format!("\n{}", line.text)).collect();
        let told = outcome.map_or_else(|error| error.to_string(), |answer| format!("{answer:?}")) + &logged;
        if parts.iter().any(|part| !told.contains(part)) {
            untold.push(format!("{language} {mode}: {parts:?} is not all in\n{told}"));
        }
    }
    assert!(untold.is_empty(), "{}", untold.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn megabytes_of_output_are_cut_and_the_newest_lines_are_kept() {
    for language in ["rust", "js", "python", "go", "c"] {
        let called = misbehaves(language, "print").await;
        assert!(called.outcome.is_ok(), "{language}: {:?}", called.outcome);
        let last = called.log.lines().last().unwrap_or_else(|| panic!("{language}: nothing is logged"));
        assert!(last.text.starts_with("line 39999 "), "{language}: {}", last.text);
        assert_eq!(called.log.dropped(), 39_900, "{language}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn time_is_that_of_the_request_and_sleeping_takes_none() {
    let began = std::time::Instant::now();
    for (language, expected) in [
        ("js", r#"{"began":"2026-01-02T03:04:05.000Z","ms":20}"#),
        ("python", r#"{"wall":10.0,"monotonic":10.0}"#),
        ("go", r#"{"began":"2026-01-02 03:04:05","seconds":3,"woken":"1 2 3"}"#),
    ] {
        let status = misbehaves(language, "sleep").await.outcome.unwrap().status;
        assert_eq!(status.as_deref(), Some(expected), "{language}");
    }
    assert!(began.elapsed() < PATIENT.wall);
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_selected_by_their_labels_from_each_language() {
    for language in ["js", "python", "go", "c"] {
        let status = misbehaves(language, "select").await.outcome.unwrap().status.unwrap();
        assert_eq!(serde_json::from_str::<Value>(&status).unwrap(), json!({ "names": ["wanted"] }), "{language}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_makes_much_garbage_answers_much() {
    let answer = misbehaves("go", "large").await.outcome.unwrap();
    assert_eq!(answer.children.len(), 1_000);
}

/// Chance comes from the operating system where a plugin may make a password of
/// it, and from the request where a run has to be repeated.
#[tokio::test]
async fn chance_is_repeated_in_a_simulation_alone() {
    let random = |called: Called<Response>| called.outcome.unwrap().status.unwrap();
    assert_ne!(random(misbehaves("go", "random").await), random(misbehaves("go", "random").await));

    let plugin = Guests::simulated().plugin("misbehave-go").await;
    let mut case = case("", json!({ "mode": "random" }), json!({}));
    let mut calls = Vec::new();
    for name in ["a", "a", "b"] {
        case.object["metadata"]["name"] = json!(name);
        calls.push(random(plugin.reconcile(request(&case), Arc::new(Absent), &PATIENT).await));
    }
    assert!(calls[0] == calls[1] && calls[1] != calls[2], "{calls:?}");
}
