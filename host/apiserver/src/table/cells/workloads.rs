//! What runs pods, and what bounds it.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Printer, created, name, or_none, shown_selector};
use crate::table::read::{flag, labels, list, number, scalar, selector, text};
use crate::table::{age, metrics, pod};

const REPLICA_SET: &[&str] =
    &["Name", "Desired:integer", "Current:integer", "Ready:integer", "Age", "+Containers", "+Images", "+Selector"];

pub(super) fn printer(kind: &str) -> Option<Printer> {
    Some(match kind {
        "Pod" => (pod::COLUMNS, pod::cells),
        "Deployment" => {
            (&["Name", "Ready", "Up-to-date", "Available", "Age", "+Containers", "+Images", "+Selector"], deployment)
        }
        "StatefulSet" => (&["Name", "Ready", "Age", "+Containers", "+Images"], |o, now| {
            let (names, images) = containers(o, "/spec/template");
            vec![name(o), ready(o), created(o, now), names, images]
        }),
        "DaemonSet" => (
            &[
                "Name",
                "Desired:integer",
                "Current:integer",
                "Ready:integer",
                "Up-to-date:integer",
                "Available:integer",
                "Node Selector",
                "Age",
                "+Containers",
                "+Images",
                "+Selector",
            ],
            daemon_set,
        ),
        "ReplicaSet" => (REPLICA_SET, |o, now| replicas(o, now, shown_selector(o, "/spec/selector"))),
        "ControllerRevision" => (&["Name", "Controller", "Revision", "Age"], |o, now| {
            vec![name(o), json!(controller(o)), json!(number(o, "/revision")), created(o, now)]
        }),
        "Job" => (&["Name", "Status", "Completions", "Duration", "Age", "+Containers", "+Images", "+Selector"], job),
        "CronJob" => (
            &[
                "Name",
                "Schedule",
                "Timezone",
                "Suspend:boolean",
                "Active:integer",
                "Last Schedule",
                "Age",
                "+Containers",
                "+Images",
                "+Selector",
            ],
            cron_job,
        ),
        "PodDisruptionBudget" => {
            (&["Name", "Min Available", "Max Unavailable", "Allowed Disruptions:integer", "Age"], |o, now| {
                let shown = |field: &str| json!(scalar(o, field).unwrap_or_else(|| "N/A".to_owned()));
                let allowed = json!(number(o, "/status/disruptionsAllowed"));
                vec![name(o), shown("/spec/minAvailable"), shown("/spec/maxUnavailable"), allowed, created(o, now)]
            })
        }
        "HorizontalPodAutoscaler" => {
            (&["Name", "Reference", "Targets", "MinPods", "MaxPods", "Replicas", "Age"], autoscaler)
        }
        "ReplicationController" => (REPLICA_SET, |o, now| replicas(o, now, json!(labels(o, "/spec/selector")))),
        "PodTemplate" => (&["Name", "Containers", "Images", "Pod Labels"], |o, _| {
            let (names, images) = containers(o, "/template");
            vec![name(o), names, images, json!(labels(o, "/template/metadata/labels"))]
        }),
        _ => return None,
    })
}

fn ready(object: &Value) -> Value {
    json!(format!("{}/{}", number(object, "/status/readyReplicas"), number(object, "/spec/replicas")))
}

/// The names and the images of a template's containers.
fn containers(object: &Value, template: &str) -> (Value, Value) {
    let containers = list(object, &format!("{template}/spec/containers"));
    let joined = |field: &str| json!(containers.iter().map(|one| text(one, field)).collect::<Vec<_>>().join(","));
    (joined("/name"), joined("/image"))
}

fn deployment(object: &Value, now: Timestamp) -> Vec<Value> {
    let (names, images) = containers(object, "/spec/template");
    let updated = json!(number(object, "/status/updatedReplicas"));
    let available = json!(number(object, "/status/availableReplicas"));
    let selector = json!(selector(object, "/spec/selector"));
    vec![name(object), ready(object), updated, available, created(object, now), names, images, selector]
}

fn replicas(object: &Value, now: Timestamp, selector: Value) -> Vec<Value> {
    let (names, images) = containers(object, "/spec/template");
    let count = |pointer: &str| json!(number(object, pointer));
    vec![
        name(object),
        count("/spec/replicas"),
        count("/status/replicas"),
        count("/status/readyReplicas"),
        created(object, now),
        names,
        images,
        selector,
    ]
}

fn daemon_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let counts = [
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    ];
    let (names, images) = containers(object, "/spec/template");
    let mut cells = vec![name(object)];
    cells.extend(counts.map(|field| json!(number(object, &format!("/status/{field}")))));
    cells.push(json!(labels(object, "/spec/template/spec/nodeSelector")));
    cells.extend([created(object, now), names, images, shown_selector(object, "/spec/selector")]);
    cells
}

fn job(object: &Value, now: Timestamp) -> Vec<Value> {
    let succeeded = number(object, "/status/succeeded");
    let parallelism = number(object, "/spec/parallelism");
    let completions = match object.pointer("/spec/completions").and_then(Value::as_i64) {
        Some(wanted) => format!("{succeeded}/{wanted}"),
        None if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        None => format!("{succeeded}/1"),
    };
    let time = |pointer: &str| text(object, pointer).parse::<Timestamp>().ok();
    let duration = time("/status/startTime")
        .map(|start| age::between(start, time("/status/completionTime").unwrap_or(now)))
        .unwrap_or_default();
    let (names, images) = containers(object, "/spec/template");
    let selector = shown_selector(object, "/spec/selector");
    let (status, age) = (json!(job_status(object)), created(object, now));
    vec![name(object), status, json!(completions), json!(duration), age, names, images, selector]
}

fn job_status(object: &Value) -> &'static str {
    let is = |of: &str| {
        let mut conditions = list(object, "/status/conditions").iter();
        conditions.any(|one| text(one, "/type") == of && text(one, "/status") == "True")
    };
    let deleting = object["metadata"].get("deletionTimestamp").is_some();
    let told = [
        (is("Complete"), "Complete"),
        (is("Failed"), "Failed"),
        (deleting, "Terminating"),
        (is("Suspended"), "Suspended"),
        (is("FailureTarget"), "FailureTarget"),
        (is("SuccessCriteriaMet"), "SuccessCriteriaMet"),
    ];
    told.into_iter().find(|(holds, _)| *holds).map_or("Running", |(_, status)| status)
}

fn cron_job(object: &Value, now: Timestamp) -> Vec<Value> {
    let last = text(object, "/status/lastScheduleTime");
    let last = if last.is_empty() { "<none>".to_owned() } else { age::since(last, now) };
    let suspended = match object.pointer("/spec/suspend") {
        Some(Value::Bool(true)) => "True",
        Some(Value::Bool(false)) => "False",
        _ => "<unset>",
    };
    let (names, images) = containers(object, "/spec/jobTemplate/spec/template");
    vec![
        name(object),
        json!(text(object, "/spec/schedule")),
        or_none(text(object, "/spec/timeZone")),
        json!(suspended),
        json!(list(object, "/status/active").len()),
        json!(last),
        created(object, now),
        names,
        images,
        shown_selector(object, "/spec/jobTemplate/spec/selector"),
    ]
}

fn autoscaler(object: &Value, now: Timestamp) -> Vec<Value> {
    let target = |field: &str| text(object, &format!("/spec/scaleTargetRef/{field}"));
    vec![
        name(object),
        json!(format!("{}/{}", target("kind"), target("name"))),
        json!(metrics::targets(object)),
        json!(scalar(object, "/spec/minReplicas").unwrap_or_else(|| "<unset>".to_owned())),
        json!(number(object, "/spec/maxReplicas")),
        json!(number(object, "/status/currentReplicas")),
        created(object, now),
    ]
}

/// The controller of an object as `kind.group/name`.
fn controller(object: &Value) -> String {
    let owners = list(object, "/metadata/ownerReferences");
    let Some(owner) = owners.iter().find(|owner| flag(owner, "/controller")) else { return "<none>".to_owned() };
    let group = text(owner, "/apiVersion").rsplit_once('/').map(|(group, _)| format!(".{group}")).unwrap_or_default();
    format!("{}{}/{}", text(owner, "/kind").to_lowercase(), group.to_lowercase(), text(owner, "/name"))
}
