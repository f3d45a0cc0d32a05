//! What becomes of each field of a controller.

use serde_json::{Map, Value};

/// A field that is not carried over, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    pub path: String,
    pub why: &'static str,
}

/// Fields of either kind that are carried over, each with all that it holds. `[]` is
/// any element.
const CARRIED: &[&str] = &[
    "apiVersion",
    "kind",
    "metadata.name",
    "metadata.labels",
    "metadata.annotations",
    "spec.resyncPeriodSeconds",
    "spec.hooks.sync.version",
    "spec.hooks.sync.webhook.url",
    "spec.hooks.sync.webhook.path",
    "spec.hooks.sync.webhook.timeout",
    "spec.hooks.sync.webhook.service.name",
    "spec.hooks.sync.webhook.service.namespace",
    "spec.hooks.sync.webhook.service.port",
    "spec.hooks.sync.webhook.service.protocol",
];

/// Those of a CompositeController alone.
pub const COMPOSITE: &[&str] = &[
    "spec.generateSelector",
    "spec.parentResource.apiVersion",
    "spec.parentResource.resource",
    "spec.parentResource.labelSelector",
    "spec.parentResource.ignoreStatusChanges",
    "spec.parentResource.revisionHistory.fieldPaths",
    "spec.childResources[].apiVersion",
    "spec.childResources[].resource",
    "spec.childResources[].updateStrategy.method",
    "spec.childResources[].updateStrategy.statusChecks.conditions[].type",
    "spec.childResources[].updateStrategy.statusChecks.conditions[].status",
    "spec.childResources[].updateStrategy.statusChecks.conditions[].reason",
];

/// Those of a DecoratorController alone.
pub const DECORATOR: &[&str] = &[
    "spec.resources[].apiVersion",
    "spec.resources[].resource",
    "spec.resources[].labelSelector",
    "spec.resources[].annotationSelector",
    "spec.resources[].ignoreStatusChanges",
    "spec.attachments[].apiVersion",
    "spec.attachments[].resource",
    "spec.attachments[].updateStrategy.method",
];

/// Fields that are not, and why.
const LOST: &[(&str, &str)] = &[
    ("status", "the server's own"),
    ("spec.hooks.sync.webhook.etag", "answers are not kept, so there is nothing to compare"),
];

/// What the server adds to what was written, which nobody misses.
const SERVERS: &[&str] = &[
    "metadata.creationTimestamp",
    "metadata.generation",
    "metadata.managedFields",
    "metadata.resourceVersion",
    "metadata.selfLink",
    "metadata.uid",
];

/// What is left of a controller, what is lost, and the fields that nothing is
/// known of.
#[derive(Debug)]
pub struct Sorted {
    of_kind: &'static [&'static str],
    pub lost: Vec<Lost>,
    pub unknown: Vec<String>,
}

impl Sorted {
    /// For a kind with these fields beside those that both have.
    pub fn new(of_kind: &'static [&'static str]) -> Self {
        Self { of_kind, lost: Vec::new(), unknown: Vec::new() }
    }

    /// Sorts a value at a path; returns what is carried over of it.
    pub fn sort(&mut self, value: &Value, path: &str) -> Option<Value> {
        let pattern = pattern(path);
        let mut carried = CARRIED.iter().chain(self.of_kind);
        if carried.clone().any(|known| *known == pattern) {
            return Some(value.clone());
        }
        if SERVERS.contains(&&*pattern) {
            return None;
        }
        if let Some((_, why)) = LOST.iter().find(|(known, _)| *known == pattern) {
            self.lost.push(Lost { path: path.to_owned(), why });
            return None;
        }
        let leads_on = |known: &&str| {
            known.strip_prefix(&*pattern).is_some_and(|rest| rest.starts_with(['.', '[']) || pattern.is_empty())
        };
        if !carried.any(leads_on) {
            self.unknown.push(path.to_owned());
            return None;
        }
        match value {
            Value::Object(fields) => {
                let kept = fields.iter().filter_map(|(name, field)| {
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    Some((name.clone(), self.sort(field, &path)?))
                });
                Some(Value::Object(kept.collect::<Map<_, _>>()))
            }
            Value::Array(items) => {
                let kept = items.iter().enumerate().filter_map(|(at, item)| self.sort(item, &format!("{path}[{at}]")));
                Some(Value::Array(kept.collect()))
            }
            Value::Null => None,
            _ => {
                self.unknown.push(path.to_owned());
                None
            }
        }
    }
}

/// The path with any index for each, and any hook for the one that is listed: all
/// hooks have the same fields.
fn pattern(path: &str) -> String {
    let mut pattern = String::new();
    for (at, part) in path.split('[').enumerate() {
        match part.split_once(']') {
            Some((_, rest)) if at > 0 => pattern = format!("{pattern}[]{rest}"),
            _ => pattern.push_str(part),
        }
    }
    for hook in ["spec.hooks.finalize", "spec.hooks.customize"] {
        if let Some(rest) = pattern.strip_prefix(hook)
            && (rest.is_empty() || rest.starts_with('.'))
        {
            return format!("spec.hooks.sync{rest}");
        }
    }
    pattern
}
