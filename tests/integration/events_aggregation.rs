//! Held to a real API server: what happens again is one Event with a count, and
//! kubectl shows it.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

mod support;

use serde_json::Value;
use std::sync::{Arc, atomic::Ordering};
use support::{Bench, TestEnv, place};
use tokio_util::sync::CancellationToken;
use trimtab_cluster::events::{Events, Note};
use trimtab_core::{
    id::{InstanceId, Lineage},
    object::{Meta, Object},
};

fn object(bench: &Bench, name: &str) -> Meta {
    let text = serde_json::json!({"metadata": {"name": name, "namespace": bench.namespace, "uid": "u", "resourceVersion": "1"}});
    let object = Object::parse(&text.to_string(), "demo.dev/v1", "Site").unwrap();
    assert_eq!(object.meta.place, place("demo.dev/v1", "Site", &bench.namespace, name));
    object.meta
}

fn listed(bench: &Bench) -> Vec<Value> {
    let text = bench.control_plane.kubectl(&["get", "events.events.k8s.io", "-n", &bench.namespace, "-o", "json"]);
    serde_json::from_str::<Value>(&text).unwrap()["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn what_happens_again_is_counted_in_one_event_and_without_the_lease_none_is_written() {
    let bench = Bench::new().await;
    let events = Events::new(bench.client.clone(), bench.lock.clone(), TestEnv::new(), "host-1");
    let stop = CancellationToken::new();
    let task = tokio::spawn({
        let (events, stop) = (Arc::clone(&events), stop.clone());
        async move { events.run(stop).await }
    });
    let (lineage, instance) = (Lineage::new("site").unwrap(), InstanceId::default_instance());
    let tell = |name: &str, warning: bool, message: &str| {
        events.publish(Note::new(&object(&bench, name), &lineage, &instance, warning, "PluginFailed", message));
    };
    for _ in 0..3 {
        tell("a", true, "it traps");
    }
    tell("b", false, "fine");
    events.flush().await;

    let all = listed(&bench);
    assert_eq!(all.len(), 2);
    let of = |name: &str| all.iter().find(|event| event["regarding"]["name"] == name).unwrap();
    assert_eq!(of("a")["series"]["count"], 3);
    assert_eq!(of("a")["reportingController"], "trimtab.dev/site");
    assert_eq!((&of("a")["type"], &of("b")["type"]), (&"Warning".into(), &"Normal".into()));
    assert_eq!(of("b").get("series"), None);
    assert_eq!(of("b")["note"], "fine");

    bench.lock.0.store(false, Ordering::Relaxed);
    tell("c", true, "unheard");
    events.flush().await;
    assert_eq!((listed(&bench).len(), events.dropped()), (2, 1));
    stop.cancel();
    task.await.unwrap();
}
