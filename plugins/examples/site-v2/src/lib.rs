//! The next apiVersion of `Site`: it may have several pages. `page` stays, as the
//! one at the root, so a Site of either version loses nothing in the other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use trimtab::{
    k8s::{ConfigMap, Deployment, Ready, Rollout, Service},
    prelude::*,
    serde_json::Value,
};

#[derive(Deserialize, Resource)]
#[resource(api_version = "example.dev/v2", kind = "Site")]
struct Site {
    metadata: Metadata,
    spec: SiteSpec,
}

#[derive(Deserialize)]
struct SiteSpec {
    host: String,
    replicas: i32,
    page: Option<String>,
    #[serde(default)]
    pages: Vec<Page>,
}

#[derive(Deserialize)]
struct Page {
    file: String,
    text: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SiteStatus {
    ready: bool,
    url: String,
    pages: usize,
    build: &'static str,
    observed_generation: i64,
}

#[trimtab::composite(children(Deployment, Service, ConfigMap))]
fn reconcile(site: Site, cx: &Cx) -> Result<Answer<SiteStatus>> {
    let name = site.name();
    let labels = json!({ "app": name });
    let root = site.spec.page.iter().map(|text| ("index.html", text));
    let files: BTreeMap<_, _> = root.chain(site.spec.pages.iter().map(|page| (&*page.file, &page.text))).collect();
    let ready = cx.child::<Rollout<Deployment>>(name).is_some_and(|web| web.ready());
    let status = SiteStatus {
        ready,
        url: format!("http://{}/", site.spec.host),
        pages: files.len(),
        build: "v2",
        observed_generation: site.metadata.generation,
    };
    Ok(answer()
        .child_json::<ConfigMap>(json!({ "metadata": { "name": name, "labels": labels }, "data": files }))
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
        .status(status))
}

/// What serves the files.
fn pod(name: &str) -> Value {
    json!({
        "containers": [{
            "name": "web",
            "image": "docker.io/library/nginx:1.29",
            "ports": [{ "containerPort": 80 }],
            "volumeMounts": [{ "name": "pages", "mountPath": "/usr/share/nginx/html" }],
        }],
        "volumes": [{ "name": "pages", "configMap": { "name": name } }],
    })
}

#[cfg(test)]
mod tests {
    use trimtab::serde_json::from_value;

    use super::*;

    fn files(spec: Value) -> Result<BTreeMap<String, String>> {
        let site = Site { metadata: Metadata::named("a"), spec: from_value(spec)? };
        let page: ConfigMap = reconcile(site, &Cx::test())?.desired("a").or_wait("the pages")?;
        page.data.or_wait("its files")
    }

    #[test]
    fn a_site_of_the_first_version_keeps_its_page() -> Result<()> {
        let files = files(json!({ "host": "a", "replicas": 1, "page": "hello" }))?;
        assert_eq!(files, BTreeMap::from([("index.html".to_owned(), "hello".to_owned())]));
        Ok(())
    }

    #[test]
    fn each_page_becomes_a_file_beside_it() -> Result<()> {
        let pages = json!([{ "file": "about.html", "text": "us" }, { "file": "index.html", "text": "new" }]);
        let files = files(json!({ "host": "a", "replicas": 1, "page": "old", "pages": pages }))?;
        assert_eq!(files["about.html"], "us");
        assert_eq!(files["index.html"], "new", "a named page replaces the one at the root");
        Ok(())
    }
}
