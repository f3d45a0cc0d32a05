//! A decorator of what others own: each Namespace with a label `team`, and each
//! Service with such an annotation, gets a ConfigMap that tells of the team, and a
//! label that says whom it is billed to.

use serde::Serialize;
use trimtab::{
    k8s::{ConfigMap, Namespace, Service},
    prelude::*,
};

/// It has nothing to say in the status of its objects.
#[derive(Serialize)]
struct NoStatus {}

#[trimtab::decorator(objects(Namespace = "team", Service), annotated(Service = "team"), children(ConfigMap))]
fn decorate(object: Object, _cx: &Cx) -> Result<Answer<NoStatus>> {
    let metadata = object.metadata();
    let (team, namespace) = if object.is::<Namespace>() {
        (metadata.labels.get("team"), Some(object.name()))
    } else {
        (metadata.annotations.get("team"), metadata.namespace.as_deref())
    };
    let team = team.or_wait("the name of a team")?;
    Ok(answer()
        .child_json::<ConfigMap>(json!({
            "metadata": { "name": format!("{}-team", object.name()), "namespace": namespace },
            "data": { "team": team },
        }))
        .label("example.dev/billed-to", team))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decorated<R: Resource + Serialize>(object: &R) -> Answer<NoStatus> {
        decorate(Object::of(object), &Cx::test()).expect("it has a team")
    }

    #[test]
    fn a_namespace_tells_its_team_in_a_config_map_of_its_own() {
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some("shop".into());
        namespace.metadata.labels = Some([("team".into(), "blue".into())].into());
        let answer = decorated(&namespace);
        let told = answer.desired::<ConfigMap>("shop-team").expect("it is told");
        assert_eq!(told.metadata.namespace.as_deref(), Some("shop"));
        assert_eq!(answer.desired_labels()["example.dev/billed-to"].as_deref(), Some("blue"));
    }

    #[test]
    fn a_service_is_asked_for_its_annotation() {
        let mut service = Service::default();
        service.metadata.name = Some("web".into());
        let waits = decorate(Object::of(&service), &Cx::test()).expect_err("it has no team");
        assert_eq!(waits.to_string(), "waiting for the name of a team");
        service.metadata.annotations = Some([("team".into(), "red".into())].into());
        assert_eq!(decorated(&service).desired_labels()["example.dev/billed-to"].as_deref(), Some("red"));
    }
}
