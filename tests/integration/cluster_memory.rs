//! What a cached object costs: a figure that the design promises, so a test
//! counts every byte that the store allocates.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]
#![allow(unsafe_code, reason = "a global allocator, here one that counts, cannot be written without it")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::json;
use trimtab_cluster::{
    spec::{Health, WatchSpec},
    store::{Change, Notify, Store},
};
use trimtab_core::id::GroupKind;

const OBJECTS: usize = 2_000;
/// The text of one object without managedFields, as in the design's figures.
const TEXT_BYTES: usize = 5_600;
/// What one may cost in the store, with its text, metadata and indexes.
const COST_BYTES_MAX: usize = 7_000;

struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: each call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise for `alloc` is the one that is needed.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: `at` comes from `alloc` above, and so from the system.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

struct Deaf;

impl Notify for Deaf {
    fn changed(&self, _: &Change<'_>) {}
    fn health(&self, _: &WatchSpec, _: &Health) {}
}

/// A child as the host makes them: labels, marks, owner and managedFields.
fn child(number: usize) -> String {
    let mut object = json!({
        "metadata": {
            "name": format!("site-{number}-config"), "namespace": format!("team-{}", number % 50),
            "uid": format!("0b8f8f2e-5f5d-4a52-9c6b-{number:012}"), "resourceVersion": (1000 + number).to_string(),
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"app": "site", "trimtab.dev/plugin": "site", "trimtab.dev/instance-id": "canary"},
            "annotations": {
                "trimtab.dev/intent": "0123456789abcdef0123456789abcdef",
                "trimtab.dev/owner": format!(r#"{{"cluster":"","group":"demo","kind":"Site","namespace":"team-1","name":"site-{number}","uid":"owner-{number}","lineage":"site"}}"#)},
            "ownerReferences": [{"apiVersion": "demo/v1", "kind": "Site", "name": format!("site-{number}"),
                "uid": format!("owner-{number}"), "controller": true, "blockOwnerDeletion": false}],
        },
        "data": {"page": ""},
    });
    let rest = TEXT_BYTES - object.to_string().len() - r#""apiVersion":"v1","kind":"ConfigMap","#.len();
    object["data"]["page"] = "x".repeat(rest).into();
    object["metadata"]["managedFields"] = json!([{"manager": "trimtab/site", "operation": "Apply", "apiVersion": "v1",
        "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {"f:page": {}}}}]);
    object.to_string()
}

#[test]
fn a_cached_object_of_5600_bytes_costs_at_most_7000() {
    let texts = (0..OBJECTS).map(child).collect::<Vec<_>>();
    let store = Store::new(Arc::new(Deaf));
    let spec = |labels: Option<&str>| WatchSpec {
        kind: GroupKind::new("v1", "ConfigMap"),
        version: "v1".into(),
        namespace: None,
        labels: labels.map(Into::into),
        name: None,
    };
    // Two watches hold each object, as where a look-up is of a child's kind.
    let intakes = [store.open(&spec(None)), store.open(&spec(Some("trimtab.dev/plugin")))];
    let before = ALLOCATED.load(Ordering::Relaxed);
    for intake in &intakes {
        intake.begin();
        intake.dated(1_000_000).unwrap();
        texts.iter().for_each(|text| intake.listed(text));
        intake.finish();
    }
    let cost = (ALLOCATED.load(Ordering::Relaxed) - before) / OBJECTS;

    assert_eq!(store.len(), OBJECTS);
    let text = store.list(&spec(None))[0].text.len();
    assert!((TEXT_BYTES - 20..=TEXT_BYTES + 20).contains(&text), "the figure is of {TEXT_BYTES} bytes, not of {text}");
    println!("{cost} bytes for each object of {text}");
    assert!(cost <= COST_BYTES_MAX, "{cost} bytes for each object of {text}");
}
