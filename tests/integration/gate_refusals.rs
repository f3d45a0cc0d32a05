//! Held to a real API server: what it refuses gets the class that keeps it
//! from looping.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

mod support;

use serde_json::{Value, json};
use support::{Bench, SOON, open_version, seen};
use trimtab_core::{
    api_error::Class,
    write::{Action, Seen},
};
use trimtab_harness::eventually;

fn deployment(bench: &Bench, selector: &Value, containers: &Value) -> Value {
    let spec = json!({
        "replicas": 0,
        "selector": { "matchLabels": selector },
        "template": { "metadata": { "labels": selector }, "spec": { "containers": containers } },
    });
    bench.child("apps/v1", "Deployment", "d", &json!({ "spec": spec }))
}

#[tokio::test]
async fn a_field_that_cannot_change_is_immutable_and_twice_one_key_is_invalid() {
    let bench = Bench::new().await;
    bench.served("apps/v1", "Deployment", "v1").await;
    let one = json!([{ "name": "a", "image": "a" }]);
    let body = deployment(&bench, &json!({ "app": "x" }), &one);
    let made = bench.written(&bench.to("apps/v1", "Deployment", "d", Action::Create { body })).await;
    let seen = Seen::of(&made.meta);
    let apply = |body: Value| bench.to("apps/v1", "Deployment", "d", Action::Apply { seen: seen.clone(), body });

    let selector = bench.write(&apply(deployment(&bench, &json!({ "app": "y" }), &one))).await.unwrap_err();
    assert_eq!(selector.class(), Class::Immutable, "{selector}");
    let two = json!([{ "name": "a", "image": "a" }, { "name": "a", "image": "b" }]);
    let twice = bench.write(&apply(deployment(&bench, &json!({ "app": "x" }), &two))).await.unwrap_err();
    assert_eq!(twice.class(), Class::Invalid, "{twice}");
    let unknown = bench.child("apps/v1", "Deployment", "d", &json!({ "spec": { "nonsense": 1 } }));
    let unknown = bench.write(&apply(unknown)).await.unwrap_err();
    assert_eq!(unknown.class(), Class::Invalid, "{unknown}");
}

#[tokio::test]
async fn each_kind_says_in_its_own_words_that_a_field_cannot_change() {
    let bench = Bench::new().await;
    let labels = json!({ "app": "x" });
    let pod = |image: &str| json!({ "containers": [{ "name": "a", "image": image }], "restartPolicy": "Never" });
    let template = |image: &str| json!({ "metadata": { "labels": labels }, "spec": pod(image) });
    let set = |service: &str| {
        let mut template = template("a");
        template["spec"]["restartPolicy"] = json!("Always");
        json!({ "spec": { "serviceName": service, "selector": { "matchLabels": labels }, "template": template } })
    };
    let reference =
        |name: &str| json!({ "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name } });
    let cases = [
        ("v1", "Secret", json!({ "type": "a/a" }), json!({ "type": "a/b" })),
        (
            "v1",
            "ConfigMap",
            json!({ "immutable": true, "data": { "a": "1" } }),
            json!({ "immutable": true, "data": { "a": "2" } }),
        ),
        (
            "v1",
            "Service",
            json!({ "spec": { "clusterIP": "10.0.0.77", "ports": [{ "port": 1 }] } }),
            json!({ "spec": { "clusterIP": "10.0.0.78", "ports": [{ "port": 1 }] } }),
        ),
        (
            "batch/v1",
            "Job",
            json!({ "spec": { "template": template("a") } }),
            json!({ "spec": { "template": template("b") } }),
        ),
        ("apps/v1", "StatefulSet", set("a"), set("b")),
        (
            "v1",
            "Pod",
            json!({ "spec": pod("a") }),
            json!({ "spec": { "containers": [{ "name": "b", "image": "a" }], "restartPolicy": "Never" } }),
        ),
        ("rbac.authorization.k8s.io/v1", "RoleBinding", reference("a"), reference("b")),
    ];
    for (api_version, kind, first, second) in cases {
        let version = api_version.rsplit('/').next().unwrap();
        bench.served(api_version, kind, version).await;
        let body = bench.child(api_version, kind, "x", &first);
        bench.written(&bench.to(api_version, kind, "x", Action::Create { body })).await;
        let body = bench.child(api_version, kind, "x", &second);
        let seen = seen(&bench.live(kind, "x"));
        let refused = bench.write(&bench.to(api_version, kind, "x", Action::Apply { seen, body })).await.unwrap_err();
        assert_eq!(refused.class(), Class::Immutable, "{kind}: {refused}");
    }
}

#[tokio::test]
async fn a_finalizer_for_an_object_that_is_being_deleted_comes_too_late() {
    let bench = Bench::new().await;
    bench.define("late.test", "Gizmo", json!([open_version("v1", true)])).await;
    let mut body = bench.child("late.test/v1", "Gizmo", "a", &json!({}));
    body["metadata"]["finalizers"] = json!(["other.test/holds"]);
    let made = bench.written(&bench.to("late.test/v1", "Gizmo", "a", Action::Create { body })).await;
    let delete = bench.to("late.test/v1", "Gizmo", "a", Action::Delete { seen: Seen::of(&made.meta) });
    let deleting = bench.written(&delete).await;
    let patch = json!({ "finalizers": ["other.test/holds", "trimtab.dev/site"] }).as_object().unwrap().clone();
    let action = Action::Metadata { seen: Seen::of(&deleting.meta), patch };
    let late = bench.write(&bench.to("late.test/v1", "Gizmo", "a", action)).await.unwrap_err();
    assert_eq!(late.class(), Class::TooLate, "{late}");
}

#[tokio::test]
async fn a_namespace_that_is_going_is_no_fault_and_one_that_is_missing_is_waited_for() {
    let bench = Bench::new().await;
    let create = |bench: &Bench, name: &str| {
        let body = bench.child("v1", "ConfigMap", name, &json!({}));
        bench.to("v1", "ConfigMap", name, Action::Create { body })
    };
    // Something has to hold the namespace, or it is gone before the next look.
    let body = {
        let mut body = bench.child("v1", "ConfigMap", "holds", &json!({}));
        body["metadata"]["finalizers"] = json!(["other.test/holds"]);
        body
    };
    bench.written(&bench.to("v1", "ConfigMap", "holds", Action::Create { body })).await;
    bench.control_plane.kubectl(&["delete", "namespace", &bench.namespace, "--wait=false"]);
    let terminating = async || bench.write(&create(&bench, "late")).await.err();
    let refused = eventually("the namespace takes nothing new", SOON, terminating).await;
    assert_eq!(refused.class(), Class::Terminating, "{refused}");

    let mut elsewhere = create(&bench, "a");
    elsewhere.place.namespace = "no-such-namespace".into();
    if let Action::Create { body } = &mut elsewhere.action {
        body["metadata"]["namespace"] = json!("no-such-namespace");
    }
    let missing = bench.write(&elsewhere).await.unwrap_err();
    assert_eq!(missing.class(), Class::Missing, "{missing}");
}

#[tokio::test]
async fn who_may_not_write_is_forbidden() {
    let bench = Bench::new().await;
    let nobody = bench.control_plane.client_as("nobody", &[]).await;
    let kinds = bench.discovery.kinds();
    let gate = trimtab_cluster::gate::Gate::new(
        nobody,
        kinds.clone(),
        bench.store.clone(),
        bench.lock.clone(),
        bench.permits.clone(),
        support::TestEnv::new(),
    );
    let body = bench.child("v1", "ConfigMap", "a", &json!({}));
    let create = bench.to("v1", "ConfigMap", "a", Action::Create { body });
    let forbidden = gate.write(&bench.ticket, &create).await.unwrap_err();
    assert_eq!(forbidden.class(), Class::Forbidden, "{forbidden}");
}
