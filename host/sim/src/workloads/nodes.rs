//! The nodes: which there are, which one a pod goes to, and what happens to it
//! there. A pod is pending, then runs, is ready after a while, and ends; or
//! fails where it is asked to.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    Look, Settings,
    behaviour::{Behaviour, Fail},
    change::Change,
    cluster::Cluster,
    conditions::{Condition, Conditions},
    daemonset,
    object::{self, Kind, number, text},
    pods,
};

/// A simulated node.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub name: String,
    labels: BTreeMap<String, String>,
    address: String,
}

impl Node {
    /// The one of that number, from 1 on.
    pub fn new(number: u8) -> Self {
        let name = format!("node-{number}");
        let labels =
            [("kubernetes.io/hostname", &*name), ("kubernetes.io/os", "linux"), ("kubernetes.io/arch", "amd64")];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        Self { address: format!("192.0.2.{number}"), name, labels }
    }

    /// Whether it has all labels of a node selector.
    pub fn fits(&self, selector: &Value) -> bool {
        let mut wanted = selector.as_object().into_iter().flatten();
        wanted.all(|(key, value)| self.labels.get(key).is_some_and(|label| value == label.as_str()))
    }

    /// As an object, ready from the start.
    pub fn object(&self, now: Timestamp) -> Value {
        let now = object::time_text(now);
        json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": { "name": self.name, "labels": self.labels },
            "status": {
                "addresses": [
                    { "type": "InternalIP", "address": self.address }, { "type": "Hostname", "address": self.name },
                ],
                "capacity": { "cpu": "8", "memory": "32Gi", "pods": "1000" },
                "allocatable": { "cpu": "8", "memory": "32Gi", "pods": "1000" },
                "conditions": [{
                    "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "it is simulated",
                    "lastHeartbeatTime": now, "lastTransitionTime": now,
                }],
            },
        })
    }
}

/// What the nodes remember of their pods.
#[derive(Default)]
pub(super) struct Kubelets {
    /// By uid: how it behaves, and since when it does.
    pods: BTreeMap<String, (Behaviour, Instant)>,
    /// By uid: since when it is to stop.
    stopping: BTreeMap<String, Instant>,
    /// By uid: the address that it has been given.
    addresses: BTreeMap<String, u32>,
    /// The one that is given next: those of pods that are gone are not given again.
    next_address: u32,
}

/// What a pod has come to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Creating,
    Ready,
    Succeeded,
    /// Its container ended with an error and is not started again.
    Failed,
    /// Its container waits, for this reason.
    Waits(&'static str),
}

impl Kubelets {
    /// Forgets a pod that is gone.
    pub fn forget(&mut self, uid: &str) {
        self.pods.remove(uid);
        self.stopping.remove(uid);
        self.addresses.remove(uid);
    }

    /// What is to be done about a pod now.
    pub fn look(&mut self, pod: &Value, cluster: &Cluster, nodes: &[Node], settings: &Settings) -> Look {
        let behaviour = Behaviour::of(pod, cluster, settings);
        let (uid, now) = (object::uid(pod), (settings.now)());
        if object::is_deleting(pod) {
            return self.stop(pod, &behaviour);
        }
        if text(pod, "/spec/nodeName").is_empty() {
            return schedule(pod, &behaviour, nodes, now);
        }
        if pods::has_ended(pod) {
            return Look::default();
        }
        let entry = self.pods.entry(uid.to_owned()).or_insert((behaviour, Instant::now()));
        if entry.0 != behaviour {
            *entry = (behaviour, Instant::now());
        }
        let (stage, again_in) = stage(pod, &behaviour, entry.1.elapsed());
        let address = *self.addresses.entry(uid.to_owned()).or_insert_with(|| {
            let next = self.next_address;
            self.next_address = next.wrapping_add(1);
            next
        });
        let mut look = Look { changes: Vec::new(), again_in };
        let node = nodes.iter().find(|node| node.name == text(pod, "/spec/nodeName"));
        look.set_status(Kind::Pod, pod, status(pod, stage, node, address, now), &[]);
        look
    }

    /// A deleted pod ends within its grace. A job wants to see how it ended.
    fn stop(&mut self, pod: &Value, behaviour: &Behaviour) -> Look {
        let grace = number(pod, "/metadata/deletionGracePeriodSeconds").unwrap_or_default();
        let takes = behaviour.stop_after.min(Duration::from_secs(grace.unsigned_abs()));
        let since = *self.stopping.entry(object::uid(pod).to_owned()).or_insert_with(Instant::now);
        let left = takes.saturating_sub(since.elapsed());
        let changes = match (left.is_zero(), grace) {
            (true, 1..) => vec![Change::Delete(Kind::Pod, pod.clone(), Some(0))],
            // What holds it then is a finalizer, which is not the nodes' concern.
            _ => Vec::new(),
        };
        Look { changes, again_in: (!left.is_zero()).then_some(left) }
    }
}

/// A pod goes to the node that it is made for, or else to one chosen by its name.
fn schedule(pod: &Value, behaviour: &Behaviour, nodes: &[Node], now: Timestamp) -> Look {
    let mut look = Look::default();
    let wanted = daemonset::target(pod);
    let fitting = nodes.iter().filter(|node| node.fits(&pod["spec"]["nodeSelector"]));
    let fitting = fitting.filter(|node| wanted.is_empty() || node.name == wanted).collect::<Vec<_>>();
    if behaviour.fail != Some(Fail::Unschedulable) && !fitting.is_empty() {
        let sum: usize = object::name(pod).bytes().map(usize::from).sum();
        look.changes.push(Change::Bind(pod.clone(), fitting[sum % fitting.len()].name.clone()));
        return look;
    }
    let mut conditions = Conditions::of(pod);
    let message = format!("0/{} nodes are available.", nodes.len());
    let new = Condition { r#type: "PodScheduled", status: false, reason: "Unschedulable", message };
    conditions.set(new, now, Value::Null);
    let mut status = pod["status"].clone();
    status["conditions"] = conditions.into_value();
    look.set_status(Kind::Pod, pod, status, &[]);
    look
}

/// What a pod has come to after a time, and when that changes.
fn stage(pod: &Value, behaviour: &Behaviour, age: Duration) -> (Stage, Option<Duration>) {
    let left = behaviour.ready_after.saturating_sub(age);
    let restarts = text(pod, "/spec/restartPolicy") == "Always" || text(pod, "/spec/restartPolicy").is_empty();
    if behaviour.fail == Some(Fail::Image) {
        return (Stage::Waits("ImagePullBackOff"), None);
    }
    if !left.is_zero() {
        return (Stage::Creating, Some(left));
    }
    let works = behaviour.complete_after.saturating_sub(age - behaviour.ready_after);
    match behaviour.fail {
        Some(Fail::Crash) if text(pod, "/spec/restartPolicy") == "Never" => (Stage::Failed, None),
        Some(Fail::Crash) => (Stage::Waits("CrashLoopBackOff"), None),
        // It would not have got a node; one that has keeps it.
        Some(Fail::Image | Fail::Unschedulable) | None if restarts => (Stage::Ready, None),
        _ if works.is_zero() => (Stage::Succeeded, None),
        _ => (Stage::Ready, Some(works)),
    }
}

fn status(pod: &Value, stage: Stage, node: Option<&Node>, address: u32, now: Timestamp) -> Value {
    let ready = stage == Stage::Ready;
    let started = match &pod["status"]["startTime"] {
        Value::Null => Value::from(object::time_text(now)),
        since => since.clone(),
    };
    let phase = match stage {
        Stage::Creating | Stage::Waits("ImagePullBackOff") => "Pending",
        Stage::Ready | Stage::Waits(_) => "Running",
        Stage::Succeeded => "Succeeded",
        Stage::Failed => "Failed",
    };
    let mut status = pod["status"].clone();
    status["phase"] = phase.into();
    status["startTime"] = started;
    if let Some(node) = node {
        status["hostIP"] = node.address.as_str().into();
        status["hostIPs"] = json!([{ "ip": node.address }]);
    }
    if !matches!(stage, Stage::Creating | Stage::Waits("ImagePullBackOff")) {
        let ip = format!("10.{}.{}.{}", 128 + (address >> 16 & 0x7f), address >> 8 & 0xff, address & 0xff);
        status["podIPs"] = json!([{ "ip": ip }]);
        status["podIP"] = ip.into();
    }
    let mut conditions = Conditions::of(pod);
    let started = !matches!(stage, Stage::Creating | Stage::Waits("ImagePullBackOff"));
    let done = if stage == Stage::Succeeded { "PodCompleted" } else { "" };
    let unready = match stage {
        Stage::Ready => "",
        Stage::Succeeded => "PodCompleted",
        Stage::Failed => "PodFailed",
        Stage::Creating | Stage::Waits(_) => "ContainersNotReady",
    };
    for (r#type, holds, reason) in [
        ("PodReadyToStartContainers", started && stage != Stage::Succeeded && stage != Stage::Failed, ""),
        ("Initialized", true, done),
        ("Ready", ready, unready),
        ("ContainersReady", ready, unready),
        ("PodScheduled", true, ""),
    ] {
        let message = if reason == "ContainersNotReady" { unready_message(pod) } else { String::new() };
        conditions.set(Condition { r#type, status: holds, reason, message }, now, Value::Null);
    }
    status["conditions"] = conditions.into_value();
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let states = containers.enumerate().map(|(at, container)| container_status(pod, at, container, stage, now));
    status["containerStatuses"] = states.collect();
    status
}

fn unready_message(pod: &Value) -> String {
    let names = pod["spec"]["containers"].as_array().into_iter().flatten().map(|container| text(container, "/name"));
    format!("containers with unready status: [{}]", names.collect::<Vec<_>>().join(" "))
}

fn container_status(pod: &Value, at: usize, container: &Value, stage: Stage, now: Timestamp) -> Value {
    let before = &pod["status"]["containerStatuses"][at];
    let now = object::time_text(now);
    let started = before["state"]["running"]["startedAt"].as_str().unwrap_or(&now).to_owned();
    let ended = |code: i32, reason: &str| json!({ "terminated": { "exitCode": code, "reason": reason, "startedAt": started, "finishedAt": now } });
    let (state, last) = match stage {
        Stage::Creating => (json!({ "waiting": { "reason": "ContainerCreating" } }), json!({})),
        Stage::Ready => (json!({ "running": { "startedAt": started } }), json!({})),
        Stage::Succeeded => (ended(0, "Completed"), json!({})),
        Stage::Failed => (ended(1, "Error"), json!({})),
        Stage::Waits("CrashLoopBackOff") => (json!({ "waiting": { "reason": "CrashLoopBackOff" } }), ended(1, "Error")),
        Stage::Waits(reason) => (json!({ "waiting": { "reason": reason } }), json!({})),
    };
    let crashed = stage == Stage::Waits("CrashLoopBackOff");
    // A state that lasts keeps its times.
    let kind = |state: &Value| state.as_object().and_then(|state| state.keys().next().cloned());
    let lasts = kind(&before["state"]) == kind(&state) && before["state"]["waiting"] == state["waiting"];
    let (state, last) = if lasts { (before["state"].clone(), before["lastState"].clone()) } else { (state, last) };
    let mut status = json!({
        "name": container["name"], "image": container["image"], "imageID": "", "ready": stage == Stage::Ready,
        "started": stage == Stage::Ready, "restartCount": i32::from(crashed), "state": state, "lastState": last,
    });
    if !matches!(stage, Stage::Creating | Stage::Waits("ImagePullBackOff")) {
        status["containerID"] = format!("sim://{}/{at}", object::uid(pod)).into();
    }
    status
}
