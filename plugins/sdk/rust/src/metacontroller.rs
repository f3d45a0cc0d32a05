//! Hooks in Metacontroller's shapes: what the webhooks of its controllers are sent
//! and answer, served by a plugin.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use serde_json::Value;
//! use trimtab::{metacontroller::Hooks, prelude::*};
//! # #[derive(Deserialize, Resource)]
//! # #[resource(api_version = "example.dev/v1", kind = "Page")]
//! # struct Page { metadata: Metadata }
//! # #[derive(Deserialize, Resource)]
//! # #[resource(api_version = "v1", kind = "ConfigMap")]
//! # struct ConfigMap { metadata: Metadata }
//!
//! /// What the hook says in it, whatever that is.
//! #[derive(Serialize, Deserialize)]
//! struct PageStatus(Value);
//!
//! #[trimtab::composite(children(ConfigMap))]
//! fn page(page: Json<Page>, cx: &Cx) -> Result<Answer<PageStatus>> {
//!     Hooks::new(sync).composite(page, cx)
//! }
//!
//! /// The webhook as it was. Requests and responses may be types of one's own.
//! fn sync(request: Value) -> Result<Value> {
//!     let name = &request["parent"]["metadata"]["name"];
//!     let page = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name } });
//!     Ok(json!({ "children": [page], "status": { "seen": request["children"]["ConfigMap.v1"] } }))
//! }
//! ```

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use crate::{
    Answer, Cx, Decorates, Error, Json, Object, Plugin, Resource, Result, answer, describe::KindRef, related::Rule,
};

type Hook<'a> = Box<dyn Fn(Value) -> Result<Value> + 'a>;

/// The hooks of one controller. Each takes a request and gives a response, in types
/// of one's own or as [`Value`]; `controller` in a request is the plugin's config.
pub struct Hooks<'a> {
    sync: Hook<'a>,
    finalize: Option<Hook<'a>>,
    customize: Option<Hook<'a>>,
}

impl<'a> Hooks<'a> {
    /// Those of a controller that has but a sync hook.
    pub fn new<Q: DeserializeOwned, A: Serialize>(sync: impl Fn(Q) -> Result<A> + 'a) -> Self {
        Self { sync: hook("sync", sync), finalize: None, customize: None }
    }

    /// And one that is asked before an object goes; the attribute says `finalizes`.
    pub fn finalize<Q: DeserializeOwned, A: Serialize>(self, finalize: impl Fn(Q) -> Result<A> + 'a) -> Self {
        Self { finalize: Some(hook("finalize", finalize)), ..self }
    }

    /// And one that says which objects are related: of kinds among the attribute's
    /// `reads(…)`, with `Namespace` for rules that select namespaces.
    pub fn customize<Q: DeserializeOwned, A: Serialize>(self, customize: impl Fn(Q) -> Result<A> + 'a) -> Self {
        Self { customize: Some(hook("customize", customize)), ..self }
    }

    /// What the hooks of a CompositeController say of a parent.
    pub fn composite<R: Resource, S: Plugin + DeserializeOwned>(&self, parent: Json<R>, cx: &Cx) -> Result<Answer<S>> {
        let parent = parent.into_value();
        let (response, asked) = self.ask::<S>(&parent, ["parent", "children"], cx)?;
        // The whole of it: what is not in the response goes.
        let mut status = response.status.clone().unwrap_or_default();
        if let Some(generation) = parent["metadata"].get("generation") {
            status.insert("observedGeneration".to_owned(), generation.clone());
        }
        response.answered(&response.children, Some(status), asked)
    }

    /// What the hooks of a DecoratorController say of an object.
    pub fn decorator<S: Plugin + Decorates + DeserializeOwned>(&self, object: Object, cx: &Cx) -> Result<Answer<S>> {
        let object = object.into_value()?;
        let (response, asked) = self.ask::<S>(&object, ["object", "attachments"], cx)?;
        let mut answer = response.answered(&response.attachments, response.status.clone(), asked)?;
        (answer.labels, answer.annotations) = (response.labels, response.annotations);
        Ok(answer)
    }

    /// What the customize hook asks for.
    fn rules(&self, controller: &Value, object: &Value) -> Result<Vec<Rule>> {
        let Some(customize) = &self.customize else { return Ok(Vec::new()) };
        let response = customize(json!({ "controller": controller, "parent": object }))?;
        let customized = Customized::deserialize(response).map_err(|error| malformed("customize", &error))?;
        Ok(customized.related_resources.unwrap_or_default())
    }

    /// The response, and the name of the hook that gave it. `called` is how requests
    /// and responses call an object and its children.
    fn ask<S: Plugin>(
        &self,
        object: &Value,
        [called, children]: [&str; 2],
        cx: &Cx,
    ) -> Result<(Response, &'static str)> {
        if self.finalize.is_some() != S::DESCRIPTION.finalizes {
            return Err(Error::terminal(
                "a finalize hook needs `finalizes` in the plugin's attribute, and it needs one",
            ));
        }
        let controller = cx.config::<Value>()?;
        let rules = self.rules(&controller, object)?;
        let (name, hook) = match &self.finalize {
            Some(finalize) if cx.finalizing() => ("finalize", finalize),
            _ => ("sync", &self.sync),
        };
        let response = hook(json!({
            "controller": controller,
            called: object,
            children: observed::<S>(object, cx)?,
            "related": related::<S>(&rules, object, cx)?,
            "finalizing": cx.finalizing(),
        }))?;
        if !response.is_object() {
            let message = format!("{name} returned {response}; expected an object like {{ status, {children} }}");
            return Err(Error::retry(message));
        }
        Ok((Response::deserialize(response).map_err(|error| malformed(name, &error))?, name))
    }
}

fn hook<'a, Q: DeserializeOwned, A: Serialize>(name: &'static str, of: impl Fn(Q) -> Result<A> + 'a) -> Hook<'a> {
    Box::new(move |request| {
        let request = Q::deserialize(request)
            .map_err(|error| Error::retry(format!("the request is not as {name} takes it: {error}")))?;
        serde_json::to_value(of(request)?).map_err(|error| malformed(name, &error))
    })
}

fn malformed(name: &str, error: &serde_json::Error) -> Error {
    Error::retry(format!("{name} returned what is no response: {error}"))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Customized {
    related_resources: Option<Vec<Rule>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Response {
    status: Option<Map<String, Value>>,
    children: Option<Vec<Value>>,
    attachments: Option<Vec<Value>>,
    labels: BTreeMap<String, Option<String>>,
    annotations: BTreeMap<String, Option<String>>,
    resync_after_seconds: Option<f64>,
    finalized: Option<bool>,
}

impl Response {
    /// What it is for the host.
    fn answered<S: DeserializeOwned>(
        &self,
        children: &Option<Vec<Value>>,
        status: Option<Map<String, Value>>,
        hook: &str,
    ) -> Result<Answer<S>> {
        let status = status.map(|status| S::deserialize(Value::Object(status))).transpose();
        let delay = self.resync_after_seconds.filter(|seconds| *seconds > 0.0);
        Ok(Answer {
            children: children.iter().flatten().map(Value::to_string).collect(),
            status: status.map_err(|error| malformed(hook, &error))?,
            requeue_after: delay.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
            finalized: self.finalized.unwrap_or_default(),
            ..answer()
        })
    }
}

/// The observed children by `Kind.apiVersion`, with an empty group where there are none.
fn observed<S: Plugin>(object: &Value, cx: &Cx) -> Result<Value> {
    let mut groups = Groups::default();
    for child in S::DESCRIPTION.children {
        groups.put(child.of, object, cx.texts(child.of))?;
    }
    Ok(groups.0.into())
}

/// The objects that rules ask for, grouped in the same way.
fn related<S: Plugin>(rules: &[Rule], object: &Value, cx: &Cx) -> Result<Value> {
    let mut groups = Groups::default();
    for rule in rules {
        let of = rule.kind(S::DESCRIPTION.reads)?;
        groups.put(of, object, &rule.find(of, object, cx)?)?;
    }
    Ok(groups.0.into())
}

#[derive(Default)]
struct Groups(Map<String, Value>);

impl Groups {
    /// Objects of a kind by name, and by `namespace/name` elsewhere than their parent.
    fn put(&mut self, of: KindRef, parent: &Value, texts: &[String]) -> Result<()> {
        let group = self.0.entry(format!("{}.{}", of.kind, of.api_version)).or_insert_with(|| json!({}));
        for text in texts {
            let object = serde_json::from_str::<Value>(text)?;
            let text = |of: &Value, field: &str| of["metadata"][field].as_str().map(str::to_owned);
            let name = text(&object, "name").unwrap_or_default();
            let key = match text(&object, "namespace") {
                Some(namespace) if text(parent, "namespace").as_ref() != Some(&namespace) => {
                    format!("{namespace}/{name}")
                }
                _ => name,
            };
            group[key] = object;
        }
        Ok(())
    }
}
