//! `trimtab demo`: the story of the host, told against an API in memory in this
//! process. Each line is checked against that API before it is printed; the
//! first check that fails ends the story and the process.

mod stage;

use std::time::{Duration, Instant};

use serde_json::json;

use self::stage::Stage;
use crate::{cli::DemoArgs, wiring::Runtimes};

/// Tells the story.
pub fn main(args: DemoArgs) -> anyhow::Result<()> {
    let runtimes = Runtimes::start()?;
    let began = Instant::now();
    runtimes.host.block_on(async {
        let stage = Stage::set(&runtimes, &args).await?;
        let told = story(&stage).await;
        let struck = stage.strike().await;
        told.and(struck)
    })?;
    println!("\nall of it checked, in {:.1} s", began.elapsed().as_secs_f64());
    println!("keep one running:  trimtab dev --plugins DIR --apply {}", args.manifests.join("crd.yaml").display());
    println!("look at it:        kubectl --kubeconfig FILE get sites,deploy,svc,cm, with the file that it names");
    Ok(())
}

async fn story(stage: &Stage) -> anyhow::Result<()> {
    println!("Three Sites wait, and nobody serves them.");
    for site in ["anna", "ben", "clara"] {
        stage
            .check(&format!("  {site} has no status and no children"), async || {
                Ok(stage.site(site).await?["status"].is_null() && stage.children(site).await?.is_empty())
            })
            .await?;
    }

    println!("site.wasm is copied into the plugins folder.");
    stage.drop_in("site.wasm", "site.wasm")?;
    for site in ["anna", "ben", "clara"] {
        stage
            .check(&format!("  {site} has a Deployment, a Service, a ConfigMap and a status"), async || {
                Ok(stage.children(site).await?.len() == 3 && stage.build(site).await?.as_deref() == Some("1"))
            })
            .await?;
    }

    canary(stage).await?;
    second_version(stage).await?;
    broken_and_fixed(stage).await?;
    drift_and_deletion(stage).await
}

async fn canary(stage: &Stage) -> anyhow::Result<()> {
    println!("A new build is copied into plugins/canary/, and ben is labelled for it.");
    stage.drop_in("site-next.wasm", "canary/site.wasm")?;
    let before = stage.children("ben").await?;
    let mark = json!({ "metadata": { "labels": { "trimtab.dev/instance-id": "canary" } } });
    stage.api.merge(&stage.path("ben"), &mark).await?;
    stage
        .check("  ben is served by the new build", async || Ok(stage.build("ben").await?.as_deref() == Some("2")))
        .await?;
    stage
        .check("  its children are the same ones, by their uids", async || Ok(stage.children("ben").await? == before))
        .await?;
    stage.edit("anna", json!({ "page": "<h1>Anna, edited</h1>" })).await?;
    stage
        .check("  the old build, in the same process, goes on with the others", async || {
            let page = stage.page("anna").await?;
            Ok(page.as_deref() == Some("<h1>Anna, edited</h1>") && stage.build("anna").await?.as_deref() == Some("1"))
        })
        .await
}

async fn second_version(stage: &Stage) -> anyhow::Result<()> {
    println!("site@v2.wasm, for the next apiVersion, is copied beside site.wasm.");
    stage.drop_in("site-v2.wasm", "site@v2.wasm")?;
    stage.serving("site@v2").await?;
    let dora = json!({
        "apiVersion": "example.dev/v2", "kind": "Site", "metadata": { "name": "dora", "namespace": "default" },
        "spec": { "host": "dora.example.dev", "pages": [{ "file": "about.html", "text": "about Dora" }] },
    });
    stage.api.apply("/apis/example.dev/v2/namespaces/default/sites/dora", &dora).await?;
    stage
        .check("  dora, made as v2, is served by it", async || Ok(stage.build("dora").await?.as_deref() == Some("v2")))
        .await?;
    stage.edit("anna", json!({ "page": "<h1>Anna again</h1>" })).await?;
    stage
        .check("  anna stays with v1", async || {
            let page = stage.page("anna").await?;
            Ok(page.as_deref() == Some("<h1>Anna again</h1>") && stage.build("anna").await?.as_deref() == Some("1"))
        })
        .await
}

async fn broken_and_fixed(stage: &Stage) -> anyhow::Result<()> {
    println!("A broken file is copied over site.wasm.");
    stage.write("site.wasm", b"this is no WebAssembly")?;
    stage.check("  it is refused, and the reason is told", async || Ok(stage.refusal("site").is_some())).await?;
    println!("    {}", stage.refusal("site").unwrap_or_default());
    stage.edit("clara", json!({ "page": "<h1>Clara</h1>" })).await?;
    stage
        .check("  an edit of clara is still served by the last good one", async || {
            Ok(stage.page("clara").await?.as_deref() == Some("<h1>Clara</h1>"))
        })
        .await?;

    println!("A fixed one is copied in.");
    stage.drop_in("site-next.wasm", "site.wasm")?;
    for site in ["anna", "clara"] {
        stage
            .check(&format!("  {site} comes up to date, with no restart"), async || {
                Ok(stage.build(site).await?.as_deref() == Some("2"))
            })
            .await?;
    }
    Ok(())
}

async fn drift_and_deletion(stage: &Stage) -> anyhow::Result<()> {
    println!("Somebody deletes a child and edits another one by hand.");
    let config = "/api/v1/namespaces/default/configmaps/anna";
    let deployment = "/apis/apps/v1/namespaces/default/deployments/anna";
    let uid = async || anyhow::Ok(stage.api.get(config).await?.map(|child| child["metadata"]["uid"].clone()));
    let before = uid().await?;
    stage.api.delete(config).await?;
    stage
        .check("  the ConfigMap is made again", async || Ok(uid().await?.is_some_and(|now| Some(now) != before)))
        .await?;
    stage.api.merge(deployment, &json!({ "spec": { "replicas": 7 } })).await?;
    stage
        .check("  the Deployment has its replicas back", async || {
            Ok(stage.api.get(deployment).await?.is_some_and(|it| it["spec"]["replicas"] == 2))
        })
        .await?;

    println!("A Site is deleted.");
    stage.api.delete(&stage.path("anna")).await?;
    stage.check("  its children go with it", async || Ok(stage.children("anna").await?.is_empty())).await
}

/// How long a check may take before the story fails: many times what it needs.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks of a check. A person watches: this is below what is seen.
const LOOK_EVERY: Duration = Duration::from_millis(20);
