//! Workloads on an API in memory, in simulated time.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;
use trimtab_apiserver::{ApiServer, Config};
use trimtab_cluster::connect;

use super::{
    Settings, Workloads, change::Change, cluster::Cluster, job as job_controller, object::Kind, pods, replicaset,
    statefulset,
};
use crate::{Api, Clock, simulate};

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
const REPLICA_SETS: &str = "/apis/apps/v1/namespaces/default/replicasets";
const STATEFUL_SETS: &str = "/apis/apps/v1/namespaces/default/statefulsets";
const DAEMON_SETS: &str = "/apis/apps/v1/namespaces/default/daemonsets";
const JOBS: &str = "/apis/batch/v1/namespaces/default/jobs";
const PODS: &str = "/api/v1/namespaces/default/pods";
const CLAIMS: &str = "/api/v1/namespaces/default/persistentvolumeclaims";

const STEP: Duration = Duration::from_millis(100);
/// More than anything here takes, but for what is never done.
const LONG: Duration = Duration::from_secs(120);

struct Scene {
    server: ApiServer,
    api: Api,
    running: JoinHandle<()>,
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Scene {
    fn new() -> Self {
        let clock = Clock::start();
        let now: trimtab_apiserver::Clock = Arc::new(move || clock.timestamp());
        let server = ApiServer::new(Config { now: now.clone(), seed: 1, ..Config::default() });
        let workloads = Workloads::new(connect::service(server.clone()).client, Settings::new(now));
        let running = tokio::spawn(workloads.run(CancellationToken::new()));
        Self { api: Api::new(server.clone()), server, running }
    }

    async fn create(&self, path: &str, object: Value) {
        self.api.create(path, &object).await.unwrap();
    }

    async fn merge(&self, path: &str, patch: Value) {
        self.api.merge(path, &patch).await.unwrap();
    }

    async fn get(&self, path: &str) -> Value {
        self.api.get(path).await.unwrap()
    }

    async fn list(&self, path: &str) -> Vec<Value> {
        self.get(path).await["items"].as_array().unwrap().clone()
    }

    /// The names of the objects at a path for which something holds.
    async fn names(&self, path: &str, holds: impl Fn(&Value) -> bool) -> Vec<String> {
        let all = self.list(path).await;
        all.iter().filter(|it| holds(it)).map(|it| it["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    }

    /// Lets all come to rest, and sees that it stays so.
    async fn settle(&self) {
        sleep(LONG).await;
        let before = self.server.resource_version();
        sleep(LONG).await;
        assert_eq!(self.server.resource_version(), before, "something is still written");
    }
}

fn template(image: &str) -> Value {
    json!({
        "metadata": { "labels": { "app": "web" } },
        "spec": { "containers": [{ "name": "web", "image": image }] },
    })
}

fn workload(api_version: &str, kind: &str, mut spec: Value) -> Value {
    if kind != "Job" {
        spec["selector"] = json!({ "matchLabels": { "app": "web" } });
    }
    if spec["template"].is_null() {
        spec["template"] = template("nginx:1");
    }
    json!({ "apiVersion": api_version, "kind": kind, "metadata": { "name": "web" }, "spec": spec })
}

fn deployment(spec: Value) -> Value {
    workload("apps/v1", "Deployment", spec)
}

fn condition<'a>(object: &'a Value, of: &str) -> &'a Value {
    let conditions = object["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    conditions.iter().find(|condition| condition["type"] == of).unwrap_or(&Value::Null)
}

fn is_ready(pod: &Value) -> bool {
    condition(pod, "Ready")["status"] == "True"
}

#[test]
fn a_deployment_gets_its_pods_and_says_when_they_are_ready() {
    simulate(async {
        let scene = Scene::new();
        scene.create(DEPLOYMENTS, deployment(json!({ "replicas": 3 }))).await;
        sleep(STEP).await;
        let web = scene.get(&format!("{DEPLOYMENTS}/web")).await;
        assert_eq!(web["status"]["replicas"], 3);
        assert_eq!(web["status"]["unavailableReplicas"], 3);
        assert_eq!(condition(&web, "Available")["reason"], "MinimumReplicasUnavailable");

        scene.settle().await;
        let web = scene.get(&format!("{DEPLOYMENTS}/web")).await;
        let status = &web["status"];
        for field in ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas"] {
            assert_eq!(status[field], 3, "{field}");
        }
        assert_eq!(status["observedGeneration"], web["metadata"]["generation"]);
        assert!(status["unavailableReplicas"].is_null());
        assert_eq!(condition(&web, "Available")["status"], "True");
        assert_eq!(condition(&web, "Progressing")["reason"], "NewReplicaSetAvailable");
        assert_eq!(web["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "1");
        for pod in scene.list(PODS).await {
            assert_eq!(pod["status"]["phase"], "Running");
            assert!(pod["spec"]["nodeName"].as_str().unwrap().starts_with("node-"), "{pod}");
            assert!(pod["status"]["podIP"].is_string());
        }
    });
}

#[test]
fn a_new_template_is_rolled_within_the_bounds() {
    simulate(async {
        let scene = Scene::new();
        scene.create(DEPLOYMENTS, deployment(json!({ "replicas": 4 }))).await;
        scene.settle().await;
        scene.merge(&format!("{DEPLOYMENTS}/web"), json!({ "spec": { "template": template("nginx:2") } })).await;
        let mut most = 0;
        for _ in 0..600 {
            sleep(STEP).await;
            let living = scene.names(PODS, |pod| pod["metadata"]["deletionTimestamp"].is_null()).await.len();
            let ready = scene.names(PODS, is_ready).await.len();
            assert!(ready >= 3, "a quarter may be missing");
            assert!(living <= 5, "a quarter may be too many");
            most = most.max(living);
        }
        assert_eq!(most, 5, "it makes use of the room");
        scene.settle().await;
        let images = scene.list(PODS).await;
        assert!(images.iter().all(|pod| pod["spec"]["containers"][0]["image"] == "nginx:2"));
        assert_eq!(images.len(), 4);
        let sets = scene.list(REPLICA_SETS).await;
        let of = |revision: &str| {
            let of = |set: &&Value| set["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == revision;
            sets.iter().find(of).unwrap()["spec"]["replicas"].clone()
        };
        assert_eq!((of("1"), of("2")), (json!(0), json!(4)));

        // Back again: the old set is the newest revision now.
        scene.merge(&format!("{DEPLOYMENTS}/web"), json!({ "spec": { "template": template("nginx:1") } })).await;
        scene.settle().await;
        let web = scene.get(&format!("{DEPLOYMENTS}/web")).await;
        assert_eq!(web["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "3");
        assert_eq!(scene.list(REPLICA_SETS).await.len(), 2);
    });
}

#[test]
fn a_deployment_that_is_recreated_never_runs_two_templates() {
    simulate(async {
        let scene = Scene::new();
        let strategy = json!({ "type": "Recreate" });
        scene.create(DEPLOYMENTS, deployment(json!({ "replicas": 2, "strategy": strategy }))).await;
        scene.settle().await;
        scene.merge(&format!("{DEPLOYMENTS}/web"), json!({ "spec": { "template": template("nginx:2") } })).await;
        for _ in 0..100 {
            sleep(STEP).await;
            let pods = scene.list(PODS).await;
            let mut images =
                pods.iter().map(|pod| pod["spec"]["containers"][0]["image"].to_string()).collect::<Vec<_>>();
            images.dedup();
            assert!(images.len() <= 1, "{images:?}");
        }
        scene.settle().await;
        assert_eq!(scene.get(&format!("{DEPLOYMENTS}/web")).await["status"]["availableReplicas"], 2);
    });
}

#[test]
fn an_annotation_on_a_workload_makes_its_pods_fail_until_it_is_taken_away() {
    simulate(async {
        let scene = Scene::new();
        scene.create(DEPLOYMENTS, deployment(json!({ "replicas": 2, "progressDeadlineSeconds": 30 }))).await;
        scene.settle().await;
        let path = format!("{DEPLOYMENTS}/web");
        for (fail, reason) in [("crash", "CrashLoopBackOff"), ("image", "ImagePullBackOff")] {
            scene.merge(&path, json!({ "metadata": { "annotations": { super::FAIL: fail } } })).await;
            scene.settle().await;
            let pods = scene.list(PODS).await;
            let waits = |pod: &Value| pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == reason;
            assert!(pods.iter().all(waits), "{pods:?}");
            let web = scene.get(&path).await;
            assert!(web["status"]["readyReplicas"].is_null());
            assert_eq!(condition(&web, "Available")["status"], "False");
        }
        scene.merge(&path, json!({ "metadata": { "annotations": { super::FAIL: null } } })).await;
        scene.settle().await;
        assert_eq!(scene.get(&path).await["status"]["readyReplicas"], 2);

        // A rollout that fails leaves what serves, and says that it takes too long.
        let mut broken = template("nginx:2");
        broken["metadata"]["annotations"] = json!({ super::FAIL: "crash" });
        scene.merge(&path, json!({ "spec": { "template": broken } })).await;
        scene.settle().await;
        let web = scene.get(&path).await;
        assert_eq!(condition(&web, "Progressing")["reason"], "ProgressDeadlineExceeded");
        assert_eq!(web["status"]["availableReplicas"], 2);
    });
}

#[test]
fn scaling_and_deleting_leave_as_many_pods_as_are_asked_for() {
    simulate(async {
        let scene = Scene::new();
        let path = format!("{DEPLOYMENTS}/web");
        scene.create(DEPLOYMENTS, deployment(json!({ "replicas": 1 }))).await;
        for count in [5, 2, 0, 3] {
            scene.merge(&path, json!({ "spec": { "replicas": count } })).await;
            scene.settle().await;
            assert_eq!(scene.list(PODS).await.len(), count);
        }
        let lost = scene.names(PODS, |_| true).await.remove(0);
        scene.api.delete(&format!("{PODS}/{lost}")).await.unwrap();
        scene.settle().await;
        let names = scene.names(PODS, is_ready).await;
        assert!(names.len() == 3 && !names.contains(&lost), "{names:?}");
        scene.api.delete(&path).await.unwrap();
        scene.settle().await;
        assert!(scene.list(PODS).await.is_empty() && scene.list(REPLICA_SETS).await.is_empty());
    });
}

#[test]
fn pods_that_live_at_the_same_time_have_addresses_of_their_own() {
    simulate(async {
        let scene = Scene::new();
        scene.create(DEPLOYMENTS, deployment(json!({ "replicas": 3 }))).await;
        scene.settle().await;
        for lost in scene.names(PODS, |_| true).await {
            scene.api.delete(&format!("{PODS}/{lost}")).await.unwrap();
            scene.settle().await;
            let pods = scene.list(PODS).await;
            let addresses = pods.iter().map(|pod| pod["status"]["podIP"].as_str().unwrap()).collect::<BTreeSet<_>>();
            assert_eq!(addresses.len(), 3, "{addresses:?}");
        }
    });
}

#[test]
fn a_slip_in_a_number_makes_no_more_pods_at_once_than_a_burst() {
    let huge = json!({
        "replicas": 100_000_000, "parallelism": 100_000_000, "podManagementPolicy": "Parallel", "ordinals": { "start": 7 },
    });
    for (api_version, kind) in [("apps/v1", "ReplicaSet"), ("apps/v1", "StatefulSet"), ("batch/v1", "Job")] {
        let mut cluster = Cluster::default();
        let mut object = workload(api_version, kind, huge.clone());
        object["metadata"]["uid"] = json!("1");
        let look = |cluster: &Cluster| match kind {
            "ReplicaSet" => replicaset::look(&object, cluster, Timestamp::UNIX_EPOCH),
            "StatefulSet" => statefulset::look(&object, cluster, Timestamp::UNIX_EPOCH),
            _ => job_controller::look(&object, cluster, Timestamp::UNIX_EPOCH),
        };
        // A stateful set makes its revision before its pods.
        for change in look(&cluster).changes {
            if let Change::Create(Kind::ControllerRevision, mut revision) = change {
                revision["metadata"]["resourceVersion"] = json!("1");
                cluster.put(Kind::ControllerRevision, revision);
            }
        }
        let changes = look(&cluster).changes;
        let made = changes.iter().filter(|change| matches!(change, Change::Create(Kind::Pod, _))).count();
        assert_eq!(made, pods::BURST_MAX, "{kind}");
    }
}

#[test]
fn a_stateful_set_grows_in_order_and_is_rolled_from_its_end() {
    simulate(async {
        let scene = Scene::new();
        let claim = json!({ "metadata": { "name": "data" }, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } } });
        let spec = json!({ "replicas": 3, "serviceName": "web", "volumeClaimTemplates": [claim] });
        scene.create(STATEFUL_SETS, workload("apps/v1", "StatefulSet", spec)).await;
        sleep(STEP).await;
        assert_eq!(scene.names(PODS, |_| true).await, ["web-0"], "the second waits for the first");
        scene.settle().await;
        assert_eq!(scene.names(PODS, is_ready).await, ["web-0", "web-1", "web-2"]);
        assert_eq!(scene.names(CLAIMS, |it| it["status"]["phase"] == "Bound").await.len(), 3);
        let before = scene.get(&format!("{STATEFUL_SETS}/web")).await;
        assert_eq!(before["status"]["currentRevision"], before["status"]["updateRevision"]);
        assert_eq!(before["status"]["currentReplicas"], 3);

        let rolled = json!({ "spec": { "template": template("nginx:2") } });
        scene.merge(&format!("{STATEFUL_SETS}/web"), rolled).await;
        let mut order = Vec::new();
        for _ in 0..300 {
            sleep(STEP).await;
            for name in scene.names(PODS, |pod| pod["spec"]["containers"][0]["image"] == "nginx:2").await {
                if !order.contains(&name) {
                    order.push(name);
                }
            }
        }
        assert_eq!(order, ["web-2", "web-1", "web-0"]);
        scene.settle().await;
        let after = scene.get(&format!("{STATEFUL_SETS}/web")).await;
        assert_eq!(after["status"]["currentRevision"], after["status"]["updateRevision"]);
        assert_ne!(after["status"]["currentRevision"], before["status"]["currentRevision"]);
        scene.merge(&format!("{STATEFUL_SETS}/web"), json!({ "spec": { "replicas": 1 } })).await;
        scene.settle().await;
        assert_eq!(scene.names(PODS, |_| true).await, ["web-0"]);
    });
}

#[test]
fn a_partition_keeps_the_lower_numbers_at_the_older_revision() {
    simulate(async {
        let scene = Scene::new();
        let strategy = json!({ "type": "RollingUpdate", "rollingUpdate": { "partition": 1 } });
        let spec = json!({ "replicas": 2, "serviceName": "web", "updateStrategy": strategy });
        scene.create(STATEFUL_SETS, workload("apps/v1", "StatefulSet", spec)).await;
        scene.settle().await;
        let path = format!("{STATEFUL_SETS}/web");
        scene.merge(&path, json!({ "spec": { "template": template("nginx:2") } })).await;
        scene.settle().await;
        scene.api.delete(&format!("{PODS}/web-0")).await.unwrap();
        scene.settle().await;
        let old = scene.names(PODS, |pod| pod["spec"]["containers"][0]["image"] == "nginx:1").await;
        assert_eq!(old, ["web-0"], "made anew, it is still of the older one");
        let status = scene.get(&path).await["status"].clone();
        assert_eq!((&status["currentReplicas"], &status["updatedReplicas"]), (&json!(1), &json!(1)));
    });
}

#[test]
fn a_daemon_set_runs_once_on_each_node_that_fits() {
    simulate(async {
        let scene = Scene::new();
        scene.create(DAEMON_SETS, workload("apps/v1", "DaemonSet", json!({}))).await;
        scene.settle().await;
        let path = format!("{DAEMON_SETS}/web");
        let nodes = async || {
            let pods = scene.list(PODS).await;
            let mut nodes =
                pods.iter().map(|pod| pod["spec"]["nodeName"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
            nodes.sort();
            nodes
        };
        assert_eq!(nodes().await, ["node-1", "node-2"]);
        assert_eq!(scene.get(&path).await["status"]["numberAvailable"], 2);

        scene.merge(&path, json!({ "spec": { "template": template("nginx:2") } })).await;
        for _ in 0..100 {
            sleep(STEP).await;
            assert!(!scene.names(PODS, is_ready).await.is_empty(), "one at a time");
        }
        scene.settle().await;
        assert_eq!(scene.get(&path).await["status"]["updatedNumberScheduled"], 2);

        let mut chosen = template("nginx:2");
        chosen["spec"]["nodeSelector"] = json!({ "kubernetes.io/hostname": "node-2" });
        scene.merge(&path, json!({ "spec": { "template": chosen } })).await;
        scene.settle().await;
        assert_eq!(nodes().await, ["node-2"]);
        assert_eq!(scene.get(&path).await["status"]["desiredNumberScheduled"], 1);
    });
}

fn job(mut spec: Value, annotations: Value) -> Value {
    let mut template = template("busybox:1");
    template["metadata"]["annotations"] = annotations;
    template["spec"]["restartPolicy"] = json!("Never");
    spec["template"] = template;
    workload("batch/v1", "Job", spec)
}

#[test]
fn a_job_is_complete_when_enough_of_its_pods_have_succeeded() {
    simulate(async {
        let scene = Scene::new();
        scene.create(JOBS, job(json!({ "parallelism": 2, "completions": 3 }), json!({}))).await;
        sleep(STEP).await;
        assert_eq!(scene.get(&format!("{JOBS}/web")).await["status"]["active"], 2);
        scene.settle().await;
        let done = scene.get(&format!("{JOBS}/web")).await;
        assert_eq!(done["status"]["succeeded"], 3);
        assert_eq!(condition(&done, "Complete")["status"], "True");
        assert_eq!(condition(&done, "SuccessCriteriaMet")["reason"], "CompletionsReached");
        assert!(done["status"]["completionTime"].is_string() && done["status"]["active"].is_null());
        let pods = scene.list(PODS).await;
        assert!(pods.len() == 3 && pods.iter().all(|pod| pod["metadata"]["finalizers"].is_null()), "{pods:?}");
        scene.api.delete(&format!("{JOBS}/web?propagationPolicy=Background")).await.unwrap();
        scene.settle().await;
        assert!(scene.list(PODS).await.is_empty());
    });
}

#[test]
fn a_job_fails_when_its_pods_have_failed_too_often() {
    simulate(async {
        let scene = Scene::new();
        scene.create(JOBS, job(json!({ "backoffLimit": 2 }), json!({ super::FAIL: "crash" }))).await;
        scene.settle().await;
        let failed = scene.get(&format!("{JOBS}/web")).await;
        assert_eq!(failed["status"]["failed"], 3);
        assert_eq!(condition(&failed, "Failed")["reason"], "BackoffLimitExceeded");
        assert!(condition(&failed, "Complete").is_null());
    });
}

#[test]
fn indexes_are_done_once_each_and_a_finished_job_goes_when_its_time_is_over() {
    simulate(async {
        let scene = Scene::new();
        let spec = json!({ "parallelism": 2, "completions": 4, "completionMode": "Indexed" });
        scene.create(JOBS, job(spec, json!({}))).await;
        scene.settle().await;
        let done = scene.get(&format!("{JOBS}/web")).await;
        assert_eq!(done["status"]["completedIndexes"], "0-3");
        assert_eq!(done["status"]["succeeded"], 4);
        scene.merge(&format!("{JOBS}/web"), json!({ "spec": { "ttlSecondsAfterFinished": 600 } })).await;
        sleep(Duration::from_secs(700)).await;
        assert!(scene.list(JOBS).await.is_empty());
    });
}

#[test]
fn a_suspended_job_has_no_pods_until_it_is_resumed() {
    simulate(async {
        let scene = Scene::new();
        scene.create(JOBS, job(json!({ "suspend": true }), json!({}))).await;
        scene.settle().await;
        assert!(scene.list(PODS).await.is_empty());
        let path = format!("{JOBS}/web");
        assert_eq!(condition(&scene.get(&path).await, "Suspended")["status"], "True");
        scene.merge(&path, json!({ "spec": { "suspend": false } })).await;
        scene.settle().await;
        let done = scene.get(&path).await;
        assert_eq!(condition(&done, "Suspended")["status"], "False");
        assert_eq!(condition(&done, "Complete")["status"], "True");
    });
}

#[test]
fn pods_that_a_job_takes_back_have_not_failed() {
    simulate(async {
        let scene = Scene::new();
        let path = format!("{JOBS}/web");
        let spec = json!({ "parallelism": 3, "completions": 3, "backoffLimit": 0 });
        scene.create(JOBS, job(spec, json!({ super::COMPLETE_AFTER: "20s" }))).await;
        for (change, left) in [(json!({ "parallelism": 1 }), 1), (json!({ "suspend": true }), 0)] {
            sleep(Duration::from_secs(5)).await;
            scene.merge(&path, json!({ "spec": change })).await;
            sleep(Duration::from_secs(5)).await;
            assert_eq!(scene.list(PODS).await.len(), left);
            assert!(scene.get(&path).await["status"]["failed"].is_null());
        }
        scene.merge(&path, json!({ "spec": { "suspend": false } })).await;
        scene.settle().await;
        let done = scene.get(&path).await;
        assert_eq!(condition(&done, "Complete")["status"], "True");
        assert_eq!((&done["status"]["succeeded"], &done["status"]["failed"]), (&json!(3), &Value::Null));
    });
}

#[test]
fn what_was_decided_about_a_job_stands() {
    simulate(async {
        let scene = Scene::new();
        let path = format!("{JOBS}/web");
        scene.create(JOBS, job(json!({ "activeDeadlineSeconds": 5 }), json!({ super::COMPLETE_AFTER: "never" }))).await;
        while condition(&scene.get(&path).await, "FailureTarget").is_null() {
            sleep(STEP).await;
        }
        assert!(condition(&scene.get(&path).await, "Failed").is_null(), "its pod still runs");
        scene.merge(&path, json!({ "spec": { "activeDeadlineSeconds": null } })).await;
        scene.settle().await;
        assert_eq!(condition(&scene.get(&path).await, "Failed")["reason"], "DeadlineExceeded");
    });
}

#[test]
fn a_deadline_in_the_far_future_is_one() {
    simulate(async {
        let scene = Scene::new();
        let spec = json!({ "activeDeadlineSeconds": i64::MAX, "ttlSecondsAfterFinished": i32::MAX });
        scene.create(JOBS, job(spec, json!({}))).await;
        scene.settle().await;
        assert_eq!(condition(&scene.get(&format!("{JOBS}/web")).await, "Complete")["status"], "True");
    });
}

#[test]
fn the_same_run_leaves_the_same_objects() {
    let run = || {
        simulate(async {
            let scene = Scene::new();
            scene.create(DEPLOYMENTS, deployment(json!({ "replicas": 3 }))).await;
            scene.create(JOBS, job(json!({ "completions": 2 }), json!({}))).await;
            scene.settle().await;
            scene.merge(&format!("{DEPLOYMENTS}/web"), json!({ "spec": { "template": template("nginx:2") } })).await;
            scene.settle().await;
            scene.api.everything().await.unwrap()
        })
    };
    assert_eq!(run(), run());
}
