//! Writes that the API server refuses for as long as somebody lets it: each is
//! told, tried as often as it deserves, and made up for when it is over.

use std::time::Duration;

use serde_json::{Value, json};
use trimtab_harness::eventually;

use crate::support::{MISBEHAVE, SOON, Scene, User};

/// What a refused write may cost the server in its first minute.
const REQUESTS_IN_THE_FIRST_MINUTE: std::ops::RangeInclusive<u32> = 10..=15;
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn what_a_policy_denies_is_asked_for_fifteen_times_in_its_first_minute_at_most() {
    let scene = Scene::new().await;
    scene.define(MISBEHAVE);
    let policy = Policy::deny(&scene, "anna");
    let denied = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "anna" } });
    let takes = async || scene.api.would_take(&scene.config_map(""), &denied).await;
    eventually("the policy is in force", SOON, async || (!takes().await).then_some(())).await;
    scene.copy("misbehave", "misbehave.wasm");
    let host = scene.host().await;
    scene.create_misbehave("ben", "").await;
    scene.condition(&scene.misbehave("ben"), "Settled").await;

    let before = policy.denials();
    scene.create_misbehave("anna", "").await;
    eventually("it is denied", SOON, async || (policy.denials() > before).then_some(())).await;
    // The minute itself is what is looked at.
    tokio::time::sleep(MINUTE).await;
    let requests = policy.denials() - before;
    assert!(REQUESTS_IN_THE_FIRST_MINUTE.contains(&requests), "{requests} requests in the first minute");
    assert!(host.metric("trimtab_writes_total", &[("result", "Retry")]).await >= 10.0);
    let condition = scene.condition(&scene.misbehave("anna"), "WriteFailed").await;
    assert!(condition["message"].as_str().is_some_and(|why| why.contains(&policy.name)), "{condition}");
    scene.event("anna", "WriteFailed").await;

    policy.lift();
    eventually("the policy is in force no more", SOON, async || takes().await.then_some(())).await;
    // Its next try is half a minute away, but a change is tried at once.
    scene.api.merge(&scene.misbehave("anna"), &json!({ "spec": { "message": "again" } })).await;
    scene.condition(&scene.misbehave("anna"), "Settled").await;
}

#[tokio::test]
async fn a_write_that_is_forbidden_is_told_and_made_soon_after_it_is_allowed() {
    let scene = Scene::new().await;
    scene.define(MISBEHAVE);
    scene.copy("misbehave", "misbehave.wasm");
    let user = User::new(&scene, &["misbehaves"]);
    user.may_and_see(&["misbehaves"], &["configmaps", "secrets"]);
    scene.create_misbehave("anna", "status").await;
    let host = scene.host_with(&user.kubeconfig(), &["--namespaces", &scene.namespace]).await;
    let condition = scene.condition(&scene.misbehave("anna"), "WriteFailed").await;
    assert!(condition["message"].as_str().is_some_and(|why| why.contains("forbidden")), "{condition}");
    scene.event("anna", "WriteFailed").await;
    assert!(host.metric("trimtab_writes_total", &[("result", "Forbidden")]).await >= 1.0);
    let ready = |object: &Value| (object["status"]["ready"] == true).then_some(());
    scene.sees("the status is written beside it", &scene.misbehave("anna"), ready).await;

    user.may(&["misbehaves", "configmaps", "secrets"]);
    scene.condition(&scene.misbehave("anna"), "Settled").await;
    scene.api.fetch(&scene.config_map("anna")).await;
}

#[tokio::test]
async fn a_field_that_cannot_change_is_told_and_not_tried_again_before_something_changes() {
    let scene = Scene::new().await;
    scene.define(MISBEHAVE);
    scene.copy("misbehave", "misbehave.wasm");
    scene.create_misbehave("anna", "").await;
    let host = scene.host().await;
    scene.condition(&scene.misbehave("anna"), "Settled").await;

    let sealed = json!({ "data": { "mode": "sealed" }, "immutable": true });
    scene.api.merge(&scene.config_map("anna"), &sealed).await;
    let condition = scene.condition(&scene.misbehave("anna"), "WriteFailed").await;
    assert!(condition["message"].as_str().is_some_and(|why| why.contains("immutable")), "{condition}");
    scene.event("anna", "WriteFailed").await;
    // Another object's whole way is longer than the first ten delays.
    scene.create_misbehave("ben", "").await;
    scene.condition(&scene.misbehave("ben"), "Settled").await;
    assert_eq!(host.metric("trimtab_writes_total", &[("result", "Immutable")]).await, 1.0);

    scene.api.delete(&scene.config_map("anna")).await;
    scene.condition(&scene.misbehave("anna"), "Settled").await;
    assert_eq!(scene.api.fetch(&scene.config_map("anna")).await["data"]["mode"], "kept");
}

/// A ValidatingAdmissionPolicy against one ConfigMap of the test's namespace.
struct Policy<'a> {
    scene: &'a Scene,
    name: String,
}

impl<'a> Policy<'a> {
    fn deny(scene: &'a Scene, config_map: &str) -> Self {
        let (name, namespace) = (format!("denies-in-{}", scene.namespace), &scene.namespace);
        let group = "admissionregistration.k8s.io/v1";
        scene.apply(&json!({
            "apiVersion": group, "kind": "ValidatingAdmissionPolicy", "metadata": { "name": name },
            "spec": {
                "matchConstraints": { "resourceRules": [{
                    "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"],
                    "operations": ["CREATE", "UPDATE"],
                }] },
                "matchConditions": [
                    { "name": "there", "expression": format!("request.namespace == '{namespace}'") },
                    { "name": "it", "expression": format!("object.metadata.name == '{config_map}'") },
                ],
                "validations": [{ "expression": "false", "message": "not this one" }],
            },
        }));
        scene.apply(&json!({
            "apiVersion": group, "kind": "ValidatingAdmissionPolicyBinding", "metadata": { "name": name },
            "spec": { "policyName": name, "validationActions": ["Deny"] },
        }));
        Self { scene, name }
    }

    /// How often it has denied, as the API server counts.
    fn denials(&self) -> u32 {
        let metrics = self.scene.plane().kubectl(&["get", "--raw", "/metrics"]);
        let samples = metrics.lines().filter(|line| {
            line.starts_with("apiserver_validating_admission_policy_check_total{") && line.contains(&self.name)
        });
        let value = |sample: &str| sample.rsplit_once(' ')?.1.parse::<u32>().ok();
        samples.map(|sample| value(sample).expect("a sample ends with its value")).sum()
    }

    fn lift(&self) {
        self.scene.plane().kubectl(&["delete", "validatingadmissionpolicybinding", &self.name]);
    }
}
