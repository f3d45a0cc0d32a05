//! A plugin that acts outside of the cluster, here by calling a hook, and two hosts
//! that each serve it for another instance: an object's hook is never called by both at
//! a time.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path, State},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use trimtab_harness::eventually;

use crate::support::{Host, SITE, SOON, Scene, migrated, source};

const INSTANCES: [&str; 2] = ["blue", "green"];
const HOLD: &str = "exclusive.trimtab.dev/site";
/// How long an act outside of the cluster takes: long enough for a move in the midst.
const ACT: Duration = Duration::from_millis(300);
const MOVES: usize = 6;
/// A Lease runs out, is asked for, and an object is taken.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(60);

/// What is outside of the cluster.
#[derive(Clone, Default)]
struct Outside(Arc<Mutex<Acts>>);

#[derive(Default)]
struct Acts {
    /// How many have begun, by instance.
    begun: BTreeMap<String, usize>,
    /// Who acts for an object just now.
    acting: Vec<(String, String)>,
    /// What must never be: one instance has begun while another acted.
    overlaps: Vec<String>,
}

/// One act, over when the hook has answered or whoever called it is gone.
struct Act {
    outside: Outside,
    what: (String, String),
}

impl Drop for Act {
    fn drop(&mut self) {
        let acting = &mut self.outside.acts().acting;
        let at = acting.iter().position(|acting| *acting == self.what).expect("it has begun");
        acting.remove(at);
    }
}

impl Outside {
    async fn start() -> (Self, SocketAddr) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let outside = Self::default();
        let app = Router::new().route("/{instance}", axum::routing::post(act)).with_state(outside.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (outside, address)
    }

    fn acts(&self) -> MutexGuard<'_, Acts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, object: &str, instance: &str) -> Act {
        let mut acts = self.acts();
        *acts.begun.entry(instance.into()).or_default() += 1;
        let other = acts.acting.iter().find(|(of, by)| of == object && by != instance).cloned();
        acts.overlaps.extend(other.map(|(_, by)| format!("{instance} acts for {object} while {by} does")));
        let what = (object.to_owned(), instance.to_owned());
        acts.acting.push(what.clone());
        Act { outside: self.clone(), what }
    }

    fn begun(&self, instance: &str) -> usize {
        self.acts().begun.get(instance).copied().unwrap_or_default()
    }
}

async fn act(State(outside): State<Outside>, Path(instance): Path<String>, Json(request): Json<Value>) -> Json<Value> {
    let object = request["parent"]["metadata"]["name"].as_str().expect("it has a name");
    let _act = outside.begin(object, &instance);
    tokio::time::sleep(ACT).await;
    Json(json!({ "status": { "build": instance }, "children": [] }))
}

/// Two hosts, each with the bridge to that hook for its instance.
async fn two_hosts(scene: &Scene, address: SocketAddr) -> [Host; 2] {
    scene.define(SITE);
    for instance in INSTANCES {
        let controller = format!(
            "
apiVersion: metacontroller.k8s.io/v1alpha1
kind: CompositeController
metadata: {{ name: site }}
spec:
  generateSelector: true
  parentResource: {{ apiVersion: example.dev/v1, resource: sites }}
  hooks: {{ sync: {{ webhook: {{ url: 'http://{address}/{instance}' }} }} }}
"
        );
        scene.copy("bridge", &format!("{instance}/bridge.wasm"));
        scene.write(
            &format!("{instance}/site.toml"),
            format!("exclusive = true\n{}", migrated(&controller, source(SITE))),
        );
    }
    let host = async |instance| {
        let flags = ["--namespaces", &scene.namespace, "--instances", instance];
        scene.host_with(&scene.plane().kubeconfig(), &flags).await
    };
    [host("blue").await, host("green").await]
}

async fn create_anna(scene: &Scene) {
    let anna = json!({
        "apiVersion": "example.dev/v1", "kind": "Site",
        "metadata": { "name": "anna", "labels": { "trimtab.dev/instance-id": "blue" } },
        "spec": { "host": "anna.example.dev", "page": "one" },
    });
    scene.api.create(&scene.site(""), &anna).await;
}

async fn send(scene: &Scene, instance: &str) {
    let labels = json!({ "metadata": { "labels": { "trimtab.dev/instance-id": instance } } });
    scene.api.merge(&scene.site("anna"), &labels).await;
}

async fn is_served_by(scene: &Scene, instance: &str, patience: Duration) {
    eventually(&format!("{instance} holds and serves anna"), patience, async || {
        let anna = scene.api.fetch(&scene.site("anna")).await;
        (anna["metadata"]["labels"][HOLD] == instance && anna["status"]["build"] == instance).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_object_that_moves_between_two_hosts_is_acted_for_by_one_at_a_time() {
    let scene = Scene::new().await;
    let (outside, address) = Outside::start().await;
    let _hosts = two_hosts(&scene, address).await;
    create_anna(&scene).await;
    is_served_by(&scene, "blue", SOON).await;
    for step in 1..=MOVES {
        let [to, from] = [INSTANCES[step % 2], INSTANCES[(step + 1) % 2]];
        // Something to act on, and the move while it is acted on.
        let before = outside.begun(from);
        scene.edit_page("anna", &format!("page {step}")).await;
        eventually(&format!("{from} acts"), SOON, async || (outside.begun(from) > before).then_some(())).await;
        send(&scene, to).await;
        is_served_by(&scene, to, SOON).await;
    }
    assert_eq!(outside.acts().overlaps, Vec::<String>::new());
}

#[tokio::test]
async fn what_a_killed_host_has_held_is_acted_for_when_its_lease_has_run_out() {
    let scene = Scene::new().await;
    let (outside, address) = Outside::start().await;
    let [mut blue, _green] = two_hosts(&scene, address).await;
    create_anna(&scene).await;
    is_served_by(&scene, "blue", SOON).await;

    blue.kill();
    send(&scene, "green").await;
    let (condition, acts) = eventually("it waits", SOON, async || {
        let acts = outside.begun("green");
        let anna = scene.api.fetch(&scene.site("anna")).await;
        let mut conditions = anna["status"]["conditions"].as_array()?.iter();
        conditions.find(|it| it["reason"] == "Waiting").map(|condition| (condition.clone(), acts))
    })
    .await;
    let message = condition["message"].as_str().unwrap_or_default();
    assert!(message.contains("the instance \"blue\" still holds it"), "{condition}");
    assert_eq!(acts, 0, "green acts before it says that it waits");
    is_served_by(&scene, "green", TAKEN_OVER_WITHIN).await;
    assert_eq!(outside.acts().overlaps, Vec::<String>::new());
}
