//! `metadata.managedFields`: who owns which fields, as it is kept on an object.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value, json};

use crate::fields::FieldSet;

/// How many managers with the operation Update an object keeps apart. The
/// server's figure; beyond it the oldest of a version are merged into one.
const UPDATE_MANAGERS_MAX: usize = 10;
/// The manager that takes over the fields of those.
const ANCIENT_CHANGES: &str = "ancient-changes";

/// Whether a manager owns its fields by apply or by any other write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Apply,
    Update,
}

/// What makes two writes ones of the same manager.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    pub(super) manager: String,
    pub(super) operation: Operation,
    /// Empty for Apply: an applier stays itself in every version.
    pub(super) version: String,
    pub(super) subresource: String,
}

impl Identity {
    /// Conflicts are told in the order of the managers' JSON, in which a comma
    /// comes before a closing brace: one with a subresource before the same
    /// without.
    pub(super) fn place_among_conflicts(&self) -> impl Ord + use<> {
        let Self { manager, operation, version, subresource } = self.clone();
        (manager, operation, version, subresource.is_empty(), subresource)
    }
}

/// As conflicts name it.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", json!(self.manager))?;
        if !self.subresource.is_empty() {
            write!(f, " with subresource {}", json!(self.subresource))?;
        }
        if self.operation == Operation::Update {
            write!(f, " using {}", self.version)?;
        }
        Ok(())
    }
}

/// What a manager owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owned {
    /// The apiVersion that the paths are of.
    pub(super) version: String,
    pub(super) set: FieldSet,
    /// When the manager last changed the object. Without one, it never did: it
    /// has only applied what was there.
    pub(super) time: Option<String>,
}

/// All managers of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Managers(pub(super) BTreeMap<Identity, Owned>);

impl Managers {
    /// Reads the managers of an object; one without any has none.
    pub(super) fn of(object: &Value) -> Result<Self, String> {
        let entries = object.pointer("/metadata/managedFields");
        let entries = entries.and_then(Value::as_array).into_iter().flatten();
        let managers: Result<_, _> = entries.map(decode).collect();
        managers.map(Self)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes the managers onto the object.
    pub(super) fn set_on(&self, object: &mut Value) {
        let Some(object) = object.as_object_mut() else {
            return;
        };
        let metadata = object.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
        if let Some(metadata) = metadata.as_object_mut() {
            if self.is_empty() {
                metadata.remove("managedFields");
            } else {
                metadata.insert("managedFields".to_owned(), self.encode());
            }
        }
    }

    fn encode(&self) -> Value {
        let mut entries: Vec<_> = self.0.iter().collect();
        // The server writes all times alike, in UTC, so their text sorts as they do.
        entries.sort_by_key(|(id, owned)| {
            let (manager, subresource) = (&id.manager, &id.subresource);
            (id.operation, &owned.time, manager, &owned.version, subresource)
        });
        entries.into_iter().map(|(id, owned)| encode(id, owned)).collect()
    }

    /// Merges the oldest Update managers of each version until there are few
    /// enough of them.
    pub(super) fn cap(&mut self) {
        let updates = self.0.iter().filter(|(id, _)| id.operation == Operation::Update);
        let mut updates: Vec<_> = updates.map(|(id, owned)| (owned.time.clone(), id.clone())).collect();
        updates.sort();
        let mut count = updates.len();
        let mut first_of: BTreeMap<String, Identity> = BTreeMap::new();
        for (time, id) in updates {
            if count <= UPDATE_MANAGERS_MAX {
                return;
            }
            let Some(first) = first_of.get(&id.version) else {
                first_of.insert(id.version.clone(), id);
                continue;
            };
            let bucket = Identity {
                manager: ANCIENT_CHANGES.to_owned(),
                operation: Operation::Update,
                version: id.version.clone(),
                subresource: String::new(),
            };
            if !self.0.contains_key(&bucket)
                && let Some(owned) = self.0.remove(first)
            {
                self.0.insert(bucket.clone(), owned);
            }
            if id != bucket
                && let Some(owned) = self.0.remove(&id)
                && let Some(ancient) = self.0.get_mut(&bucket)
            {
                ancient.set = ancient.set.union(&owned.set);
                ancient.time = time;
                count -= 1;
            }
        }
    }
}

fn encode(id: &Identity, owned: &Owned) -> Value {
    let mut entry = json!({
        "apiVersion": owned.version,
        "fieldsType": "FieldsV1",
        "fieldsV1": owned.set.encode(),
        "manager": id.manager,
        "operation": match id.operation {
            Operation::Apply => "Apply",
            Operation::Update => "Update",
        },
    });
    if !id.subresource.is_empty() {
        entry["subresource"] = json!(id.subresource);
    }
    if let Some(time) = &owned.time {
        entry["time"] = json!(time);
    }
    entry
}

fn decode(entry: &Value) -> Result<(Identity, Owned), String> {
    let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let operation = match entry["operation"].as_str() {
        Some("Apply") => Operation::Apply,
        Some("Update") => Operation::Update,
        _ => return Err("operation must be `Apply` or `Update`".to_owned()),
    };
    let version = text("apiVersion");
    if version.is_empty() {
        return Err("apiVersion must not be empty".to_owned());
    }
    if text("fieldsType") != "FieldsV1" {
        return Err(format!("invalid fieldsType `{}`", text("fieldsType")));
    }
    let set = match &entry["fieldsV1"] {
        Value::Null => FieldSet::default(),
        fields => FieldSet::decode(fields)?,
    };
    let id = Identity {
        manager: text("manager"),
        operation,
        version: match operation {
            Operation::Apply => String::new(),
            Operation::Update => version.clone(),
        },
        subresource: text("subresource"),
    };
    let time = entry["time"].as_str().map(str::to_owned);
    Ok((id, Owned { version, set, time }))
}
