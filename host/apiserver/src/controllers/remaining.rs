//! What a namespace that is being deleted says of what is left in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::namespaces;
use crate::kinds::GroupResource;
use crate::meta;
use crate::server::State;
use crate::storage::Stored;

/// The conditions in their order, and what each says where nothing is wrong.
const CONDITIONS: [(&str, &str, &str); 5] = [
    ("NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered", "All resources successfully discovered"),
    ("NamespaceDeletionGroupVersionParsingFailure", "ParsedGroupVersions", "All legacy kube types successfully parsed"),
    (
        "NamespaceDeletionContentFailure",
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
    ("NamespaceContentRemaining", "ContentRemoved", "All content successfully removed"),
    ("NamespaceFinalizersRemaining", "ContentHasNoFinalizers", "All content-preserving finalizers finished"),
];

/// What is left, by resource and by the finalizers that hold it.
#[derive(Default)]
pub(super) struct Left {
    objects: BTreeMap<String, usize>,
    finalizers: BTreeMap<String, usize>,
}

impl Left {
    pub fn add(&mut self, at: &GroupResource, objects: &[Arc<Stored>]) {
        if objects.is_empty() {
            return;
        }
        self.objects.insert(format!("{}.{}", at.resource, at.group), objects.len());
        for finalizer in objects.iter().flat_map(|stored| meta::finalizers(&stored.object())) {
            *self.finalizers.entry(finalizer).or_default() += 1;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// Reason and message of a condition that holds; none where all is well.
    fn trouble(&self, condition: &str) -> Option<(&'static str, String)> {
        let listed = |counts: &BTreeMap<String, usize>, how: &str| {
            let lines: Vec<String> =
                counts.iter().map(|(what, count)| format!("{what} {how} {count} resource instances")).collect();
            lines.join(", ")
        };
        match condition {
            "NamespaceContentRemaining" if !self.objects.is_empty() => {
                let message = format!("Some resources are remaining: {}", listed(&self.objects, "has"));
                Some(("SomeResourcesRemain", message))
            }
            "NamespaceFinalizersRemaining" if !self.finalizers.is_empty() => {
                let listed = listed(&self.finalizers, "in");
                let message = format!("Some content in the namespace has finalizers remaining: {listed}");
                Some(("SomeFinalizersRemain", message))
            }
            _ => None,
        }
    }
}

/// Writes it to the namespace's status, where that says otherwise.
pub(super) fn tell(state: &mut State, name: &str, left: &Left) {
    let Some(kind) = state.registry.any_version(&namespaces()) else { return };
    let Some(stored) = state.storage.get(&namespaces(), name) else { return };
    let now = state.now_text();
    let live = stored.object();
    let before = live["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let mut conditions = before.clone();
    for (condition, reason, message) in CONDITIONS {
        let trouble = left.trouble(condition);
        let status = if trouble.is_some() { "True" } else { "False" };
        let (reason, message) = trouble.unwrap_or_else(|| (reason, message.to_owned()));
        let old = before.iter().find(|one| one["type"] == condition);
        let since = old.filter(|old| old["status"] == status).map(|old| old["lastTransitionTime"].clone());
        let new = json!({
            "type": condition, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": since.unwrap_or_else(|| Value::from(now.as_str())) });
        match conditions.iter_mut().find(|one| one["type"] == condition) {
            Some(old) => *old = new,
            None => conditions.push(new),
        }
    }
    if conditions == before {
        return;
    }
    let mut new = live.clone();
    new["status"]["conditions"] = Value::from(conditions);
    let new = super::written(state, &kind, &live, new, Some("status"));
    state.put(&namespaces(), name, new);
}
