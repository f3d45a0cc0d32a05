//! Simulated workloads beside the real controllers: the same objects are made on
//! an API in memory, where all is simulated, and on a real control plane, where
//! only the nodes are. What is there in the end is compared, field by field.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use http::{Method, Request};
use http_body_util::BodyExt;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;
use trimtab_apiserver::{ApiServer, Config};
use trimtab_cluster::{Client, connect};
use trimtab_harness::{ControlPlane, Options, eventually};
use trimtab_sim::workloads::{Settings, Workloads};

const CONTROLLERS: [&str; 5] = [
    "deployment-controller",
    "replicaset-controller",
    "statefulset-controller",
    "daemonset-controller",
    "job-controller",
];
const APPS: &str = "/apis/apps/v1/namespaces/default";
const JOBS: &str = "/apis/batch/v1/namespaces/default/jobs";
const CORE: &str = "/api/v1/namespaces/default";
/// The real job controller looks a second after a change, for each step anew.
const SETTLED: Duration = Duration::from_secs(60);

/// One API with workloads, as a person's client sees it.
struct Cluster {
    client: Client,
    stop: CancellationToken,
}

impl Cluster {
    fn new(client: Client, controllers: bool) -> Self {
        let settings = Settings {
            ready_after: Duration::from_millis(200),
            complete_after: Duration::from_millis(200),
            stop_after: Duration::from_millis(100),
            controllers,
            ..Settings::new(Arc::new(jiff::Timestamp::now))
        };
        let stop = CancellationToken::new();
        tokio::spawn(Workloads::new(client.clone(), settings).run(stop.clone()));
        Self { client, stop }
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let content = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let request = Request::builder().method(method).uri(path).header("content-type", content).body(body.into());
        let answer = self.client.send(request.expect("the path is one")).await.expect("the API answers");
        let status = answer.status();
        let body = answer.into_body().collect().await.expect("the answer is whole").to_bytes();
        assert!(status.is_success(), "{path}: {status}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).expect("it is JSON")
    }

    async fn list(&self, path: &str) -> Vec<Value> {
        let mut list = self.send(Method::GET, path, None).await;
        list["items"].as_array_mut().map(std::mem::take).expect("it is a list")
    }

    /// Makes all that is compared, and lets it come to rest.
    async fn play(&self) {
        for (path, object) in objects() {
            self.send(Method::POST, &path, Some(&object)).await;
        }
        self.rests(&["2", "2", "2"]).await;
        // Another template, which is rolled through.
        let template = json!({ "spec": { "template": { "metadata": { "annotations": { "build": "2" } } } } });
        for kind in ["deployments/web", "statefulsets/db", "daemonsets/agent"] {
            self.send(Method::PATCH, &format!("{APPS}/{kind}"), Some(&template)).await;
        }
        self.rests(&["2", "2", "2"]).await;
        self.send(Method::PATCH, &format!("{APPS}/deployments/web"), Some(&json!({ "spec": { "replicas": 1 } }))).await;
        self.rests(&["1", "2", "2"]).await;
    }

    /// Waits until each set has so many pods of its newest template that work,
    /// and the jobs are over.
    async fn rests(&self, counts: &[&str; 3]) {
        let wanted: Vec<i64> = counts.iter().map(|count| count.parse().expect("a number")).collect();
        eventually("all has come to rest", SETTLED, async || {
            let [web, db, agent] = ["deployments/web", "statefulsets/db", "daemonsets/agent"];
            let web = self.send(Method::GET, &format!("{APPS}/{web}"), None).await;
            let db = self.send(Method::GET, &format!("{APPS}/{db}"), None).await;
            let agent = self.send(Method::GET, &format!("{APPS}/{agent}"), None).await;
            let observed = [&web, &db, &agent]
                .iter()
                .all(|set| set["status"]["observedGeneration"] == set["metadata"]["generation"]);
            let deployed = ["replicas", "updatedReplicas", "availableReplicas"];
            let web = deployed.iter().all(|field| web["status"][field] == wanted[0])
                && web["status"]["terminatingReplicas"].as_i64().unwrap_or_default() == 0;
            let db = ["replicas", "updatedReplicas", "availableReplicas", "currentReplicas"]
                .iter()
                .all(|field| db["status"][field] == wanted[1])
                && db["status"]["currentRevision"] == db["status"]["updateRevision"];
            let agent =
                ["updatedNumberScheduled", "numberAvailable"].iter().all(|field| agent["status"][field] == wanted[2]);
            let pods = self.list(&format!("{CORE}/pods")).await;
            let lasting = pods.iter().all(|pod| pod["metadata"]["deletionTimestamp"].is_null());
            let jobs = self.list(JOBS).await;
            let over = jobs.iter().all(|job| {
                let conditions = job["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
                conditions.iter().any(|it| {
                    it["status"] == "True" && ["Complete", "Failed", "Suspended"].iter().any(|end| it["type"] == *end)
                })
            });
            (observed && web && db && agent && lasting && over).then_some(())
        })
        .await;
    }

    /// All that the controllers and the nodes have made or written, by kind,
    /// without what differs from run to run.
    async fn end(&self) -> BTreeMap<String, Vec<Value>> {
        let mut all = BTreeMap::new();
        let collections = ["deployments", "replicasets", "statefulsets", "daemonsets", "controllerrevisions"];
        let collections = collections.map(|kind| format!("{APPS}/{kind}")).into_iter();
        for path in collections.chain([JOBS.into(), format!("{CORE}/pods"), format!("{CORE}/persistentvolumeclaims")]) {
            let mut objects = self.list(&path).await.into_iter().map(normal).collect::<Vec<_>>();
            // First by what is the same in both, so that a difference is told as one.
            objects.sort_by_cached_key(|object| (object["name"].to_string(), object.to_string()));
            all.insert(path, objects);
        }
        all
    }
}

fn template(restart: &str) -> Value {
    json!({
        "metadata": { "labels": { "app": "a" } },
        "spec": { "restartPolicy": restart, "containers": [{ "name": "main", "image": "nginx:1" }] },
    })
}

fn objects() -> Vec<(String, Value)> {
    let named = |api_version: &str, kind: &str, name: &str, spec: Value| json!({ "apiVersion": api_version, "kind": kind, "metadata": { "name": name }, "spec": spec });
    let selector = json!({ "matchLabels": { "app": "a" } });
    let pods = template("Always");
    let claim = json!({ "metadata": { "name": "data" }, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } } });
    let job = |name: &str, mut spec: Value, fails: bool| {
        spec["template"] = template("Never");
        if fails {
            spec["template"]["metadata"]["annotations"] = json!({ "sim.trimtab.dev/fail": "crash" });
        }
        (JOBS.to_owned(), named("batch/v1", "Job", name, spec))
    };
    let set = |kind: &str, plural: &str, name: &str, mut spec: Value| {
        spec["selector"] = selector.clone();
        spec["template"] = pods.clone();
        (format!("{APPS}/{plural}"), named("apps/v1", kind, name, spec))
    };
    vec![
        set("Deployment", "deployments", "web", json!({ "replicas": 2 })),
        set(
            "StatefulSet",
            "statefulsets",
            "db",
            json!({
                "replicas": 2, "serviceName": "db", "volumeClaimTemplates": [claim],
            }),
        ),
        set("DaemonSet", "daemonsets", "agent", json!({})),
        job("works", json!({ "completions": 3, "parallelism": 2 }), false),
        job("indexed", json!({ "completions": 2, "parallelism": 2, "completionMode": "Indexed" }), false),
        job("fails", json!({ "backoffLimit": 0 }), true),
        job("waits", json!({ "suspend": true }), false),
    ]
}

/// The parts that the controllers and the nodes write. Names that end by chance
/// lose that end, and what stands for an object or a time is told by a word.
fn normal(object: Value) -> Value {
    let mut kept = Map::new();
    let metadata = &object["metadata"];
    kept.insert("name".into(), lasting_name(metadata).into());
    for field in ["labels", "annotations", "finalizers"] {
        kept.insert(field.into(), metadata[field].clone());
    }
    let owners = metadata["ownerReferences"].as_array().into_iter().flatten();
    let owner =
        |owner: &Value| json!([owner["apiVersion"], owner["kind"], owner["controller"], owner["blockOwnerDeletion"]]);
    kept.insert("owners".into(), owners.map(owner).collect());
    kept.insert("generateName".into(), metadata["generateName"].clone());
    kept.insert("status".into(), object["status"].clone());
    for field in ["replicas", "nodeName", "hostname", "subdomain"] {
        kept.insert(field.into(), object["spec"][field].clone());
    }
    if metadata["ownerReferences"].is_array() {
        // Others are the server's part.
        kept.insert("selector".into(), object["spec"]["selector"].clone());
    }
    kept.insert("revision".into(), object["revision"].clone());
    let mut value = Value::Object(kept);
    blur("", &mut value);
    value
}

/// The part of a name that is neither drawn nor made from a hash.
fn lasting_name(metadata: &Value) -> &str {
    let whole = metadata["name"].as_str().expect("an object has a name");
    let drawn = metadata["generateName"].is_string();
    let name = if drawn { whole.rsplit_once('-').map_or(whole, |(lasting, _)| lasting) } else { whole };
    let hashes = HASHES.iter().filter_map(|label| metadata["labels"][label].as_str());
    hashes.filter_map(|hash| name.strip_suffix(hash)?.strip_suffix('-')).next().unwrap_or(name)
}

/// Labels that are made from hashes.
const HASHES: [&str; 3] = ["pod-template-hash", "controller-revision-hash", "controller.kubernetes.io/hash"];

/// What differs from run to run.
fn blur(field: &str, value: &mut Value) {
    const UIDS: [&str; 2] = ["controller-uid", "batch.kubernetes.io/controller-uid"];
    const BY_CHANCE: [&str; 10] = [
        "generateName",
        "nodeName",
        "podIP",
        "podIPs",
        "ip",
        "containerID",
        "currentRevision",
        "updateRevision",
        "hostIP",
        "hostIPs",
    ];
    /// What no client writes.
    const OF_THE_SERVER: [&str; 2] = ["qosClass", "deprecated.daemonset.template.generation"];
    match value {
        Value::Object(map) => {
            map.retain(|key, value| !value.is_null() && !OF_THE_SERVER.contains(&key.as_str()));
            map.iter_mut().for_each(|(key, value)| blur(key, value));
        }
        Value::Array(items) => {
            items.retain(|item| item != "kubernetes.io/pvc-protection");
            items.iter_mut().for_each(|item| blur(field, item));
        }
        Value::String(text) => {
            let is_time = text.len() == 20 && text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok();
            if is_time || HASHES.contains(&field) || UIDS.contains(&field) || BY_CHANCE.contains(&field) {
                *text = "…".into();
            } else if field == "message" {
                // `ReplicaSet "web-5d8f" has …`
                *text = text.split('"').step_by(2).collect::<Vec<_>>().join("…");
            }
        }
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn simulated_controllers_leave_what_the_real_ones_leave() {
    let plane = ControlPlane::start_with(Options { controllers: &CONTROLLERS, ..Options::default() }).await;
    let real = Cluster::new(plane.client().await, false);
    let server = ApiServer::new(Config::default());
    let simulated = Cluster::new(connect::service(server).client, true);
    tokio::join!(real.play(), simulated.play());
    let (real_end, end) = (real.end().await, simulated.end().await);
    real.stop.cancel();
    simulated.stop.cancel();
    let mut differences = Vec::new();
    for (path, expected) in &real_end {
        let found = &end[path];
        if found != expected {
            differences.push(format!("{path}\n  real      {}\n  simulated {}", json!(expected), json!(found)));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
