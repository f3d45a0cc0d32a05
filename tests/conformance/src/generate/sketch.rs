//! Sketches of built-in kinds (`kinds.yaml`): what is drawn for them. `a|b` is
//! one of two texts, `1..3` a number, `bool` a truth; `{"*": …}` is a map and
//! `[…]` a list. A field `name?` may be missing, a field `name#` is a key of
//! the list that its object is in. No list and no map is empty: Go clients
//! leave such fields out.

use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;

use super::shape::{Field, ListKind, Shape};

/// A kind that writes are drawn for.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub kind: String,
    pub api_version: String,
    /// The path of its collection.
    pub path: String,
    pub body: Shape,
    pub status: Option<Shape>,
    pub custom: bool,
    /// Whether nothing but metadata and status may change.
    pub fixed: bool,
    /// Whether it stays, and each patch changes it: the real server's own
    /// controllers have a hand in its deletion, and it stores the first write
    /// to it even if that changes nothing.
    pub kept: bool,
    /// Whether it has a `scale`.
    pub scaled: bool,
    /// Whether it is of the whole cluster.
    pub cluster: bool,
    /// The objects that are written.
    pub names: Vec<String>,
}

impl Target {
    /// How deep a part may leave out what is required: everywhere where the
    /// schema says so, and not where only Go code would.
    pub fn levels(&self) -> usize {
        if self.custom { usize::MAX } else { 2 }
    }

    /// Whether other episodes have objects in the same collection.
    pub fn shared(&self) -> bool {
        self.cluster && !self.custom
    }

    /// The name of one of its objects in `$rv.name`.
    pub fn short<'a>(&self, name: &'a str) -> &'a str {
        name.strip_prefix("$ns-").unwrap_or(name)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Sketch {
    kind: String,
    api_version: String,
    at: String,
    #[serde(default)]
    fixed: bool,
    #[serde(default)]
    kept: bool,
    #[serde(default)]
    scaled: bool,
    #[serde(default)]
    body: Value,
    status: Option<Value>,
}

/// The built-in kinds of a table of sketches.
pub(super) fn read(text: &str) -> anyhow::Result<Vec<Target>> {
    let options = serde_saphyr::options! { strict_booleans: true };
    let sketches: Vec<Sketch> = serde_saphyr::from_str_with_options(text, options)?;
    let target = |sketch: Sketch| {
        let shape = |sketch: &Value| shape(sketch);
        Ok(Target {
            body: shape(&sketch.body).with_context(|| format!("the body of {}", sketch.kind))?,
            status: sketch.status.as_ref().map(shape).transpose()?,
            cluster: !["$core", "$apps", "$batch"].iter().any(|start| sketch.at.starts_with(start))
                && !sketch.at.contains("/$ns/"),
            path: sketch.at,
            kind: sketch.kind,
            api_version: sketch.api_version,
            custom: false,
            fixed: sketch.fixed,
            kept: sketch.kept,
            scaled: sketch.scaled,
            names: Vec::new(),
        })
    };
    sketches.into_iter().map(target).collect()
}

fn shape(sketch: &Value) -> anyhow::Result<Shape> {
    match sketch {
        Value::String(text) if text == "bool" => Ok(Shape::Truth),
        Value::String(text) => Ok(match text.split_once("..").map(|(least, most)| (least.parse(), most.parse())) {
            Some((Ok(least), Ok(most))) => Shape::Whole(least, most),
            _ => Shape::Text(text.split('|').map(str::to_owned).collect()),
        }),
        Value::Object(fields) if fields.contains_key("*") => {
            Ok(Shape::Map { of: Box::new(shape(&fields["*"])?), atomic: false, least: 1 })
        }
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, sketch)| {
                let shape = shape(sketch).with_context(|| name.clone())?;
                let (required, plain) = (!name.ends_with('?'), name.trim_end_matches(['?', '#']));
                Ok(Field { name: plain.to_owned(), shape, required, default: None, nullable: false })
            });
            Ok(Shape::Object { fields: fields.collect::<anyhow::Result<_>>()?, atomic: false })
        }
        Value::Array(items) => {
            let of = items.first().context("a list is sketched by one item")?;
            let keys = of.as_object().into_iter().flatten().filter_map(|(name, _)| name.strip_suffix('#'));
            let keys: Vec<String> = keys.map(str::to_owned).collect();
            let kind = if !keys.is_empty() {
                ListKind::Keyed(keys)
            } else if of.is_string() {
                ListKind::Set
            } else {
                ListKind::Atomic
            };
            Ok(Shape::List { of: Box::new(shape(of)?), kind, least: 1 })
        }
        Value::Null => Ok(Shape::Object { fields: Vec::new(), atomic: false }),
        other => anyhow::bail!("{other} is no sketch"),
    }
}
