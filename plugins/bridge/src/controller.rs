//! A controller as its manifest says it: a CompositeController or a
//! DecoratorController, brought to one shape. What it does not know is refused: left
//! out, it would change what the controller does.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use serde_json::Value;

/// Metacontroller's time for a hook that names none.
const HOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// What either kind says.
#[derive(Debug, Clone)]
pub struct Controller {
    /// What it is to its objects.
    pub role: Role,
    /// What is reconciled: one kind of a composite.
    pub objects: Vec<Target>,
    /// What is made.
    pub children: Vec<Child>,
    /// The fields that make a revision; none: all of the spec.
    pub field_paths: Vec<String>,
    /// How often to look although nothing has changed.
    pub resync_seconds: Option<u64>,
    /// Who decides.
    pub hooks: Hooks,
}

/// What a controller is to its objects, and by what it knows its children again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// It owns them.
    Composite {
        /// Children carry their parent's uid as a label.
        generates_selector: bool,
    },
    /// It adds to them.
    Decorator {
        /// Children carry this as an annotation.
        name: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CompositeSpec {
    parent_resource: Target,
    #[serde(default)]
    child_resources: Vec<Child>,
    #[serde(default)]
    generate_selector: bool,
    #[serde(default)]
    resync_period_seconds: Option<u64>,
    hooks: Hooks,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DecoratorSpec {
    resources: Vec<Target>,
    #[serde(default)]
    attachments: Vec<Child>,
    #[serde(default)]
    resync_period_seconds: Option<u64>,
    hooks: Hooks,
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

/// `parentResource`, or one of `resources`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Target {
    /// Its group and version.
    pub api_version: String,
    /// Its plural.
    pub resource: String,
    /// Which objects, by their labels.
    #[serde(default)]
    pub label_selector: Option<LabelSelector>,
    /// Which of these, by their annotations; only a decorator has one.
    #[serde(default)]
    pub annotation_selector: Option<AnnotationSelector>,
    /// The policy's to say: it is the host that calls.
    #[serde(default, rename = "ignoreStatusChanges")]
    _ignore_status_changes: bool,
    #[serde(default)]
    revision_history: RevisionHistory,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RevisionHistory {
    #[serde(default)]
    field_paths: Vec<String>,
}

/// One of `childResources` or `attachments`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Child {
    /// Its group and version.
    pub api_version: String,
    /// Its plural.
    pub resource: String,
    #[serde(default)]
    update_strategy: UpdateStrategy,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UpdateStrategy {
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    status_checks: StatusChecks,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatusChecks {
    #[serde(default)]
    conditions: Vec<Value>,
}

/// The hooks, each where it is called.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hooks {
    /// Says what should be.
    pub sync: Hook,
    #[serde(default)]
    /// The same while the object goes.
    pub finalize: Option<Hook>,
    #[serde(default)]
    /// Says what else an object rests on.
    pub customize: Option<Hook>,
}

/// Where a hook is, and which shape it expects.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hook {
    webhook: Webhook,
    /// How children are keyed for it.
    #[serde(default)]
    pub version: Version,
}

/// How children are keyed in a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Version {
    /// By name; by namespace and name under an object without a namespace.
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

/// The same of annotations, as Metacontroller writes it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AnnotationSelector {
    #[serde(default)]
    match_annotations: BTreeMap<String, String>,
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

impl Controller {
    /// Reads a manifest; the error names the key.
    pub fn read(manifest: &Value) -> Result<Self, String> {
        let wrong = |error| format!("config.controller.spec: {error}");
        let controller = match manifest["kind"].as_str() {
            Some("CompositeController") => CompositeSpec::deserialize(&manifest["spec"]).map_err(wrong)?.into(),
            Some("DecoratorController") => {
                let name = manifest["metadata"]["name"].as_str().ok_or("config.controller.metadata has no name")?;
                DecoratorSpec::deserialize(&manifest["spec"]).map_err(wrong)?.named(name)
            }
            _ => {
                let wanted = "this plugin serves a CompositeController or a DecoratorController";
                return Err(format!("config.controller is of the kind {}: {wanted}", manifest["kind"]));
            }
        };
        for hook in controller.hooks.all() {
            hook.url()?;
            hook.timeout()?;
        }
        Ok(controller)
    }
}

impl From<CompositeSpec> for Controller {
    fn from(spec: CompositeSpec) -> Self {
        Self {
            role: Role::Composite { generates_selector: spec.generate_selector },
            field_paths: spec.parent_resource.revision_history.field_paths.clone(),
            objects: vec![spec.parent_resource],
            children: spec.child_resources,
            resync_seconds: spec.resync_period_seconds,
            hooks: spec.hooks,
        }
    }
}

impl DecoratorSpec {
    fn named(self, name: &str) -> Controller {
        Controller {
            role: Role::Decorator { name: name.to_owned() },
            objects: self.resources,
            children: self.attachments,
            field_paths: Vec::new(),
            resync_seconds: self.resync_period_seconds,
            hooks: self.hooks,
        }
    }
}

impl Child {
    /// The host's name of the update method; Metacontroller never updates where none
    /// is named.
    pub fn update(&self) -> Result<&'static str, String> {
        match self.update_strategy.method.as_deref() {
            None | Some("" | "OnDelete") => Ok("on-delete"),
            Some("Recreate") => Ok("recreate"),
            Some("InPlace") => Ok("in-place"),
            Some("RollingRecreate") => Ok("rolling-recreate"),
            Some("RollingInPlace") => Ok("rolling-in-place"),
            Some(other) => Err(format!("the update method {other:?} is not one of Metacontroller's")),
        }
    }

    /// The conditions by which it is ready: the host's words for them are the same.
    pub fn status_checks(&self) -> &[Value] {
        &self.update_strategy.status_checks.conditions
    }
}

impl Hooks {
    fn all(&self) -> impl Iterator<Item = &Hook> {
        [Some(&self.sync), self.finalize.as_ref(), self.customize.as_ref()].into_iter().flatten()
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
        duration(text).ok_or_else(|| {
            format!("the webhook's timeout: found {text:?}, accepted: a time such as \"10s\" or \"1m30s\"")
        })
    }
}

impl LabelSelector {
    /// As `kubectl -l` takes it.
    pub fn text(&self) -> Result<String, String> {
        selector(&self.match_labels, &self.match_expressions)
    }
}

impl AnnotationSelector {
    /// In the same form.
    pub fn text(&self) -> Result<String, String> {
        selector(&self.match_annotations, &self.match_expressions)
    }
}

/// A time as Go writes it, and so the server: `10s`, `1m30s`.
fn duration(text: &str) -> Option<Duration> {
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let (mut seconds, mut rest) = (0.0, text);
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c| !is_number(c))?);
        let (unit, next) = after.split_at(after.find(is_number).unwrap_or(after.len()));
        let scale = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * scale;
        rest = next;
    }
    Duration::try_from_secs_f64(seconds).ok().filter(|duration| !duration.is_zero())
}

fn selector(pairs: &BTreeMap<String, String>, expressions: &[Requirement]) -> Result<String, String> {
    let pairs = pairs.iter().map(|(key, value)| Ok(format!("{key}={value}")));
    let expressions = expressions.iter().map(|Requirement { key, operator, values }| {
        let values = values.join(",");
        match operator.as_str() {
            "In" => Ok(format!("{key} in ({values})")),
            "NotIn" => Ok(format!("{key} notin ({values})")),
            "Exists" => Ok(key.clone()),
            "DoesNotExist" => Ok(format!("!{key}")),
            other => Err(format!("a selector's operator is {other:?}: it is In, NotIn, Exists or DoesNotExist")),
        }
    });
    Ok(pairs.chain(expressions).collect::<Result<Vec<_>, _>>()?.join(","))
}
