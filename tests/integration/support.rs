//! What the tests against a real API server share: time from tokio, a gate
//! that may write, kinds from discovery.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, api::PostParams};
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};
use trimtab_cluster::{
    Client,
    discovery::Discovery,
    gate::{Gate, Lock, Permit, Ticket, WriteError},
    spec::{Health, WatchSpec},
    store::{Change, Intake, Notify, Store},
};
use trimtab_core::{
    env::Env,
    id::{Cluster, GroupKind, InstanceId, Key, Lineage, Place, SlotId, Stem, Uid},
    object::Object,
    write::{Action, Seen, Write},
};
use trimtab_harness::{ControlPlane, eventually};

/// For what a server does on its own, such as serving a new kind.
pub const SOON: Duration = Duration::from_secs(30);

/// Time from tokio, so that it can be paused where no real server takes part.
pub struct TestEnv {
    start: tokio::time::Instant,
    random: AtomicU64,
}

impl TestEnv {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { start: tokio::time::Instant::now(), random: AtomicU64::new(1) })
    }
}

impl Env for TestEnv {
    fn wall(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970")
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    fn random(&self) -> u64 {
        self.random.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed)
    }
}

/// Lets everything be written, or nothing.
pub struct Open(pub AtomicBool);

impl Lock for Open {
    fn deadline(&self, _: &InstanceId) -> Option<Duration> {
        self.0.load(Ordering::Relaxed).then_some(Duration::MAX)
    }
}

/// Refuses, where it has been given a reason.
#[derive(Default)]
pub struct Permits(pub Mutex<Option<String>>);

impl Permit for Permits {
    fn permit(&self, _: &Ticket, _: &Write) -> Result<(), String> {
        self.0.lock().unwrap().clone().map_or(Ok(()), Err)
    }
}

/// Does not care what changes.
pub struct Deaf;

impl Notify for Deaf {
    fn changed(&self, _: &Change<'_>) {}
    fn health(&self, _: &WatchSpec, _: &Health) {}
}

/// A gate to a namespace of its own, and an owner in it whose children are
/// written.
pub struct Bench {
    pub control_plane: &'static ControlPlane,
    pub client: Client,
    pub namespace: String,
    pub discovery: Arc<Discovery>,
    pub store: Arc<Store>,
    pub lock: Arc<Open>,
    pub permits: Arc<Permits>,
    pub gate: Arc<Gate>,
    pub ticket: Ticket,
    _stop: DropGuard,
}

impl Bench {
    pub async fn new() -> Self {
        let control_plane = ControlPlane::shared().await;
        let client = control_plane.client().await;
        let namespace = control_plane.namespace().await;
        let stop = CancellationToken::new();
        let discovery = Discovery::new(client.clone());
        tokio::spawn({
            let (discovery, stop) = (discovery.clone(), stop.clone());
            async move { discovery.run(stop).await }
        });
        let store = Store::new(Arc::new(Deaf));
        let (lock, permits) = (Arc::new(Open(AtomicBool::new(true))), Arc::new(Permits::default()));
        let kinds = discovery.kinds();
        let gate = Gate::new(client.clone(), kinds, store.clone(), lock.clone(), permits.clone(), TestEnv::new());
        let instance = InstanceId::default_instance();
        let ticket = Ticket {
            key: Key {
                cluster: Cluster::local(),
                place: place("v1", "ConfigMap", &namespace, "owner"),
                lineage: Lineage::new("site").unwrap(),
            },
            instance: instance.clone(),
            uid: Uid::new("owner-uid"),
            slot: SlotId { instance, stem: Stem::new("site").unwrap() },
            generation: 1,
            account: None,
        };
        let bench = Self {
            control_plane,
            client,
            namespace,
            discovery,
            store,
            lock,
            permits,
            gate,
            ticket,
            _stop: stop.drop_guard(),
        };
        bench.served("v1", "ConfigMap", "v1").await;
        bench
    }

    /// Waits until discovery knows a kind.
    pub async fn served(&self, api_version: &str, kind: &str, version: &str) {
        let kinds = self.discovery.kinds();
        let id = GroupKind::new(api_version, kind);
        let served = async || kinds.borrow().get(&id).filter(|kind| kind.version(version).is_some()).map(|_| ());
        eventually("discovery knows the kind", SOON, served).await;
    }

    /// Makes a definition of a kind in this group and waits until it is served.
    pub async fn define(&self, group: &str, kind: &str, versions: Value) {
        let plural = format!("{}s", kind.to_lowercase());
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": { "name": format!("{plural}.{group}") },
            "spec": {
                "group": group,
                "scope": "Namespaced",
                "names": { "plural": plural, "kind": kind },
                "versions": versions,
            },
        });
        let definition = serde_json::from_value::<CustomResourceDefinition>(definition).unwrap();
        let api = Api::<CustomResourceDefinition>::all(self.client.clone());
        api.create(&PostParams::default(), &definition).await.unwrap();
        for version in versions.as_array().unwrap() {
            let name = version["name"].as_str().unwrap();
            self.served(&format!("{group}/{name}"), kind, name).await;
        }
    }

    /// An open partition of a kind in this namespace: what is put into the
    /// store is kept while this lives.
    pub fn watched(&self, api_version: &str, kind: &str) -> Intake {
        let kind = GroupKind::new(api_version, kind);
        let version = trimtab_core::id::split_api_version(api_version).1.into();
        let spec =
            WatchSpec { kind, version, namespace: Some(self.namespace.as_str().into()), labels: None, name: None };
        let intake = self.store.open(&spec);
        intake.begin();
        intake.dated(1).unwrap();
        intake.finish();
        intake
    }

    pub fn stored(&self, write: &Write) -> Option<Arc<Object>> {
        self.store.get(&write.place.kind, &write.version, &write.place.namespace, &write.place.name)
    }

    pub fn place(&self, api_version: &str, kind: &str, name: &str) -> Place {
        place(api_version, kind, &self.namespace, name)
    }

    /// A write in this namespace.
    pub fn to(&self, api_version: &str, kind: &str, name: &str, action: Action) -> Write {
        Write {
            place: self.place(api_version, kind, name),
            version: trimtab_core::id::split_api_version(api_version).1.into(),
            manager: "trimtab/site".into(),
            action,
        }
    }

    /// The intent of a child with our marks, and `rest` merged into it.
    pub fn child(&self, api_version: &str, kind: &str, name: &str, rest: &Value) -> Value {
        let mark = json!({"cluster": "", "group": "", "kind": "ConfigMap", "namespace": self.namespace,
            "name": "owner", "uid": "owner-uid", "lineage": "site"});
        let mut body = json!({
            "apiVersion": api_version,
            "kind": kind,
            "metadata": {
                "name": name,
                "namespace": self.namespace,
                "labels": { "trimtab.dev/plugin": "site" },
                "annotations": { "trimtab.dev/owner": mark.to_string() },
            },
        });
        for (field, value) in rest.as_object().unwrap() {
            body[field] = value.clone();
        }
        body
    }

    pub async fn write(&self, write: &Write) -> Result<Option<Arc<Object>>, WriteError> {
        self.gate.write(&self.ticket, write).await
    }

    /// Writes what must be there after it.
    pub async fn written(&self, write: &Write) -> Arc<Object> {
        self.write(write).await.unwrap().expect("it is there")
    }

    /// What kubectl sees of an object.
    pub fn live(&self, kind: &str, name: &str) -> Value {
        let args =
            ["get", kind, name, "-n", &self.namespace, "-o", "json", "--ignore-not-found", "--show-managed-fields"];
        let text = self.control_plane.kubectl(&args);
        if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() }
    }
}

pub fn place(api_version: &str, kind: &str, namespace: &str, name: &str) -> Place {
    Place { kind: GroupKind::new(api_version, kind), namespace: namespace.into(), name: name.into() }
}

/// The state of an object as kubectl sees it.
pub fn seen(live: &Value) -> Seen {
    let metadata = &live["metadata"];
    Seen {
        uid: Uid::new(metadata["uid"].as_str().unwrap()),
        resource_version: metadata["resourceVersion"].as_str().unwrap().parse().unwrap(),
    }
}

/// A version of a definition that takes any fields below spec and status.
pub fn open_version(name: &str, storage: bool) -> Value {
    let open = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    json!({
        "name": name,
        "served": true,
        "storage": storage,
        "subresources": { "status": {} },
        "schema": { "openAPIV3Schema": { "type": "object", "properties": { "spec": open, "status": open } } },
    })
}
