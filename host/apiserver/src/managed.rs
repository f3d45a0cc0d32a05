//! Field ownership: server-side apply, and the bookkeeping of every other write.
//! Pure functions from the live object and the request to the new object, with
//! `metadata.managedFields` as kube-apiserver would write it.
//!
//! A handler prunes and defaults a request before [`update`], and defaults the
//! outcome of [`apply`]. Then it puts back what the endpoint cannot change,
//! calls [`keep_times`], validates and stores.

mod compare;
mod entries;
mod merge;
mod prune;
mod scaled;
mod typed;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::fields::FieldSet;
use crate::schema::{Schema, same};

pub(crate) use scaled::{CountPaths, SCALE_VERSION, own_object, own_scale};

use compare::{Comparison, compare};
use entries::{Identity, Managers, Operation, Owned};
use typed::Duplicates;

/// Fields that nobody owns: they name the object or are the server's.
const UNOWNED: [&str; 12] = [
    "apiVersion",
    "kind",
    "metadata",
    "metadata.name",
    "metadata.namespace",
    "metadata.creationTimestamp",
    "metadata.selfLink",
    "metadata.uid",
    "metadata.clusterName",
    "metadata.generation",
    "metadata.managedFields",
    "metadata.resourceVersion",
];
/// Owns what an object had before it was first applied, if nothing was tracked.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// Who writes, and through which endpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Writer<'a> {
    /// The `fieldManager` of the request.
    pub(crate) manager: &'a str,
    /// The apiVersion of the request.
    pub(crate) api_version: &'a str,
    /// `Some("status")` for that subresource.
    pub(crate) subresource: Option<&'a str>,
    /// The fields that this endpoint cannot change, as dotted paths: `status`
    /// for the main one of a kind with a status subresource, `metadata` and
    /// `spec` for `status`. Writing them owns nothing and meets no conflict;
    /// to leave them as they were is left to the caller.
    pub(crate) reset_fields: &'a [&'a str],
    /// Every apiVersion that the kind has, with its schema. What managers own in
    /// others is forgotten. Empty: there is one version, whatever it is called.
    pub(crate) versions: &'a [(String, Arc<Schema>)],
    /// The time of the request: RFC 3339, in UTC, to the second.
    pub(crate) now: &'a str,
}

impl<'a> Writer<'a> {
    fn identity(&self, operation: Operation) -> Identity {
        Identity {
            manager: self.manager.to_owned(),
            operation,
            version: match operation {
                Operation::Apply => String::new(),
                Operation::Update => self.api_version.to_owned(),
            },
            subresource: self.subresource.unwrap_or_default().to_owned(),
        }
    }

    /// The schema of a version that the kind has.
    fn schema_of<'s>(&self, own: &'s Schema, version: &str) -> Option<&'s Schema>
    where
        'a: 's,
    {
        if self.versions.is_empty() || version == self.api_version {
            return Some(own);
        }
        self.versions.iter().find(|(known, _)| known == version).map(|(_, schema)| &**schema)
    }

    fn filter(&self, set: FieldSet) -> FieldSet {
        set.recursive_difference(&FieldSet::of_fields(self.reset_fields))
    }
}

/// A field that another manager owns and that was applied with another value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conflict {
    /// The other manager, as the server prints it: `"m" using apps/v1`.
    pub(crate) manager: String,
    /// The field, for example `.spec.replicas`.
    pub(crate) field: String,
}

/// Why an object was not applied. Printed as the server's message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ApplyError {
    /// 409: each is a cause with the reason `FieldManagerConflict`.
    #[error("{}", conflict_message(.0))]
    Conflict(Vec<Conflict>),
    /// 400.
    #[error("{0}")]
    BadRequest(String),
    /// 500: the object does not fit its schema, or has an item twice.
    #[error("{0}")]
    Typed(String),
}

fn conflict_message(conflicts: &[Conflict]) -> String {
    if let [only] = conflicts {
        let Conflict { manager, field } = only;
        return format!("Apply failed with 1 conflict: conflict with {manager}: {field}");
    }
    let mut lines = Vec::new();
    for of_one in conflicts.chunk_by(|a, b| a.manager == b.manager) {
        lines.push(format!("conflicts with {}:", of_one[0].manager));
        lines.extend(of_one.iter().map(|conflict| format!("- {}", conflict.field)));
    }
    let count = conflicts.len();
    format!("Apply failed with {count} conflicts: {}", lines.join("\n"))
}

/// Applies an object: merges it into the live one, takes out what this manager
/// applied before and nobody wants any more, and makes it owner of what it
/// applied. An apply that changes nothing returns the live object as it was.
/// What it empties in the metadata of a custom object stays there, empty, as the
/// server stores it.
///
/// # Errors
/// See [`ApplyError`]; a conflict only without `force`.
pub(crate) fn apply(
    schema: &Schema,
    live: Option<&Value>,
    applied: &Value,
    writer: &Writer<'_>,
    force: bool,
) -> Result<Value, ApplyError> {
    if applied.pointer("/metadata/managedFields").is_some_and(|fields| !fields.is_null()) {
        let message = "metadata.managedFields must be nil".to_owned();
        return Err(ApplyError::BadRequest(message));
    }
    fit(schema, applied, "patch", Duplicates::Refused)?;
    let blank = blank_like(schema, applied);
    let before = live.unwrap_or(&blank);
    fit(schema, before, "live", Duplicates::Allowed)?;
    let mut managers =
        Managers::of(before).map_err(|error| ApplyError::Typed(format!("failed to decode managed fields: {error}")))?;
    if managers.is_empty() {
        let first = Writer { manager: BEFORE_FIRST_APPLY, ..*writer };
        record_update(schema, &blank, before, &mut managers, &first).map_err(ApplyError::Typed)?;
    }
    managers.0.retain(|_, owned| writer.schema_of(schema, &owned.version).is_some());
    let versions = Versions { own: schema, writer };
    // What was written before must still have its place in all versions that are owned in.
    for owned in managers.0.values() {
        versions.convert(before, &owned.version).map_err(ApplyError::Typed)?;
    }

    let mut after = merge::merge(schema, schema.root(), before, applied);
    let me = writer.identity(Operation::Apply);
    let last = managers.0.remove(&me);
    let owned = Owned {
        version: writer.api_version.to_owned(),
        set: writer.filter(typed::field_set(schema, applied)),
        time: last.as_ref().and_then(|last| last.time.clone()),
    };
    managers.0.insert(me.clone(), owned);
    if let Some(last) = last {
        after = prune::prune(&versions, after, &managers, &last)
            .map_err(|error| ApplyError::Typed(format!("failed to prune fields: {error}")))?;
    }
    let conflicts = take(schema, before, &after, &mut managers, writer, Some(&me)).map_err(ApplyError::Typed)?.0;
    if !force && !conflicts.is_empty() {
        return Err(ApplyError::Conflict(conflicts));
    }
    let changed = !same(before, &after);
    if let Some(owned) = managers.0.get_mut(&me) {
        owned.set = owned.set.difference(&FieldSet::of_fields(&UNOWNED));
        if changed {
            owned.time = Some(writer.now.to_owned());
        }
    }
    managers.0.retain(|_, owned| !owned.set.is_empty());
    let mut object = if changed { after } else { before.clone() };
    if schema.is_builtin() {
        schema.tidy_metadata(&mut object);
    }
    managers.set_on(&mut object);
    Ok(object)
}

/// Records a write that is no apply: what it changed or added is its manager's
/// and no other's, what it removed is nobody's. Returns the new object.
///
/// `managedFields` of the new object count if they can be read; `[{}]` ends the
/// tracking.
pub(crate) fn update(schema: &Schema, live: Option<&Value>, mut new: Value, writer: &Writer<'_>) -> Value {
    let mut managers = match writer.subresource {
        Some(_) => live_managers(live),
        None => stated_managers(live, &new),
    };
    Managers::default().set_on(&mut new);
    schema.tidy_metadata(&mut new);
    let exists = live.is_some_and(|live| live.pointer("/metadata/uid").is_some());
    if managers.is_empty() && exists {
        return new;
    }
    let blank = blank_like(schema, &new);
    let before = live.unwrap_or(&blank);
    let fits = |object| typed::check(schema, object, Duplicates::Allowed).is_ok();
    if !fits(before) || !fits(&new) {
        return new;
    }
    managers.0.retain(|_, owned| writer.schema_of(schema, &owned.version).is_some());
    // What cannot be told apart in another version is not tracked any more.
    if record_update(schema, before, &new, &mut managers, writer).is_err() {
        return new;
    }
    managers.cap();
    managers.set_on(&mut new);
    new
}

/// Takes back times that moved although nothing else changed: a write may be
/// undone by defaults, or by the reset of fields that it cannot change. To be
/// called last, before the object is stored.
pub(crate) fn keep_times(live: &Value, new: &mut Value) {
    let without_times = |object: &Value| {
        let mut object = object.clone();
        for entry in entries_mut(&mut object) {
            if let Some(entry) = entry.as_object_mut() {
                entry.remove("time");
            }
        }
        object
    };
    if without_times(live) != without_times(new) {
        return;
    }
    if let Some(entries) = live.pointer("/metadata/managedFields") {
        for (entry, old) in entries_mut(new).iter_mut().zip(entries.as_array().into_iter().flatten()) {
            *entry = old.clone();
        }
    }
}

fn entries_mut(object: &mut Value) -> &mut [Value] {
    let entries = object.pointer_mut("/metadata/managedFields");
    entries.and_then(Value::as_array_mut).map_or(&mut [], Vec::as_mut_slice)
}

fn live_managers(live: Option<&Value>) -> Managers {
    live.map(Managers::of).and_then(Result::ok).unwrap_or_default()
}

/// The managers that a request states, or the live ones where it leaves them
/// out or states nonsense.
fn stated_managers(live: Option<&Value>, new: &Value) -> Managers {
    let stated = new.pointer("/metadata/managedFields").and_then(Value::as_array);
    if stated.is_some_and(|entries| entries.as_slice() == [json!({})]) {
        return Managers::default();
    }
    match Managers::of(new) {
        Ok(managers) if !managers.is_empty() => managers,
        _ => live_managers(live),
    }
}

fn fit(schema: &Schema, object: &Value, which: &str, duplicates: Duplicates) -> Result<(), ApplyError> {
    typed::check(schema, object, duplicates).map_err(|misfits| {
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
        let (api_version, kind) = (text("/apiVersion"), text("/kind"));
        let slash = if api_version.contains('/') { "" } else { "/" };
        ApplyError::Typed(format!(
            "failed to create typed {which} object \
             ({namespace}/{name}; {slash}{api_version}, Kind={kind}): {misfits}"
        ))
    })
}

/// An object that is of this kind and nothing else; of a built-in kind, it has
/// what shows although nobody wrote it.
fn blank_like(schema: &Schema, object: &Value) -> Value {
    let mut blank = if schema.is_builtin() { schema.unwritten() } else { json!({}) };
    blank["apiVersion"] = object["apiVersion"].clone();
    blank["kind"] = object["kind"].clone();
    blank
}

fn record_update(
    schema: &Schema,
    before: &Value,
    after: &Value,
    managers: &mut Managers,
    writer: &Writer<'_>,
) -> Result<(), String> {
    // The manager's own entry gives up what changed like any other, and gets it
    // back below together with what is new.
    let (_, comparison) = take(schema, before, after, managers, writer, None)?;
    let set = writer.filter(comparison.written());
    let set = set.difference(&FieldSet::of_fields(&UNOWNED));
    if set.is_empty() {
        return Ok(());
    }
    let me = writer.identity(Operation::Update);
    let owned = match managers.0.get(&me) {
        Some(previous) => previous.set.union(&set),
        None => set,
    };
    let owned = Owned { version: writer.api_version.to_owned(), set: owned, time: Some(writer.now.to_owned()) };
    managers.0.insert(me, owned);
    Ok(())
}

/// Takes what a write changed from all managers but one, and tells from whom,
/// and what changed in the writer's version. Each manager's fields are those of
/// its own version, in which the change is looked at.
fn take(
    schema: &Schema,
    before: &Value,
    after: &Value,
    managers: &mut Managers,
    writer: &Writer<'_>,
    but: Option<&Identity>,
) -> Result<(Vec<Conflict>, Comparison), String> {
    let versions = Versions { own: schema, writer };
    let own = compare(schema, before, after);
    // An endpoint's reset fields are stated for its own version only.
    let reachable = own.without(&FieldSet::of_fields(writer.reset_fields));
    let mut seen = BTreeMap::from([(writer.api_version.to_owned(), reachable)]);
    let mut conflicts = Vec::new();
    let mut others: Vec<_> = managers.0.iter_mut().filter(|(id, _)| Some(*id) != but).collect();
    others.sort_by_key(|(id, _)| id.place_among_conflicts());
    for (id, owned) in others {
        let comparison = match seen.entry(owned.version.clone()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let (before, schema) = versions
                    .convert(before, &owned.version)
                    .map_err(|why| format!("failed to convert old object: {why}"))?;
                let (after, _) = versions
                    .convert(after, &owned.version)
                    .map_err(|why| format!("failed to convert new object: {why}"))?;
                entry.insert(compare(schema, &before, &after))
            }
        };
        let lost = owned.set.intersection(&comparison.written());
        conflicts.extend(lost.paths().into_iter().map(|field| Conflict { manager: id.to_string(), field }));
        owned.set = owned.set.difference(&lost).difference(&comparison.removed);
    }
    managers.0.retain(|_, owned| !owned.set.is_empty());
    Ok((conflicts, own))
}

/// The versions of a kind, which differ by their schemas only.
struct Versions<'a> {
    own: &'a Schema,
    writer: &'a Writer<'a>,
}

impl Versions<'_> {
    /// An object in another version: the same one, if that version has a place
    /// for all of it, and no item is there twice.
    fn convert<'o>(&self, object: &'o Value, version: &str) -> Result<(Cow<'o, Value>, &Schema), String> {
        if object["apiVersion"] == version {
            return Ok((Cow::Borrowed(object), self.writer.schema_of(self.own, version).unwrap_or(self.own)));
        }
        let schema = self.writer.schema_of(self.own, version);
        let schema = schema.ok_or_else(|| format!("no version {version}"))?;
        let mut object = object.clone();
        object["apiVersion"] = Value::from(version);
        typed::check(schema, &object, Duplicates::Refused).map_err(|misfits| misfits.to_string())?;
        Ok((Cow::Owned(object), schema))
    }
}

#[cfg(test)]
mod tests;
