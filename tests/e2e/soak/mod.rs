//! Two hosts with one folder, and all that can happen to them at once, drawn from a
//! seed: people edit and move objects and spoil children, good and bad builds are
//! dropped, hosts are killed and stopped, the API server and etcd go away and come
//! back, the network loses one direction. In the end each object is as its own build
//! makes it of the last that people wished, and what is foreign is as it was.
//!
//! `make soak SOAK_SECONDS=1800 OBJECTS=2000 SEED=7` is the run that figures come from.

mod builds;
mod crowd;
mod faults;
mod oracle;
mod probe;

use std::{
    collections::BTreeMap,
    env,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use fastrand::Rng;
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use trimtab_harness::eventually;

use self::{faults::Hosts, oracle::Oracle};
use crate::support::{Api, Proxy, SITE, Scene};

/// The instances. Both hosts serve all of them.
const INSTANCES: [&str; 3] = ["", "blue", "green"];
/// What a host may have in memory at the end, beside half as much again as when all
/// objects were settled for the first time: a hundred calls' records, other builds' pools.
const GROWTH_KIB: u64 = 96 * 1024;
/// An annotation on each Site: an answer with a child of a kind that is not declared.
const WRONG: &str = "soak.example.dev/wrong";
/// An annotation that people keep on objects and their children.
const NOTE: &str = "soak.example.dev/note";

fn size(variable: &str, otherwise: u64) -> u64 {
    env::var(variable).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// The two kinds of objects, each of a lineage of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Rust, by two builds.
    Site,
    /// The same plugin in several languages.
    Page,
}

impl Kind {
    fn stem(self) -> &'static str {
        match self {
            Self::Site => "site",
            Self::Page => "page",
        }
    }

    /// The field of the spec that becomes the page.
    fn text(self) -> &'static str {
        match self {
            Self::Site => "page",
            Self::Page => "text",
        }
    }
}

/// An object as people want it.
struct Wanted {
    kind: Kind,
    name: String,
    instance: usize,
    text: String,
    /// On the object, by another person than the text.
    note: String,
    /// On its ConfigMap, by a person.
    child_note: String,
}

impl Wanted {
    fn new(number: usize) -> Self {
        let kind = if number.is_multiple_of(2) { Kind::Site } else { Kind::Page };
        let [text, note, child_note] = ["text", "note", "child note"].map(|what| format!("{what} 0"));
        let name = format!("{}-{number:04}", kind.stem());
        Self { kind, name, instance: number % INSTANCES.len(), text, note, child_note }
    }

    fn object(&self) -> Value {
        let (kind, host) = (self.kind, format!("{}.example.dev", self.name));
        let child = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": self.name } });
        let wrong = json!({ "children": [child] }).to_string();
        json!({
            "apiVersion": "example.dev/v1", "kind": if kind == Kind::Site { "Site" } else { "Page" },
            "metadata": {
                "name": self.name, "labels": { "trimtab.dev/instance-id": INSTANCES[self.instance] },
                "annotations": { WRONG: wrong, NOTE: self.note },
            },
            "spec": { "host": host, "replicas": 0, kind.text(): self.text },
        })
    }
}

/// What all that goes on at once shares.
struct Soak {
    scene: Scene,
    /// For people, who are patient.
    api: Api,
    wanted: Vec<Mutex<Wanted>>,
    until: Instant,
    done: Mutex<BTreeMap<&'static str, usize>>,
}

impl Soak {
    async fn set_up() -> Self {
        let scene = Scene::alone().await;
        let definitions = [SITE, "examples/page/crd.yaml", "fixtures/mirror/crd.yaml"];
        definitions.into_iter().for_each(|definition| scene.define(definition));
        let api = Api::that_waits(scene.plane().client().await);
        let wanted = (0..size("OBJECTS", 120) as usize).map(Wanted::new).collect::<Vec<_>>();
        stream::iter(&wanted)
            .for_each_concurrent(crowd::PEOPLE, async |object| {
                scene.api.create(&collection(&scene, object.kind), &object.object()).await;
            })
            .await;
        let wanted = wanted.into_iter().map(Mutex::new).collect();
        Self { scene, api, wanted, until: Instant::now(), done: Mutex::default() }
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    /// Somebody has done something.
    fn count(&self, what: &'static str) {
        *locked(&self.done).entry(what).or_default() += 1;
    }

    fn path(&self, object: &Wanted) -> String {
        format!("{}/{}", collection(&self.scene, object.kind), object.name)
    }
}

fn collection(scene: &Scene, kind: Kind) -> String {
    let plural = if kind == Kind::Site { "sites" } else { "pages" };
    scene.at("example.dev/v1", plural, "")
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn pause(rng: &mut Rng, ms: std::ops::Range<u64>) {
    tokio::time::sleep(Duration::from_millis(rng.u64(ms))).await;
}

#[tokio::test]
async fn whatever_happens_to_two_hosts_each_object_ends_as_people_and_its_build_want_it() {
    let (seed, seconds) = (size("SEED", 1), size("SOAK_SECONDS", 45));
    println!("SEED={seed} SOAK_SECONDS={seconds}");
    let mut rng = Rng::with_seed(seed);
    let mut soak = Soak::set_up().await;
    builds::put_good_ones(&soak.scene);
    let (proxy, _held) = Proxy::start(soak.scene.plane().client().await).await;
    let mut hosts = Hosts::start(&soak.scene, proxy).await;
    let patience = Duration::from_secs(120) + Duration::from_millis(300) * soak.wanted.len() as u32;
    let oracle = Oracle::before(&soak, patience).await;
    let warm = hosts.anonymous_kib();

    soak.until = Instant::now() + Duration::from_secs(seconds);
    let mut forks = [rng.fork(), rng.fork(), rng.fork(), rng.fork()];
    let [edits, swaps, inflicts, probes] = &mut forks;
    let (.., waits) = tokio::join!(
        crowd::edit(&soak, edits),
        builds::swap(&soak, swaps),
        hosts.suffer(&soak, inflicts),
        probe::watch(&soak, probes),
    );

    builds::put_good_ones(&soak.scene);
    let settling = Instant::now();
    let right = eventually("all is right", 2 * patience, async || oracle.right(&soak).await);
    let wrong = match tokio::time::timeout(patience, right).await {
        Ok(()) => Vec::new(),
        Err(_) => oracle.wrong(&soak).await,
    };
    let settled = settling.elapsed();
    let end = hosts.anonymous_kib();
    for (what, times) in &*locked(&soak.done) {
        println!("{times:6} {what}");
    }
    println!("settled {settled:.1?} after the last; {waits}");
    println!("memory of the hosts, KiB: {warm:?} when settled first, {end:?} at the end");
    println!("{} violations", wrong.len());
    assert!(wrong.is_empty(), "SEED={seed}: {wrong:#?}");
    oracle.rests(&soak).await;
    waits.check();
    assert!(end[0] <= warm[0] * 3 / 2 + GROWTH_KIB, "the host that was never killed has grown: {warm:?} to {end:?}");
}
