//! `trimtab canary`: makes, reads and edits the resource, as a person with kubectl does.
//! What comes of it, the hosts decide.

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};
use trimtab_cluster::connect;

use crate::{
    cli::{Canary, NamedArgs, StartArgs},
    local::Local,
    screen::one_line,
    wiring::Runtimes,
};

const API_VERSION: &str = "trimtab.dev/v1alpha1";
const KIND: &str = "Canary";

/// Does it, and prints what was done.
pub fn main(canary: &Canary) -> anyhow::Result<()> {
    let runtimes = Runtimes::start()?;
    runtimes.host.block_on(async {
        match canary {
            Canary::Start(args) => start(args).await,
            Canary::Status(args) => status(args).await,
            Canary::Promote(args) => edit(args, json!({ "promote": true, "paused": false }), "is promoted").await,
            Canary::Pause(args) => edit(args, json!({ "paused": true }), "is paused").await,
            Canary::Resume(args) => edit(args, json!({ "paused": false }), "goes on").await,
            Canary::Abort(args) => abort(args).await,
        }
    })
}

async fn api(args: &NamedArgs) -> anyhow::Result<Local> {
    let connection = match &args.kubeconfig {
        Some(file) => connect::kubeconfig(file).await,
        None => connect::infer().await,
    };
    let api = Local::new(connection.context("connecting to the cluster")?.client);
    if api.resource(API_VERSION, KIND).await?.is_none() {
        bail!("the server knows no canaries: apply deploy/crds/canaries.yaml");
    }
    Ok(api)
}

fn path(args: &NamedArgs) -> String {
    format!("/apis/{API_VERSION}/namespaces/{}/canaries/{}", args.namespace, args.name)
}

fn missing(args: &NamedArgs) -> anyhow::Error {
    anyhow::anyhow!(
        "there is no canary {} in the namespace {}: see `kubectl get canaries -A`",
        args.name,
        args.namespace
    )
}

async fn start(args: &StartArgs) -> anyhow::Result<()> {
    let (named, api) = (&args.named, api(&args.named).await?);
    if api.get(&path(named)).await?.is_some() {
        bail!("there is a canary {} already: abort it, or take another name", named.name);
    }
    let canary = json!({
        "apiVersion": API_VERSION, "kind": KIND,
        "metadata": { "name": named.name, "namespace": named.namespace },
        "spec": spec(args),
    });
    api.apply(&path(named), &canary).await?;
    println!("canary {} is begun: trimtab canary status {} -n {}", named.name, named.name, named.namespace);
    Ok(())
}

fn spec(args: &StartArgs) -> Value {
    let steps = args.steps.iter().map(|(percent, hold)| match hold {
        Some(hold) => json!({ "percent": percent, "holdSeconds": hold }),
        None => json!({ "percent": percent }),
    });
    let mut spec = json!({
        "lineage": args.lineage, "kind": args.kind, "from": args.from, "to": args.to,
        "installation": args.installation, "steps": steps.collect::<Vec<_>>(),
    });
    let mut objects = Map::new();
    objects.extend(args.selector.iter().map(|selector| ("selector".to_owned(), json!(selector))));
    let lists = [("namespaces", &args.namespaces), ("names", &args.names)];
    objects
        .extend(lists.iter().filter(|(_, list)| !list.is_empty()).map(|(key, list)| ((*key).to_owned(), json!(list))));
    if !objects.is_empty() {
        spec["objects"] = objects.into();
    }
    if let Some(percent) = args.tolerated_percent {
        spec["toleratedPercent"] = percent.into();
    }
    spec
}

async fn status(args: &NamedArgs) -> anyhow::Result<()> {
    let canary = api(args).await?.get(&path(args)).await?.ok_or_else(|| missing(args))?;
    print!("{}", told(&canary));
    Ok(())
}

/// What there is to say of a canary, a line for each thing.
fn told(canary: &Value) -> String {
    let (spec, status) = (&canary["spec"], &canary["status"]);
    let text = |value: &Value| one_line(value.as_str().unwrap_or_default());
    let count = |name: &str| status[name].as_u64().unwrap_or_default();
    let instance = |name: &str| match text(&spec[name]) {
        id if id.is_empty() => "the default instance".to_owned(),
        id => id,
    };
    let phase = if status["phase"].is_null() { "no host has taken it up".into() } else { text(&status["phase"]) };
    let steps = spec["steps"].as_array().map_or(0, Vec::len);
    let mut lines = vec![
        format!("{}: {phase}", text(&canary["metadata"]["name"])),
        format!("  plugin    {}, {}", text(&spec["lineage"]), text(&spec["kind"])),
        format!("  from, to  {}, {}", instance("from"), instance("to")),
        format!("  step      {} of {steps} over, {} % of the objects", count("step"), count("percent")),
        format!(
            "  objects   {}, {} moved, {} tried, {} failing",
            count("objects"),
            count("moved"),
            count("tried"),
            count("failing")
        ),
    ];
    // It says what stands in the way, too.
    let message = status["conditions"][0].get("message").unwrap_or(&status["message"]);
    lines.extend(Some(text(message)).filter(|message| !message.is_empty()).map(|it| format!("  {it}")));
    let made = &status["made"];
    if let Some(number) = made["count"].as_u64().filter(|number| *number > 0) {
        let names = made["names"].as_array().into_iter().flatten().map(text).collect::<Vec<_>>().join(", ");
        lines.push(format!("  made since {number} children: {names}"));
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

async fn edit(args: &NamedArgs, spec: Value, what: &str) -> anyhow::Result<()> {
    let api = api(args).await?;
    api.get(&path(args)).await?.ok_or_else(|| missing(args))?;
    api.merge(&path(args), &json!({ "spec": spec })).await?;
    println!("canary {} {what}", args.name);
    Ok(())
}

async fn abort(args: &NamedArgs) -> anyhow::Result<()> {
    let api = api(args).await?;
    api.get(&path(args)).await?.ok_or_else(|| missing(args))?;
    api.delete(&path(args)).await?;
    println!("canary {} goes as soon as its objects are back", args.name);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_is_told_with_what_it_waits_for_and_what_it_has_made() {
        let canary = json!({
            "metadata": { "name": "next" },
            "spec": { "lineage": "site", "kind": "Site.example.dev", "from": "", "to": "blue", "steps": [{}, {}] },
            "status": { "phase": "RollingBack", "message": "of 9 objects it fails for 3", "step": 1, "percent": 50,
                "objects": 18, "moved": 9, "tried": 9, "failing": 3, "made": { "count": 2, "names": ["a/b", "a/c"] } },
        });
        let told = told(&canary);
        for part in [
            "next: RollingBack",
            "the default instance, blue",
            "1 of 2 over, 50 %",
            "18, 9 moved, 9 tried, 3 failing",
            "it fails for 3",
            "2 children: a/b, a/c",
        ] {
            assert!(told.contains(part), "{told}");
        }
        assert!(super::told(&json!({})).contains("no host has taken it up"));
    }
}
