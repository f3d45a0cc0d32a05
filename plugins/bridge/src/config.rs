//! The config: the user's own controller, and what it leaves unsaid. Metacontroller
//! asks the server for the kind behind `resource: deployments`; a plugin that
//! describes itself cannot, so the config says it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::controller::{Child, Controller, Resource, Role, Target};

/// The plugin's config.
#[derive(Debug, Clone)]
pub struct Config {
    /// The controller as it was written, which each hook is shown.
    pub manifest: Value,
    /// What it says.
    pub controller: Controller,
    kinds: BTreeMap<String, String>,
    cluster_scoped: Vec<String>,
    related: Vec<Resource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Written {
    controller: Value,
    /// From `deployments.apps` or `services` to the kind.
    kinds: BTreeMap<String, String>,
    /// Those of `kinds` that lie in no namespace.
    #[serde(default, rename = "cluster_scoped")]
    cluster_scoped: Vec<String>,
    /// What the customize hook may ask for, as `v1/secrets`.
    #[serde(default)]
    related: Vec<String>,
}

impl Config {
    /// Reads the plugin's config; the error names the key.
    pub fn read(json: &str) -> Result<Self, String> {
        let written = serde_json::from_str::<Written>(json).map_err(|error| format!("the config: {error}"))?;
        let related = written.related.iter().map(|text| {
            let (api_version, resource) = text.rsplit_once('/').ok_or_else(|| {
                format!(
                    "config.related: found {text:?}, accepted: an apiVersion and a resource, such as \"v1/secrets\""
                )
            })?;
            Ok(Resource { api_version: api_version.to_owned(), resource: resource.to_owned() })
        });
        Ok(Self {
            controller: Controller::read(&written.controller)?,
            related: related.collect::<Result<_, String>>()?,
            manifest: written.controller,
            kinds: written.kinds,
            cluster_scoped: written.cluster_scoped,
        })
    }

    /// What the plugin says of itself.
    pub fn description(&self) -> Result<Value, String> {
        let Controller { role, objects, children, field_paths, resync_seconds, hooks } = &self.controller;
        let role = match role {
            Role::Composite { .. } => "composite",
            Role::Decorator { .. } => "decorator",
        };
        let objects = objects.iter().map(|target| self.target(target)).collect::<Result<Vec<_>, String>>()?;
        let children = children.iter().map(|child| self.child(child)).collect::<Result<Vec<_>, String>>()?;
        let reads = self.related.iter().map(|related| self.described(&related.api_version, &related.resource));
        let mut description = json!({
            "role": role,
            "objects": objects,
            "children": children,
            "reads": reads.collect::<Result<Vec<_>, String>>()?,
            "finalizes": hooks.finalize.is_some(),
        });
        if !field_paths.is_empty() {
            description["fieldPaths"] = json!(field_paths);
        }
        if let Some(seconds) = resync_seconds.filter(|seconds| *seconds > 0) {
            description["resyncSeconds"] = seconds.into();
        }
        Ok(description)
    }

    fn target(&self, target: &Target) -> Result<Value, String> {
        let mut described = self.described(&target.api_version, &target.resource)?;
        if let Some(selector) = &target.label_selector {
            described["labelSelector"] = selector.text()?.into();
        }
        if let Some(selector) = &target.annotation_selector {
            described["annotationSelector"] = selector.text()?.into();
        }
        Ok(described)
    }

    fn child(&self, child: &Child) -> Result<Value, String> {
        let mut described = self.described(&child.api_version, &child.resource)?;
        described["update"] = child.update()?.into();
        if !child.status_checks().is_empty() {
            described["ready"] = child.status_checks().into();
        }
        Ok(described)
    }

    fn described(&self, api_version: &str, resource: &str) -> Result<Value, String> {
        Ok(json!({ "apiVersion": api_version, "kind": self.kind(api_version, resource)? }))
    }

    /// The kind of a resource.
    pub fn kind(&self, api_version: &str, resource: &str) -> Result<&str, String> {
        let name = full_name(api_version, resource);
        let kind = self.kinds.get(&name).map(String::as_str);
        kind.ok_or_else(|| format!("config.kinds lacks {name:?}: add the kind of {resource} of {api_version}"))
    }

    /// Whether a resource lies in namespaces.
    pub fn is_namespaced(&self, api_version: &str, resource: &str) -> bool {
        !self.cluster_scoped.contains(&full_name(api_version, resource))
    }

    /// Whether the customize hook may ask for a resource.
    pub fn may_relate(&self, asked: &Resource) -> Result<(), String> {
        let Resource { api_version, resource } = asked;
        let known = self.related.contains(asked);
        known.then_some(()).ok_or_else(|| {
            format!("the customize hook asks for {resource} of {api_version}: add \"{api_version}/{resource}\" to config.related")
        })
    }
}

/// `deployments.apps`, as CustomResourceDefinitions are named; `services` of the
/// core group.
fn full_name(api_version: &str, resource: &str) -> String {
    match api_version.split_once('/') {
        Some((group, _)) => format!("{resource}.{group}"),
        None => resource.to_owned(),
    }
}
