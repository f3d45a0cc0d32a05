//! What befalls the hosts, the network and the control plane: one thing at a time, each
//! kind as often as any other.

use std::time::Duration;

use fastrand::Rng;

use super::{Soak, pause};
use crate::support::{Host, Proxy, SOON, Scene};

/// Longer than a Lease.
const PAST_LEASE_MS: std::ops::Range<u64> = 16_000..18_000;

/// The two hosts.
pub struct Hosts {
    /// Reaches the API server over a proxy, and is never killed: its memory tells.
    kept: Host,
    proxy: Proxy,
    /// Is killed, and another one started.
    other: Host,
}

#[derive(Clone, Copy)]
enum Fault {
    Kill,
    Terminate,
    StopKept,
    StopOther,
    Cut,
    LoseAnswers,
    LoseRequests,
    BreakOff,
    ApiServer,
    Etcd,
    Hang,
}

const ALL: [(Fault, &str); 11] = [
    (Fault::Kill, "hosts killed"),
    (Fault::ApiServer, "API servers killed"),
    (Fault::StopKept, "hosts stopped for longer than a Lease"),
    (Fault::Etcd, "etcds killed"),
    (Fault::BreakOff, "watches broken off"),
    (Fault::Terminate, "hosts told to end"),
    (Fault::LoseRequests, "requests lost for longer than a Lease"),
    (Fault::Hang, "API servers that did not answer"),
    (Fault::LoseAnswers, "answers lost for longer than a Lease"),
    (Fault::StopOther, "hosts stopped for longer than a Lease"),
    (Fault::Cut, "networks cut for a moment"),
];

async fn host(scene: &Scene) -> Host {
    scene.host_with(&scene.plane().kubeconfig(), &["--namespaces", &scene.namespace]).await
}

impl Hosts {
    /// Starts both.
    pub async fn start(scene: &Scene, proxy: Proxy) -> Self {
        let kept = scene.host_with(&proxy.kubeconfig(), &["--namespaces", &scene.namespace]).await;
        Self { kept, proxy, other: host(scene).await }
    }

    /// What each has in memory, the one that was never killed first.
    pub fn anonymous_kib(&self) -> [u64; 2] {
        [self.kept.anonymous_kib(), self.other.anonymous_kib()]
    }

    /// Lets it happen until it is over; what has begun is mended.
    pub async fn suffer(&mut self, soak: &Soak, rng: &mut Rng) {
        while !soak.is_over() {
            let mut round = ALL;
            rng.shuffle(&mut round);
            for (fault, what) in round {
                pause(rng, 1_000..4_000).await;
                if soak.is_over() {
                    return;
                }
                self.inflict(fault, &soak.scene, rng).await;
                soak.count(what);
            }
        }
    }

    async fn inflict(&mut self, fault: Fault, scene: &Scene, rng: &mut Rng) {
        let plane = scene.plane();
        match fault {
            Fault::Kill => {
                self.other.kill();
                pause(rng, 0..3_000).await;
                self.other = host(scene).await;
            }
            Fault::Terminate => {
                self.other.terminate();
                self.other.ends_within(SOON).await;
                self.other = host(scene).await;
            }
            Fault::StopKept => {
                self.kept.pause();
                pause(rng, PAST_LEASE_MS).await;
                self.kept.resume();
            }
            Fault::StopOther => {
                self.other.pause();
                pause(rng, PAST_LEASE_MS).await;
                self.other.resume();
            }
            Fault::Cut => self.spoil(Proxy::cut, rng, 1_000..5_000).await,
            Fault::LoseAnswers => self.spoil(Proxy::lose_answers, rng, PAST_LEASE_MS).await,
            Fault::LoseRequests => self.spoil(Proxy::lose_requests, rng, PAST_LEASE_MS).await,
            Fault::BreakOff => self.proxy.break_off(),
            Fault::ApiServer => {
                plane.stop_apiserver();
                pause(rng, 0..5_000).await;
                plane.start_apiserver().await;
            }
            Fault::Etcd => {
                plane.stop_etcd();
                pause(rng, 0..5_000).await;
                plane.start_etcd().await;
            }
            Fault::Hang => {
                plane.pause_apiserver();
                tokio::time::sleep(Duration::from_secs(rng.u64(1..12))).await;
                plane.resume_apiserver();
            }
        }
    }

    async fn spoil(&self, fault: fn(&Proxy), rng: &mut Rng, ms: std::ops::Range<u64>) {
        fault(&self.proxy);
        pause(rng, ms).await;
        self.proxy.mend();
    }
}
