//! Sets of fields: who owns which part of an object. The algebra that merging
//! needs, and the `FieldsV1` form in which the sets are kept on the object.

mod path;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

pub(crate) use path::{PathElement, Scalar};

use crate::schema::{NodeId, Schema};

/// A set of paths, as a tree. A path may be a member without its children being
/// so, and the other way round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldSet {
    entries: BTreeMap<PathElement, Entry>,
}

/// What a set says of one step and of what lies below it. No entry is kept that
/// is neither a member nor leads to one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Entry {
    member: bool,
    children: FieldSet,
}

impl Entry {
    fn is_void(&self) -> bool {
        !self.member && self.children.is_empty()
    }
}

impl FieldSet {
    /// The set of these paths of field names, each dotted.
    pub(crate) fn of_fields(paths: &[&str]) -> Self {
        let mut set = Self::default();
        for path in paths {
            let path: Vec<_> = path.split('.').map(PathElement::field).collect();
            set.insert(&path);
        }
        set
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds a path. The empty path is the whole object, which nobody owns.
    pub(crate) fn insert(&mut self, path: &[PathElement]) {
        let Some((first, rest)) = path.split_first() else {
            return;
        };
        let entry = self.entries.entry(first.clone()).or_default();
        if rest.is_empty() {
            entry.member = true;
        } else {
            entry.children.insert(rest);
        }
    }

    /// Puts what is owned at and below one step, unless that is nothing.
    pub(crate) fn put(&mut self, step: PathElement, member: bool, children: Self) {
        let entry = Entry { member, children };
        if !entry.is_void() {
            self.entries.insert(step, entry);
        }
    }

    /// Is exactly this step, not only something below it, in the set?
    pub(crate) fn has(&self, step: &PathElement) -> bool {
        self.entries.get(step).is_some_and(|entry| entry.member)
    }

    /// What the set holds below a step, or nothing.
    pub(crate) fn below(&self, step: &PathElement) -> Option<&Self> {
        let children = &self.entries.get(step)?.children;
        (!children.is_empty()).then_some(children)
    }

    pub(crate) fn union(&self, other: &Self) -> Self {
        let mut union = self.clone();
        union.extend(other);
        union
    }

    fn extend(&mut self, other: &Self) {
        for (step, theirs) in &other.entries {
            let entry = self.entries.entry(step.clone()).or_default();
            entry.member |= theirs.member;
            entry.children.extend(&theirs.children);
        }
    }

    pub(crate) fn intersection(&self, other: &Self) -> Self {
        self.combine(|step, mine| {
            let theirs = other.entries.get(step)?;
            Some(Entry { member: mine.member && theirs.member, children: mine.children.intersection(&theirs.children) })
        })
    }

    /// What is here and not there. A parent does not take its children along.
    pub(crate) fn difference(&self, other: &Self) -> Self {
        self.combine(|step, mine| match other.entries.get(step) {
            None => Some(mine.clone()),
            Some(theirs) => Some(Entry {
                member: mine.member && !theirs.member,
                children: mine.children.difference(&theirs.children),
            }),
        })
    }

    /// What is here and not there, where a parent takes its children along.
    pub(crate) fn recursive_difference(&self, other: &Self) -> Self {
        self.combine(|step, mine| match other.entries.get(step) {
            None => Some(mine.clone()),
            Some(theirs) if theirs.member => None,
            Some(theirs) => {
                Some(Entry { member: mine.member, children: mine.children.recursive_difference(&theirs.children) })
            }
        })
    }

    fn combine(&self, keep: impl Fn(&PathElement, &Entry) -> Option<Entry>) -> Self {
        let entries = self
            .entries
            .iter()
            .filter_map(|(step, mine)| Some((step.clone(), keep(step, mine)?)))
            .filter(|(_, entry)| !entry.is_void())
            .collect();
        Self { entries }
    }

    /// The set with every declared field on the way to a member made a member.
    /// Sets leave these out, as a struct's field goes without saying; removal
    /// needs them, or it would leave empty shells behind.
    pub(crate) fn with_named_fields(&self, schema: &Schema, node: Option<NodeId>) -> Self {
        let map = node.and_then(|node| schema.map_of(node));
        let list = node.and_then(|node| schema.list_of(node));
        self.combine(|step, mine| {
            let (declared, below) = match step {
                PathElement::Field(name) => {
                    let declared = map.as_ref().and_then(|map| map.declared(name));
                    let other = map.as_ref().and_then(|map| map.other);
                    (declared.is_some(), declared.or(other))
                }
                PathElement::Key(_) => (false, list.as_ref().map(|list| list.items)),
                PathElement::Value(_) => (false, None),
            };
            Some(Entry {
                member: mine.member || (declared && !mine.children.is_empty()),
                children: mine.children.with_named_fields(schema, below),
            })
        })
    }

    /// All members as printed paths; those of one level before those below.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect_paths("", &mut paths);
        paths
    }

    fn collect_paths(&self, prefix: &str, paths: &mut Vec<String>) {
        let members = self.entries.iter().filter(|(_, entry)| entry.member);
        paths.extend(members.map(|(step, _)| format!("{prefix}{step}")));
        for (step, entry) in &self.entries {
            if !entry.children.is_empty() {
                entry.children.collect_paths(&format!("{prefix}{step}"), paths);
            }
        }
    }

    /// The `FieldsV1` form: `{}` is a member, `"."` marks a member with children.
    pub(crate) fn encode(&self) -> Value {
        let mut object = Map::new();
        for (step, entry) in &self.entries {
            let mut children = entry.children.encode();
            if let (true, Some(children)) = (entry.member, children.as_object_mut())
                && !children.is_empty()
            {
                children.insert(".".to_owned(), Value::Object(Map::new()));
            }
            object.insert(step.encode(), children);
        }
        Value::Object(object)
    }

    /// Reads the `FieldsV1` form.
    pub(crate) fn decode(fields: &Value) -> Result<Self, String> {
        let Value::Object(fields) = fields else {
            return Err(format!("fieldsV1 must be an object, not `{fields}`"));
        };
        let mut set = Self::default();
        for (name, below) in fields {
            if name == "." {
                continue;
            }
            if let Some(step) = PathElement::decode(name)? {
                let children = Self::decode(below)?;
                let member = below.get(".").is_some() || children.is_empty();
                set.put(step, member, children);
            }
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests;
