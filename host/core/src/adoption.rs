//! Children by the object's own label selector, where a policy says so: what belongs
//! to nobody and is selected becomes the object's, and what is the object's and is not
//! selected any more becomes nobody's. Both are one fenced write of the child's
//! metadata, which every watch shows before the plugin is given another state.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::{
    object::Object,
    ownership::{Owner, is_free},
    plan::ChildSpec,
    retire,
    selector::{BadSelector, Selector},
    write::{Action, Seen, Write},
};

/// The field of an object that selects its children: a path such as `spec.selector`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectorField(String);

/// Why an object selects no children.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSelector {
    /// There is nothing, or nothing that would select some and not all.
    #[error("its {0} selects nothing in particular: give it matchLabels or matchExpressions")]
    Empty(String),
    /// There is something else.
    #[error("its {field}: {bad}")]
    Bad {
        /// The path.
        field: String,
        /// What is wrong there.
        bad: BadSelector,
    },
}

impl SelectorField {
    /// Reads a path of fields, joined by dots.
    pub fn parse(text: &str) -> Option<Self> {
        let is_name =
            |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        text.split('.').all(is_name).then(|| Self(text.to_owned()))
    }

    /// What an object says there.
    pub fn of(&self, object: &Object) -> Result<Selector, NoSelector> {
        let whole = object.value();
        let said = self.0.split('.').try_fold(&whole, |value, name| value.get(name)).filter(|said| !said.is_null());
        let selector = said.map(Selector::said).transpose();
        let selector = selector.map_err(|bad| NoSelector::Bad { field: self.0.clone(), bad })?;
        selector.filter(|selector| !selector.is_empty()).ok_or_else(|| NoSelector::Empty(self.0.clone()))
    }
}

/// What an object takes and gives back.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Claims {
    /// What is selected, belongs to nobody, and is not of another instance.
    pub adopt: Vec<Write>,
    /// What is its own and not selected any more.
    pub release: Vec<Write>,
}

/// What an object takes and gives back of what is there, of these kinds: of its
/// `children`, and of what is `selected` and may name it.
pub fn claims(
    owner: &Owner<'_>,
    selector: &Selector,
    kinds: &[ChildSpec],
    children: &[Arc<Object>],
    selected: &[Arc<Object>],
) -> Claims {
    let of_kind = |child: &Object| kinds.iter().find(|spec| spec.kind.id == child.meta.place.kind);
    let stays = |child: &Object| child.meta.deleting || is_selected(selector, child);
    let release = children.iter().filter(|child| !stays(child));
    let adopt = selected.iter().filter(|child| is_selected(selector, child) && is_to_be_had(owner, child));
    Claims {
        adopt: adopt.filter_map(|child| Some(self::adopt(owner, of_kind(child)?, child))).collect(),
        release: release.filter_map(|child| Some(retire::orphan(owner, of_kind(child)?, child))).collect(),
    }
}

fn is_selected(selector: &Selector, child: &Object) -> bool {
    selector.matches(|name| child.meta.label(name))
}

fn is_to_be_had(owner: &Owner<'_>, child: &Object) -> bool {
    let instance = owner.instance_key.of(child);
    is_free(&child.meta)
        && owner.meta.place.may_be_named_by(&child.meta.place)
        && (instance.is_empty() || instance == owner.instance.as_str())
}

/// The write that gives a child the marks of its owner, and the reference beside
/// those that it has. Nothing says what it was made from: it is still to be compared.
fn adopt(owner: &Owner<'_>, spec: &ChildSpec, child: &Object) -> Write {
    let mut added = owner.additions(true).body;
    let mut patch = match added["metadata"].take() {
        Value::Object(metadata) => metadata,
        _ => Map::new(),
    };
    let whole = child.value();
    let there = whole["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    let others = there.filter(|reference| reference["uid"] != owner.meta.uid.as_str());
    let own = patch.get("ownerReferences").and_then(Value::as_array).into_iter().flatten();
    let references = others.chain(own).cloned().collect::<Vec<_>>();
    patch.insert("ownerReferences".into(), json!(references));
    Write {
        place: child.meta.place.clone(),
        version: spec.version.clone(),
        manager: owner.lineage.metadata_manager(),
        action: Action::Metadata { seen: Seen::of(&child.meta), patch },
    }
}
