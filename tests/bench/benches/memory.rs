//! What a cached object costs: Trimtab's store beside kube-rs's, typed and not.
//! A ConfigMap with one long text is the best that a tree of values can meet, a
//! Pod is what one meets mostly.
//!
//! Each store is filled in a process of its own, so that what one has freed is
//! not what the next is given. What counts is what the process has more in RAM
//! for it than before: what a pod is charged for.
//!
//!     cargo bench --package trimtab-bench --bench memory
#![forbid(unsafe_code)]

use std::{
    any::Any,
    env,
    process::{self, Command},
    sync::Arc,
};

use anyhow::{Context, bail, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::{
    Resource,
    api::{ApiResource, DynamicObject},
    runtime::{
        reflector::{self, store::Writer},
        watcher::Event,
    },
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use trimtab_bench::{
    process::usage,
    report::{Samples, Table, figure},
};
use trimtab_cluster::{
    spec::{Health, WatchSpec},
    store::{Change, Notify, Store},
};
use trimtab_core::id::GroupKind;

/// So many that what the process needs besides vanishes among them.
const OBJECTS: usize = 20_000;
/// The text of one without managedFields, as in the figures that other stores
/// are known by.
const TEXT_BYTES: usize = 5_600;
/// Processes for each store.
const ROUNDS: usize = 3;

/// The stores, by the argument that asks this program to fill one.
const STORES: [(&str, &str); 5] = [
    ("trimtab", "trimtab"),
    ("typed", "kube-rs, typed"),
    ("typed-bare", "kube-rs, typed, given no managedFields"),
    ("dynamic", "kube-rs, DynamicObject"),
    ("dynamic-bare", "kube-rs, DynamicObject, given no managedFields"),
];
/// The kinds that they are filled with.
const KINDS: [&str; 2] = ["ConfigMap", "Pod"];

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = env::args().collect();
    match args.as_slice() {
        [_, kind, store] if KINDS.contains(&kind.as_str()) => {
            println!("{}", fill(kind, store)?);
            Ok(())
        }
        _ => KINDS.iter().try_for_each(|kind| measure(kind)),
    }
}

fn measure(kind: &str) -> anyhow::Result<()> {
    let mut costs: [Samples; STORES.len()] = Default::default();
    for _ in 0..ROUNDS {
        for ((store, _), costs) in STORES.iter().zip(&mut costs) {
            let output = Command::new(env::current_exe()?).args([kind, store]).output()?;
            ensure!(output.status.success(), "{store}: {}", String::from_utf8_lossy(&output.stderr));
            let bytes = String::from_utf8(output.stdout)?;
            costs.add(bytes.trim().parse().with_context(|| format!("{store} says {bytes:?}"))?);
        }
    }
    let title = format!("memory of a cached {kind} of {TEXT_BYTES} bytes, of {OBJECTS}; {ROUNDS} rounds");
    let mut table = Table::new(title, &["", "kB, least", "kB, median", "times ours"]);
    for ((_, name), cost) in STORES.iter().zip(&costs) {
        let ratio = cost.least() / costs[0].least();
        table.row(*name, [cost.least() / 1e3, cost.median() / 1e3, ratio].map(figure));
    }
    table.print();
    Ok(())
}

/// Fills a store and returns what each of its objects takes.
fn fill(kind: &str, store: &str) -> anyhow::Result<usize> {
    let bare = object(kind, OBJECTS, false);
    ensure!(bare.len() == TEXT_BYTES, "the figure is of {TEXT_BYTES} bytes, not of {}", bare.len());
    // What the first object makes the allocator and the code set up is no
    // object's.
    drop(serde_json::from_str::<DynamicObject>(&bare)?);
    let before = anonymous_bytes()?;
    let filled: Box<dyn Any> = match (store, kind) {
        ("trimtab", kind) => Box::new(fill_ours(kind)),
        ("typed" | "typed-bare", "Pod") => Box::new(fill_kube::<Pod>(kind, (), store == "typed")?),
        ("typed" | "typed-bare", _) => Box::new(fill_kube::<ConfigMap>(kind, (), store == "typed")?),
        ("dynamic" | "dynamic-bare", "Pod") => {
            Box::new(fill_kube::<DynamicObject>(kind, ApiResource::erase::<Pod>(&()), store == "dynamic")?)
        }
        ("dynamic" | "dynamic-bare", _) => {
            Box::new(fill_kube::<DynamicObject>(kind, ApiResource::erase::<ConfigMap>(&()), store == "dynamic")?)
        }
        _ => bail!("no such store"),
    };
    let cost = (anonymous_bytes()? - before) / OBJECTS;
    drop(filled);
    Ok(cost)
}

fn anonymous_bytes() -> anyhow::Result<usize> {
    Ok(usage(process::id())?.anonymous_kib as usize * 1024)
}

fn fill_ours(kind: &str) -> Arc<Store> {
    let store = Store::new(Arc::new(Deaf));
    let labels = Some("trimtab.dev/plugin".into());
    let intake = store.open(&WatchSpec {
        kind: GroupKind::new("", kind),
        version: "v1".into(),
        namespace: None,
        labels,
        name: None,
    });
    intake.begin();
    intake.dated(1_000_000).expect("it is the first list");
    (0..OBJECTS).for_each(|number| intake.listed(&object(kind, number, true)));
    intake.finish();
    assert_eq!(store.len(), OBJECTS);
    store
}

fn fill_kube<K>(kind: &str, resource: K::DynamicType, managed: bool) -> anyhow::Result<reflector::Store<K>>
where
    K: Resource + DeserializeOwned + Clone + 'static,
    K::DynamicType: Eq + std::hash::Hash + Clone,
{
    let mut writer = Writer::<K>::new(resource);
    writer.apply_watcher_event(&Event::Init);
    for number in 0..OBJECTS {
        writer.apply_watcher_event(&Event::InitApply(serde_json::from_str(&object(kind, number, managed))?));
    }
    writer.apply_watcher_event(&Event::InitDone);
    let store = writer.as_reader();
    ensure!(store.len() == OBJECTS, "the store holds {} objects", store.len());
    Ok(store)
}

/// Nobody hears of changes.
struct Deaf;

impl Notify for Deaf {
    fn changed(&self, _: &Change<'_>) {}
    fn health(&self, _: &WatchSpec, _: &Health) {}
}

/// A child as the host makes them, of [`TEXT_BYTES`] without managedFields.
fn object(kind: &str, number: usize, managed: bool) -> String {
    let mut object = if kind == "Pod" { pod() } else { json!({ "data": { "padding": "" } }) };
    object["apiVersion"] = "v1".into();
    object["kind"] = kind.into();
    object["metadata"] = metadata(number);
    let missing = TEXT_BYTES.checked_sub(object.to_string().len()).expect("the object is not larger by itself");
    let padding = if kind == "Pod" { "/status/message" } else { "/data/padding" };
    *object.pointer_mut(padding).expect("it is there") = "x".repeat(missing).into();
    if managed {
        object["metadata"]["managedFields"] = managed_fields(&object);
    }
    object.to_string()
}

fn metadata(number: usize) -> Value {
    let (name, team, owner) =
        (format!("site-{number:05}"), format!("team-{:02}", number % 50), format!("{number:012}"));
    let mark = json!({
        "cluster": "", "group": "bench.trimtab.dev", "kind": "Site", "namespace": team, "name": name, "uid": owner,
    });
    json!({
        "name": format!("{name}-child"), "namespace": team, "uid": format!("0b8f8f2e-5f5d-4a52-9c6b-{number:012}"),
        "resourceVersion": (100_000 + number).to_string(), "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": { "app": "site", "trimtab.dev/plugin": "bench", "trimtab.dev/instance-id": "canary" },
        "annotations": {
            "trimtab.dev/intent": "0123456789abcdef0123456789abcdef", "trimtab.dev/owner": mark.to_string(),
        },
        "ownerReferences": [{
            "apiVersion": "bench.trimtab.dev/v1", "kind": "Site", "name": name, "uid": owner,
            "controller": true, "blockOwnerDeletion": false,
        }],
    })
}

/// Spec and status of a Pod with two containers, as a kubelet leaves it.
fn pod() -> Value {
    let container = |name: &str| {
        let env = ["HOST", "PORT", "REGION", "LEVEL", "CACHE", "QUEUE"];
        let env = env.map(|name| json!({ "name": name, "value": format!("the value of {name}") }));
        json!({
            "name": name, "image": format!("registry.example.dev/{name}:1.29"), "imagePullPolicy": "IfNotPresent",
            "env": env,
            "ports": [{ "name": "http", "containerPort": 8080, "protocol": "TCP" }],
            "resources": {
                "limits": { "cpu": "500m", "memory": "256Mi" }, "requests": { "cpu": "100m", "memory": "128Mi" },
            },
            "livenessProbe": {
                "httpGet": { "path": "/healthz", "port": "http", "scheme": "HTTP" },
                "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
            },
            "volumeMounts": [
                { "name": "page", "mountPath": "/usr/share/page" },
                { "name": "token", "readOnly": true, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount" },
            ],
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
        })
    };
    let running = |name: &str| {
        json!({
            "name": name, "state": { "running": { "startedAt": "2026-01-01T00:00:02Z" } }, "lastState": {},
            "ready": true, "started": true, "restartCount": 0, "image": format!("registry.example.dev/{name}:1.29"),
            "imageID": format!("registry.example.dev/{name}@sha256:{:064}", 0), "containerID": format!("containerd://{:064}", 1),
        })
    };
    let condition = |kind: &str| json!({ "type": kind, "status": "True", "lastProbeTime": null, "lastTransitionTime": "2026-01-01T00:00:02Z" });
    let conditions = ["Initialized", "Ready", "ContainersReady", "PodScheduled"].map(condition);
    json!({
        "spec": {
            "containers": [container("web"), container("metrics")],
            "volumes": [{ "name": "page", "configMap": { "name": "page", "defaultMode": 420 } }],
            "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
            "serviceAccountName": "default", "nodeName": "node-1", "securityContext": {},
            "schedulerName": "default-scheduler", "priority": 0, "enableServiceLinks": true,
            "tolerations": [
                { "key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 },
                { "key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 },
            ],
        },
        "status": {
            "phase": "Running", "hostIP": "10.1.0.1", "podIP": "10.2.0.1", "podIPs": [{ "ip": "10.2.0.1" }],
            "startTime": "2026-01-01T00:00:00Z", "qosClass": "Burstable", "message": "",
            "conditions": conditions,
            "containerStatuses": [running("web"), running("metrics")],
        },
    })
}

/// What one manager's application of the whole object leaves: every field by
/// its name.
fn managed_fields(object: &Value) -> Value {
    fn owned(value: &Value) -> Value {
        match value {
            Value::Object(fields) => fields.iter().map(|(name, value)| (format!("f:{name}"), owned(value))).collect(),
            _ => json!({}),
        }
    }
    let fields =
        object.as_object().into_iter().flatten().filter(|(name, _)| !["apiVersion", "kind"].contains(&name.as_str()));
    let fields: Value = fields.map(|(name, value)| (format!("f:{name}"), owned(value))).collect();
    json!([{
        "manager": "trimtab/bench", "operation": "Apply", "apiVersion": "v1", "time": "2026-01-01T00:00:00Z",
        "fieldsType": "FieldsV1", "fieldsV1": fields,
    }])
}
