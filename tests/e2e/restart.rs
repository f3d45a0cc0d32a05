//! A restart of a host that has nothing to do does nothing.

use std::collections::BTreeMap;

use trimtab_harness::eventually;

use crate::support::{Host, SITE, SOON, Scene};

const SITES: usize = 500;

#[tokio::test]
async fn a_restart_with_500_settled_objects_moves_no_resource_version_but_the_leases() {
    let scene = Scene::new().await;
    scene.define(SITE);
    scene.copy("raw", "raw.wasm");
    for at in 0..SITES {
        scene.create_site(&format!("site-{at}"), &format!("page {at}")).await;
    }
    let mut host = scene.host().await;
    settled(&host).await;
    let before = resource_versions(&scene).await;
    assert_eq!(before.len(), 2 * SITES, "each Site has its ConfigMap");
    assert!(writes(&host).await >= 2 * SITES, "a ConfigMap and a status for each");

    host.terminate();
    assert_eq!(host.ends_within(SOON).await.code(), Some(0));
    let host = scene.host().await;
    settled(&host).await;
    assert_eq!(resource_versions(&scene).await, before);
    assert_eq!(writes(&host).await, 0);
}

/// Waits until each Site has been looked at and no key waits or is worked on.
/// A write wakes its object before the key is given back, so nothing is on its
/// way then.
async fn settled(host: &Host) {
    let count = async |metric: &str, labels: &[(&str, &str)]| host.metric(metric, labels).await as usize;
    let adds = async || count("workqueue_adds_total", &[]).await;
    eventually("every Site has been looked at and none is waiting", 4 * SOON, async || {
        // Two reads of the metrics are two moments: equal adds make them one.
        let before = adds().await;
        let runs = count("controller_runtime_reconcile_total", &[("result", "success")]).await;
        let out = count("workqueue_depth", &[]).await + count("controller_runtime_active_workers", &[]).await;
        (runs >= SITES && out == 0 && adds().await == before).then_some(())
    })
    .await;
}

async fn writes(host: &Host) -> usize {
    host.metric("trimtab_writes_total", &[]).await as usize
}

/// Of all objects that the host may write, by their path.
async fn resource_versions(scene: &Scene) -> BTreeMap<String, String> {
    let mut versions = BTreeMap::new();
    for (collection, label) in [(scene.site(""), ""), (scene.config_map(""), "?labelSelector=trimtab.dev/plugin")] {
        for object in scene.api.list(&format!("{collection}{label}")).await {
            let text = |field: &str| object["metadata"][field].as_str().expect("each object has one").to_owned();
            versions.insert(format!("{collection}/{}", text("name")), text("resourceVersion"));
        }
    }
    versions
}
