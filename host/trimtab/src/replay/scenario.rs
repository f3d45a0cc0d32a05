//! A recorded call as a scenario: what the plugin saw is applied, and what the host
//! made of its answer is expected. It is played before it is written, so that what
//! `trimtab test` is given passes there.
//!
//! Children that the plugin was shown are not applied: in a scenario the host makes
//! them. Nor is what only the cluster writes: uids, times, statuses.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};
use trimtab_core::description::Role;
use trimtab_sim::scenario::{self, Scenario, Stage};
use trimtab_wasm::{Ending, Record, Told};

use super::policy_file;
use crate::cli::ReplayArgs;

/// What the cluster writes of an object, or the host.
const OF_THE_CLUSTER: &[&str] = &[
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "ownerReferences",
    "finalizers",
];

/// A call that was made again.
pub struct Call<'a> {
    /// What was recorded.
    pub record: &'a Record,
    /// What came of it now.
    pub ending: &'a Ending,
    /// Only a composite's object has a condition of the host's.
    pub role: Role,
}

/// Whatever plays it, one seed gives one run.
const SEED: u64 = 1;

/// Writes the scenario of a record.
pub fn write(to: &Path, call: &Call<'_>, args: &ReplayArgs, compiled: &Path) -> anyhow::Result<()> {
    let record = call.record;
    anyhow::ensure!(!to.exists(), "{} is there already; --scenario writes a new file", to.display());
    let document = document(to, call, args)?;
    // JSON is YAML; `trimtab test` reads the one as the other.
    let text = format!(
        "# What {} was asked and answered at {}.\n{}\n",
        record.plugin,
        record.request.now,
        serde_json::to_string_pretty(&document)?
    );
    fs::write(to, text).with_context(|| format!("{} cannot be written", to.display()))?;
    play(to, compiled).inspect_err(|_| _ = fs::remove_file(to))
}

fn play(file: &Path, compiled: &Path) -> anyhow::Result<()> {
    let scenario = Scenario::read(file)?;
    let stage = Stage::set(&scenario, compiled)?;
    let ran = scenario::run(&scenario, &stage, stage.wasm()?, SEED, false);
    if let Some(failure) = ran.failure {
        let failure = crate::test::failure(&failure);
        bail!("the record makes no scenario: in a cluster of its own the call comes out otherwise\n{failure}");
    }
    Ok(())
}

fn document(to: &Path, call: &Call<'_>, args: &ReplayArgs) -> anyhow::Result<Value> {
    let Call { record, ending, role } = *call;
    let request = &record.request;
    let object: Value = serde_json::from_str(&request.object).context("the record's object is no JSON")?;
    let home = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut applied = looked_up(record)?;
    applied.push(object.clone());
    let applied = applied.into_iter().map(|object| clean(object, &home)).collect::<Vec<_>>();

    let answered = match ending {
        Ending::Answered(answer) => answer.children.iter().map(|child| serde_json::from_str(child)).collect(),
        Ending::Failed(_) | Ending::Stopped { .. } => Ok(Vec::<Value>::new()),
    };
    let answered = answered.context("the answer's child is no JSON")?;
    let children = answered.into_iter().map(|child| clean(child, &home)).collect::<Vec<_>>();
    let expected = children.iter().map(|child| (reference(child), fields(child))).collect::<Map<_, _>>();
    let mut expect = json!({ "objects": expected });
    if role == Role::Composite {
        let reconciled = if ending.is_answer() { "True" } else { "False" };
        expect["conditions"] = json!({ reference(&clean(object, &home)): { "Reconciled": reconciled } });
    }
    let kinds = applied.iter().chain(&children).filter_map(definition);
    let kinds = kinds.collect::<BTreeMap<_, _>>();
    let applied = kinds.into_values().chain(applied).map(|object| json!({ "apply": object }));
    let steps = applied.chain([json!({ "expect": expect })]);
    Ok(json!({
        "name": format!("{} as it was called", record.plugin),
        "plugins": plugins(to, record, args)?,
        "steps": steps.collect::<Vec<_>>(),
    }))
}

/// The plugin and its policy, by the shortest paths from the scenario.
fn plugins(to: &Path, record: &Record, args: &ReplayArgs) -> anyhow::Result<Value> {
    let stem = &record.plugin;
    let mut plugins = Map::new();
    plugins.insert(format!("{stem}.wasm"), from(to, &args.with)?.into());
    if let Some(policy) = policy_file(args) {
        plugins.insert(format!("{stem}.toml"), from(to, &policy)?.into());
    }
    Ok(plugins.into())
}

/// A file's path as the scenario names it.
fn from(scenario: &Path, file: &Path) -> anyhow::Result<String> {
    let folder = scenario.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let absolute = |path: &Path| path.canonicalize().with_context(|| format!("{} cannot be found", path.display()));
    let (folder, file) = (absolute(folder)?, absolute(file)?);
    let common = folder.components().zip(file.components()).take_while(|(a, b)| a == b).count();
    let up = folder.components().skip(common).map(|_| "..".as_ref());
    let path: PathBuf = up.chain(file.components().skip(common).map(|part| part.as_os_str())).collect();
    Ok(path.display().to_string())
}

/// What the plugin found by its look-ups, each object once.
fn looked_up(record: &Record) -> anyhow::Result<Vec<Value>> {
    let mut objects = Vec::<Value>::new();
    for asked in &record.tape.look_ups {
        let Told::Found(texts) = &asked.told else { continue };
        for text in texts {
            let object = serde_json::from_str(text).context("an object of the record is no JSON")?;
            if !objects.contains(&object) {
                objects.push(object);
            }
        }
    }
    Ok(objects)
}

/// As a person would apply it, in the default namespace where it lay in its object's.
fn clean(mut object: Value, home: &str) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return object };
    OF_THE_CLUSTER.iter().for_each(|field| _ = metadata.remove(*field));
    if metadata.get("namespace").is_some_and(|namespace| *namespace == home) {
        metadata.remove("namespace");
    }
    for field in ["labels", "annotations"] {
        let Some(Value::Object(marks)) = metadata.get_mut(field) else { continue };
        marks.retain(|name, _| !name.starts_with(trimtab_core::marks::PREFIX) && !name.starts_with("kubectl."));
        if marks.is_empty() {
            metadata.remove(field);
        }
    }
    object
}

/// What is expected of a child: all that was answered, but for its name.
fn fields(child: &Value) -> Value {
    let mut fields = child.clone();
    if let Some(object) = fields.as_object_mut() {
        ["apiVersion", "kind"].iter().for_each(|field| _ = object.remove(*field));
        if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
            ["name", "namespace"].iter().for_each(|field| _ = metadata.remove(*field));
        }
    }
    fields
}

/// `Site.example.dev/anna`
fn reference(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let (group, _) = text("/apiVersion").and_then(|version| version.split_once('/')).unwrap_or_default();
    let parts = [text("/metadata/namespace"), text("/metadata/name")].into_iter().flatten();
    let kind = text("/kind").unwrap_or_default();
    let kind = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
    [kind].into_iter().chain(parts.map(str::to_owned)).collect::<Vec<_>>().join("/")
}

/// The record holds no schema: a definition that lets an object be whatever it is.
/// None for the kinds that each cluster has.
fn definition(object: &Value) -> Option<(String, Value)> {
    let (group, version) = object["apiVersion"].as_str()?.split_once('/')?;
    if !group.contains('.') || group.ends_with(".k8s.io") {
        return None;
    }
    let kind = object["kind"].as_str()?;
    let plural = crate::plural::of(kind);
    let name = format!("{plural}.{group}");
    let anything = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    // The host writes conditions where the schema has them.
    let mut schema = anything.clone();
    schema["properties"]["status"] = anything;
    schema["properties"]["status"]["properties"]["conditions"] = json!({
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": { "type": "object", "required": ["type", "status"], "properties": {
            "type": { "type": "string" },
            "status": { "type": "string" },
            "reason": { "type": "string" },
            "message": { "type": "string" },
            "lastTransitionTime": { "type": "string", "format": "date-time" },
            "observedGeneration": { "type": "integer", "format": "int64" },
        } },
    });
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": name },
        "spec": {
            "group": group,
            "names": { "kind": kind, "plural": plural, "singular": kind.to_lowercase(), "listKind": format!("{kind}List") },
            "scope": "Namespaced",
            "versions": [{
                "name": version,
                "served": true,
                "storage": true,
                "subresources": { "status": {} },
                "schema": { "openAPIV3Schema": schema },
            }],
        },
    });
    Some((name, definition))
}
