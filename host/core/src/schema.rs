//! The schema of one version of a kind, cut down to what comparing needs:
//! which maps and lists the server merges and by what, and which fields exist.

use std::{borrow::Cow, collections::HashMap};

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

/// One version of a kind. Schemas refer to each other and to themselves, so
/// the parts lie in one list and name each other by number.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    nodes: Vec<Node>,
    root: usize,
}

/// The number of the part that knows nothing.
const UNKNOWN: usize = 0;

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Unknown,
    Scalar,
    Quantity,
    Map { fields: HashMap<Box<str>, usize>, rest: usize, atomic: bool },
    List { item: usize, merged: Merged },
}

/// How the server merges what several managers say of a list.
#[derive(Debug, Clone, PartialEq)]
pub enum Merged {
    /// Not at all: one manager owns the whole.
    Atomic,
    /// Item by item; an item is its own key.
    Set,
    /// Item by item, told apart by these fields.
    ByKeys(Vec<ListKey>),
}

/// One field that tells the items of a keyed list apart.
#[derive(Debug, Clone, PartialEq)]
pub struct ListKey {
    /// The field of the item.
    pub name: Box<str>,
    /// What an item without the field is taken to say.
    pub default: Option<Value>,
}

/// A part of a schema, as it is walked beside a value.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    schema: &'a Schema,
    node: usize,
}

/// What a part says of its value.
#[derive(Debug, Clone, Copy)]
pub enum Shape<'a> {
    /// Nothing: maps are merged field by field, lists are atomic.
    Unknown,
    /// A string, a number, a bool.
    Scalar,
    /// A number with a unit, which the server may write as a string.
    Quantity,
    /// Fields or string keys.
    Map {
        /// One manager owns the whole.
        atomic: bool,
    },
    /// Items.
    List {
        /// The schema of each.
        item: Part<'a>,
        /// How they are merged.
        merged: &'a Merged,
    },
}

impl Schema {
    /// A schema that knows nothing: maps are merged, lists are atomic. What the
    /// server itself takes where it has no schema.
    pub fn unknown() -> Self {
        Self { nodes: vec![Node::Unknown], root: UNKNOWN }
    }

    /// The schema of a kind in an OpenAPI v3 document as the server publishes
    /// it for a group and version; `None` if the kind is not in there.
    ///
    /// Such a document has up to a hundred kinds and over a megabyte. Only what
    /// this one is made of is read into trees.
    pub fn from_openapi(document: &str, group: &str, version: &str, kind: &str) -> Option<Self> {
        let Document { components: Components { schemas } } = serde_json::from_str(document).ok()?;
        let is_it = |it: &GroupVersionKind<'_>| it.group == group && it.version == version && it.kind == kind;
        let is_of = |text: &RawValue| {
            serde_json::from_str::<Described<'_>>(text.get()).is_ok_and(|component| component.kinds.iter().any(is_it))
        };
        let (name, _) = schemas.iter().find(|(_, text)| is_of(text))?;
        let mut reader = Reader { components: &schemas, read: HashMap::new(), nodes: vec![Node::Unknown] };
        let root = reader.component(name);
        Some(Self { nodes: reader.nodes, root })
    }

    /// The part for the whole object.
    pub fn root(&self) -> Part<'_> {
        Part { schema: self, node: self.root }
    }
}

impl<'a> Part<'a> {
    /// What is known of the value here.
    pub fn shape(self) -> Shape<'a> {
        match &self.schema.nodes[self.node] {
            Node::Unknown => Shape::Unknown,
            Node::Scalar => Shape::Scalar,
            Node::Quantity => Shape::Quantity,
            Node::Map { atomic, .. } => Shape::Map { atomic: *atomic },
            Node::List { item, merged } => Shape::List { item: Part { node: *item, ..self }, merged },
        }
    }

    /// The part for a field of a map: the unknown one where none is declared.
    pub fn at(self, name: &str) -> Self {
        let node = match &self.schema.nodes[self.node] {
            Node::Map { fields, rest, .. } => fields.get(name).copied().unwrap_or(*rest),
            _ => UNKNOWN,
        };
        Part { node, ..self }
    }

    /// The part for a field, if the schema declares it by name.
    pub fn declared(self, name: &str) -> Option<Self> {
        match &self.schema.nodes[self.node] {
            Node::Map { fields, .. } => fields.get(name).map(|node| Part { node: *node, ..self }),
            _ => None,
        }
    }
}

/// An OpenAPI document, its components unread.
#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    components: Components<'a>,
}

#[derive(Deserialize)]
struct Components<'a> {
    #[serde(borrow, default)]
    schemas: HashMap<Cow<'a, str>, &'a RawValue>,
}

/// What a component says of the kinds that it describes.
#[derive(Deserialize)]
struct Described<'a> {
    #[serde(borrow, default, rename = "x-kubernetes-group-version-kind")]
    kinds: Vec<GroupVersionKind<'a>>,
}

#[derive(Deserialize)]
struct GroupVersionKind<'a> {
    #[serde(borrow)]
    group: Cow<'a, str>,
    #[serde(borrow)]
    version: Cow<'a, str>,
    #[serde(borrow)]
    kind: Cow<'a, str>,
}

/// Reads the parts that one kind reaches; a part that was met before, also
/// from within itself, is named and not read again.
struct Reader<'a> {
    components: &'a HashMap<Cow<'a, str>, &'a RawValue>,
    read: HashMap<String, usize>,
    nodes: Vec<Node>,
}

impl Reader<'_> {
    fn component(&mut self, name: &str) -> usize {
        if let Some(node) = self.read.get(name) {
            return *node;
        }
        let Some(schema) = self.tree(name) else { return UNKNOWN };
        let at = self.push(Node::Unknown);
        self.read.insert(name.to_owned(), at);
        self.nodes[at] = self.node(&schema);
        at
    }

    fn tree(&self, name: &str) -> Option<Value> {
        serde_json::from_str(self.components.get(name)?.get()).ok()
    }

    fn push(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// A schema in place, or one that is referred to.
    fn part(&mut self, schema: &Value) -> usize {
        if let Some(name) = referred(schema) {
            return self.component(name);
        }
        match self.node(schema) {
            Node::Unknown => UNKNOWN,
            node => self.push(node),
        }
    }

    fn node(&mut self, schema: &Value) -> Node {
        match schema["type"].as_str() {
            Some("array") => self.list(schema),
            Some("object") => self.map(schema),
            Some("string" | "integer" | "number" | "boolean") => Node::Scalar,
            _ if is_quantity(schema) => Node::Quantity,
            _ if schema.get("properties").is_some() => self.map(schema),
            _ => Node::Unknown,
        }
    }

    fn map(&mut self, schema: &Value) -> Node {
        let properties = schema["properties"].as_object().into_iter().flatten();
        let fields = properties.map(|(name, field)| (name.as_str().into(), self.part(field))).collect();
        let rest = schema.get("additionalProperties").map_or(UNKNOWN, |rest| self.part(rest));
        Node::Map { fields, rest, atomic: schema["x-kubernetes-map-type"] == "atomic" }
    }

    fn list(&mut self, schema: &Value) -> Node {
        let item = schema.get("items").map_or(UNKNOWN, |item| self.part(item));
        let merged = match schema["x-kubernetes-list-type"].as_str() {
            Some("set") => Merged::Set,
            Some("map") => {
                self.by_keys(schema, schema["x-kubernetes-list-map-keys"].as_array().map_or(&[], Vec::as_slice))
            }
            Some(_) => Merged::Atomic,
            // Older built-in kinds say it in the words of strategic merge patch.
            None if schema["x-kubernetes-patch-strategy"].as_str().is_some_and(|it| it.starts_with("merge")) => {
                match schema.get("x-kubernetes-patch-merge-key") {
                    Some(key) => self.by_keys(schema, std::slice::from_ref(key)),
                    None => Merged::Set,
                }
            }
            None => Merged::Atomic,
        };
        Node::List { item, merged }
    }

    fn by_keys(&self, list: &Value, names: &[Value]) -> Merged {
        if names.is_empty() {
            return Merged::Atomic;
        }
        let referred = referred(&list["items"]).map(|name| self.tree(name).unwrap_or_default());
        let item = referred.as_ref().unwrap_or(&list["items"]);
        let key = |name: &str| ListKey { name: name.into(), default: item["properties"][name].get("default").cloned() };
        Merged::ByKeys(names.iter().filter_map(Value::as_str).map(key).collect())
    }
}

/// The component that a schema refers to. A reference that carries a default
/// or a description is wrapped into an `allOf` of one.
fn referred(schema: &Value) -> Option<&str> {
    let direct = schema.get("$ref").or_else(|| match schema.get("allOf")?.as_array()?.as_slice() {
        [only] => only.get("$ref"),
        _ => None,
    });
    direct?.as_str()?.strip_prefix("#/components/schemas/")
}

/// A built-in quantity is published as a string or a number; what may be an
/// integer or a string is something else, `80` and `"80"` being two ports.
fn is_quantity(schema: &Value) -> bool {
    schema["oneOf"].as_array().is_some_and(|types| types.iter().any(|it| it["type"] == "number"))
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// A kind with each sort of part, as a server would publish it.
    pub(crate) fn thing() -> Schema {
        let doc = json!({"components": {"schemas": {
            "dev.Thing": {
                "type": "object",
                "x-kubernetes-group-version-kind": [{"group": "demo.dev", "version": "v1", "kind": "Thing"}],
                "properties": {
                    "spec": {"allOf": [{"$ref": "#/components/schemas/dev.Spec"}], "default": {}},
                    "status": {"type": "object", "properties": {
                        "observedGeneration": {"type": "integer"},
                        "ready": {"type": "boolean"},
                        "conditions": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
                            "items": {"type": "object", "properties": {
                                "type": {"type": "string"}, "status": {"type": "string"}, "reason": {"type": "string"},
                                "message": {"type": "string"}, "lastTransitionTime": {"type": "string"}}}}}},
                },
            },
            "dev.Spec": {"type": "object", "properties": {
                "ports": {"type": "array", "items": {"$ref": "#/components/schemas/dev.Port"},
                    "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port", "protocol"]},
                "volumes": {"type": "array", "items": {"$ref": "#/components/schemas/dev.Port"},
                    "x-kubernetes-patch-strategy": "merge,retainKeys", "x-kubernetes-patch-merge-key": "name"},
                "finalizers": {"type": "array", "items": {"type": "string"}, "x-kubernetes-patch-strategy": "merge"},
                "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
                "args": {"type": "array", "items": {"type": "string"}},
                "selector": {"type": "object", "x-kubernetes-map-type": "atomic", "additionalProperties": {"type": "string"}},
                "limits": {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/Quantity"}},
                "target": {"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]},
                "inner": {"$ref": "#/components/schemas/dev.Spec"},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            }},
            "dev.Port": {"type": "object", "properties": {
                "port": {"type": "integer"}, "name": {"type": "string"}, "protocol": {"type": "string", "default": "TCP"}}},
            "Quantity": {"oneOf": [{"type": "string"}, {"type": "number"}]},
        }}});
        Schema::from_openapi(&doc.to_string(), "demo.dev", "v1", "Thing").unwrap()
    }

    fn merged<'a>(schema: &'a Schema, field: &str) -> &'a Merged {
        match schema.root().at("spec").at(field).shape() {
            Shape::List { merged, .. } => merged,
            other => panic!("{field} is {other:?}"),
        }
    }

    #[test]
    fn lists_are_read_in_the_words_of_custom_and_of_older_built_in_kinds() {
        let schema = thing();
        let key = |name: &str, default: Option<Value>| ListKey { name: name.into(), default };
        let ports = Merged::ByKeys(vec![key("port", None), key("protocol", Some(json!("TCP")))]);
        assert_eq!(*merged(&schema, "ports"), ports);
        assert_eq!(*merged(&schema, "volumes"), Merged::ByKeys(vec![key("name", None)]));
        assert_eq!(*merged(&schema, "finalizers"), Merged::Set);
        assert_eq!(*merged(&schema, "tags"), Merged::Set);
        assert_eq!(*merged(&schema, "args"), Merged::Atomic);
    }

    #[test]
    fn a_schema_that_contains_itself_is_read_once() {
        let schema = thing();
        let inner = schema.root().at("spec").at("inner");
        assert_eq!(inner.node, inner.at("inner").node);
    }

    #[test]
    fn a_quantity_is_told_from_a_port_that_may_be_a_name() {
        let schema = thing();
        let spec = schema.root().at("spec");
        assert!(matches!(spec.at("limits").at("cpu").shape(), Shape::Quantity));
        assert!(!matches!(spec.at("target").shape(), Shape::Quantity));
    }

    #[test]
    fn what_is_not_declared_is_unknown_and_a_kind_that_lacks_has_no_schema() {
        let schema = thing();
        assert!(matches!(schema.root().at("spec").at("free").at("x").shape(), Shape::Unknown));
        assert!(schema.root().declared("data").is_none());
        assert!(Schema::unknown().root().declared("status").is_none());
        assert_eq!(Schema::from_openapi(r#"{"components": {"schemas": {}}}"#, "demo.dev", "v1", "Thing"), None);
    }
}
