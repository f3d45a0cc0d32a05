//! A plugin that is retired: it lets go of every object that it has, and its policy
//! says what becomes of the children. That is said, and never taken from a file that
//! is gone: the folder may only be away.

use serde_json::{Map, Value, json};

use crate::{
    marks,
    object::Object,
    ownership::Owner,
    plan::ChildSpec,
    rollout,
    write::{Action, Seen, Write},
};

/// What becomes of the children of a retired plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retire {
    /// They stay, as nobody's.
    Orphan,
    /// They go, and a plugin that finalizes is asked.
    CleanUp,
}

impl Retire {
    /// All of them, by the names that policies use.
    pub const NAMES: [(&'static str, Self); 2] = [("orphan", Self::Orphan), ("clean-up", Self::CleanUp)];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, retire)| *retire)
    }
}

/// The write that makes a child nobody's: its reference to its owner goes with our
/// marks. A revision, which says nothing to anybody else, is deleted.
pub fn orphan(owner: &Owner<'_>, spec: &ChildSpec, child: &Object) -> Write {
    let seen = Seen::of(&child.meta);
    let action = if spec.kind.id == rollout::kind_of_revisions() {
        Action::Delete { seen }
    } else {
        Action::Metadata { seen, patch: without_marks(owner, child) }
    };
    Write {
        place: child.meta.place.clone(),
        version: spec.version.clone(),
        manager: owner.lineage.metadata_manager(),
        action,
    }
}

fn without_marks(owner: &Owner<'_>, child: &Object) -> Map<String, Value> {
    let mut patch = json!({
        "labels": { marks::PLUGIN_LABEL: null },
        "annotations": { marks::OWNER: null, marks::INTENT: null, marks::REVISION: null },
    });
    if !owner.instance.is_default() {
        patch[owner.instance_key.field()][owner.instance_key.name()] = Value::Null;
    }
    let whole = child.value();
    let references = whole["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    let others = references.filter(|reference| reference["uid"] != owner.meta.uid.as_str()).collect::<Vec<_>>();
    patch["ownerReferences"] = json!((!others.is_empty()).then_some(others));
    let Value::Object(patch) = patch else { return Map::new() };
    patch
}
