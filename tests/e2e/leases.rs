//! Two hosts on one instance: one serves, the other takes over.

use std::time::{Duration, Instant};

use serde_json::Value;
use trimtab_harness::eventually;

use crate::support::{Host, SOON, Scene};

/// How long a Lease lasts, and one second for what comes after.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(15 + 1);
/// A Lease that was released is taken at once.
const HANDED_OVER_WITHIN: Duration = Duration::from_secs(1);
/// Clearly longer than the limit, so that a miss says by how much.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_killed_leader_is_replaced_when_its_lease_has_run_out() {
    let scene = Scene::new().await;
    let [mut leader, standby] = two_hosts(&scene).await;

    leader.kill();
    let killed = Instant::now();
    scene.edit_page("anna", "after the crash").await;
    page_within(&scene, "after the crash", killed, TAKEN_OVER_WITHIN).await;
    assert_eq!(standby.logged("leading").len(), 1);
    assert_eq!(lease(&scene).await["spec"]["leaseTransitions"], 1);
}

#[tokio::test]
async fn a_leader_that_is_asked_to_stop_hands_over_at_once() {
    let scene = Scene::new().await;
    let [mut leader, standby] = two_hosts(&scene).await;
    let before = holder(&lease(&scene).await);

    scene.edit_page("anna", "before the end").await;
    leader.terminate();
    let asked = Instant::now();
    scene.edit_page("anna", "after the end").await;
    page_within(&scene, "after the end", asked, HANDED_OVER_WITHIN).await;
    let status = leader.ends_within(HANDED_OVER_WITHIN).await;
    assert_eq!(status.code(), Some(0), "{status}");
    assert_eq!(standby.logged("leading").len(), 1);
    let now = holder(&lease(&scene).await);
    assert!(!now.is_empty() && now != before, "{now} holds the Lease after {before}");
}

#[tokio::test]
async fn the_last_host_leaves_its_lease_released() {
    let scene = Scene::new().await;
    let mut host = scene.serving_anna().await;
    assert!(!holder(&lease(&scene).await).is_empty());

    host.terminate();
    let status = host.ends_within(SOON).await;
    assert_eq!(status.code(), Some(0), "{status}");
    assert_eq!(holder(&lease(&scene).await), "");
}

#[tokio::test]
async fn a_host_that_loses_one_instance_goes_on_with_the_others_until_it_has_that_one_again() {
    let scene = Scene::new().await;
    scene.set_up_anna().await;
    scene.copy("raw", "blue/raw.wasm");
    scene.create_site("ben", "one").await;
    let mark = serde_json::json!({ "metadata": { "labels": { "trimtab.dev/instance-id": "blue" } } });
    scene.api.merge(&scene.site("ben"), &mark).await;
    let host = scene.host().await;
    for name in ["anna", "ben"] {
        scene.page_is(name, "one").await;
    }

    let path = lease_path(&scene);
    let someone = serde_json::json!({ "spec": { "holderIdentity": "someone-else", "leaseDurationSeconds": 3600 } });
    scene.api.merge(&path, &someone).await;
    let stands_by = "no longer leading, standing by";
    eventually("it stands by", SOON, async || host.logged(stands_by).pop()).await;
    for name in ["anna", "ben"] {
        scene.edit_page(name, "two").await;
    }
    scene.page_is("ben", "two").await;
    let skipped = async || (host.metric("trimtab_skipped_total", &[("result", "standby")]).await > 0.0).then_some(());
    eventually("the edit is seen and not served", SOON, skipped).await;
    assert_eq!(scene.api.fetch(&scene.config_map("anna")).await["data"]["index.html"], "one");

    scene.api.delete(&path).await;
    scene.page_is("anna", "two").await;
}

/// One that serves anna's page, then another that stands by.
async fn two_hosts(scene: &Scene) -> [Host; 2] {
    let leader = scene.serving_anna().await;
    let standby = scene.host().await;
    eventually("a standby is ready", SOON, async || standby.ready().await.ok()).await;
    standby.becomes("raw", "Serving").await;
    assert!(standby.logged("leading").is_empty());
    [leader, standby]
}

async fn page_within(scene: &Scene, page: &str, since: Instant, limit: Duration) {
    let path = scene.config_map("anna");
    eventually(&format!("the page is {page:?}"), PATIENCE, async || {
        (scene.api.fetch(&path).await["data"]["index.html"] == page).then_some(())
    })
    .await;
    let took = since.elapsed();
    println!("the page was served after {took:.1?}");
    assert!(took <= limit, "the page was served after {took:?}, not within {limit:?}");
}

fn lease_path(scene: &Scene) -> String {
    scene.at("coordination.k8s.io/v1", "leases", &format!("trimtab-{}", scene.installation))
}

async fn lease(scene: &Scene) -> Value {
    scene.api.fetch(&lease_path(scene)).await
}

fn holder(lease: &Value) -> String {
    lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
}
