//! A {{Kind}} runs its image in as many pods as it asks for.

use serde::{Deserialize, Serialize};
use trimtab::{
    k8s::{Deployment, Ready, Rollout},
    prelude::*,
};

#[derive(Deserialize, Resource)]
#[resource(api_version = "example.dev/v1", kind = "{{Kind}}")]
struct Object {
    metadata: Metadata,
    spec: Spec,
}

#[derive(Deserialize)]
struct Spec {
    image: String,
    replicas: i32,
}

#[derive(Serialize)]
struct Status {
    ready: bool,
}

#[trimtab::composite(children(Deployment))]
fn reconcile(object: Object, cx: &Cx) -> Result<Answer<Status>> {
    let name = object.metadata.name.as_str();
    let labels = json!({ "app": name });
    let ready = cx
        .child::<Rollout<Deployment>>(name)
        .is_some_and(|running| running.ready());
    Ok(answer()
        .child_json::<Deployment>(json!({
            "metadata": { "name": name },
            "spec": {
                "replicas": object.spec.replicas,
                "selector": { "matchLabels": labels },
                "template": {
                    "metadata": { "labels": labels },
                    "spec": { "containers": [{ "name": "main", "image": object.spec.image }] },
                },
            },
        }))
        .status(Status { ready }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deployment_has_the_replicas_that_are_asked_for() -> Result<()> {
        let spec = Spec {
            image: "nginx".to_owned(),
            replicas: 3,
        };
        let answer = reconcile(
            Object {
                metadata: Metadata::named("a"),
                spec,
            },
            &Cx::test(),
        )?;
        let deployment: Deployment = answer.desired("a").or_wait("the deployment")?;
        assert_eq!(deployment.spec.replicas, Some(3));
        assert!(answer.desired_status().is_some_and(|status| !status.ready));
        Ok(())
    }
}
