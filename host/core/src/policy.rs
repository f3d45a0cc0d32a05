//! What the owner of a host says about one plugin: a TOML file beside the
//! module. Read once, checked whole; a message names the key, what was found
//! and what is accepted.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    time::Duration,
};

use serde_json::{Map, Number, Value as Json};
use toml::{Table, Value};

use crate::{
    description::{ChildKind, Update, is_kind},
    grants::EVERYWHERE,
    hash::Hash,
    id::{GroupKind, Lineage},
    inherit::Inherit,
    instance::InstanceKey,
    limits::{Limits, MIB},
    origin::Origin,
    rollout::{self, Check, MaxUnavailable, Rolling},
    selector::is_subdomain,
    work::Work,
};

/// A valid policy; the default one is that of a plugin without a policy file.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// The file beside the policy that holds the module, where it is not the
    /// one of the policy's own name.
    pub module: Option<String>,
    /// The `config` table as JSON text, given to the plugin as it is.
    pub config: String,
    /// Where objects say which instance serves them, if not where the host's own
    /// setting says.
    pub instance_key: Option<InstanceKey>,
    /// What one call may use.
    pub limits: Limits,
    /// How much and how often it is to work.
    pub work: Work,
    /// Kinds that the plugin may read besides those that anyone may.
    pub reads: BTreeSet<GroupKind>,
    /// Kinds that the plugin may write besides those that anyone may.
    pub writes: BTreeSet<GroupKind>,
    /// Namespaces in which children may lie besides that of their object.
    pub elsewhere: BTreeSet<String>,
    /// Where the plugin may send HTTP requests.
    pub http: BTreeSet<Origin>,
    /// Kinds of children that are taken over where they exist and belong to nobody.
    pub adopt: BTreeSet<GroupKind>,
    /// What is taken over from the controller that the plugin replaces.
    pub inherit: Inherit,
    /// Update strategies in place of those that the description names.
    pub updates: BTreeMap<GroupKind, UpdatePolicy>,
}

/// An update strategy in place of the one that a description names; what it leaves
/// out is the description's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpdatePolicy {
    /// The method.
    pub method: Option<Update>,
    /// How many may be missing or not ready at once.
    pub max_unavailable: Option<MaxUnavailable>,
    /// Conditions that a child must have to be ready.
    pub ready: Option<Vec<Check>>,
}

/// Why a text is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Not TOML.
    #[error("line {line}: {message}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// What the parser expected.
        message: String,
    },
    /// A key that no policy has.
    #[error("{key}: unknown key, known are {known}")]
    UnknownKey {
        /// With its tables: `limits.memory`.
        key: String,
        /// What may stand there.
        known: String,
    },
    /// A value that the key does not take.
    #[error("{key}: found {found}, accepted: {accepted}")]
    Value {
        /// With its tables: `limits.memory_mib`.
        key: String,
        /// What stands there.
        found: String,
        /// The range or the values that may stand there.
        accepted: String,
    },
}

const KEYS: &[&str] = &["config", "module", "instance_key", "limits", "work", "grants", "adopt", "inherit", "update"];
const KIND: &str = "a kind as \"Kind\" (core group) or \"Kind.group\", such as \"Deployment.apps\"";
const FINALIZER: &str = "another controller's finalizer, such as \"metacontroller.io/compositecontroller-site\"";
const ORIGIN: &str = "\"http://host:port\" or \"https://host:port\"";

impl Default for Policy {
    fn default() -> Self {
        Self {
            module: None,
            config: "{}".into(),
            instance_key: None,
            limits: Limits::DEFAULT,
            work: Work::default(),
            reads: BTreeSet::new(),
            writes: BTreeSet::new(),
            elsewhere: BTreeSet::new(),
            http: BTreeSet::new(),
            adopt: BTreeSet::new(),
            inherit: Inherit::default(),
            updates: BTreeMap::new(),
        }
    }
}

impl Policy {
    /// Reads the text of a policy file.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let table = read_table(text)?;
        known_only("", &table, KEYS)?;
        let module = table.get("module").map(module_name).transpose()?;
        let mut policy = Self { module, ..Self::default() };
        if let Some(config) = table.get("config") {
            policy.config = json("config", &Value::Table(sub_table("config", config)?.clone()))?.to_string();
        }
        policy.instance_key = table.get("instance_key").map(instance_key).transpose()?;
        if let Some(limits) = table.get("limits") {
            policy.limits = read_limits(sub_table("limits", limits)?)?;
        }
        if let Some(work) = table.get("work") {
            policy.work = Work::read(sub_table("work", work)?)?;
        }
        if let Some(grants) = table.get("grants") {
            let grants = sub_table("grants", grants)?;
            known_only("grants", grants, &["reads", "writes", "elsewhere", "http"])?;
            policy.reads = kinds("grants.reads", grants.get("reads"))?;
            policy.writes = kinds("grants.writes", grants.get("writes"))?;
            policy.elsewhere = namespaces("grants.elsewhere", grants.get("elsewhere"))?;
            policy.http = list("grants.http", grants.get("http"), Origin::parse, "origins", ORIGIN)?;
        }
        policy.adopt = kinds("adopt", table.get("adopt"))?;
        if let Some(inherit) = table.get("inherit") {
            let inherit = sub_table("inherit", inherit)?;
            known_only("inherit", inherit, &["children", "finalizers"])?;
            let finalizers = ("inherit.finalizers", inherit.get("finalizers"));
            policy.inherit = Inherit {
                children: kinds("inherit.children", inherit.get("children"))?,
                finalizers: list(finalizers.0, finalizers.1, Inherit::finalizer, "finalizers", FINALIZER)?,
            };
        }
        if let Some(update) = table.get("update") {
            policy.updates = sub_table("update", update)?.iter().map(read_update).collect::<Result<_, _>>()?;
        }
        Ok(policy)
    }

    /// How a declared child is made equal: the policy goes before the plugin.
    pub fn update_of(&self, child: &ChildKind) -> Update {
        self.updates.get(&child.kind).and_then(|update| update.method).unwrap_or(child.update)
    }

    /// How that is done a few at a time.
    pub fn rolling_of(&self, child: &ChildKind) -> Rolling {
        let over = self.updates.get(&child.kind).cloned().unwrap_or_default();
        let Rolling { max_unavailable, ready } = child.rolling.clone();
        Rolling { max_unavailable: over.max_unavailable.unwrap_or(max_unavailable), ready: over.ready.unwrap_or(ready) }
    }

    /// What tells one generation of a slot from the next: the module's content
    /// and all that this policy says. A changed comment changes nothing.
    pub fn generation(&self, content: Hash) -> Hash {
        let policy = Self { module: None, ..self.clone() };
        let policy = format!("{policy:?}");
        Hash::of([content.as_bytes(), policy.as_bytes()])
    }
}

/// The module that the text of a policy names, whatever else is wrong with it.
pub fn named_module(text: &str) -> Result<Option<String>, PolicyError> {
    read_table(text)?.get("module").map(module_name).transpose()
}

fn read_table(text: &str) -> Result<Table, PolicyError> {
    text.parse().map_err(|error: toml::de::Error| PolicyError::Syntax {
        line: 1 + error.span().map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count()),
        message: error.message().replace('\n', ", "),
    })
}

/// A group and kind as policies write it: `Secret`, `Role.rbac.authorization.k8s.io`.
fn group_kind(text: &str) -> Option<GroupKind> {
    let (kind, group) = text.split_once('.').unwrap_or((text, ""));
    let group_fits = is_subdomain(group) || !text.contains('.');
    (is_kind(kind) && group_fits).then(|| GroupKind { group: group.into(), kind: kind.into() })
}

fn wrong<T>(key: &str, value: &Value, accepted: impl Into<String>) -> Result<T, PolicyError> {
    let found = match value {
        Value::Table(_) => "a table".into(),
        Value::Array(_) => "a list".into(),
        scalar => scalar.to_string(),
    };
    Err(PolicyError::Value { key: key.into(), found, accepted: accepted.into() })
}

fn known_only(table_key: &str, table: &Table, known: &[&str]) -> Result<(), PolicyError> {
    match table.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => {
            let key = if table_key.is_empty() { key.clone() } else { format!("{table_key}.{key}") };
            Err(PolicyError::UnknownKey { key, known: known.join(", ") })
        }
    }
}

fn sub_table<'a>(key: &str, value: &'a Value) -> Result<&'a Table, PolicyError> {
    value.as_table().map_or_else(|| wrong(key, value, format!("a table: [{key}]")), Ok)
}

fn module_name(value: &Value) -> Result<String, PolicyError> {
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

fn instance_key(value: &Value) -> Result<InstanceKey, PolicyError> {
    let accepted = "the name of a label, or \"annotation:NAME\"";
    let key = value.as_str().and_then(|text| InstanceKey::parse(text).ok());
    key.map_or_else(|| wrong("instance_key", value, accepted), Ok)
}

fn read_limits(table: &Table) -> Result<Limits, PolicyError> {
    let mut limits = Limits::DEFAULT;
    let (floor, ceiling) = (Limits::FLOOR, Limits::CEILING);
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    for (name, value) in table {
        let within = |floor: u64, ceiling: u64| whole_number(&format!("limits.{name}"), value, floor..=ceiling);
        let mebibytes = |floor: u64, ceiling: u64| within(floor / MIB, ceiling / MIB).map(|number| number * MIB);
        let duration = |floor, ceiling| within(millis(floor), millis(ceiling)).map(Duration::from_millis);
        let count = |floor: u32, ceiling: u32| {
            within(floor.into(), ceiling.into()).map(|number| u32::try_from(number).expect("the ceiling is a u32"))
        };
        match name.as_str() {
            "memory_mib" => limits.memory_bytes = mebibytes(floor.memory_bytes, ceiling.memory_bytes)?,
            "cpu_ms" => limits.cpu = duration(floor.cpu, ceiling.cpu)?,
            "wall_ms" => limits.wall = duration(floor.wall, ceiling.wall)?,
            "request_mib" => limits.request_bytes = mebibytes(floor.request_bytes, ceiling.request_bytes)?,
            "answer_mib" => limits.answer_bytes = mebibytes(floor.answer_bytes, ceiling.answer_bytes)?,
            "children" => limits.children = count(floor.children, ceiling.children)?,
            "log_lines" => limits.log_lines = count(floor.log_lines, ceiling.log_lines)?,
            _ => {
                let known = "memory_mib, cpu_ms, wall_ms, request_mib, answer_mib, children, log_lines";
                return Err(PolicyError::UnknownKey { key: format!("limits.{name}"), known: known.into() });
            }
        }
    }
    Ok(limits)
}

/// A whole number within a range.
pub(crate) fn whole_number(key: &str, value: &Value, range: RangeInclusive<u64>) -> Result<u64, PolicyError> {
    match value.as_integer().and_then(|number| u64::try_from(number).ok()) {
        Some(number) if range.contains(&number) => Ok(number),
        _ => wrong(key, value, format!("a whole number from {} to {}", range.start(), range.end())),
    }
}

fn kinds(key: &str, value: Option<&Value>) -> Result<BTreeSet<GroupKind>, PolicyError> {
    list(key, value, group_kind, "kinds", KIND)
}

/// A list of texts that are all read by one function; nothing is an empty one.
fn list<T: Ord>(
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

fn namespaces(key: &str, value: Option<&Value>) -> Result<BTreeSet<String>, PolicyError> {
    let Some(value) = value else { return Ok(BTreeSet::new()) };
    let Some(items) = value.as_array() else { return wrong(key, value, "a list of namespaces") };
    let namespace = |item: &Value| match item.as_str() {
        Some(name) if name == EVERYWHERE || Lineage::new(name).is_ok() => Ok(name.to_owned()),
        _ => wrong(key, item, "the name of a namespace, or \"*\" for all"),
    };
    items.iter().map(namespace).collect()
}

fn read_update((name, value): (&String, &Value)) -> Result<(GroupKind, UpdatePolicy), PolicyError> {
    let key = format!("update.{name:?}");
    let Some(kind) = group_kind(name) else {
        return Err(PolicyError::Value { key, found: "a key that is no kind".into(), accepted: KIND.into() });
    };
    let Some(table) = value.as_table() else {
        return Ok((kind, UpdatePolicy { method: Some(method(&key, value)?), ..UpdatePolicy::default() }));
    };
    known_only(&key, table, &["method", "max_unavailable", "ready"])?;
    let at = |name: &str| format!("{key}.{name}");
    let max_unavailable = |value: &Value| {
        let read = MaxUnavailable::read(&json(&key, value)?);
        read.map_or_else(|| wrong(&at("max_unavailable"), value, rollout::MAX_UNAVAILABLE), Ok)
    };
    let ready = |value: &Value| {
        let read = json(&key, value)?.as_array().and_then(|checks| checks.iter().map(Check::read).collect());
        read.map_or_else(|| wrong(&at("ready"), value, format!("a list; each {}", rollout::CHECK)), Ok)
    };
    let update = UpdatePolicy {
        method: table.get("method").map(|value| method(&at("method"), value)).transpose()?,
        max_unavailable: table.get("max_unavailable").map(max_unavailable).transpose()?,
        ready: table.get("ready").map(ready).transpose()?,
    };
    Ok((kind, update))
}

fn method(key: &str, value: &Value) -> Result<Update, PolicyError> {
    let names = || Update::NAMES.map(|(name, _)| format!("{name:?}")).join(", ");
    value.as_str().and_then(Update::named).map_or_else(|| wrong(key, value, names()), Ok)
}

/// TOML as JSON: dates become text, as JSON has none; infinite numbers are
/// refused, as it has none of those either.
fn json(key: &str, value: &Value) -> Result<Json, PolicyError> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backoff::Curve;

    fn error(text: &str) -> String {
        Policy::parse(text).expect_err(text).to_string()
    }

    #[test]
    fn an_empty_policy_is_that_of_a_plugin_without_one() {
        assert_eq!(Policy::parse("").unwrap(), Policy::default());
        assert_eq!(Policy::default().config, "{}");
    }

    #[test]
    fn every_key_is_read() {
        let policy = Policy::parse(
            r#"
            module = "site@next.wasm"
            adopt = ["Deployment.apps"]
            instance_key = "annotation:numaflow.numaproj.io/instance"
            [config]
            image = "nginx"
            replicas = 3
            since = 2026-01-02
            weights = [0.5, 1]
            [config.nested]
            on = true
            [limits]
            memory_mib = 128
            cpu_ms = 500
            wall_ms = 60000
            request_mib = 1
            answer_mib = 8
            children = 10
            log_lines = 1000
            [work]
            concurrency = 4
            calls_per_second = 50
            resync_seconds = 300
            backoff_first_ms = 100
            backoff_longest_seconds = 60
            [grants]
            reads = ["Secret"]
            writes = ["Role.rbac.authorization.k8s.io", "Secret"]
            elsewhere = ["shared"]
            http = ["http://hooks.kubeflow:80", "https://10.0.0.1:8443"]
            [inherit]
            children = ["Service"]
            finalizers = ["example.com/site"]
            [update]
            "Deployment.apps" = "recreate"
            Service = "on-delete"
            Pod = { method = "rolling-recreate", max_unavailable = "25%", ready = [{ type = "Ready" }] }
            "#,
        )
        .unwrap();
        assert_eq!(policy.module.as_deref(), Some("site@next.wasm"));
        assert_eq!(policy.instance_key, Some(InstanceKey::Annotation("numaflow.numaproj.io/instance".into())));
        assert_eq!(
            serde_json::from_str::<Json>(&policy.config).unwrap(),
            serde_json::json!({"image": "nginx", "replicas": 3, "since": "2026-01-02", "weights": [0.5, 1], "nested": {"on": true}})
        );
        let expected = Limits {
            memory_bytes: 128 * MIB,
            cpu: Duration::from_millis(500),
            wall: Duration::from_secs(60),
            request_bytes: MIB,
            answer_bytes: 8 * MIB,
            children: 10,
            log_lines: 1000,
        };
        assert_eq!(policy.limits, expected);
        let work = Work {
            concurrency: Some(4),
            calls_per_second: Some(50),
            resync: Some(Duration::from_secs(300)),
            backoff: Curve { first: Duration::from_millis(100), longest: Duration::from_secs(60) },
        };
        assert_eq!(policy.work, work);
        assert_eq!(policy.reads, [GroupKind::new("v1", "Secret")].into());
        let role = GroupKind::new("rbac.authorization.k8s.io/v1", "Role");
        assert_eq!(policy.writes, [role, GroupKind::new("v1", "Secret")].into());
        assert_eq!(policy.elsewhere, ["shared".to_owned()].into());
        let origins = ["http://hooks.kubeflow:80", "https://10.0.0.1:8443"];
        assert_eq!(policy.http, origins.iter().filter_map(|text| Origin::parse(text)).collect());
        assert_eq!(policy.adopt, [GroupKind::new("apps/v1", "Deployment")].into());
        assert_eq!(policy.inherit.children, [GroupKind::new("v1", "Service")].into());
        assert_eq!(policy.inherit.finalizers, ["example.com/site".to_owned()].into());
        let child = |api_version, kind| {
            let (kind, version) = (GroupKind::new(api_version, kind), "v1".to_owned());
            ChildKind { kind, version, update: Update::InPlace, rolling: Rolling::default() }
        };
        assert_eq!(policy.update_of(&child("apps/v1", "Deployment")), Update::Recreate);
        assert_eq!(policy.update_of(&child("v1", "Service")), Update::OnDelete);
        assert_eq!(policy.rolling_of(&child("v1", "Service")), Rolling::default());
        assert_eq!(policy.update_of(&child("v1", "Pod")), Update::RollingRecreate);
        let ready = vec![Check::read(&serde_json::json!({"type": "Ready"})).unwrap()];
        let rolling = Rolling { max_unavailable: MaxUnavailable::Percent(25), ready };
        assert_eq!(policy.rolling_of(&child("v1", "Pod")), rolling);
    }

    #[test]
    fn each_error_names_the_key_what_was_found_and_what_is_accepted() {
        for (text, message) in [
            (
                "color = 1",
                "color: unknown key, known are config, module, instance_key, limits, work, grants, adopt, inherit, update",
            ),
            ("[inherit]\nkinds = []", "inherit.kinds: unknown key, known are children, finalizers"),
            ("config = 1", "config: found 1, accepted: a table: [config]"),
            ("[config]\na = [1, inf]", "config.a[1]: found inf, accepted: a finite number"),
            (
                "module = \"../x.wasm\"",
                "module: found \"../x.wasm\", accepted: the name of a .wasm file in the same folder",
            ),
            ("module = \"site\"", "module: found \"site\", accepted: the name of a .wasm file in the same folder"),
            (
                "instance_key = \"a b\"",
                "instance_key: found \"a b\", accepted: the name of a label, or \"annotation:NAME\"",
            ),
            ("[limits]\nmemory_mib = 257", "limits.memory_mib: found 257, accepted: a whole number from 1 to 256"),
            ("[limits]\ncpu_ms = -1", "limits.cpu_ms: found -1, accepted: a whole number from 1 to 10000"),
            ("[limits]\nwall_ms = \"1s\"", "limits.wall_ms: found \"1s\", accepted: a whole number from 10 to 60000"),
            ("[limits]\nchildren = 0", "limits.children: found 0, accepted: a whole number from 1 to 10000"),
            (
                "[limits]\nmemory = 1",
                "limits.memory: unknown key, known are memory_mib, cpu_ms, wall_ms, request_mib, answer_mib, children, log_lines",
            ),
            ("[work]\nconcurrency = 0", "work.concurrency: found 0, accepted: a whole number from 1 to 1024"),
            (
                "[work]\nworkers = 1",
                "work.workers: unknown key, known are concurrency, calls_per_second, resync_seconds, backoff_first_ms, backoff_longest_seconds",
            ),
            ("[grants]\nread = []", "grants.read: unknown key, known are reads, writes, elsewhere, http"),
            (
                "[grants]\nelsewhere = [\"Shared\"]",
                "grants.elsewhere: found \"Shared\", accepted: the name of a namespace, or \"*\" for all",
            ),
            (
                "[grants]\nhttp = [\"hooks:80\"]",
                "grants.http: found \"hooks:80\", accepted: \"http://host:port\" or \"https://host:port\"",
            ),
            ("[grants]\nreads = \"Secret\"", "grants.reads: found \"Secret\", accepted: a list of kinds"),
            (
                "[grants]\nwrites = [\"secrets\"]",
                "grants.writes: found \"secrets\", accepted: a kind as \"Kind\" (core group) or \"Kind.group\", such as \"Deployment.apps\"",
            ),
            (
                "[update]\n\"apps/Deployment\" = \"recreate\"",
                "update.\"apps/Deployment\": found a key that is no kind, accepted: a kind as \"Kind\" (core group) or \"Kind.group\", such as \"Deployment.apps\"",
            ),
            (
                "[update]\nService = \"rolling\"",
                "update.\"Service\": found \"rolling\", accepted: \"in-place\", \"recreate\", \"on-delete\", \"rolling-in-place\", \"rolling-recreate\"",
            ),
            (
                "[update]\nService = { max_unavailable = 0 }",
                "update.\"Service\".max_unavailable: found 0, accepted: a whole number from 1 to 10000, or a percentage from \"1%\" to \"100%\"",
            ),
            (
                "[update]\nService = { method = 1 }",
                "update.\"Service\".method: found 1, accepted: \"in-place\", \"recreate\", \"on-delete\", \"rolling-in-place\", \"rolling-recreate\"",
            ),
            (
                "[update]\nService = { pace = 1 }",
                "update.\"Service\".pace: unknown key, known are method, max_unavailable, ready",
            ),
        ] {
            assert_eq!(error(text), message);
        }
    }

    #[test]
    fn what_is_no_toml_is_refused_with_its_line() {
        let message = error("[config]\na = 1\nb = = 2\n");
        assert!(message.starts_with("line 3: "), "{message}");
    }

    #[test]
    fn the_module_is_known_although_something_else_is_wrong() {
        assert_eq!(named_module("module = \"a.wasm\"\ncolor = 1").unwrap().as_deref(), Some("a.wasm"));
        assert_eq!(named_module("color = 1").unwrap(), None);
        assert!(named_module("module = 1").is_err() && named_module("module").is_err());
    }

    #[test]
    fn a_comment_makes_no_new_generation_and_every_setting_does() {
        let content = Hash::of([&b"module"[..]]);
        let generation = |text: &str| Policy::parse(text).unwrap().generation(content);
        let base = generation("[config]\na = 1\n");
        assert_eq!(base, generation("# why\n[config]\na   =   1\n"));
        assert_ne!(base, Policy::parse("[config]\na = 1\n").unwrap().generation(Hash::default()));
        for other in [
            "[config]\na = 2\n",
            "[config]\na = 1\n[grants]\nhttp = [\"http://hooks:80\"]\n",
            "[config]\na = 1\n[limits]\ncpu_ms = 7\n",
            "[config]\na = 1\n[grants]\nreads = [\"Secret\"]\n",
            "[config]\na = 1\n[grants]\nwrites = [\"Secret\"]\n",
            "[config]\na = 1\n[grants]\nelsewhere = [\"*\"]\n",
            "[config]\na = 1\n[update]\nService = \"recreate\"\n",
            "adopt = [\"Service\"]\n[config]\na = 1\n",
            "[config]\na = 1\n[inherit]\nchildren = [\"Service\"]\n",
        ] {
            assert_ne!(base, generation(other), "{other}");
        }
    }

    #[test]
    fn the_policys_update_strategy_goes_before_the_descriptions() {
        let child = ChildKind {
            kind: GroupKind::new("v1", "Service"),
            version: "v1".into(),
            update: Update::InPlace,
            rolling: Rolling::default(),
        };
        assert_eq!(Policy::default().update_of(&child), Update::InPlace);
        let policy = Policy::parse("[update]\nService = \"on-delete\"").unwrap();
        assert_eq!(policy.update_of(&child), Update::OnDelete);
    }
}
