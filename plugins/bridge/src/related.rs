//! What a customize hook asks for, found in the host's cache. All of it is a
//! look-up, so a change of it wakes the parent.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    config::Config,
    controller::{LabelSelector, Resource, Version},
    hook::{Failure, Shown},
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Customized {
    #[serde(default)]
    related_resources: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    #[serde(flatten)]
    of: Resource,
    #[serde(default)]
    label_selector: Option<LabelSelector>,
    #[serde(default)]
    namespace_selector: Option<LabelSelector>,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    names: Vec<String>,
}

/// Where related objects are looked up.
pub trait Cache {
    /// One object of a kind.
    fn get(&self, api_version: &str, kind: &str, namespace: Option<&str>, name: &str)
    -> Result<Option<String>, String>;
    /// The objects of a kind that a selector matches.
    fn select(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        labels: &str,
    ) -> Result<Vec<String>, String>;
}

/// All that a customize hook's answer asks for.
pub fn find(
    config: &Config,
    answer: &Value,
    parent: &Value,
    version: Version,
    cache: &dyn Cache,
) -> Result<Value, Failure> {
    let customized =
        Customized::deserialize(answer).map_err(|error| format!("the customize hook's answer: {error}"))?;
    let mut shown = Shown::default();
    for rule in &customized.related_resources {
        let Resource { api_version, resource } = &rule.of;
        config.may_relate(&rule.of)?;
        let kind = config.kind(api_version, resource)?;
        shown.kind(api_version, kind);
        for text in found(config, rule, kind, parent, cache)? {
            let mut object = serde_json::from_str::<Value>(&text).map_err(|error| error.to_string())?;
            (object["apiVersion"], object["kind"]) = (json!(api_version), json!(kind));
            shown.put(api_version, kind, object, parent, version);
        }
    }
    Ok(shown.into_value())
}

fn found(config: &Config, rule: &Rule, kind: &str, parent: &Value, cache: &dyn Cache) -> Result<Vec<String>, Failure> {
    let Resource { api_version, resource } = &rule.of;
    let own = parent["metadata"]["namespace"].as_str();
    let asked = rule.namespace.as_deref().filter(|namespace| !namespace.is_empty());
    if let (Some(own), Some(asked)) = (own, asked)
        && own != asked
    {
        return Err(format!(
            "the customize hook asks for {resource} in {asked}: a parent in {own} relates to that namespace only"
        )
        .into());
    }
    if rule.label_selector.is_some() && !(rule.names.is_empty() && asked.is_none()) {
        return Err(format!(
            "the customize hook asks for {resource} by labels and by name or namespace: it is one of them"
        )
        .into());
    }
    let is_namespaced = config.is_namespaced(api_version, resource);
    let namespace = own.or(asked).filter(|_| is_namespaced);
    let Some(selector) = &rule.namespace_selector else {
        return found_in(rule, kind, is_namespaced, namespace, cache);
    };
    if asked.is_some() || !is_namespaced {
        let why = if is_namespaced { "names one, too: it is one of them" } else { "they lie in none" };
        return Err(format!("the customize hook selects the namespaces of {resource}, and {why}").into());
    }
    let mut objects = Vec::new();
    for name in namespaces(config, selector, cache)? {
        // A parent in a namespace relates to that one alone, if it is selected.
        if own.is_none_or(|own| own == name) {
            objects.extend(found_in(rule, kind, true, Some(&name), cache)?);
        }
    }
    Ok(objects)
}

/// The names of the namespaces that a selector matches.
fn namespaces(config: &Config, selector: &LabelSelector, cache: &dyn Cache) -> Result<Vec<String>, Failure> {
    config.may_relate(&Resource { api_version: "v1".into(), resource: "namespaces".into() })?;
    let selected = cache.select("v1", "Namespace", None, &selector.text()?)?;
    Ok(selected.iter().filter_map(|namespace| name_of(namespace)).collect())
}

fn found_in(
    rule: &Rule,
    kind: &str,
    is_namespaced: bool,
    namespace: Option<&str>,
    cache: &dyn Cache,
) -> Result<Vec<String>, Failure> {
    let api_version = &rule.of.api_version;
    if rule.names.is_empty() {
        let labels = rule.label_selector.as_ref().map(LabelSelector::text).transpose()?.unwrap_or_default();
        return Ok(cache.select(api_version, kind, namespace, &labels)?);
    }
    if is_namespaced && namespace.is_none() {
        // Those of that name in any namespace: no look-up by name finds them.
        let mut objects = cache.select(api_version, kind, None, "")?;
        objects.retain(|object| name_of(object).is_some_and(|name| rule.names.contains(&name)));
        return Ok(objects);
    }
    let mut objects = Vec::new();
    for name in &rule.names {
        objects.extend(cache.get(api_version, kind, namespace, name)?);
    }
    Ok(objects)
}

fn name_of(object: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    struct Metadata {
        name: String,
    }
    serde_json::from_str::<Named>(object).ok().map(|object| object.metadata.name)
}
