//! What an apply takes away: what its manager applied before, and nobody wants
//! any more.

use std::collections::BTreeSet;

use serde_json::Value;

use super::entries::{Managers, Owned};
use super::{Versions, merge, typed};
use crate::fields::FieldSet;
use crate::schema::Schema;

/// The merged object without what its applier owned before (`last`) and nobody,
/// the applier included, owns now. Fields are those of the version in which
/// they are owned, so the object goes through the versions one by one.
pub(super) fn prune(
    versions: &Versions<'_>,
    merged: Value,
    managers: &Managers,
    last: &Owned,
) -> Result<Value, String> {
    let convert = |object, version: &str, what: &str| {
        versions.convert(object, version).map_err(|why| format!("failed to convert {what}: {why}"))
    };
    let (merged, schema) = convert(&merged, &last.version, "merged object to last applied version")?;
    let last_set = named(schema, &last.set);
    let mut pruned = remove(schema, &merged, &last_set);

    // The version in which it was applied last goes first.
    let others: BTreeSet<&str> = managers.0.values().map(|owned| owned.version.as_str()).collect();
    let others = others.into_iter().filter(|version| *version != last.version);
    for version in [last.version.as_str()].into_iter().chain(others) {
        let owned = managers.0.values().filter(|owned| owned.version == version);
        let owned = owned.fold(FieldSet::default(), |all, owned| all.union(&owned.set));
        pruned = add_back(versions, &merged, &pruned, version, &owned)
            .map_err(|why| format!("failed add back owned items: {why}"))?;
    }

    // What stood below a removed field goes with it only if it was last applied too.
    let (pruned, schema) = convert(&pruned, &last.version, "pruned object to last applied version")
        .map_err(|why| format!("failed add back dangling items: {why}"))?;
    let gone = all_of(schema, &merged).difference(&all_of(schema, &pruned)).intersection(&last_set);
    let pruned = remove(schema, &merged, &gone);
    let (pruned, _) = versions.convert(&pruned, versions.writer.api_version)?;
    Ok(pruned.into_owned())
}

/// The merged object with what is left of it and what somebody owns in one version.
fn add_back(
    versions: &Versions<'_>,
    merged: &Value,
    pruned: &Value,
    version: &str,
    owned: &FieldSet,
) -> Result<Value, String> {
    let convert = |object, what: &str| {
        let why = |why| format!("failed to convert {what} object at version {version}: {why}");
        versions.convert(object, version).map_err(why)
    };
    let (merged, schema) = convert(merged, "merged")?;
    let (pruned, _) = convert(pruned, "pruned")?;
    let kept = all_of(schema, &pruned).union(&named(schema, owned));
    Ok(remove(schema, &merged, &all_of(schema, &merged).difference(&kept)))
}

fn named(schema: &Schema, set: &FieldSet) -> FieldSet {
    set.with_named_fields(schema, Some(schema.root()))
}

fn all_of(schema: &Schema, object: &Value) -> FieldSet {
    named(schema, &typed::field_set(schema, object))
}

fn remove(schema: &Schema, object: &Value, fields: &FieldSet) -> Value {
    merge::remove(schema, schema.root(), object, fields)
}
