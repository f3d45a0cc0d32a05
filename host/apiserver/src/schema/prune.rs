//! What becomes of fields that a schema does not know, and of those that it
//! has a default for.

use serde_json::Value;

use super::{DEDUCED, Node, NodeId, Other, Schema};

impl Schema {
    /// Removes the fields that the schema does not know, and each `null` that
    /// may not be one and has no default. The server does this as it decodes a
    /// request, before it defaults. Returns the paths of the unknown fields,
    /// sorted.
    pub(crate) fn prune(&self, value: &mut Value) -> Vec<String> {
        let mut unknown = Vec::new();
        self.prune_node(Some(self.root), value, &mut String::new(), &mut unknown);
        if !self.builtin {
            self.remove_nulls(self.root, value);
        }
        unknown.sort();
        unknown
    }

    /// The paths of the fields that [`Schema::prune`] would remove, sorted.
    pub(crate) fn unknown_fields(&self, value: &Value) -> Vec<String> {
        self.prune(&mut value.clone())
    }

    /// Fills in defaults, everywhere that the object has a place for them; a
    /// `null` that may not be one is such a place. What server-side apply made
    /// is defaulted without being pruned: its nulls are left for validation.
    pub(crate) fn default(&self, value: &mut Value) {
        self.fill(self.root, value);
    }

    /// Removes what is null or empty in the metadata of the object and of those
    /// embedded in it: the server keeps it in a struct, which knows no
    /// difference between that and nothing.
    pub(crate) fn tidy_metadata(&self, value: &mut Value) {
        tidy(value);
        self.tidy_embedded(self.root, value);
    }

    fn tidy_embedded(&self, id: NodeId, value: &mut Value) {
        let node = self.node(id);
        if !node.implied.is_empty() {
            tidy(value);
        }
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    if let Some(id) = Self::field_type(node, name) {
                        self.tidy_embedded(id, value);
                    }
                }
            }
            Value::Array(items) => {
                for item in items {
                    if let Some(id) = node.items {
                        self.tidy_embedded(id, item);
                    }
                }
            }
            _ => {}
        }
    }

    /// `None` is a part of which nothing is known: its maps become empty.
    fn prune_node(&self, id: Option<NodeId>, value: &mut Value, path: &mut String, unknown: &mut Vec<String>) {
        let node = id.map(|id| self.node(id));
        let here = path.len();
        match value {
            Value::Object(fields) => fields.retain(|name, value| {
                let fate = self.fate(node, name);
                if matches!(fate, Fate::Keep) {
                    return true;
                }
                if here > 0 {
                    path.push('.');
                }
                path.push_str(name);
                match fate {
                    Fate::Prune(id) => self.prune_node(id, value, path, unknown),
                    _ => unknown.push(path.clone()),
                }
                path.truncate(here);
                !matches!(fate, Fate::Remove)
            }),
            Value::Array(items) => {
                let is_free = |node: &Node| node.preserves || node.other == Other::Typed(DEDUCED);
                if node.is_some_and(|node| is_free(node) && node.items.is_none()) {
                    return;
                }
                let id = node.and_then(|node| node.items);
                for (index, item) in
                    items.iter_mut().enumerate().filter(|(_, item)| item.is_object() || item.is_array())
                {
                    path.push_str(&format!("[{index}]"));
                    self.prune_node(id, item, path, unknown);
                    path.truncate(here);
                }
            }
            _ => {}
        }
    }

    fn fate(&self, node: Option<&Node>, name: &str) -> Fate {
        let Some(node) = node else {
            return Fate::Remove;
        };
        if let Some(&id) = node.implied.get(name) {
            return Fate::Prune(Some(id));
        }
        if let Some(&id) = node.fields.get(name) {
            return Fate::Prune(Some(id));
        }
        match node.other {
            Other::Typed(id) => Fate::Prune(Some(id)),
            Other::Any => Fate::Prune(None),
            Other::Unstated | Other::Forbidden if node.preserves => Fate::Keep,
            Other::Unstated | Other::Forbidden => Fate::Remove,
        }
    }

    /// The type of a field, for nulls and defaults.
    fn field_type(node: &Node, name: &str) -> Option<NodeId> {
        match (node.fields.get(name), node.other) {
            (Some(&id), _) | (None, Other::Typed(id)) => Some(id),
            _ => None,
        }
    }

    fn remove_nulls(&self, id: NodeId, value: &mut Value) {
        let node = self.node(id);
        match value {
            Value::Object(fields) => fields.retain(|name, value| {
                let Some(id) = Self::field_type(node, name) else {
                    return true;
                };
                let field = self.node(id);
                if value.is_null() && !field.nullable && field.default.is_none() {
                    return false;
                }
                self.remove_nulls(id, value);
                true
            }),
            Value::Array(items) => {
                for item in items {
                    if let Some(id) = node.items {
                        self.remove_nulls(id, item);
                    }
                }
            }
            _ => {}
        }
    }

    fn fill(&self, id: NodeId, value: &mut Value) {
        let node = self.node(id);
        match value {
            Value::Object(fields) => {
                for (name, &id) in &node.fields {
                    if let Some(default) = &self.node(id).default
                        && fields.get(name).is_none_or(|value| self.is_unset(id, value))
                    {
                        fields.insert(name.clone(), default.clone());
                    }
                }
                for (name, value) in fields {
                    if let Some(id) = Self::field_type(node, name) {
                        self.fill_one(id, value);
                    }
                }
            }
            Value::Array(items) => {
                for item in items {
                    if let Some(id) = node.items {
                        self.fill_one(id, item);
                    }
                }
            }
            _ => {}
        }
    }

    fn fill_one(&self, id: NodeId, value: &mut Value) {
        if self.is_unset(id, value)
            && let Some(default) = &self.node(id).default
        {
            *value = default.clone();
        }
        self.fill(id, value);
    }

    fn is_unset(&self, id: NodeId, value: &Value) -> bool {
        value.is_null() && (self.builtin || !self.node(id).nullable)
    }
}

fn tidy(resource: &mut Value) {
    if let Some(metadata) = resource.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|_, value| match value {
            Value::Null => false,
            Value::Object(fields) => !fields.is_empty(),
            Value::Array(items) => !items.is_empty(),
            _ => true,
        });
    }
}

/// What becomes of a field.
#[derive(Clone, Copy)]
enum Fate {
    Keep,
    Remove,
    Prune(Option<NodeId>),
}
