//! Real plugins, called for real: what they answer, and that each limit holds.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

mod common;

use std::{sync::Arc, time::Duration};

use common::{Absent, Guests, NotSynced, misbehave, request, tight};
use trimtab_core::{limits::Limits, object::Object};
use trimtab_wasm::{CallError, Failure, KindRef, Level, LookUp, Lookup, Outcome, Refusal, Wanted};

/// Calls `misbehave` in one mode and gives what came of it.
async fn called(mode: &str, limits: &Limits) -> trimtab_wasm::Called<trimtab_wasm::Response> {
    let guests = Guests::new(2);
    let plugin = guests.plugin("misbehave").await;
    plugin.reconcile(misbehave(mode), Arc::new(Absent), limits).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_answers_with_children_and_status_and_logs() {
    let guests = Guests::new(2);
    let plugin = guests.plugin("raw").await;
    let called = plugin.reconcile(request("raw", r#"{"page":"hello"}"#), Arc::new(Absent), &Limits::DEFAULT).await;
    let answer = called.outcome.expect("it answers");
    assert!(answer.children[0].contains(r#""index.html":"hello""#), "{}", answer.children[0]);
    assert_eq!(answer.status.as_deref(), Some(r#"{"ready":false}"#));
    let line = called.log.lines().next().expect("it logs");
    assert_eq!((line.level, line.text.as_str()), (Level::Debug, "reconciling raw"));
    assert!(called.cost.memory_peak_bytes >= 1 << 16 && called.cost.cpu > Duration::ZERO);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_request_reaches_the_plugin_as_it_was_given() {
    let answer = called("echo", &Limits::DEFAULT).await.outcome.expect("it answers");
    let status = answer.status.expect("echo sets it");
    for part in [
        r#""cluster":"here""#,
        r#""instanceId":"canary""#,
        r#""now":"2026-01-02T03:04:05Z""#,
        r#""config":{"replicas":3}"#,
        r#""apiVersion":"v1""#,
        r#""objects":[{"metadata":{"name":"one"}},{"metadata":{"name":"two"}}]"#,
        r#""finalizing":true"#,
        r#""extra":{}"#,
    ] {
        assert!(status.contains(part), "{part} is not in {status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_describes_itself_and_may_refuse_its_config() {
    let guests = Guests::new(2);
    let plugin = guests.plugin("misbehave").await;
    let described = plugin.describe("{}".into(), &Limits::DEFAULT).await.outcome.expect("it describes itself");
    assert!(described.contains(r#""role":"composite""#), "{described}");
    let refused = plugin.describe(r#"{"describe":"err"}"#.into(), &Limits::DEFAULT).await.outcome;
    let message = "this config is not to my liking".to_owned();
    let terminal = Failure { outcome: Outcome::Terminal, message, retry_after_ms: None };
    assert_eq!(refused, Err(CallError::Failed(terminal)));
}

#[tokio::test(flavor = "multi_thread")]
async fn describing_is_under_the_same_limits() {
    let guests = Guests::new(2);
    let plugin = guests.plugin("misbehave").await;
    let limits = tight();
    for (fault, reason) in
        [("trap", "Trapped"), ("loop", "CpuExceeded"), ("alloc", "MemoryExceeded"), ("huge", "AnswerTooLarge")]
    {
        let config = format!(r#"{{"describe":"{fault}"}}"#);
        let error = plugin.describe(config.as_str().into(), &limits).await.outcome.expect_err(fault);
        assert_eq!(error.reason(), reason, "{fault}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_is_told_with_the_engines_words() {
    let error = called("trap", &Limits::DEFAULT).await.outcome.expect_err("it traps");
    assert_eq!(error.to_string(), "the plugin trapped: wasm trap: wasm `unreachable` instruction executed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_call_is_stopped_at_its_cpu_limit_and_not_much_later() {
    let limits = Limits { cpu: Duration::from_millis(100), ..Limits::DEFAULT };
    let called = called("loop", &limits).await;
    assert_eq!(called.outcome, Err(CallError::CpuExceeded { limit: limits.cpu, log_tail: String::new() }));
    assert!(called.cost.cpu >= limits.cpu, "{:?}", called.cost);
    assert!(called.cost.cpu < limits.cpu * 3, "{:?}", called.cost);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_stopped_at_its_wall_limit_whatever_it_has_used() {
    let limits = Limits { wall: Duration::from_millis(50), cpu: Duration::from_secs(60), ..Limits::DEFAULT };
    let called = called("loop", &limits).await;
    assert_eq!(called.outcome, Err(CallError::WallExceeded { limit: limits.wall, log_tail: String::new() }));
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_held_to_its_limit_and_the_cause_is_named() {
    let called = called("alloc", &Limits::DEFAULT).await;
    let limit_bytes = Limits::DEFAULT.memory_bytes;
    assert_eq!(called.outcome, Err(CallError::MemoryExceeded { limit_bytes, log_tail: String::new() }));
    assert!(called.cost.memory_peak_bytes <= limit_bytes);
    assert!(called.cost.memory_peak_bytes > limit_bytes / 2, "{:?}", called.cost);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_too_large_is_not_taken() {
    let error = called("huge-answer", &Limits::DEFAULT).await.outcome.expect_err("5 MiB are too many");
    assert_eq!(error, CallError::AnswerTooLarge { limit_bytes: Limits::DEFAULT.answer_bytes });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_too_large_is_not_made() {
    let limits = Limits { request_bytes: 100, ..Limits::DEFAULT };
    let called = called("", &limits).await;
    assert!(matches!(called.outcome, Err(CallError::RequestTooLarge { limit_bytes: 100, .. })), "{called:?}");
    assert_eq!(called.cost.memory_peak_bytes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_log_lines_leaves_the_newest_and_the_count_of_the_others() {
    let called = called("log-flood", &Limits::DEFAULT).await;
    assert!(called.outcome.is_ok());
    let lines: Vec<_> = called.log.lines().map(|line| line.text.as_str()).collect();
    assert_eq!((lines.len(), lines[99]), (100, "line 99999 of too many"));
    assert_eq!(called.log.dropped(), 99_900);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plugin_calls_a_failure_comes_back_as_it_said_it() {
    let error = called("retry-after", &Limits::DEFAULT).await.outcome.expect_err("it fails");
    let message = "asked to retry".to_owned();
    let failure = Failure { outcome: Outcome::Retry, message, retry_after_ms: Some(30_000) };
    assert_eq!(error, CallError::Failed(failure));
    let error = called("waiting", &Limits::DEFAULT).await.outcome.expect_err("it waits");
    assert!(matches!(error, CallError::Failed(Failure { outcome: Outcome::Waiting, .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_up_is_remembered_also_where_nothing_was_found() {
    let called = called("get:Secret", &Limits::DEFAULT).await;
    assert_eq!(called.outcome.expect("it answers").status.as_deref(), Some(r#"{"found":null}"#));
    let of = KindRef { cluster: None, api_version: "v1".into(), kind: "Secret".into() };
    let wanted = LookUp { of, namespace: Some("default".into()), wanted: Wanted::Named("wanted".into()) };
    assert_eq!(called.looked_up.into_keys().collect::<Vec<_>>(), [wanted]);
}

/// A synced cache of kinds that lie in no namespace.
struct Outside;

impl Lookup for Outside {
    fn find(&self, wanted: &LookUp) -> Result<Vec<Arc<Object>>, Refusal> {
        Absent.find(wanted)
    }

    fn in_namespaces(&self, _: &KindRef) -> bool {
        false
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_without_namespaces_is_looked_up_in_none_whichever_is_named() {
    let guests = Guests::new(2);
    let plugin = guests.plugin("misbehave").await;
    for mode in ["get:Node", "select:Node"] {
        let spec = format!(r#"{{"mode":"{mode}","name":"wanted","namespace":"default"}}"#);
        let called = plugin.reconcile(request("it", &spec), Arc::new(Outside), &Limits::DEFAULT).await;
        called.outcome.expect("it answers");
        let asked = called.looked_up.into_keys().next().expect("it looked up");
        assert_eq!(asked.namespace, None, "{asked}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_up_that_is_found_gives_the_stored_text() {
    let guests = Guests::new(2);
    let plugin = guests.plugin("misbehave").await;
    let called = plugin.reconcile(misbehave("get:Secret"), Arc::new(common::One::new()), &Limits::DEFAULT).await;
    let status = called.outcome.expect("it answers").status.expect("it says what it found");
    assert!(status.contains(r#""name":"wanted""#), "{status}");
    let answer = called.looked_up.into_values().next().expect("it looked up");
    assert_eq!(answer.expect("it was told").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_selection_gives_what_its_labels_match_and_is_remembered_as_asked() {
    let guests = Guests::new(2);
    let plugin = guests.plugin("misbehave").await;
    for (selector, found) in [("tier=web", r#"{"found":["wanted"]}"#), ("tier=db", r#"{"found":[]}"#)] {
        let request = request("it", &format!(r#"{{"mode":"select:Secret","name":"{selector}"}}"#));
        let called = plugin.reconcile(request, Arc::new(common::One::new()), &Limits::DEFAULT).await;
        assert_eq!(called.outcome.expect("it answers").status.as_deref(), Some(found));
        let asked = called.looked_up.into_keys().map(|asked| asked.to_string()).collect::<Vec<_>>();
        assert_eq!(asked, [format!("\"v1\" \"Secret\" selected by {selector:?}, at most 3")]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_selector_that_cannot_be_read_is_told_to_the_plugin() {
    let guests = Guests::new(2);
    let plugin = guests.plugin("misbehave").await;
    let request = request("it", r#"{"mode":"select:Secret","name":"a in (b"}"#);
    let called = plugin.reconcile(request, Arc::new(common::One::new()), &Limits::DEFAULT).await;
    let error = called.outcome.expect_err("it passes the refusal on").to_string();
    assert!(error.starts_with("the label selector: \"a in (b\" is not a requirement"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_up_that_cannot_be_sure_ends_the_run_as_waiting_and_is_remembered() {
    let guests = Guests::new(2);
    let plugin = guests.plugin("misbehave").await;
    let called = plugin.reconcile(misbehave("get:Secret"), Arc::new(NotSynced), &Limits::DEFAULT).await;
    assert_eq!(called.outcome, Err(CallError::Waiting { why: "v1 Secret is not synced yet".to_owned() }));
    assert!(called.looked_up.into_values().next().expect("it looked up").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_up_that_is_not_granted_is_told_to_the_plugin() {
    let guests = Guests::new(2);
    let plugin = guests.plugin("misbehave").await;
    let called = plugin.reconcile(misbehave("get:Secret"), Arc::new(common::Forbidden), &Limits::DEFAULT).await;
    let error = called.outcome.expect_err("it passes the refusal on");
    assert_eq!(error.to_string(), "Secrets are not granted");
    assert!(called.looked_up.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn more_calls_than_the_pool_has_room_for_wait_and_all_are_answered() {
    let guests = Guests::new(2);
    let plugin = guests.plugin("raw").await;
    let calls: Vec<_> = (0..4 * common::IN_FLIGHT)
        .map(|_| {
            let plugin = plugin.clone();
            let request = request("raw", "{}");
            tokio::spawn(async move { plugin.reconcile(request, Arc::new(Absent), &Limits::DEFAULT).await })
        })
        .collect();
    for call in calls {
        call.await.expect("no call panics").outcome.expect("each is answered");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_given_up_makes_room_for_others() {
    let guests = Guests::new(2);
    let plugin = guests.plugin("misbehave").await;
    let limits = Limits { cpu: Duration::from_secs(60), wall: Duration::from_secs(60), ..Limits::DEFAULT };
    for _ in 0..3 * common::IN_FLIGHT {
        let call = plugin.reconcile(misbehave("loop"), Arc::new(Absent), &limits);
        assert!(tokio::time::timeout(Duration::from_millis(1), call).await.is_err());
    }
    plugin.reconcile(misbehave(""), Arc::new(Absent), &limits).await.outcome.expect("there is room");
}

#[tokio::test(start_paused = true)]
async fn a_simulated_call_runs_where_it_is_made_and_is_bounded_by_fuel() {
    let guests = Guests::simulated();
    let plugin = guests.plugin("misbehave").await;
    let began = tokio::time::Instant::now();
    let limits = Limits { cpu: Duration::from_millis(20), ..Limits::DEFAULT };
    let looped = plugin.reconcile(misbehave("loop"), Arc::new(Absent), &limits).await;
    assert_eq!(looped.outcome, Err(CallError::CpuExceeded { limit: limits.cpu, log_tail: String::new() }));
    let echoed = plugin.reconcile(misbehave("echo"), Arc::new(Absent), &limits).await.outcome;
    assert_eq!(plugin.reconcile(misbehave("echo"), Arc::new(Absent), &limits).await.outcome, echoed);
    assert!(echoed.is_ok());
    assert_eq!(began.elapsed(), Duration::ZERO, "no call moves simulated time");
}
