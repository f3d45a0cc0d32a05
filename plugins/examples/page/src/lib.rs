//! A `Page` becomes a Deployment, a Service and a ConfigMap with its text. The
//! same plugin is beside this one in other languages.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use trimtab::{
    k8s::{ConfigMap, Secret, Service},
    prelude::*,
    serde_json::Value,
};

const IMAGE: &str = "docker.io/library/nginx:1.29";

#[derive(Deserialize, Resource)]
#[resource(api_version = "example.dev/v1", kind = "Page")]
struct Page {
    metadata: Metadata,
    spec: PageSpec,
    #[serde(default)]
    status: Seen,
}

#[derive(Deserialize)]
struct PageSpec {
    host: String,
    #[serde(default = "one")]
    replicas: i32,
    #[serde(default)]
    text: String,
    tls: Option<String>,
    #[serde(default = "empty")]
    settings: Value,
}

/// A Deployment, as far as it is looked at: the whole type is a megabyte of code.
#[derive(Deserialize, Resource)]
#[resource(api_version = "apps/v1", kind = "Deployment")]
struct Deployment {
    metadata: Metadata,
    #[serde(default)]
    status: Replicas,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Replicas {
    ready_replicas: i32,
}

/// What an earlier run has said.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Seen {
    ready: bool,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default = "image")]
    image: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PageStatus {
    ready: bool,
    url: String,
    pages: usize,
    settings: Value,
    observed_generation: i64,
}

#[trimtab::composite(children(ConfigMap, Deployment, Service), reads(Secret), finalizes)]
fn reconcile(page: Page, cx: &Cx) -> Result<Answer<PageStatus>> {
    let (name, spec) = (page.name(), &page.spec);
    let host = &spec.host;
    if cx.finalizing() {
        return Ok(answer().finalized().event("Closed", format!("{host} is closed")));
    }
    if host.is_empty() {
        return Err(Error::terminal("spec.host is empty"));
    }
    if let Some(tls) = &spec.tls {
        cx.get::<Secret>(tls)?.or_wait(&format!("the secret {tls}"))?;
    }

    let web = cx.child::<Deployment>(name);
    let ready = web.map_or(0, |web| web.status.ready_replicas) >= spec.replicas;
    cx.log(Level::Info, format!("{name} is {}", if ready { "ready" } else { "not ready" }));

    let labels = json!({ "app": name });
    let metadata = json!({ "name": name, "labels": labels });
    let pod = pod(name, &cx.config::<Config>()?.image, spec.tls.as_deref());
    let scheme = if spec.tls.is_some() { "https" } else { "http" };
    let mut answer = answer()
        .child_json::<ConfigMap>(json!({ "metadata": metadata, "data": { "index.html": spec.text } }))
        .child_json::<Deployment>(json!({
            "metadata": metadata,
            "spec": {
                "replicas": spec.replicas,
                "selector": { "matchLabels": labels },
                "template": { "metadata": { "labels": labels }, "spec": pod },
            },
        }))
        .child_json::<Service>(json!({
            "metadata": metadata,
            "spec": { "selector": labels, "ports": [{ "port": 80, "targetPort": 80 }] },
        }))
        .status(PageStatus {
            ready,
            url: format!("{scheme}://{host}/"),
            pages: cx.children::<ConfigMap>().count(),
            settings: spec.settings.clone(),
            observed_generation: page.metadata.generation,
        });
    if ready && !page.status.ready {
        answer = answer.event("Served", format!("{host} is served"));
    }
    Ok(if ready { answer } else { answer.requeue_after(Duration::from_secs(30)) })
}

/// What serves the text.
fn pod(name: &str, image: &str, tls: Option<&str>) -> Value {
    let mut volumes = vec![json!({ "name": "page", "configMap": { "name": name } })];
    volumes.extend(tls.map(|tls| json!({ "name": "tls", "secret": { "secretName": tls } })));
    json!({
        "containers": [{
            "name": "web",
            "image": image,
            "ports": [{ "containerPort": 80 }],
            "volumeMounts": [{ "name": "page", "mountPath": "/usr/share/nginx/html" }],
        }],
        "volumes": volumes,
    })
}

fn one() -> i32 {
    1
}

fn empty() -> Value {
    json!({})
}

fn image() -> String {
    IMAGE.to_owned()
}

#[cfg(test)]
mod tests {
    use trimtab::replay::Call;

    use super::*;

    /// As the host of this repository has recorded it; its own tests hold it to that.
    const CALL: &str = include_str!("../tests/call.json");

    #[test]
    fn a_recorded_call_is_answered_natively_as_it_was() {
        let call = Call::parse(CALL).unwrap();
        let answer = call.answer::<PageStatus>().unwrap();
        let recorded = &call.ending()["answered"];
        let status = recorded["status"].as_str().map(|text| trimtab::serde_json::from_str::<Value>(text).unwrap());
        assert_eq!(answer.desired_status().map(|status| json!(status)), status);
        assert_eq!(recorded["children"].as_array().map(Vec::len), Some(answer.desired_children()));
    }

    #[test]
    fn a_look_up_that_was_not_recorded_is_told() {
        let mut call: Value = trimtab::serde_json::from_str(CALL).unwrap();
        call["tape"]["lookUps"] = json!([]);
        let call = Call::parse(&call.to_string()).unwrap();
        let error = call.answer::<PageStatus>().unwrap_err();
        assert!(error.to_string().contains("no look-up of v1 Secret wanted"), "{error}");
    }
}
