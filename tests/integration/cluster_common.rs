//! What the tests of the cluster crate share: a scene with discovery, watches
//! and a store over one client, and plain requests to set things up.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use trimtab_cluster::{
    Client,
    discovery::Discovery,
    spec::{Health, WatchSpec},
    store::{Change, Notify, Store},
    watches::Watches,
};
use trimtab_core::{
    env::Env,
    id::{GroupKind, split_api_version},
    object::Object,
};

/// Time from the process, chance from a counter.
pub struct TestEnv {
    started: Instant,
    drawn: AtomicU64,
}

impl TestEnv {
    pub fn shared() -> Arc<dyn Env> {
        Arc::new(Self { started: Instant::now(), drawn: AtomicU64::new(0) })
    }
}

impl Env for TestEnv {
    fn wall(&self) -> Duration {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap()
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn random(&self) -> u64 {
        self.drawn.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
}

type Told = (Option<Arc<Object>>, Option<Arc<Object>>);

/// Hears of changes and rings for each.
#[derive(Default)]
pub struct Heard {
    ring: watch::Sender<u64>,
    changes: Mutex<Vec<Told>>,
}

impl Notify for Heard {
    fn changed(&self, change: &Change<'_>) {
        self.changes.lock().unwrap().push((change.old.cloned(), change.new.cloned()));
        self.ring.send_modify(|rings| *rings += 1);
    }

    fn health(&self, _: &WatchSpec, _: &Health) {
        self.ring.send_modify(|rings| *rings += 1);
    }
}

impl Heard {
    /// What changed since the last call, as `-`, `name` on each side of `>`.
    pub fn told(&self) -> Vec<String> {
        let name = |object: Option<Arc<Object>>| object.map_or("-".into(), |o| o.meta.place.name.to_string());
        let changes = std::mem::take(&mut *self.changes.lock().unwrap());
        changes.into_iter().map(|(old, new)| format!("{}>{}", name(old), name(new))).collect()
    }
}

/// Discovery, watches and a store over one client.
pub struct Scene {
    pub heard: Arc<Heard>,
    pub store: Arc<Store>,
    pub discovery: Arc<Discovery>,
    pub watches: Arc<Watches>,
    _stop: DropGuard,
}

impl Scene {
    pub fn start(client: &Client) -> Self {
        let heard = Arc::new(Heard::default());
        let store = Store::new(heard.clone());
        let discovery = Discovery::new(client.clone());
        let watches = Watches::new(client.clone(), store.clone(), discovery.kinds(), TestEnv::shared());
        let stop = CancellationToken::new();
        tokio::spawn({
            let (discovery, stop) = (discovery.clone(), stop.clone());
            async move { discovery.run(stop).await }
        });
        tokio::spawn({
            let (watches, stop) = (watches.clone(), stop.clone());
            async move { watches.run(stop).await.unwrap() }
        });
        Self { heard, store, discovery, watches, _stop: stop.drop_guard() }
    }

    pub fn watch(&self, specs: &[&WatchSpec]) {
        self.watches.set(specs.iter().map(|spec| (*spec).clone()).collect::<BTreeSet<_>>());
    }

    /// Looks again at each change, until there is what is looked for.
    pub async fn until<T>(&self, what: &str, limit: Duration, look: impl Fn(&Store) -> Option<T>) -> T {
        let mut rings = self.heard.ring.subscribe();
        let seen = async {
            loop {
                rings.mark_unchanged();
                if let Some(seen) = look(&self.store) {
                    return seen;
                }
                rings.changed().await.unwrap();
            }
        };
        tokio::time::timeout(limit, seen).await.unwrap_or_else(|_| panic!("after {limit:?} still not seen: {what}"))
    }

    pub async fn until_health(&self, spec: &WatchSpec, limit: Duration, is: impl Fn(&Health) -> bool) {
        let what = format!("the health of {spec}, which is {}", self.store.health(spec));
        self.until(&what, limit, |store| is(&store.health(spec)).then_some(())).await;
    }

    pub fn names(&self, spec: &WatchSpec) -> Vec<String> {
        self.store.list(spec).iter().map(|object| object.meta.place.name.to_string()).collect()
    }
}

pub fn spec(api_version: &str, kind: &str, namespace: &str, labels: Option<&str>) -> WatchSpec {
    WatchSpec {
        kind: GroupKind::new(api_version, kind),
        version: split_api_version(api_version).1.into(),
        namespace: Some(namespace.into()),
        labels: labels.map(Into::into),
        name: None,
    }
}

/// One request with a JSON body, which must succeed; the answer as it came.
pub async fn request(client: &Client, method: &str, path: &str, body: &Value) -> String {
    let content = match method {
        "PATCH" => "application/merge-patch+json",
        "APPLY" => "application/apply-patch+yaml",
        _ => "application/json",
    };
    let method = if method == "APPLY" { "PATCH" } else { method };
    let request = http::Request::builder().method(method).uri(path).header("content-type", content);
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let answer = client.request_text(request.body(body).unwrap()).await;
    answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
}

pub fn config_map(name: &str, label: &str, text: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"side": label}},
        "data": {"text": text}})
}

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// A definition of `Site` with one version for each name, the stored one first.
pub fn definition(group: &str, versions: &[&str], default: &str) -> Value {
    let versions = versions.iter().enumerate().map(|(index, name)| {
        json!({"name": name, "served": true, "storage": index == 0, "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                "spec": {"type": "object", "default": {}, "properties": {
                    "color": {"type": "string", "default": default}}},
                "status": {"type": "object"}}}}})
    });
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("sites.{group}")},
        "spec": {"group": group, "scope": "Namespaced", "versions": versions.collect::<Vec<_>>(),
            "names": {"plural": "sites", "singular": "site", "kind": "Site", "listKind": "SiteList"}}})
}

pub async fn define(client: &Client, definition: &Value) {
    let name = definition["metadata"]["name"].as_str().unwrap();
    request(client, "APPLY", &format!("{DEFINITIONS}/{name}?fieldManager=test&force=true"), definition).await;
}

pub async fn undefine(client: &Client, group: &str) {
    request(client, "DELETE", &format!("{DEFINITIONS}/sites.{group}"), &Value::Null).await;
}
