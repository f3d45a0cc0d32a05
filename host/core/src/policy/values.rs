//! The values of a policy: each is read whole or refused with the key, what was found
//! and what is accepted.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
};

use serde_json::{Map, Number, Value as Json};
use toml::{Table, Value};

use super::PolicyError;
use crate::{
    account::Account,
    adoption::SelectorField,
    description::is_kind,
    grants::{EVERYWHERE, Verb},
    id::{GroupKind, Lineage},
    instance::InstanceKey,
    retire::Retire,
    selector::{Selector, is_subdomain},
};

pub(super) const KIND: &str = "a kind as \"Kind\" (core group) or \"Kind.group\", such as \"Deployment.apps\"";

/// A group and kind as policies write it: `Secret`, `Role.rbac.authorization.k8s.io`.
pub(crate) fn group_kind(text: &str) -> Option<GroupKind> {
    let (kind, group) = text.split_once('.').unwrap_or((text, ""));
    let group_fits = is_subdomain(group) || !text.contains('.');
    (is_kind(kind) && group_fits).then(|| GroupKind { group: group.into(), kind: kind.into() })
}

pub(crate) fn wrong<T>(key: &str, value: &Value, accepted: impl Into<String>) -> Result<T, PolicyError> {
    let found = match value {
        Value::Table(_) => "a table".into(),
        Value::Array(_) => "a list".into(),
        scalar => scalar.to_string(),
    };
    Err(PolicyError::Value { key: key.into(), found, accepted: accepted.into() })
}

pub(crate) fn known_only(table_key: &str, table: &Table, known: &[&str]) -> Result<(), PolicyError> {
    match table.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => {
            let key = if table_key.is_empty() { key.clone() } else { format!("{table_key}.{key}") };
            Err(PolicyError::UnknownKey { key, known: known.join(", ") })
        }
    }
}

pub(super) fn sub_table<'a>(key: &str, value: &'a Value) -> Result<&'a Table, PolicyError> {
    value.as_table().map_or_else(|| wrong(key, value, format!("a table: [{key}]")), Ok)
}

pub(super) fn module_name(value: &Value) -> Result<String, PolicyError> {
    let fits = |name: &&str| {
        name.strip_suffix(".wasm").is_some_and(|stem| !stem.is_empty())
            && !name.contains(['/', '\\'])
            && !name.starts_with('.')
    };
    match value.as_str().filter(fits) {
        Some(name) => Ok(name.to_owned()),
        None => wrong("module", value, "the name of a .wasm file in the same folder"),
    }
}

pub(super) fn instance_key(value: &Value) -> Result<InstanceKey, PolicyError> {
    let accepted = "the name of a label, or \"annotation:NAME\"";
    let key = value.as_str().and_then(|text| InstanceKey::parse(text).ok());
    key.map_or_else(|| wrong("instance_key", value, accepted), Ok)
}

pub(super) fn selector_field(value: &Value) -> Result<SelectorField, PolicyError> {
    let field = value.as_str().and_then(SelectorField::parse);
    field.map_or_else(|| wrong("children_selector", value, "the path of a field, such as \"spec.selector\""), Ok)
}

pub(super) fn service_account(value: &Value) -> Result<Account, PolicyError> {
    let account = value.as_str().and_then(Account::parse);
    account.map_or_else(|| wrong("service_account", value, "a service account as \"namespace/name\""), Ok)
}

pub(super) fn lineage(value: &Value) -> Result<Lineage, PolicyError> {
    let lineage = value.as_str().and_then(|name| Lineage::new(name).ok());
    lineage.map_or_else(|| wrong("inherit.lineage", value, "the name of another plugin, up to its '@'"), Ok)
}

pub(super) fn retire(value: &Value) -> Result<Retire, PolicyError> {
    let names = || Retire::NAMES.map(|(name, _)| format!("{name:?}")).join(" or ");
    value.as_str().and_then(Retire::named).map_or_else(|| wrong("retire", value, names()), Ok)
}

/// A whole number within a range.
pub(crate) fn whole_number(key: &str, value: &Value, range: RangeInclusive<u64>) -> Result<u64, PolicyError> {
    match value.as_integer().and_then(|number| u64::try_from(number).ok()) {
        Some(number) if range.contains(&number) => Ok(number),
        _ => wrong(key, value, format!("a whole number from {} to {}", range.start(), range.end())),
    }
}

/// True or false.
pub(crate) fn flag(key: &str, value: &Value) -> Result<bool, PolicyError> {
    value.as_bool().map_or_else(|| wrong(key, value, "true or false"), Ok)
}

pub(super) fn kinds(key: &str, value: Option<&Value>) -> Result<BTreeSet<GroupKind>, PolicyError> {
    list(key, value, group_kind, "kinds", KIND)
}

/// What may be done to which kinds.
pub(super) fn verbs(key: &str, value: Option<&Value>) -> Result<BTreeMap<GroupKind, BTreeSet<Verb>>, PolicyError> {
    let Some(value) = value else { return Ok(BTreeMap::new()) };
    let of_kind = |(name, value): (&String, &Value)| {
        let key = format!("{key}.{name:?}");
        let no_kind =
            || PolicyError::Value { key: key.clone(), found: "a key that is no kind".into(), accepted: KIND.into() };
        let verbs = list(&key, Some(value), Verb::named, "verbs", "\"create\", \"update\" or \"delete\"")?;
        Ok((group_kind(name).ok_or_else(no_kind)?, verbs))
    };
    sub_table(key, value)?.iter().map(of_kind).collect()
}

/// A list of texts that are all read by one function; nothing is an empty one.
pub(super) fn list<T: Ord>(
    key: &str,
    value: Option<&Value>,
    read: fn(&str) -> Option<T>,
    of: &str,
    accepted: &str,
) -> Result<BTreeSet<T>, PolicyError> {
    let Some(value) = value else { return Ok(BTreeSet::new()) };
    let Some(items) = value.as_array() else { return wrong(key, value, format!("a list of {of}")) };
    let item = |item: &Value| item.as_str().and_then(read).map_or_else(|| wrong(key, item, accepted), Ok);
    items.iter().map(item).collect()
}

pub(super) fn namespaces(key: &str, value: Option<&Value>) -> Result<BTreeSet<String>, PolicyError> {
    let Some(value) = value else { return Ok(BTreeSet::new()) };
    let Some(items) = value.as_array() else { return wrong(key, value, "a list of namespaces") };
    let namespace = |item: &Value| match item.as_str() {
        Some(name) if name == EVERYWHERE || Lineage::new(name).is_ok() => Ok(name.to_owned()),
        _ => wrong(key, item, "the name of a namespace, or \"*\" for all"),
    };
    items.iter().map(namespace).collect()
}

pub(super) fn selector(key: &str, value: Option<&Value>) -> Result<Selector, PolicyError> {
    let Some(value) = value else { return Ok(Selector::default()) };
    let selector = value.as_str().and_then(|text| Selector::parse(text).ok());
    selector
        .map_or_else(|| wrong(key, value, "a selector as kubectl takes it, such as \"example.com/made-by=site\""), Ok)
}

/// TOML as JSON: dates become text, as JSON has none; infinite numbers are
/// refused, as it has none of those either.
pub(super) fn json(key: &str, value: &Value) -> Result<Json, PolicyError> {
    let of_item = |(at, item): (usize, &Value)| json(&format!("{key}[{at}]"), item);
    let of_entry = |(name, item): (&String, &Value)| Ok((name.clone(), json(&format!("{key}.{name}"), item)?));
    Ok(match value {
        Value::String(text) => Json::from(text.as_str()),
        Value::Integer(number) => Json::from(*number),
        Value::Float(number) => match Number::from_f64(*number) {
            Some(number) => Json::Number(number),
            None => return wrong(key, value, "a finite number"),
        },
        Value::Boolean(flag) => Json::Bool(*flag),
        Value::Datetime(date) => Json::String(date.to_string()),
        Value::Array(items) => Json::Array(items.iter().enumerate().map(of_item).collect::<Result<_, _>>()?),
        Value::Table(table) => Json::Object(table.iter().map(of_entry).collect::<Result<Map<_, _>, _>>()?),
    })
}
