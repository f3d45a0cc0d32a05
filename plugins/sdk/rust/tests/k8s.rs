//! The types of k8s-openapi as children and look-ups.
#![cfg(feature = "k8s")]

use trimtab::{
    k8s::{Deployment, Node, Ready, Rollout},
    prelude::*,
    serde_json::from_value,
};

#[test]
fn the_kind_and_scope_are_those_of_the_type() {
    fn of<R: Resource>() -> (&'static str, &'static str, bool) {
        (R::API_VERSION, R::KIND, R::NAMESPACED)
    }
    assert_eq!(of::<Deployment>(), ("apps/v1", "Deployment", true));
    assert_eq!(of::<Rollout<Deployment>>(), of::<Deployment>());
    assert_eq!(of::<Node>(), ("v1", "Node", false));
}

#[test]
fn a_deployment_is_ready_when_the_newest_template_runs_in_full() -> Result<()> {
    let cases = [
        (json!({}), false),
        (json!({ "observedGeneration": 2, "updatedReplicas": 2, "readyReplicas": 2 }), true),
        (json!({ "observedGeneration": 1, "updatedReplicas": 2, "readyReplicas": 2 }), false),
        (json!({ "observedGeneration": 2, "updatedReplicas": 1, "readyReplicas": 2 }), false),
        (json!({ "observedGeneration": 2, "updatedReplicas": 2, "readyReplicas": 1 }), false),
        (json!({ "observedGeneration": 2, "updatedReplicas": 2 }), false),
    ];
    for (status, ready) in cases {
        let object = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": { "name": "web", "generation": 2 },
            "spec": { "replicas": 2, "selector": {}, "template": {} },
            "status": status,
        });
        let whole: Deployment = from_value(object.clone())?;
        let rollout: Rollout<Deployment> = from_value(object)?;
        assert_eq!((whole.ready(), rollout.ready()), (ready, ready), "{status}");
    }
    Ok(())
}
