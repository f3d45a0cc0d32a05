use serde_json::json;

use super::*;
use crate::kinds::Registry;

const NOW: &str = "2026-01-02T03:04:05Z";

fn printed(group: &str, plural: &str, object: &Value) -> Value {
    let kind = Registry::builtin().find(group, "v1", plural).unwrap();
    let now = NOW.parse().unwrap();
    let printer = Printer { kind: &kind, version: MetaVersion::V1, row_object: RowObject::None, now };
    serde_json::from_slice(&printer.one(object, true)).unwrap()
}

fn cells(group: &str, plural: &str, object: &Value) -> Value {
    printed(group, plural, object)["rows"][0]["cells"].clone()
}

#[test]
fn every_row_has_as_many_cells_as_there_are_columns() {
    let registry = Registry::builtin();
    for kind in registry.resources() {
        let printer =
            Printer { kind: &kind, version: MetaVersion::V1, row_object: RowObject::None, now: NOW.parse().unwrap() };
        let table: Value = serde_json::from_slice(&printer.one(&json!({ "metadata": {} }), true)).unwrap();
        let columns = table["columnDefinitions"].as_array().unwrap().len();
        assert_eq!(table["rows"][0]["cells"].as_array().unwrap().len(), columns, "{}", kind.kind);
    }
}

#[test]
fn a_table_names_its_columns_and_its_version() {
    let config_map = json!({ "metadata": { "name": "a", "resourceVersion": "7", "creationTimestamp": NOW },
        "data": { "x": "1" } });
    let expected = json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": { "resourceVersion": "7" },
        "columnDefinitions": [
            { "name": "Name", "type": "string", "format": "name", "description": "", "priority": 0 },
            { "name": "Data", "type": "string", "format": "", "description": "", "priority": 0 },
            { "name": "Age", "type": "string", "format": "", "description": "", "priority": 0 },
        ],
        "rows": [{ "cells": ["a", 1, "0s"] }],
    });
    assert_eq!(printed("", "configmaps", &config_map), expected);
}

fn pod(status: Value) -> Value {
    json!({
        "metadata": { "name": "p", "creationTimestamp": "2026-01-02T03:00:00Z" },
        "spec": { "containers": [{ "name": "a" }, { "name": "b" }], "initContainers": [
            { "name": "i" }, { "name": "sidecar", "restartPolicy": "Always" }] },
        "status": status,
    })
}

#[test]
fn a_pods_status_is_told_from_its_containers() {
    let running = json!({ "name": "a", "ready": true, "restartCount": 2, "state": { "running": {} },
        "lastState": { "terminated": { "finishedAt": "2026-01-02T03:03:05Z" } } });
    let failed = json!({ "name": "b", "restartCount": 0, "state": { "terminated": { "exitCode": 3 } } });
    let completed = json!({ "name": "b", "state": { "terminated": { "exitCode": 0, "reason": "Completed" } } });
    let waiting = json!({ "name": "b", "state": { "waiting": { "reason": "ImagePullBackOff" } } });
    let init = |state: Value| json!({ "name": "i", "restartCount": 1, "state": state });
    let sidecar = json!({ "name": "sidecar", "started": true, "ready": true });
    for (status, ready, reason, restarts) in [
        (json!({ "phase": "Pending" }), "0/3", "Pending", "0"),
        (json!({ "phase": "Failed", "reason": "Evicted" }), "0/3", "Evicted", "0"),
        (
            json!({ "phase": "Running", "containerStatuses": [running, waiting] }),
            "1/3",
            "ImagePullBackOff",
            "2 (60s ago)",
        ),
        (json!({ "phase": "Running", "containerStatuses": [running, failed] }), "1/3", "ExitCode:3", "2 (60s ago)"),
        (json!({ "phase": "Running", "containerStatuses": [running, completed] }), "1/3", "NotReady", "2 (60s ago)"),
        (json!({ "phase": "Succeeded", "containerStatuses": [completed] }), "0/3", "Completed", "0"),
        (
            json!({ "phase": "Pending", "initContainerStatuses": [init(json!({ "running": {} }))] }),
            "0/3",
            "Init:0/2",
            "1",
        ),
        (
            json!({ "phase": "Pending", "initContainerStatuses": [init(json!({ "terminated": { "exitCode": 1, "reason": "Error" } }))] }),
            "0/3",
            "Init:Error",
            "1",
        ),
        (
            json!({ "phase": "Running", "initContainerStatuses": [sidecar], "containerStatuses": [] }),
            "1/3",
            "Running",
            "0",
        ),
    ] {
        let cells = cells("", "pods", &pod(status.clone()));
        assert_eq!((&cells[1], &cells[2], &cells[3]), (&json!(ready), &json!(reason), &json!(restarts)), "{status}");
    }
    assert_eq!(printed("", "pods", &pod(json!({ "phase": "Failed" })))["rows"][0]["conditions"][0]["reason"], "Failed");
}

#[test]
fn both_forms_of_an_event_print_alike() {
    let core = json!({
        "metadata": { "name": "e" }, "type": "Normal", "reason": "Made", "message": "it is\n", "count": 3,
        "involvedObject": { "kind": "Pod", "name": "p" }, "source": { "component": "c", "host": "h" },
        "firstTimestamp": "2026-01-02T03:03:05Z", "lastTimestamp": "2026-01-02T03:04:00Z",
    });
    let new = json!({
        "metadata": { "name": "e" }, "type": "Normal", "reason": "Made", "note": "it is\n", "deprecatedCount": 3,
        "regarding": { "kind": "Pod", "name": "p" }, "deprecatedSource": { "component": "c", "host": "h" },
        "deprecatedFirstTimestamp": "2026-01-02T03:03:05Z", "deprecatedLastTimestamp": "2026-01-02T03:04:00Z",
    });
    let expected = json!(["5s", "Normal", "Made", "pod/p", "", "c, h", "it is", "60s", 3, "e"]);
    assert_eq!(cells("", "events", &core), expected);
    assert_eq!(cells("events.k8s.io", "events", &new), expected);
}

#[test]
fn a_custom_kinds_columns_are_those_of_its_definition() {
    let version = json!({ "additionalPrinterColumns": [
        { "name": "Image", "type": "string", "jsonPath": ".spec.image" },
        { "name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas", "priority": 1, "description": "how many" },
        { "name": "Wrong", "type": "integer", "jsonPath": ".spec.image" },
        { "name": "Map", "type": "string", "jsonPath": ".spec.map" },
        { "name": "Since", "type": "date", "jsonPath": ".spec.since" },
    ] });
    let columns = PrinterColumn::of_version(&version);
    assert_eq!(
        custom::definitions(&columns)[2],
        json!({ "name": "Replicas", "type": "integer", "format": "",
        "description": "how many", "priority": 1 })
    );
    let object = json!({ "metadata": { "name": "a" }, "spec": {
        "image": "i", "replicas": 2.5, "map": { "k": 1 }, "since": "yesterday" } });
    let cells = custom::cells(&columns, &object, NOW.parse().unwrap());
    assert_eq!(json!(cells), json!(["a", "i", 2, null, "{\"k\":1}", "<invalid>"]));
    let bare = PrinterColumn::of_version(&json!({}));
    let object = json!({ "metadata": { "name": "a", "creationTimestamp": NOW } });
    assert_eq!(json!(custom::cells(&bare, &object, NOW.parse().unwrap())), json!(["a", "0s"]));
}

#[test]
fn selectors_and_targets_read_as_on_the_command_line() {
    let deployment = json!({
        "metadata": { "name": "d" },
        "spec": {
            "replicas": 3,
            "selector": { "matchLabels": { "b": "2" }, "matchExpressions": [
                { "key": "a", "operator": "In", "values": ["y", "x"] }, { "key": "c", "operator": "DoesNotExist" }] },
            "template": { "spec": { "containers": [{ "name": "n", "image": "i" }, { "name": "m", "image": "j" }] } },
        },
        "status": { "readyReplicas": 1 },
    });
    let expected = json!(["d", "1/3", 0, 0, "<unknown>", "n,m", "i,j", "a in (x,y),b=2,!c"]);
    assert_eq!(cells("apps", "deployments", &deployment), expected);
    let autoscaler = json!({ "spec": { "metrics": [
        { "type": "Resource", "resource": { "name": "cpu", "target": { "averageUtilization": 80 } } },
        { "type": "Pods", "pods": { "target": { "averageValue": "1k" } } },
        { "type": "External", "external": { "target": { "value": "5" } } },
    ] }, "status": { "currentMetrics": [{ "type": "Resource", "resource": { "current": { "averageUtilization": 12 } } }] } });
    assert_eq!(metrics::targets(&autoscaler), "cpu: 12%/80%, <unknown>/1k + 1 more...");
}
