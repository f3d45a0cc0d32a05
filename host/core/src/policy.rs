//! What the owner of a host says about one plugin: a TOML file beside the
//! module. Read once, checked whole; a message names the key, what was found
//! and what is accepted.

mod values;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use toml::{Table, Value};

use self::values::{
    KIND, instance_key, json, kinds, lineage, list, module_name, namespaces, retire, selector, selector_field,
    service_account, sub_table, verbs,
};
pub(crate) use self::values::{flag, group_kind, known_only, whole_number, wrong};
use crate::{
    account::Account,
    adoption::SelectorField,
    config::ConfigFrom,
    deletions::Allowance,
    description::{ChildKind, Update},
    grants::{SecretName, Verb},
    hash::Hash,
    id::{GroupKind, Lineage},
    inherit::Inherit,
    instance::InstanceKey,
    limits::{Limits, MIB},
    origin::Origin,
    promotion::Terms,
    retire::Retire,
    rollout::{self, Check, MaxUnavailable, Rolling},
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
    /// Where the rest of the config lies, which goes over it.
    pub config_from: Option<ConfigFrom>,
    /// Where objects say which instance serves them, if not where the host's own
    /// setting says.
    pub instance_key: Option<InstanceKey>,
    /// As whom its writes are made, if not as the host itself.
    pub service_account: Option<Account>,
    /// What one call may use.
    pub limits: Limits,
    /// How much and how often it is to work.
    pub work: Work,
    /// How many children it may delete in a minute.
    pub deletions: Allowance,
    /// How a new generation of it comes to serve.
    pub rollout: Terms,
    /// Kinds that the plugin may read besides those that anyone may.
    pub reads: BTreeSet<GroupKind>,
    /// Kinds that the plugin may write besides those that anyone may.
    pub writes: BTreeSet<GroupKind>,
    /// Secrets that the plugin may read, though not all of them.
    pub secrets: BTreeSet<SecretName>,
    /// What may be done to children of a kind; all, where it is not here.
    pub verbs: BTreeMap<GroupKind, BTreeSet<Verb>>,
    /// Namespaces in which children may lie besides that of their object.
    pub elsewhere: BTreeSet<String>,
    /// Where the plugin may send HTTP requests.
    pub http: BTreeSet<Origin>,
    /// Kinds of children that are taken over where they exist and belong to nobody.
    pub adopt: BTreeSet<GroupKind>,
    /// Where an object says by labels which children are its, if not the host's own
    /// marks say so: what is selected and belongs to nobody is taken over.
    pub children_selector: Option<SelectorField>,
    /// What is taken over from the controller that the plugin replaces.
    pub inherit: Inherit,
    /// It is never called for one object by two instances at a time: it acts outside of
    /// the cluster, where nothing fences it.
    pub exclusive: bool,
    /// It lets go of what it has, and how.
    pub retire: Option<Retire>,
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

const KEYS: &[&str] = &[
    "config",
    "config_from",
    "module",
    "instance_key",
    "service_account",
    "limits",
    "work",
    "deletions",
    "rollout",
    "grants",
    "adopt",
    "children_selector",
    "inherit",
    "exclusive",
    "retire",
    "update",
];
const FINALIZER: &str = "another controller's finalizer, such as \"metacontroller.io/compositecontroller-site\"";
const SECRET: &str = "a Secret as \"namespace/name\"";
const ORIGIN: &str = "\"http://host:port\" or \"https://host:port\"";

impl Default for Policy {
    fn default() -> Self {
        Self {
            module: None,
            config: "{}".into(),
            config_from: None,
            instance_key: None,
            service_account: None,
            limits: Limits::DEFAULT,
            work: Work::default(),
            deletions: Allowance::default(),
            rollout: Terms::default(),
            reads: BTreeSet::new(),
            writes: BTreeSet::new(),
            secrets: BTreeSet::new(),
            verbs: BTreeMap::new(),
            elsewhere: BTreeSet::new(),
            http: BTreeSet::new(),
            adopt: BTreeSet::new(),
            children_selector: None,
            inherit: Inherit::default(),
            exclusive: false,
            retire: None,
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
        if let Some(from) = table.get("config_from") {
            policy.config_from = Some(ConfigFrom::read(sub_table("config_from", from)?)?);
        }
        policy.instance_key = table.get("instance_key").map(instance_key).transpose()?;
        policy.service_account = table.get("service_account").map(service_account).transpose()?;
        if let Some(limits) = table.get("limits") {
            policy.limits = read_limits(sub_table("limits", limits)?)?;
        }
        if let Some(work) = table.get("work") {
            policy.work = Work::read(sub_table("work", work)?)?;
        }
        if let Some(deletions) = table.get("deletions") {
            policy.deletions = Allowance::read(sub_table("deletions", deletions)?)?;
        }
        if let Some(rollout) = table.get("rollout") {
            policy.rollout = Terms::read(sub_table("rollout", rollout)?)?;
        }
        if let Some(grants) = table.get("grants") {
            let grants = sub_table("grants", grants)?;
            known_only("grants", grants, &["reads", "secrets", "writes", "verbs", "elsewhere", "http"])?;
            policy.reads = kinds("grants.reads", grants.get("reads"))?;
            policy.writes = kinds("grants.writes", grants.get("writes"))?;
            policy.secrets = list("grants.secrets", grants.get("secrets"), SecretName::parse, "Secrets", SECRET)?;
            policy.verbs = verbs("grants.verbs", grants.get("verbs"))?;
            policy.elsewhere = namespaces("grants.elsewhere", grants.get("elsewhere"))?;
            policy.http = list("grants.http", grants.get("http"), Origin::parse, "origins", ORIGIN)?;
        }
        policy.adopt = kinds("adopt", table.get("adopt"))?;
        policy.children_selector = table.get("children_selector").map(selector_field).transpose()?;
        if let (Some(_), Some(adopt)) = (&policy.children_selector, table.get("adopt")) {
            return wrong("adopt", adopt, "nothing beside children_selector, by which alone children are taken over");
        }
        if let Some(inherit) = table.get("inherit") {
            let inherit = sub_table("inherit", inherit)?;
            known_only("inherit", inherit, &["children", "annotations", "finalizers", "lineage"])?;
            let finalizers = ("inherit.finalizers", inherit.get("finalizers"));
            let lineage = inherit.get("lineage").map(lineage).transpose()?;
            let mut finalizers = list(finalizers.0, finalizers.1, Inherit::finalizer, "finalizers", FINALIZER)?;
            finalizers.extend(lineage.as_ref().map(Lineage::finalizer));
            policy.inherit = Inherit {
                children: kinds("inherit.children", inherit.get("children"))?,
                annotations: selector("inherit.annotations", inherit.get("annotations"))?,
                finalizers,
                lineage,
            };
        }
        policy.exclusive = table.get("exclusive").map_or(Ok(false), |value| flag("exclusive", value))?;
        policy.retire = table.get("retire").map(retire).transpose()?;
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

    /// The same without the words that confirm or accept a generation, which name it so.
    pub fn unconfirmed(&self) -> Self {
        Self {
            deletions: Allowance { confirmed: None, ..self.deletions.clone() },
            rollout: Terms { accepted: None, ..self.rollout.clone() },
            ..self.clone()
        }
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

#[cfg(test)]
mod tests;
