//! Discovery against a real kube-apiserver: kinds that come, change and go, for
//! one who may do everything and for one who may only ask what there is.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

#[path = "cluster_common.rs"]
mod common;

use std::{sync::Arc, time::Duration};

use common::{define, definition, undefine};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trimtab_cluster::{
    Client,
    discovery::{Discovery, Kinds},
};
use trimtab_core::{id::GroupKind, kind::Kind, schema::Schema};
use trimtab_harness::ControlPlane;

/// What the host promises for a kind that appears; its disappearance has to
/// wait for the server, which first deletes the objects.
const SERVED: Duration = Duration::from_secs(5);
const SOON: Duration = Duration::from_secs(30);

async fn until<T>(
    what: &str,
    limit: Duration,
    kinds: &mut watch::Receiver<Arc<Kinds>>,
    look: impl Fn(&Kinds) -> Option<T>,
) -> T {
    let found = tokio::time::timeout(limit, kinds.wait_for(|kinds| look(kinds).is_some())).await;
    let found = found.unwrap_or_else(|_| panic!("after {limit:?} still not seen: {what}")).unwrap();
    look(&found).expect("it was there a moment ago")
}

/// The life of a kind, as `observer` sees it.
async fn the_life_of_a_kind(admin: Client, observer: Client, group: &str) {
    let discovery = Discovery::new(observer);
    let mut kinds = discovery.kinds();
    assert!(!kinds.borrow().is_known());
    let stop = CancellationToken::new();
    let running = tokio::spawn({
        let (discovery, stop) = (discovery.clone(), stop.clone());
        async move { discovery.run(stop).await }
    });
    let _stopped = stop.drop_guard();
    let id = GroupKind { group: group.into(), kind: "Site".into() };

    let config_map: Arc<Kind> =
        until("built-in kinds", SOON, &mut kinds, |kinds| kinds.get(&GroupKind::new("v1", "ConfigMap")).cloned()).await;
    assert_eq!(
        (config_map.plural.as_str(), config_map.namespaced, config_map.storage.as_deref()),
        ("configmaps", true, Some("v1"))
    );
    assert!(kinds.borrow().get(&id).is_none());

    define(&admin, &definition(group, &["v1"], "red")).await;
    let site = until("the kind", SERVED, &mut kinds, |kinds| kinds.get(&id).cloned()).await;
    assert_eq!(
        (site.versions.len(), site.storage.as_deref(), site.version("v1").unwrap().status),
        (1, Some("v1"), true)
    );
    let first = until("its schema", SOON, &mut kinds, |kinds| kinds.revision(&id, "v1").cloned()).await;
    let document = discovery.openapi(group, "v1").await.unwrap();
    assert_ne!(*document.schema("Site"), Schema::unknown());
    assert_eq!(*document.schema("Other"), Schema::unknown());

    define(&admin, &definition(group, &["v1"], "blue")).await;
    until("a changed default", SOON, &mut kinds, |kinds| {
        kinds.revision(&id, "v1").filter(|revision| **revision != first).cloned()
    })
    .await;

    define(&admin, &definition(group, &["v1", "v2"], "blue")).await;
    let stored = |kinds: &Kinds, version: &str| {
        kinds.get(&id).filter(|kind| kind.versions.len() == 2 && kind.storage.as_deref() == Some(version)).cloned()
    };
    let site = until("a second version", SOON, &mut kinds, |kinds| stored(kinds, "v1")).await;
    assert_eq!((site.preferred(), site.metadata_version()), ("v2", "v1"));
    define(&admin, &definition(group, &["v2", "v1"], "blue")).await;
    until("another storage version", SOON * 2, &mut kinds, |kinds| stored(kinds, "v2")).await;

    undefine(&admin, group).await;
    until("the kind's end", SOON, &mut kinds, |kinds| kinds.get(&id).is_none().then_some(())).await;
    assert!(discovery.openapi(group, "v3").await.is_err());
    drop(_stopped);
    running.await.unwrap();
}

#[tokio::test]
async fn a_kind_is_known_when_it_comes_changes_and_goes() {
    let control_plane = ControlPlane::shared().await;
    let admin = control_plane.client().await;
    the_life_of_a_kind(admin.clone(), admin, "full.trimtab.test").await;
}

#[tokio::test]
async fn the_same_holds_for_one_who_may_not_read_definitions() {
    let control_plane = ControlPlane::shared().await;
    let observer = control_plane.client_as("observer", &["system:authenticated"]).await;
    the_life_of_a_kind(control_plane.client().await, observer, "limited.trimtab.test").await;
}

#[tokio::test]
async fn a_server_that_goes_away_takes_no_kind_with_it() {
    let control_plane = ControlPlane::start().await;
    let discovery = Discovery::new(control_plane.client().await);
    let mut kinds = discovery.kinds();
    let stop = CancellationToken::new();
    let _stopped = stop.clone().drop_guard();
    tokio::spawn({
        let discovery = discovery.clone();
        async move { discovery.run(stop).await }
    });
    let config_map = GroupKind::new("v1", "ConfigMap");
    until("built-in kinds", SOON, &mut kinds, |kinds| kinds.get(&config_map).cloned()).await;
    kinds.mark_unchanged();
    control_plane.stop_apiserver();
    let changed = tokio::time::timeout(SERVED, kinds.changed()).await;
    assert!(changed.is_err(), "nothing is published while nothing is known");
    assert!(kinds.borrow().get(&config_map).is_some());
}
