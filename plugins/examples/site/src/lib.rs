//! A `Site` becomes a Deployment, a Service and a ConfigMap with the page that
//! they serve.

use serde::{Deserialize, Serialize};
use trimtab::{
    k8s::{ConfigMap, Deployment, Ready, Rollout, Service},
    prelude::*,
    serde_json::Value,
};

/// Which build of the plugin wrote a status or a page.
const BUILD: &str = if cfg!(feature = "next") { "2" } else { "1" };

#[derive(Deserialize, Resource)]
#[resource(api_version = "example.dev/v1", kind = "Site")]
struct Site {
    metadata: Metadata,
    spec: SiteSpec,
}

#[derive(Deserialize)]
struct SiteSpec {
    host: String,
    replicas: i32,
    #[serde(default)]
    page: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SiteStatus {
    ready: bool,
    url: String,
    build: &'static str,
    observed_generation: i64,
}

#[trimtab::composite(children(Deployment, Service, ConfigMap))]
fn reconcile(site: Site, cx: &Cx) -> Result<Answer<SiteStatus>> {
    let name = site.name();
    let labels = json!({ "app": name });
    let ready = cx.child::<Rollout<Deployment>>(name).is_some_and(|web| web.ready());
    Ok(answer()
        .child_json::<ConfigMap>(json!({
            "metadata": { "name": name, "labels": labels },
            "data": { "index.html": site.spec.page, "build": BUILD },
        }))
        .child_json::<Deployment>(json!({
            "metadata": { "name": name, "labels": labels },
            "spec": {
                "replicas": site.spec.replicas,
                "selector": { "matchLabels": labels },
                "template": { "metadata": { "labels": labels }, "spec": pod(name) },
            },
        }))
        .child_json::<Service>(json!({
            "metadata": { "name": name, "labels": labels },
            "spec": { "selector": labels, "ports": [{ "port": 80, "targetPort": 80 }] },
        }))
        .status(SiteStatus {
            ready,
            url: format!("http://{}/", site.spec.host),
            build: BUILD,
            observed_generation: site.metadata.generation,
        }))
}

/// What serves the page.
fn pod(name: &str) -> Value {
    json!({
        "containers": [{
            "name": "web",
            "image": "docker.io/library/nginx:1.29",
            "ports": [{ "containerPort": 80 }],
            "volumeMounts": [{ "name": "page", "mountPath": "/usr/share/nginx/html" }],
        }],
        "volumes": [{ "name": "page", "configMap": { "name": name } }],
    })
}

#[cfg(test)]
mod tests {
    use trimtab::serde_json::from_value;

    use super::*;

    fn site() -> Site {
        let spec = SiteSpec { host: "a.example.dev".to_owned(), replicas: 2, page: "hello".to_owned() };
        Site { metadata: Metadata { generation: 3, ..Metadata::named("a") }, spec }
    }

    #[test]
    fn a_site_becomes_a_deployment_a_service_and_its_page() -> Result<()> {
        let answer = reconcile(site(), &Cx::test())?;
        let page: ConfigMap = answer.desired("a").or_wait("the page")?;
        assert_eq!(page.data.or_wait("its files")?["index.html"], "hello");
        let web: Deployment = answer.desired("a").or_wait("the deployment")?;
        assert_eq!(web.spec.replicas, Some(2));
        let service: Service = answer.desired("a").or_wait("the service")?;
        assert_eq!(service.spec.or_wait("its spec")?.selector, web.spec.selector.match_labels);
        assert_eq!(answer.desired_children(), 3);
        Ok(())
    }

    #[test]
    fn it_is_ready_when_all_its_replicas_are() -> Result<()> {
        let ready = |replicas: i32| -> Result<bool> {
            let web = json!({
                "metadata": { "name": "a" },
                "spec": { "replicas": 2, "selector": {}, "template": {} },
                "status": { "readyReplicas": replicas, "updatedReplicas": 2 },
            });
            let web: Deployment = from_value(web)?;
            let answer = reconcile(site(), &Cx::test().child(web))?;
            Ok(answer.desired_status().is_some_and(|status| status.ready && status.url == "http://a.example.dev/"))
        };
        assert!(!ready(1)?);
        assert!(ready(2)?);
        Ok(())
    }
}
