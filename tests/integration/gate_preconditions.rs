//! Held to a real API server: what has changed since it was looked at is not
//! written, and the look that follows sees what stood in the way.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

mod support;

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use support::{Bench, open_version, seen};
use trimtab_cluster::gate::WriteError;
use trimtab_core::{
    api_error::Class,
    id::{Lineage, Uid},
    write::{Action, Seen, Write},
};

fn config_map(bench: &Bench, name: &str, data: &Value) -> Value {
    bench.child("v1", "ConfigMap", name, &json!({ "data": data }))
}

async fn made(bench: &Bench, name: &str) -> Seen {
    let body = config_map(bench, name, &json!({ "a": "1" }));
    let made = bench.written(&bench.to("v1", "ConfigMap", name, Action::Create { body })).await;
    Seen::of(&made.meta)
}

fn patched(bench: &Bench, name: &str) {
    let patch = r#"{"metadata":{"labels":{"by":"hand"}}}"#;
    bench.control_plane.kubectl(&["patch", "configmap", name, "-n", &bench.namespace, "-p", patch]);
}

#[tokio::test]
async fn an_update_lands_on_the_state_that_was_seen_and_on_no_other() {
    let bench = Bench::new().await;
    let _watched = bench.watched("v1", "ConfigMap");
    let first = made(&bench, "a").await;
    let apply = |seen: &Seen, value: &str| {
        let body = config_map(&bench, "a", &json!({ "a": value }));
        bench.to("v1", "ConfigMap", "a", Action::Apply { seen: seen.clone(), body })
    };
    let second = bench.written(&apply(&first, "2")).await;
    assert_eq!(second.value()["data"]["a"], "2");

    patched(&bench, "a");
    let late = bench.write(&apply(&Seen::of(&second.meta), "3")).await.unwrap_err();
    assert_eq!(late.class(), Class::Stale, "{late}");
    assert_eq!(bench.live("configmap", "a")["data"]["a"], "2");
    let stored = bench.stored(&apply(&first, "")).unwrap();
    assert_eq!(stored.meta.label("by"), Some("hand"), "the next look sees what came between");
    bench.written(&apply(&Seen::of(&stored.meta), "3")).await;
}

#[tokio::test]
async fn an_update_of_what_is_gone_makes_nothing_anew() {
    let bench = Bench::new().await;
    let _watched = bench.watched("v1", "ConfigMap");
    let first = made(&bench, "a").await;
    bench.control_plane.kubectl(&["delete", "configmap", "a", "-n", &bench.namespace]);
    let body = config_map(&bench, "a", &json!({ "a": "2" }));
    let apply = bench.to("v1", "ConfigMap", "a", Action::Apply { seen: first, body });
    let error = bench.write(&apply).await.unwrap_err();
    assert_eq!(error.class(), Class::Stale, "{error}");
    assert!(bench.stored(&apply).is_none());
    assert_eq!(bench.live("configmap", "a"), Value::Null);
}

#[tokio::test]
async fn a_delete_takes_only_the_object_that_was_seen() {
    let bench = Bench::new().await;
    let _watched = bench.watched("v1", "ConfigMap");
    let first = made(&bench, "a").await;
    let delete = |seen: &Seen| bench.to("v1", "ConfigMap", "a", Action::Delete { seen: seen.clone() });

    let another = Seen { uid: Uid::new("another"), ..first.clone() };
    assert_eq!(bench.write(&delete(&another)).await.unwrap_err().class(), Class::Stale);
    patched(&bench, "a");
    assert_eq!(bench.write(&delete(&first)).await.unwrap_err().class(), Class::Stale);
    let now = bench.live("configmap", "a");
    assert!(bench.write(&delete(&seen(&now))).await.unwrap().is_none());
    assert!(bench.stored(&delete(&first)).is_none());
    assert!(bench.write(&delete(&seen(&now))).await.unwrap().is_none(), "what is gone already is fine");
}

#[tokio::test]
async fn a_child_with_a_finalizer_stays_in_the_store_while_it_is_being_deleted() {
    let bench = Bench::new().await;
    let _watched = bench.watched("v1", "ConfigMap");
    let first = made(&bench, "a").await;
    let metadata = |seen: &Seen, finalizers: Value| {
        let patch = json!({ "finalizers": finalizers }).as_object().unwrap().clone();
        bench.to("v1", "ConfigMap", "a", Action::Metadata { seen: seen.clone(), patch })
    };
    let held = bench.written(&metadata(&first, json!(["trimtab.dev/site"]))).await;
    assert_eq!(held.meta.finalizers.len(), 1);
    let late = bench.write(&metadata(&first, json!([]))).await.unwrap_err();
    assert_eq!(late.class(), Class::Stale, "{late}");

    let delete = bench.to("v1", "ConfigMap", "a", Action::Delete { seen: Seen::of(&held.meta) });
    let deleting = bench.written(&delete).await;
    assert!(deleting.meta.deleting && bench.stored(&delete).unwrap().meta.deleting);
    bench.write(&metadata(&Seen::of(&deleting.meta), json!([]))).await.unwrap();
    assert_eq!(bench.live("configmap", "a"), Value::Null);
}

#[tokio::test]
async fn a_status_is_written_whole_on_the_state_that_was_seen() {
    let bench = Bench::new().await;
    bench.define("status.test", "Gadget", json!([open_version("v1", true)])).await;
    let body = bench.child("status.test/v1", "Gadget", "a", &json!({ "spec": { "a": 1 } }));
    let create = bench.to("status.test/v1", "Gadget", "a", Action::Create { body });
    let first = Seen::of(&bench.written(&create).await.meta);
    let status = |seen: &Seen, status: Value| Write {
        manager: "trimtab/site/status".into(),
        ..bench.to(
            "status.test/v1",
            "Gadget",
            "a",
            Action::Status { seen: seen.clone(), status: status.as_object().unwrap().clone(), force: true },
        )
    };
    let second = bench.written(&status(&first, json!({ "ready": true, "count": 1 }))).await;
    assert_eq!(second.value()["status"], json!({ "ready": true, "count": 1 }));
    let written = second.meta.status_of(&Lineage::new("site").unwrap()).unwrap();
    assert_eq!(&*written.api_version, "status.test/v1");
    assert_eq!(bench.write(&status(&first, json!({}))).await.unwrap_err().class(), Class::Stale);
    let third = bench.written(&status(&Seen::of(&second.meta), json!({ "ready": false }))).await;
    assert_eq!(third.value()["status"], json!({ "ready": false }), "what is left out is taken away");
    assert_eq!(third.value()["spec"], json!({ "a": 1 }));
}

#[tokio::test]
async fn metadata_written_through_a_lossy_version_costs_the_user_fields_and_through_the_stored_one_none() {
    let bench = Bench::new().await;
    let lossy = json!({
        "name": "v2", "served": true, "storage": false,
        "schema": { "openAPIV3Schema": { "type": "object", "properties": {
            "spec": { "type": "object", "properties": { "kept": { "type": "string" } } },
        } } },
    });
    bench.define("lossy.test", "Thing", json!([open_version("v1", true), lossy])).await;
    let body = bench.child("lossy.test/v1", "Thing", "a", &json!({ "spec": { "kept": "x", "extra": "y" } }));
    let made = bench.written(&bench.to("lossy.test/v1", "Thing", "a", Action::Create { body })).await;
    let kind = bench.discovery.kinds().borrow().get(&made.meta.place.kind).cloned().unwrap();
    assert_eq!(kind.metadata_version(), "v1", "the stored version, though v2 is preferred");

    let mark = |seen: Seen, version: &str, value: &str| {
        let patch = json!({ "annotations": { "trimtab.dev/version": value } }).as_object().unwrap().clone();
        bench.to(&format!("lossy.test/{version}"), "Thing", "a", Action::Metadata { seen, patch })
    };
    let stored = bench.written(&mark(Seen::of(&made.meta), "v1", "v1")).await;
    assert_eq!(stored.value()["spec"]["extra"], "y");
    bench.written(&mark(Seen::of(&stored.meta), "v2", "v2")).await;
    let live = bench.live("things.v1.lossy.test", "a");
    assert_eq!(live["spec"], json!({ "kept": "x" }), "this is why");
}

#[tokio::test]
async fn nothing_is_sent_without_the_lease_or_the_permit_or_for_a_kind_that_is_not_served() {
    let bench = Bench::new().await;
    let body = config_map(&bench, "a", &json!({}));
    let create = bench.to("v1", "ConfigMap", "a", Action::Create { body: body.clone() });
    bench.lock.0.store(false, Ordering::Relaxed);
    assert!(matches!(bench.write(&create).await, Err(WriteError::NotLeading(_))));
    bench.lock.0.store(true, Ordering::Relaxed);
    *bench.permits.0.lock().unwrap() = Some("no longer served".into());
    assert!(matches!(bench.write(&create).await, Err(WriteError::Refused(why)) if why == "no longer served"));
    *bench.permits.0.lock().unwrap() = None;
    let unserved = bench.to("no.such/v1", "Thing", "a", Action::Create { body });
    assert_eq!(bench.write(&unserved).await.unwrap_err().class(), Class::Missing);
    assert_eq!(bench.live("configmap", "a"), Value::Null);
}
