//! The API server goes away and comes back.

use trimtab_harness::eventually;

use crate::support::{Host, SOON, Scene};

#[tokio::test]
async fn writing_stops_while_the_api_server_is_away_and_starts_again_with_nothing_lost() {
    let scene = Scene::alone().await;
    let host = scene.serving_anna().await;
    let uid = scene.api.fetch(&scene.config_map("anna")).await["metadata"]["uid"].clone();

    scene.plane().stop_apiserver();
    stands_by(&host, 1).await;
    scene.plane().start_apiserver().await;
    scene.edit_page("anna", "after the crash").await;
    scene.page_is("anna", "after the crash").await;

    // It answers nothing and closes nothing: only time tells.
    scene.plane().pause_apiserver();
    stands_by(&host, 2).await;
    scene.plane().resume_apiserver();
    scene.edit_page("anna", "after the silence").await;
    scene.page_is("anna", "after the silence").await;

    let child = scene.api.fetch(&scene.config_map("anna")).await;
    assert_eq!(child["metadata"]["uid"], uid, "its child was never deleted");
    assert!(host.ready().await.is_ok());
}

/// Waits until the host has stopped leading this many times, as it does when
/// it could not renew its Lease.
async fn stands_by(host: &Host, times: usize) {
    let lost = async || (host.logged("no longer leading, standing by").len() >= times).then_some(());
    eventually("the host stands by", SOON, lost).await;
}
