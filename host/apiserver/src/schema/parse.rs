//! Reads schemas: a CRD's structural schema, or a component of a server's
//! OpenAPI document with all that it refers to.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};

use super::expressions::Expression;
use super::structs::{Form, Zero};
use super::validate::Rules;
use super::{Kind, ListType, Node, NodeId, Other, Schema, UNTYPED, unknown_types};

impl Schema {
    /// Reads the `openAPIV3Schema` of one version of a CRD.
    ///
    /// # Errors
    /// Says which part of the schema cannot be read.
    pub(crate) fn from_crd(schema: &Value) -> Result<Self, String> {
        let mut parser = Parser::new(Source::Crd);
        let root = parser.node(schema, false)?;
        let implied = parser.implied()?;
        parser.nodes[root.0].implied = implied;
        Ok(parser.finish(root))
    }

    /// Reads one of the components of an OpenAPI document, by its name.
    ///
    /// # Errors
    /// Says which component is missing or cannot be read.
    pub(crate) fn from_openapi(components: &Map<String, Value>, name: &str) -> Result<Self, String> {
        let mut parser = Parser::new(Source::OpenApi(components));
        let root = parser.component(name, &Map::new())?;
        Ok(parser.finish(root))
    }
}

/// Where a schema comes from, as the two are read differently: OpenAPI of the
/// built-in kinds describes Go structs, which take `null` for anything.
#[derive(Clone, Copy)]
enum Source<'a> {
    Crd,
    OpenApi(&'a Map<String, Value>),
}

struct Parser<'a> {
    source: Source<'a>,
    nodes: Vec<Node>,
    /// Components already read or being read, with what the reference added:
    /// this is what ends the reading of a type that contains itself.
    components: HashMap<String, NodeId>,
    object_meta: Option<NodeId>,
}

impl<'a> Parser<'a> {
    fn new(source: Source<'a>) -> Self {
        Self { source, nodes: unknown_types(), components: HashMap::new(), object_meta: None }
    }

    fn finish(self, root: NodeId) -> Schema {
        Schema { nodes: self.nodes, root, builtin: matches!(self.source, Source::OpenApi(_)) }
    }

    fn reserve(&mut self) -> NodeId {
        self.nodes.push(Node::default());
        NodeId(self.nodes.len() - 1)
    }

    fn node(&mut self, schema: &Value, preserves: bool) -> Result<NodeId, String> {
        let object = schema.as_object().ok_or_else(|| format!("a schema must be an object, not `{schema}`"))?;
        if let Some((name, beside)) = reference(object) {
            return self.component(&name, &beside);
        }
        let id = self.reserve();
        self.nodes[id.0] = self.read(object, preserves)?;
        Ok(id)
    }

    /// A component, with what stands beside the reference laid over it.
    fn component(&mut self, name: &str, beside: &Map<String, Value>) -> Result<NodeId, String> {
        // The server merges this one as a whole, whatever it states.
        if name.ends_with(".runtime.RawExtension") {
            return Ok(UNTYPED);
        }
        let key = format!("{name} {}", Value::Object(beside.clone()));
        if let Some(&id) = self.components.get(&key) {
            return Ok(id);
        }
        let Source::OpenApi(components) = self.source else {
            return Err(format!("`{name}`: a CRD's schema may not use $ref"));
        };
        let mut object = components
            .get(name)
            .and_then(Value::as_object)
            .ok_or_else(|| format!("`{name}`: no such component"))?
            .clone();
        object.extend(beside.clone());
        let id = self.reserve();
        self.components.insert(key, id);
        let node = self.read(&object, false).map_err(|error| format!("{name}: {error}"))?;
        self.nodes[id.0] = Node { name: Some(go_name(name)), form: Form::of(name), ..node };
        Ok(id)
    }

    fn read(&mut self, object: &Map<String, Value>, preserves: bool) -> Result<Node, String> {
        let builtin = matches!(self.source, Source::OpenApi(_));
        let flag = |name| object.get(name) == Some(&Value::Bool(true));
        let preserves_here = flag("x-kubernetes-preserve-unknown-fields");
        let preserves_below = preserves || preserves_here;
        let mut node = Node {
            kind: kind_of(object)?,
            format: text(object, "format").map(str::to_owned),
            nullable: builtin || flag("nullable"),
            default: object.get("default").cloned(),
            preserves: preserves_here,
            preserves_below,
            list: list_type(object)?,
            atomic_map: text(object, "x-kubernetes-map-type") == Some("atomic"),
            name: text(object, "x-go-type").map(str::to_owned),
            zero: match text(object, "x-go-zero") {
                Some("shown") => Zero::Shown,
                Some("hidden") => Zero::Hidden,
                Some("null") => Zero::Null,
                _ => Zero::Kept,
            },
            ..Node::default()
        };
        if let Some(properties) = object.get("properties").and_then(Value::as_object) {
            for (name, property) in properties {
                let property = self.node(property, preserves_below).map_err(|error| format!("{name}: {error}"))?;
                node.fields.insert(name.clone(), property);
            }
        }
        node.other = match object.get("additionalProperties") {
            // An object of which OpenAPI says nothing is free-form.
            None if builtin && node.fields.is_empty() => Other::Typed(super::DEDUCED),
            None => Other::Unstated,
            Some(Value::Bool(true)) => Other::Any,
            Some(Value::Bool(false)) => Other::Forbidden,
            Some(schema) => Other::Typed(self.node(schema, preserves_below)?),
        };
        if let Some(items) = object.get("items") {
            node.items = Some(self.node(items, preserves_below)?);
        }
        if flag("x-kubernetes-embedded-resource") {
            node.embedded = true;
            node.implied = self.implied()?;
        }
        node.rules = self.rules(object)?;
        node.expressions = Expression::read(object)?;
        Ok(node)
    }

    fn rules(&mut self, object: &Map<String, Value>) -> Result<Rules, String> {
        let mut rules = Rules::read(object)?;
        for (name, nodes) in [("allOf", &mut rules.all_of), ("anyOf", &mut rules.any_of), ("oneOf", &mut rules.one_of)]
        {
            for schema in object.get(name).and_then(Value::as_array).into_iter().flatten() {
                nodes.push(self.node(schema, false)?);
            }
        }
        if let Some(schema) = object.get("not") {
            rules.not = Some(self.node(schema, false)?);
        }
        Ok(rules)
    }

    /// The fields that every resource has.
    fn implied(&mut self) -> Result<BTreeMap<String, NodeId>, String> {
        let metadata = match self.object_meta {
            Some(id) => id,
            None => {
                let id = self.node(&object_meta(), false)?;
                self.object_meta = Some(id);
                id
            }
        };
        let text = self.node(&json!({"type": "string"}), false)?;
        Ok(BTreeMap::from([
            ("apiVersion".to_owned(), text),
            ("kind".to_owned(), text),
            ("metadata".to_owned(), metadata),
        ]))
    }
}

/// The component that a schema refers to, and what stands beside the reference.
fn reference(object: &Map<String, Value>) -> Option<(String, Map<String, Value>)> {
    let (path, around) = match object.get("$ref") {
        Some(path) => (path.as_str()?, "$ref"),
        None => match object.get("allOf")?.as_array()?.as_slice() {
            [Value::Object(only)] => (only.get("$ref")?.as_str()?, "allOf"),
            _ => return None,
        },
    };
    let name = path.rsplit('/').next()?.to_owned();
    let mut beside = object.clone();
    beside.remove(around);
    beside.remove("description");
    Some((name, beside))
}

/// `v1.PodSpec`, for `io.k8s.api.core.v1.PodSpec`.
fn go_name(component: &str) -> String {
    let parts: Vec<&str> = component.rsplitn(3, '.').collect();
    match parts.as_slice() {
        [name, package, ..] => format!("{package}.{name}"),
        _ => component.to_owned(),
    }
}

fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    object.get(name)?.as_str()
}

fn kind_of(object: &Map<String, Value>) -> Result<Kind, String> {
    if object.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) {
        return Ok(Kind::IntOrString);
    }
    match text(object, "type") {
        None | Some("") => Ok(Kind::Any),
        Some("object") => Ok(Kind::Object),
        Some("array") => Ok(Kind::Array),
        Some("string") => Ok(Kind::String),
        Some("integer") => Ok(Kind::Integer),
        Some("number") => Ok(Kind::Number),
        Some("boolean") => Ok(Kind::Boolean),
        Some(other) => Err(format!("unknown type `{other}`")),
    }
}

fn list_type(object: &Map<String, Value>) -> Result<ListType, String> {
    match text(object, "x-kubernetes-list-type") {
        None | Some("atomic") => Ok(ListType::Atomic),
        Some("set") => Ok(ListType::Set),
        Some("map") => {
            let keys = object
                .get("x-kubernetes-list-map-keys")
                .and_then(Value::as_array)
                .ok_or("a list of type map needs x-kubernetes-list-map-keys")?;
            let keys = keys.iter().filter_map(Value::as_str);
            Ok(ListType::Map(keys.map(str::to_owned).collect()))
        }
        Some(other) => Err(format!("unknown list type `{other}`")),
    }
}

/// `ObjectMeta`, as far as it decides what is kept and how it merges.
fn object_meta() -> Value {
    let text = json!({"type": "string"});
    let time = json!({"type": "string", "format": "date-time", "nullable": true});
    let number = json!({"type": "integer"});
    let texts = json!({"type": "object", "additionalProperties": text});
    let owner = json!({
        "type": "object",
        "x-kubernetes-map-type": "atomic",
        "properties": {
            // The key of the list, so its absence must not be a fault of another kind than its emptiness.
            "uid": {"type": "string", "default": ""},
            "apiVersion": text, "kind": text, "name": text,
            "controller": {"type": "boolean"}, "blockOwnerDeletion": {"type": "boolean"},
        },
    });
    let entry = json!({
        "type": "object",
        "properties": {
            "apiVersion": text, "fieldsType": text, "manager": text, "operation": text,
            "subresource": text, "time": time,
            "fieldsV1": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        },
    });
    json!({
        "type": "object",
        "properties": {
            "annotations": texts,
            "creationTimestamp": time,
            "deletionGracePeriodSeconds": number,
            "deletionTimestamp": time,
            "finalizers": {"type": "array", "items": text, "x-kubernetes-list-type": "set"},
            "generateName": text,
            "generation": number,
            "labels": texts,
            "managedFields": {"type": "array", "items": entry},
            "name": text,
            "namespace": text,
            "ownerReferences": {
                "type": "array", "items": owner,
                "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["uid"],
            },
            "resourceVersion": text,
            "selfLink": text,
            "uid": text,
        },
    })
}
