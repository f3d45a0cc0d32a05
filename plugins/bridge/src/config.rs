//! The config: the user's own CompositeController, and what it leaves unsaid.
//! Metacontroller asks the server for the kind behind `resource: deployments`; a
//! plugin that describes itself cannot, so the config says it.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use serde_json::{Value, json};

/// Metacontroller's time for a hook that names none.
const HOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// The plugin's config.
#[derive(Debug, Clone)]
pub struct Config {
    /// The controller as it was written, which each hook is shown.
    pub manifest: Value,
    /// Its spec.
    pub spec: Spec,
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

/// `spec` of a CompositeController. What it does not know is refused: left out, it
/// would change what the controller does.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec {
    /// What is reconciled.
    pub parent_resource: Parent,
    /// What is made.
    #[serde(default)]
    pub child_resources: Vec<Child>,
    /// Children carry the parent's uid as a label.
    #[serde(default)]
    pub generate_selector: bool,
    #[serde(default)]
    resync_period_seconds: Option<u64>,
    /// Who decides.
    pub hooks: Hooks,
}

/// A kind as Metacontroller names it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    /// `apps/v1`
    pub api_version: String,
    /// `deployments`
    pub resource: String,
}

/// `parentResource`
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Parent {
    api_version: String,
    resource: String,
    #[serde(default)]
    label_selector: Option<LabelSelector>,
    /// Nothing to do: what a run reads of its own status never wakes it.
    #[serde(default, rename = "ignoreStatusChanges")]
    _ignore_status_changes: bool,
    /// Means something to rolling updates only, which are the host's.
    #[serde(default, rename = "revisionHistory")]
    _revision_history: Option<Value>,
}

/// One of `childResources`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Child {
    api_version: String,
    resource: String,
    #[serde(default)]
    update_strategy: UpdateStrategy,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UpdateStrategy {
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    status_checks: Option<Value>,
}

/// The hooks, each where it is called.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hooks {
    /// Says what should be.
    pub sync: Hook,
    #[serde(default)]
    /// The same while the parent goes.
    pub finalize: Option<Hook>,
    #[serde(default)]
    /// Says what else a parent rests on.
    pub customize: Option<Hook>,
}

/// Where a hook is, and which shape it expects.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hook {
    webhook: Webhook,
    #[serde(default)]
    version: Version,
}

/// How children are keyed in a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Version {
    /// By name; by namespace and name under a parent without a namespace.
    #[default]
    V1,
    /// By namespace and name.
    V2,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Webhook {
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    path: String,
    #[serde(default)]
    service: Option<Service>,
    #[serde(default)]
    timeout: Option<String>,
    /// Answers are not cached, so there is nothing to compare.
    #[serde(default, rename = "etag")]
    _etag: Option<Value>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Service {
    name: String,
    namespace: String,
    #[serde(default)]
    port: Option<u16>,
    #[serde(default)]
    protocol: Option<String>,
}

/// A selector as Kubernetes writes it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelSelector {
    #[serde(default)]
    match_labels: BTreeMap<String, String>,
    #[serde(default)]
    match_expressions: Vec<Requirement>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Requirement {
    key: String,
    operator: String,
    #[serde(default)]
    values: Vec<String>,
}

impl Config {
    /// Reads the plugin's config; the error names the key.
    pub fn read(json: &str) -> Result<Self, String> {
        let written = serde_json::from_str::<Written>(json).map_err(|error| format!("the config: {error}"))?;
        let manifest = written.controller;
        if manifest["kind"] != "CompositeController" {
            let message = "config.controller is of the kind {}: this plugin serves a CompositeController";
            return Err(message.replace("{}", &manifest["kind"].to_string()));
        }
        let spec = Spec::deserialize(&manifest["spec"]).map_err(|error| format!("config.controller.spec: {error}"))?;
        let related = written.related.iter().map(|text| {
            let (api_version, resource) = text.rsplit_once('/').ok_or_else(|| {
                format!(
                    "config.related: found {text:?}, accepted: an apiVersion and a resource, such as \"v1/secrets\""
                )
            })?;
            Ok(Resource { api_version: api_version.to_owned(), resource: resource.to_owned() })
        });
        let related = related.collect::<Result<_, String>>()?;
        let hooks = [Some(&spec.hooks.sync), spec.hooks.finalize.as_ref(), spec.hooks.customize.as_ref()];
        for hook in hooks.into_iter().flatten() {
            hook.url()?;
            hook.timeout()?;
        }
        let (kinds, cluster_scoped) = (written.kinds, written.cluster_scoped);
        Ok(Self { manifest, spec, kinds, cluster_scoped, related })
    }

    /// What the plugin says of itself.
    pub fn description(&self) -> Result<Value, String> {
        let Spec { parent_resource: parent, child_resources, hooks, .. } = &self.spec;
        let mut object = self.described(&parent.api_version, &parent.resource)?;
        if let Some(selector) = &parent.label_selector {
            object["labelSelector"] = selector.text()?.into();
        }
        let child = |child: &Child| {
            let mut described = self.described(&child.api_version, &child.resource)?;
            described["update"] = child.update_strategy.name()?.into();
            Ok(described)
        };
        let children = child_resources.iter().map(child).collect::<Result<Vec<_>, String>>()?;
        let reads = self.related.iter().map(|related| self.described(&related.api_version, &related.resource));
        let mut description = json!({
            "role": "composite",
            "objects": [object],
            "children": children,
            "reads": reads.collect::<Result<Vec<_>, String>>()?,
            "finalizes": hooks.finalize.is_some(),
        });
        if let Some(seconds) = self.spec.resync_period_seconds.filter(|seconds| *seconds > 0) {
            description["resyncSeconds"] = seconds.into();
        }
        Ok(description)
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

impl UpdateStrategy {
    /// The host's name of a method; Metacontroller never updates where none is named.
    fn name(&self) -> Result<&'static str, String> {
        if self.status_checks.is_some() {
            return Err("statusChecks: put them into the plugin's policy, see `trimtab migrate`".to_owned());
        }
        match self.method.as_deref() {
            None | Some("" | "OnDelete") => Ok("on-delete"),
            Some("Recreate") => Ok("recreate"),
            Some("InPlace") => Ok("in-place"),
            Some("RollingRecreate") => Ok("rolling-recreate"),
            Some("RollingInPlace") => Ok("rolling-in-place"),
            Some(other) => Err(format!("the update method {other:?} is not one of Metacontroller's")),
        }
    }
}

impl Hook {
    /// Where it is called.
    pub fn url(&self) -> Result<String, String> {
        let Webhook { url, path, service, .. } = &self.webhook;
        match (url, service) {
            (Some(url), None) => Ok(url.clone()),
            (None, Some(Service { name, namespace, port, protocol })) => {
                let (protocol, port) = (protocol.as_deref().unwrap_or("http"), port.unwrap_or(80));
                Ok(format!("{protocol}://{name}.{namespace}:{port}/{}", path.trim_start_matches('/')))
            }
            _ => Err("a webhook names either a url or a service".to_owned()),
        }
    }

    /// How long it may take.
    pub fn timeout(&self) -> Result<Duration, String> {
        let Some(text) = &self.webhook.timeout else { return Ok(HOOK_TIMEOUT) };
        let read = |unit: &str, scale: f64| text.strip_suffix(unit)?.parse::<f64>().ok().map(|count| count * scale);
        let seconds = read("ms", 0.001).or_else(|| read("s", 1.0)).or_else(|| read("m", 60.0));
        let timeout = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        timeout.filter(|timeout| !timeout.is_zero()).ok_or_else(|| {
            format!("the webhook's timeout: found {text:?}, accepted: a number with ms, s or m, such as \"10s\"")
        })
    }

    /// How children are keyed for it.
    pub fn version(&self) -> Version {
        self.version
    }
}

impl LabelSelector {
    /// As `kubectl -l` takes it.
    pub fn text(&self) -> Result<String, String> {
        let labels = self.match_labels.iter().map(|(key, value)| Ok(format!("{key}={value}")));
        let expressions = self.match_expressions.iter().map(|Requirement { key, operator, values }| {
            let values = values.join(",");
            match operator.as_str() {
                "In" => Ok(format!("{key} in ({values})")),
                "NotIn" => Ok(format!("{key} notin ({values})")),
                "Exists" => Ok(key.clone()),
                "DoesNotExist" => Ok(format!("!{key}")),
                other => {
                    Err(format!("a label selector's operator is {other:?}: it is In, NotIn, Exists or DoesNotExist"))
                }
            }
        });
        Ok(labels.chain(expressions).collect::<Result<Vec<_>, _>>()?.join(","))
    }
}
