//! An `App` runs its image in one of two Deployments, blue and green. A new image
//! runs in the other one, beside the old; the Service is switched to it when it is
//! ready, and only then the old one goes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use trimtab::{
    k8s::{Deployment, Ready, Rollout},
    prelude::*,
};

const COLORS: [&str; 2] = ["blue", "green"];
/// What a Deployment runs, on itself: cheaper to look at than its template.
const IMAGE: &str = "example.dev/image";

#[derive(Deserialize, Resource)]
#[resource(api_version = "example.dev/v1", kind = "App")]
struct App {
    metadata: Metadata,
    spec: AppSpec,
}

#[derive(Deserialize)]
struct AppSpec {
    image: String,
    replicas: i32,
}

/// A Service, as far as it is looked at.
#[derive(Serialize, Deserialize, Resource)]
#[resource(api_version = "v1", kind = "Service")]
struct Service {
    metadata: Metadata,
    spec: ServiceSpec,
}

#[derive(Serialize, Deserialize)]
struct ServiceSpec {
    selector: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct AppStatus {
    color: &'static str,
    image: String,
    ready: bool,
}

#[trimtab::composite(children(Deployment, Service))]
fn reconcile(app: App, cx: &Cx) -> Result<Answer<AppStatus>> {
    let (name, wanted) = (app.name(), &app.spec.image);
    let running = COLORS.map(|color| cx.child::<Rollout<Deployment>>(format!("{name}-{color}")));
    let image = |at: usize| running[at].as_ref().and_then(|rollout| rollout.metadata.annotations.get(IMAGE));
    let is_ready = |at: usize| running[at].as_ref().is_some_and(Ready::ready);

    // The Service says who serves: a status may be lost, and this is what is.
    let service = cx.child::<Service>(name);
    let color = service.as_ref().and_then(|service| service.spec.selector.get("color"));
    let before = COLORS.iter().position(|known| color.is_some_and(|color| color == known)).unwrap_or(0);
    let next = 1 - before;
    let switches = image(before) != Some(wanted) && image(next) == Some(wanted) && is_ready(next);
    let serving = if switches { next } else { before };

    let served = image(serving).unwrap_or(wanted);
    let mut answer = answer()
        .child_json::<Deployment>(deployment(&app, serving, served))
        .child_json::<Service>(json!({
            "metadata": { "name": name },
            "spec": { "selector": labels(name, serving), "ports": [{ "port": 80 }] },
        }))
        .status(AppStatus { color: COLORS[serving], image: served.clone(), ready: is_ready(serving) });
    // Deletes go first, so the old one is kept until the Service is seen switched.
    let beside = if switches { image(before) } else { Some(wanted).filter(|wanted| *wanted != served) };
    if let Some(image) = beside {
        answer = answer.child_json::<Deployment>(deployment(&app, 1 - serving, image));
    }
    Ok(if switches { answer.event("Switched", format!("{wanted} serves, as {}", COLORS[next])) } else { answer })
}

fn deployment(app: &App, at: usize, image: &str) -> trimtab::serde_json::Value {
    let labels = labels(app.name(), at);
    json!({
        "metadata": { "name": format!("{}-{}", app.name(), COLORS[at]), "annotations": { IMAGE: image } },
        "spec": {
            "replicas": app.spec.replicas,
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [{ "name": "main", "image": image }] },
            },
        },
    })
}

fn labels(name: &str, at: usize) -> BTreeMap<&'static str, String> {
    BTreeMap::from([("app", name.to_owned()), ("color", COLORS[at].to_owned())])
}

#[cfg(test)]
mod tests {
    use trimtab::serde_json::from_value;

    use super::*;

    fn app(image: &str) -> App {
        App { metadata: Metadata::named("shop"), spec: AppSpec { image: image.to_owned(), replicas: 1 } }
    }

    fn seen(at: usize, image: &str, ready: i32) -> Result<Deployment> {
        let mut seen = deployment(&app(image), at, image);
        seen["status"] = json!({ "readyReplicas": ready, "updatedReplicas": ready });
        Ok(from_value(seen)?)
    }

    fn service(at: usize) -> Service {
        let selector = labels("shop", at).into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        Service { metadata: Metadata::named("shop"), spec: ServiceSpec { selector } }
    }

    /// Who serves what, and how many Deployments there are to be.
    fn told(answer: &Answer<AppStatus>) -> (&str, &str, usize) {
        let status = answer.desired_status().expect("there is one");
        (status.color, &status.image, answer.desired_children() - 1)
    }

    #[test]
    fn a_new_image_serves_once_it_is_ready_and_the_old_one_goes() -> Result<()> {
        let first = reconcile(app("shop:1"), &Cx::test())?;
        assert_eq!(told(&first), ("blue", "shop:1", 1));
        for (ready, expected) in [(0, ("blue", "shop:1", 2)), (1, ("green", "shop:2", 2))] {
            let cx = Cx::test().child(service(0)).child(seen(0, "shop:1", 1)?).child(seen(1, "shop:2", ready)?);
            assert_eq!(told(&reconcile(app("shop:2"), &cx)?), expected);
        }
        let after = Cx::test().child(service(1)).child(seen(0, "shop:1", 1)?).child(seen(1, "shop:2", 1)?);
        assert_eq!(told(&reconcile(app("shop:2"), &after)?), ("green", "shop:2", 1));
        Ok(())
    }

    #[test]
    fn an_image_that_is_taken_back_never_serves() -> Result<()> {
        let cx = Cx::test().child(service(0)).child(seen(0, "shop:1", 1)?).child(seen(1, "shop:2", 1)?);
        assert_eq!(told(&reconcile(app("shop:1"), &cx)?), ("blue", "shop:1", 1));
        assert_eq!(told(&reconcile(app("shop:3"), &cx)?), ("blue", "shop:1", 2), "what is ready is not what is wanted");
        Ok(())
    }
}
