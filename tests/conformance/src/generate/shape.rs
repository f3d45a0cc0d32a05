//! What values look like: enough to draw them, and to write the structural
//! schema of a custom kind that holds them.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use super::draw::{draw, one_of};

/// The form of a value.
#[derive(Debug, Clone)]
pub(super) enum Shape {
    /// One of these texts.
    Text(Vec<String>),
    /// A whole number, from the first to the second.
    Whole(i64, i64),
    Truth,
    /// A whole number or a text.
    Either,
    /// An object of which the schema says nothing.
    Free,
    /// Any keys, values of one form, at least so many.
    Map {
        of: Box<Shape>,
        atomic: bool,
        least: usize,
    },
    Object {
        fields: Vec<Field>,
        atomic: bool,
    },
    List {
        of: Box<Shape>,
        kind: ListKind,
        least: usize,
    },
}

/// How a list is merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ListKind {
    Atomic,
    Set,
    /// By these fields of its items.
    Keyed(Vec<String>),
}

#[derive(Debug, Clone)]
pub(super) struct Field {
    pub name: String,
    pub shape: Shape,
    pub required: bool,
    pub default: Option<Value>,
    pub nullable: bool,
}

/// Objects in objects in a random schema, so that it stays readable.
const DEPTH_MAX: usize = 3;

impl Shape {
    /// The form of a random custom kind's spec or status.
    pub fn random_object(rng: &mut Rng, depth: usize) -> Self {
        let names = ["alpha", "beta", "gamma", "delta", "size"];
        let mut fields: Vec<Field> = Vec::new();
        for name in names.iter().take(rng.usize(2..=names.len())) {
            let shape = Self::random(rng, depth + 1);
            let default = (rng.u8(..) < 50 && shape.may_have_default()).then(|| draw(&shape, rng));
            let required = default.is_none() && rng.u8(..) < 25;
            let nullable = rng.u8(..) < 40;
            fields.push(Field { name: (*name).to_owned(), shape, required, default, nullable });
        }
        Self::Object { fields, atomic: depth > 0 && rng.u8(..) < 50 }
    }

    fn random(rng: &mut Rng, depth: usize) -> Self {
        let choices = if depth >= DEPTH_MAX { 4 } else { 9 };
        match rng.usize(0..choices) {
            0 => Self::Text(["x", "yy", "zzz"].map(str::to_owned).to_vec()),
            1 => Self::Whole(0, 5),
            2 => Self::Truth,
            3 => Self::Either,
            4 => Self::Free,
            5 => Self::Map { of: Box::new(Self::random(rng, depth + 1)), atomic: rng.u8(..) < 60, least: 0 },
            6 => Self::random_object(rng, depth),
            7 => {
                let scalar = [Self::Text(["x", "yy", "zzz"].map(str::to_owned).to_vec()), Self::Whole(0, 3)];
                let kind = if rng.bool() { ListKind::Set } else { ListKind::Atomic };
                Self::List { of: Box::new(one_of(rng, &scalar).clone()), kind, least: 0 }
            }
            _ => Self::random_keyed_list(rng, depth),
        }
    }

    fn random_keyed_list(rng: &mut Rng, depth: usize) -> Self {
        let field = |name: &str, shape: Shape, required: bool, default: Option<Value>| Field {
            name: name.to_owned(),
            shape,
            required,
            default,
            nullable: false,
        };
        let mut fields = vec![field("key", Self::Text(["a", "b", "c"].map(str::to_owned).to_vec()), true, None)];
        let mut keys = vec!["key".to_owned()];
        if rng.bool() {
            keys.push("port".to_owned());
            fields.push(field("port", Self::Whole(80, 81), false, Some(json!(80))));
        }
        fields.push(field("value", Self::random(rng, depth + 1), false, None));
        Self::List { of: Box::new(Self::Object { fields, atomic: false }), kind: ListKind::Keyed(keys), least: 0 }
    }

    fn may_have_default(&self) -> bool {
        matches!(self, Self::Text(_) | Self::Whole(..) | Self::Truth | Self::Either | Self::Map { .. })
    }

    /// The structural schema that knows these values.
    pub fn schema(&self) -> Value {
        match self {
            Self::Text(_) => json!({ "type": "string", "maxLength": 5 }),
            Self::Whole(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
            Self::Truth => json!({ "type": "boolean" }),
            Self::Either => json!({ "x-kubernetes-int-or-string": true }),
            Self::Free => json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true }),
            Self::Map { of, atomic, .. } => {
                let mut schema = json!({ "type": "object", "additionalProperties": of.schema() });
                if *atomic {
                    schema["x-kubernetes-map-type"] = json!("atomic");
                }
                schema
            }
            Self::Object { fields, atomic } => object_schema(fields, *atomic),
            Self::List { of, kind, .. } => {
                let mut schema = json!({ "type": "array", "items": of.schema() });
                match kind {
                    ListKind::Atomic => {}
                    ListKind::Set => schema["x-kubernetes-list-type"] = json!("set"),
                    ListKind::Keyed(keys) => {
                        schema["x-kubernetes-list-type"] = json!("map");
                        schema["x-kubernetes-list-map-keys"] = json!(keys);
                    }
                }
                schema
            }
        }
    }
}

fn object_schema(fields: &[Field], atomic: bool) -> Value {
    let mut properties = Map::new();
    for field in fields {
        let mut schema = field.shape.schema();
        if let Some(default) = &field.default {
            schema["default"] = default.clone();
        }
        if field.nullable {
            schema["nullable"] = json!(true);
        }
        properties.insert(field.name.clone(), schema);
    }
    let mut schema = json!({ "type": "object", "properties": properties });
    let required: Vec<&String> = fields.iter().filter(|field| field.required).map(|field| &field.name).collect();
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    if atomic {
        schema["x-kubernetes-map-type"] = json!("atomic");
    }
    schema
}
