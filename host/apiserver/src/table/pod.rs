//! The row of a pod: its state is told from its phase, its conditions and the
//! states of its containers.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::age;
use super::read::{flag, list, number, or, text};

pub(super) const COLUMNS: &[&str] =
    &["Name", "Ready", "Status", "Restarts", "Age", "+IP", "+Node", "+Nominated Node", "+Readiness Gates"];

pub(super) fn cells(pod: &Value, now: Timestamp) -> Vec<Value> {
    let state = State::of(pod);
    let restarts = match state.restarts.last {
        Some(last) if state.restarts.count > 0 => {
            format!("{} ({} ago)", state.restarts.count, age::between(last, now))
        }
        _ => state.restarts.count.to_string(),
    };
    vec![
        json!(text(pod, "/metadata/name")),
        json!(format!("{}/{}", state.ready, containers(pod))),
        json!(state.reason),
        json!(restarts),
        json!(age::since(text(pod, "/metadata/creationTimestamp"), now)),
        json!(or(text(pod, "/status/podIPs/0/ip"), "<none>")),
        json!(or(text(pod, "/spec/nodeName"), "<none>")),
        json!(or(text(pod, "/status/nominatedNodeName"), "<none>")),
        json!(readiness_gates(pod)),
    ]
}

/// The condition of a row whose pod has ended.
pub(super) fn completed(pod: &Value) -> Option<Value> {
    let (reason, message) = match text(pod, "/status/phase") {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return None,
    };
    Some(json!({ "type": "Completed", "status": "True", "reason": reason, "message": message }))
}

/// How often containers were restarted, and when last.
#[derive(Default)]
struct Restarts {
    count: i64,
    last: Option<Timestamp>,
}

impl Restarts {
    fn add(&mut self, status: &Value) {
        self.count += number(status, "/restartCount");
        let finished = text(status, "/lastState/terminated/finishedAt").parse().ok();
        self.last = self.last.max(finished);
    }
}

struct State {
    reason: String,
    ready: usize,
    restarts: Restarts,
}

impl State {
    fn of(pod: &Value) -> Self {
        let reason = or(text(pod, "/status/reason"), text(pod, "/status/phase")).to_owned();
        let mut state = Self { reason, ready: 0, restarts: Restarts::default() };
        let gated = |condition: &&Value| {
            text(condition, "/type") == "PodScheduled" && text(condition, "/reason") == "SchedulingGated"
        };
        if list(pod, "/status/conditions").iter().any(|condition| gated(&condition)) {
            "SchedulingGated".clone_into(&mut state.reason);
        }
        let (initializing, of_sidecars) = state.initialize(pod);
        if !initializing || condition_is_true(pod, "Initialized") {
            state.restarts = of_sidecars;
            state.run(pod);
        }
        let phase = text(pod, "/status/phase");
        if pod["metadata"].get("deletionTimestamp").is_some() {
            if text(pod, "/status/reason") == "NodeLost" {
                "Unknown".clone_into(&mut state.reason);
            } else if !matches!(phase, "Succeeded" | "Failed") {
                "Terminating".clone_into(&mut state.reason);
            }
        }
        state
    }

    /// Whether an init container still runs or failed, and the restarts of
    /// those that run as long as the pod.
    fn initialize(&mut self, pod: &Value) -> (bool, Restarts) {
        let mut of_sidecars = Restarts::default();
        for (index, status) in list(pod, "/status/initContainerStatuses").iter().enumerate() {
            self.restarts.add(status);
            let sidecar = is_sidecar(pod, text(status, "/name"));
            if sidecar {
                of_sidecars.add(status);
            }
            let terminated = &status["state"]["terminated"];
            if terminated.is_object() && number(terminated, "/exitCode") == 0 {
                continue;
            }
            if sidecar && flag(status, "/started") {
                self.ready += usize::from(flag(status, "/ready"));
                continue;
            }
            let waiting = text(status, "/state/waiting/reason");
            self.reason = if terminated.is_object() {
                format!("Init:{}", ended(terminated))
            } else if !matches!(waiting, "" | "PodInitializing") {
                format!("Init:{waiting}")
            } else {
                format!("Init:{index}/{}", list(pod, "/spec/initContainers").len())
            };
            return (true, of_sidecars);
        }
        (false, of_sidecars)
    }

    fn run(&mut self, pod: &Value) {
        let (mut running, mut failed) = (false, None);
        for status in list(pod, "/status/containerStatuses").iter().rev() {
            self.restarts.add(status);
            let terminated = &status["state"]["terminated"];
            let waiting = text(status, "/state/waiting/reason");
            if !waiting.is_empty() {
                waiting.clone_into(&mut self.reason);
            } else if terminated.is_object() {
                self.reason = ended(terminated);
                if number(terminated, "/exitCode") != 0 {
                    failed = Some(self.reason.clone());
                }
            } else if flag(status, "/ready") && status["state"]["running"].is_object() {
                running = true;
                self.ready += 1;
            }
        }
        if self.reason == "Completed" {
            // Others of its containers may still run, or have failed.
            if running && condition_is_true(pod, "Ready") {
                "Running".clone_into(&mut self.reason);
            } else if let Some(failed) = failed {
                self.reason = failed;
            } else if running {
                "NotReady".clone_into(&mut self.reason);
            }
        }
    }
}

/// Why a container ended.
fn ended(terminated: &Value) -> String {
    let reason = text(terminated, "/reason");
    match number(terminated, "/signal") {
        _ if !reason.is_empty() => reason.to_owned(),
        0 => format!("ExitCode:{}", number(terminated, "/exitCode")),
        signal => format!("Signal:{signal}"),
    }
}

fn condition_is_true(pod: &Value, of: &str) -> bool {
    let found = list(pod, "/status/conditions").iter().find(|condition| text(condition, "/type") == of);
    found.is_some_and(|condition| text(condition, "/status") == "True")
}

/// An init container that is restarted runs as long as the pod does.
fn is_sidecar(pod: &Value, name: &str) -> bool {
    let mut containers = list(pod, "/spec/initContainers").iter();
    containers.any(|one| text(one, "/name") == name && text(one, "/restartPolicy") == "Always")
}

fn containers(pod: &Value) -> usize {
    let sidecars = list(pod, "/spec/initContainers").iter().filter(|one| text(one, "/restartPolicy") == "Always");
    list(pod, "/spec/containers").len() + sidecars.count()
}

fn readiness_gates(pod: &Value) -> String {
    let gates = list(pod, "/spec/readinessGates");
    if gates.is_empty() {
        return "<none>".to_owned();
    }
    let passed = gates.iter().filter(|gate| condition_is_true(pod, text(gate, "/conditionType")));
    format!("{}/{}", passed.count(), gates.len())
}
