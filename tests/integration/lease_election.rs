//! Held to a real API server: of two candidates one leads; a release hands over
//! at once, a death when the Lease has run out; a deleted Lease is made again.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

mod support;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::Value;
use support::{SOON, TestEnv};
use tokio::{sync::watch, task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;
use trimtab_cluster::lease::{Candidate, LeaseState, Recorded};
use trimtab_core::{
    election::Timings,
    env::Env,
    id::{GroupKind, InstanceId, Lineage},
};
use trimtab_harness::ControlPlane;

/// A fifth of the usual, so that a Lease runs out in three seconds.
const TIMINGS: Timings = Timings {
    lease: Duration::from_secs(3),
    renew_deadline: Duration::from_secs(2),
    retry: Duration::from_millis(400),
};

struct Running {
    candidate: Arc<Candidate>,
    state: watch::Receiver<LeaseState>,
    stop: CancellationToken,
    task: JoinHandle<()>,
    env: Arc<TestEnv>,
}

impl Running {
    async fn new(control_plane: &ControlPlane, namespace: &str, identity: &str) -> Self {
        let env = TestEnv::new();
        let instance = InstanceId::new("canary").unwrap();
        let client = control_plane.client().await;
        let candidate = Candidate::with_timings(client, env.clone(), namespace, "test", &instance, identity, TIMINGS);
        let (state, stop) = (candidate.state(), CancellationToken::new());
        let task = tokio::spawn({
            let (candidate, stop) = (candidate.clone(), stop.clone());
            async move { candidate.run(stop).await }
        });
        Self { candidate, state, stop, task, env }
    }

    fn leads(&self) -> bool {
        matches!(*self.state.borrow(), LeaseState::Leading { until } if self.env.elapsed() < until)
    }

    async fn leading(&mut self) {
        let leading = self.state.wait_for(|state| matches!(state, LeaseState::Leading { .. }));
        tokio::time::timeout(SOON, leading).await.expect("it comes to lead").expect("the candidate runs");
    }

    async fn standing_by(&mut self, behind: &str) {
        let behind = LeaseState::Standby { holder: Some(behind.into()) };
        let standing_by = self.state.wait_for(|state| *state == behind);
        tokio::time::timeout(SOON, standing_by).await.expect("it sees who leads").expect("the candidate runs");
    }
}

type Incumbents = BTreeMap<GroupKind, Lineage>;

/// One that leads, in a namespace of its own.
async fn leader(control_plane: &ControlPlane) -> (String, Running) {
    let namespace = control_plane.namespace().await;
    let mut first = Running::new(control_plane, &namespace, "first").await;
    first.leading().await;
    (namespace, first)
}

/// Another one, which has read what the leader recorded.
async fn standby_that_knows(control_plane: &ControlPlane, namespace: &str, first: &Running) -> (Running, Incumbents) {
    let site = BTreeMap::from([(GroupKind::new("demo.dev/v1", "Site"), Lineage::new("site").unwrap())]);
    first.candidate.record(Recorded { incumbents: site.clone(), ..Recorded::default() });
    let mut second = Running::new(control_plane, namespace, "second").await;
    second.standing_by("first").await;
    let recorded = async || (second.candidate.incumbents() == site).then_some(());
    trimtab_harness::eventually("the second reads what the first recorded", SOON, recorded).await;
    (second, site)
}

#[tokio::test]
async fn a_lease_that_a_newer_release_has_taken_is_left_to_it_until_its_mark_is_taken_off() {
    let control_plane = ControlPlane::shared().await;
    let (namespace, mut first) = leader(control_plane).await;
    let name = first.candidate.name().to_owned();
    let newer = r#"{"metadata":{"annotations":{"trimtab.dev/format":"2"}},"spec":{"holderIdentity":"newer"}}"#;
    control_plane.kubectl(&["patch", "lease", &name, "-n", &namespace, "--type=merge", "-p", newer]);
    first.standing_by("newer").await;
    tokio::time::sleep(TIMINGS.lease * 2).await;
    assert!(!first.leads(), "it would misread what that one has marked");

    control_plane.kubectl(&["annotate", "lease", &name, "-n", &namespace, "trimtab.dev/format-"]);
    first.leading().await;
    assert_eq!(lease(control_plane, &namespace, &name)["metadata"]["annotations"]["trimtab.dev/format"], "1");
    first.stop.cancel();
    first.task.await.unwrap();
}

fn lease(control_plane: &ControlPlane, namespace: &str, name: &str) -> Value {
    let text = control_plane.kubectl(&["get", "lease", name, "-n", namespace, "-o", "json"]);
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn a_release_hands_over_within_a_second_and_what_was_recorded_stays() {
    let control_plane = ControlPlane::shared().await;
    let (namespace, first) = leader(control_plane).await;
    let (mut second, site) = standby_that_knows(control_plane, &namespace, &first).await;
    second.candidate.record(Recorded::default());
    control_plane.kubectl(&["annotate", "lease", first.candidate.name(), "-n", &namespace, "someone=else"]);
    assert!(first.leads() && !second.leads());

    let asked = Instant::now();
    first.stop.cancel();
    second.leading().await;
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    first.task.await.unwrap();
    assert_eq!(second.candidate.incumbents(), site, "who takes over reads what was, before it records anew");

    let now = lease(control_plane, &namespace, second.candidate.name());
    assert_eq!(now["spec"]["holderIdentity"], "second");
    assert_eq!(now["spec"]["leaseTransitions"], 1, "made by the first, taken by the second");
    assert_eq!(now["metadata"]["annotations"]["someone"], "else");
    assert_eq!(now["metadata"]["annotations"]["trimtab.dev/instance-id"], "canary");
    second.stop.cancel();
    second.task.await.unwrap();
    let released = lease(control_plane, &namespace, second.candidate.name());
    assert_eq!(released["spec"].get("holderIdentity"), None);
}

#[tokio::test]
async fn a_leader_that_dies_is_followed_when_its_lease_has_run_out_and_not_before() {
    let control_plane = ControlPlane::shared().await;
    let (namespace, first) = leader(control_plane).await;
    let mut second = Running::new(control_plane, &namespace, "second").await;
    second.standing_by("first").await;
    let died = Instant::now();
    // As a SIGKILL would: nothing is released.
    first.task.abort();
    second.leading().await;
    let took = died.elapsed();
    assert!(took < TIMINGS.lease + Duration::from_secs(1), "{took:?}");
    let overlap = first.leads() && second.leads();
    assert!(!overlap, "the first believed that it leads");
    assert!(took > TIMINGS.renew_deadline - TIMINGS.retry * 2, "{took:?}: the first might have led still");
}

#[tokio::test]
async fn a_deleted_lease_is_made_again_by_its_leader_with_what_it_said() {
    let control_plane = ControlPlane::shared().await;
    let (namespace, first) = leader(control_plane).await;
    let (second, _) = standby_that_knows(control_plane, &namespace, &first).await;
    let name = first.candidate.name().to_owned();
    let uid = lease(control_plane, &namespace, &name)["metadata"]["uid"].clone();

    control_plane.kubectl(&["delete", "lease", &name, "-n", &namespace]);
    let again = async || {
        let found =
            control_plane.kubectl(&["get", "lease", &name, "-n", &namespace, "-o", "json", "--ignore-not-found"]);
        let found = serde_json::from_str::<Value>(&found).ok()?;
        (found["metadata"]["uid"] != uid).then_some(found)
    };
    let again = trimtab_harness::eventually("the Lease is there again", SOON, again).await;
    assert_eq!(again["spec"]["holderIdentity"], "first");
    assert!(again["metadata"]["annotations"]["trimtab.dev/incumbents"].as_str().unwrap().contains("Site.demo.dev"));
    assert!(first.leads() && !second.leads());
}

#[tokio::test]
async fn a_leader_that_another_deposes_stops_at_once() {
    let control_plane = ControlPlane::shared().await;
    let (namespace, mut first) = leader(control_plane).await;
    let patch = r#"{"spec":{"holderIdentity":"usurper"}}"#;
    control_plane.kubectl(&["patch", "lease", first.candidate.name(), "-n", &namespace, "--type=merge", "-p", patch]);
    first.standing_by("usurper").await;
    assert!(!first.leads());
    first.leading().await;
}

#[tokio::test]
async fn a_leader_that_is_cut_off_stops_in_time_and_leads_again_when_the_server_is_back() {
    let control_plane = ControlPlane::start().await;
    let (_, mut first) = leader(&control_plane).await;
    control_plane.pause_apiserver();
    let paused = Instant::now();
    let stopped = first.state.wait_for(|state| matches!(state, LeaseState::Standby { .. }));
    tokio::time::timeout(SOON, stopped).await.expect("it stops leading").expect("the candidate runs");
    assert!(paused.elapsed() < TIMINGS.renew_deadline + Duration::from_millis(300), "{:?}", paused.elapsed());
    control_plane.resume_apiserver();
    first.leading().await;
}
