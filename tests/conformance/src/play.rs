//! Plays a case on one server.

use std::collections::HashMap;
use std::time::Duration;

use futures::StreamExt;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::case::{Case, Read, Send, Step, Until};
use crate::normal::Normal;
use crate::server::{Events, Server, succeeded};
use crate::variables::Variables;

/// How long a thing may take that a server does a moment later.
const LATER_MAX: Duration = Duration::from_secs(30);
/// Between two looks at it.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a watch may be silent while an event is owed.
const EVENT_WITHIN: Duration = Duration::from_secs(30);

/// Plays `case` in the namespace; one normalised answer for each step. What
/// takes a moment here is waited for until it is as `expected`, if that is known.
pub(crate) async fn play(
    case: &Case,
    server: &Server,
    namespace: &str,
    expected: &[Value],
) -> anyhow::Result<Vec<Value>> {
    let mut variables = Variables::new(namespace);
    prepare(case, server, &variables).await?;
    let mut watches = HashMap::new();
    let mut normal = Normal::default();
    let mut answers = Vec::new();
    for (index, step) in case.steps.iter().enumerate() {
        let answer = match step {
            Step::Read(read) => match watches.get_mut(&read.read) {
                Some(events) => read_events(events, read).await,
                None => json!({ "events": "no such watch is open" }),
            },
            Step::Send(Send { watch: Some(name), .. }) => open(step, name, server, &variables, &mut watches).await?,
            Step::Send(send) if send.later => {
                let same = |answer: &Value| {
                    expected.get(index).is_none_or(|expected| normal.clone().normalise(answer.clone()) == *expected)
                };
                ask_until(send, server, &variables, same).await?
            }
            Step::Send(send) => ask(send, server, &variables).await?,
        };
        variables.learn(&answer["body"]);
        answers.push(normal.normalise(answer));
    }
    Ok(answers)
}

async fn open(
    step: &Step,
    name: &str,
    server: &Server,
    variables: &Variables,
    watches: &mut HashMap<String, Events>,
) -> anyhow::Result<Value> {
    let Step::Send(send) = step else { unreachable!("only a request opens a watch") };
    let (answer, events) = server.watch(send, variables).await?;
    watches.extend(events.map(|events| (name.to_owned(), events)));
    Ok(answer)
}

async fn ask(send: &Send, server: &Server, variables: &Variables) -> anyhow::Result<Value> {
    let done = |answer: &Value| send.until.as_ref().is_none_or(|until| is_like(answer, until, variables));
    ask_until(send, server, variables, done).await
}

async fn ask_until(
    send: &Send,
    server: &Server,
    variables: &Variables,
    done: impl Fn(&Value) -> bool,
) -> anyhow::Result<Value> {
    let begun = Instant::now();
    loop {
        let answer = server.send(send, variables).await?;
        if done(&answer) || begun.elapsed() > LATER_MAX {
            return Ok(answer);
        }
        sleep(PAUSE).await;
    }
}

fn is_like(answer: &Value, until: &Until, variables: &Variables) -> bool {
    let wanted = until.body.as_ref().map(|body| variables.fill(&body.to_string()));
    let wanted = wanted.and_then(|text| serde_json::from_str(&text).ok());
    until.code.is_none_or(|code| answer["code"] == code)
        && wanted.is_none_or(|wanted: Value| contains(&answer["body"], &wanted))
}

/// Whether `wanted` is a part of `value`; `null` stands for what is absent.
fn contains(value: &Value, wanted: &Value) -> bool {
    match (value, wanted) {
        (value, Value::Object(wanted)) => wanted.iter().all(|(key, wanted)| contains(&value[key], wanted)),
        (Value::Array(items), Value::Array(wanted)) => {
            wanted.iter().all(|wanted| items.iter().any(|item| contains(item, wanted)))
        }
        _ => value == wanted,
    }
}

async fn read_events(events: &mut Events, read: &Read) -> Value {
    let mut seen = Vec::new();
    let enough = |seen: &[Value]| match (&read.to, read.events) {
        (Some(name), _) => seen.last().is_some_and(|last| last["object"]["metadata"]["name"] == **name),
        (None, count) => seen.len() >= count.unwrap_or(1),
    };
    while !enough(&seen) {
        match timeout(EVENT_WITHIN, events.next()).await {
            Ok(Some(Ok(event))) => seen.push(event),
            Ok(Some(Err(error))) => seen.push(json!({ "broken": format!("{error:#}") })),
            Ok(None) => seen.push(json!("the stream has ended")),
            Err(_) => seen.push(json!("nothing more came")),
        }
        if seen.last().is_some_and(Value::is_string) {
            break;
        }
    }
    json!({ "events": seen })
}

/// The namespace of the case, and its custom kind.
async fn prepare(case: &Case, server: &Server, variables: &Variables) -> anyhow::Result<()> {
    let request = |send: &str, body: Option<Value>, until: Option<Until>| Send {
        send: send.to_owned(),
        body,
        until,
        ..Send::default()
    };
    let namespace = json!({ "metadata": { "name": "$ns" } });
    succeeded(&ask(&request("POST /api/v1/namespaces", Some(namespace), None), server, variables).await?)?;
    let Some(things) = &case.things else { return Ok(()) };
    let definition = definition(things);
    let versions = definition["spec"]["versions"].as_array().cloned().unwrap_or_default();
    succeeded(&ask(&request("POST $crds", Some(definition), None), server, variables).await?)?;
    for version in &versions {
        let path = format!("GET $custom/{}/things", version["name"].as_str().unwrap_or_default());
        let served = Until { code: Some(200), body: None };
        succeeded(&ask(&request(&path, None, Some(served)), server, variables).await?)?;
    }
    Ok(())
}

/// The definition of `things`, which say one version or all of them.
fn definition(things: &Value) -> Value {
    let versions = things["versions"].as_array().cloned().unwrap_or_else(|| vec![things.clone()]);
    let versions: Vec<Value> = versions.into_iter().map(version).collect();
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": "things.$group" },
        "spec": {
            "group": "$group",
            "names": { "plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList" },
            "scope": things["scope"].as_str().unwrap_or("Namespaced"),
            "versions": versions,
        },
    })
}

/// A version in a definition: served and stored, where it does not say otherwise.
fn version(mut version: Value) -> Value {
    let schema = version["schema"].take();
    version["schema"] = json!({ "openAPIV3Schema": schema });
    for (field, usual) in [("name", json!("v1")), ("served", json!(true)), ("storage", json!(true))] {
        if version[field].is_null() {
            version[field] = usual;
        }
    }
    version
}
