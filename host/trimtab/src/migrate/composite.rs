//! From a CompositeController to the policy of a bridge. A function of values: it
//! asks nobody.

use std::{collections::BTreeSet, fmt, time::Duration};

use serde_json::{Value, json};
use trimtab_core::{
    description::{Description, Update},
    grants::{Denied, Grants},
    id::{GroupKind, Lineage},
    limits::Limits,
    origin::Origin,
    policy::Policy,
};

use super::{
    Kinds,
    fields::{Lost, Sorted},
};
use crate::manifests::Manifest;

/// Metacontroller's time for a hook that names none.
const HOOK_TIMEOUT: Duration = Duration::from_secs(10);
/// What a call takes beside its hooks.
const BESIDE_HOOKS: Duration = Duration::from_secs(1);

/// The kind behind a resource.
#[derive(Debug, Clone)]
pub struct Named {
    pub kind: String,
    pub namespaced: bool,
}

/// The policy of one controller.
#[derive(Debug)]
pub struct Migrated {
    /// The lineage, and the file's name.
    pub name: String,
    /// The group and resource of its parents.
    pub parent: String,
    policy: toml::Table,
    lost: Vec<Lost>,
    customizes: bool,
}

impl fmt::Display for Migrated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# {}.toml, beside bridge.wasm", self.name)?;
        for Lost { path, why } in &self.lost {
            writeln!(f, "# not carried over: {path}: {why}")?;
        }
        if self.customizes {
            writeln!(f, "# to be said: config.related: what the customize hook asks for, such as \"v1/secrets\"")?;
        }
        f.write_str(&toml::to_string(&self.policy).map_err(|_| fmt::Error)?)
    }
}

/// The policy with which a bridge serves a controller, or all that is in the way.
pub fn migrate(manifest: &Manifest, kinds: &Kinds) -> Result<Migrated, Vec<String>> {
    let mut sorted = Sorted::default();
    let controller = sorted.sort(&manifest.object, "").unwrap_or_default();
    let mut wrong = Wrong { manifest, errors: Vec::new() };
    for path in &sorted.unknown {
        wrong.at(path, "the bridge knows no such field");
    }
    let found = Found::of(&controller, kinds, &mut wrong);
    let hooks = hooks(&controller, &mut wrong);
    let name = controller["metadata"]["name"].as_str().unwrap_or_default().replace('.', "-");
    if Lineage::new(&name).is_err() {
        wrong.at("metadata.name", "a name that makes the name of a file is wanted: a DNS label");
    }
    if !wrong.errors.is_empty() {
        return Err(wrong.errors);
    }
    let parent = &controller["spec"]["parentResource"];
    let parent = full_name(text(parent, "apiVersion"), text(parent, "resource"));
    let policy = policy(&controller, &found, &hooks);
    Ok(Migrated { name, parent, policy: table(policy), lost: sorted.lost, customizes: hooks.customizes })
}

/// What is wrong, each with its place in the file.
struct Wrong<'a> {
    manifest: &'a Manifest,
    errors: Vec<String>,
}

impl Wrong<'_> {
    fn at(&mut self, path: &str, what: impl Into<String>) {
        self.errors.push(self.manifest.wrong(path, what).to_string());
    }
}

/// The kinds of a controller.
#[derive(Default)]
struct Found {
    kinds: Vec<(String, String)>,
    cluster_scoped: Vec<String>,
    parent: Value,
    children: Vec<Value>,
}

impl Found {
    fn of(controller: &Value, kinds: &Kinds, wrong: &mut Wrong<'_>) -> Self {
        let mut found = Self::default();
        let spec = &controller["spec"];
        found.parent = found.kind(&spec["parentResource"], "spec.parentResource", kinds, wrong);
        for (at, child) in spec["childResources"].as_array().into_iter().flatten().enumerate() {
            let path = format!("spec.childResources[{at}]");
            let mut kind = found.kind(child, &path, kinds, wrong);
            let method = child["updateStrategy"]["method"].as_str().unwrap_or_default();
            match update(method) {
                Some(update) => kind["update"] = update.to_string().into(),
                None => {
                    wrong.at(&format!("{path}.updateStrategy.method"), format!("this host has no update {method:?}"))
                }
            }
            found.children.push(kind);
        }
        found
    }

    fn kind(&mut self, of: &Value, path: &str, kinds: &Kinds, wrong: &mut Wrong<'_>) -> Value {
        let (api_version, resource) = (text(of, "apiVersion"), text(of, "resource"));
        let Some(named) = kinds.get(&(api_version.to_owned(), resource.to_owned())) else {
            let what =
                format!("the kind of {resource} of {api_version} is not known: give its CustomResourceDefinition, too");
            wrong.at(path, what);
            return json!({});
        };
        let name = full_name(api_version, resource);
        if !named.namespaced {
            self.cluster_scoped.push(name.clone());
        }
        self.kinds.push((name, named.kind.clone()));
        json!({ "apiVersion": api_version, "kind": named.kind })
    }

    /// What the host would make of the controller.
    fn description(&self) -> Option<Description> {
        let description = json!({ "role": "composite", "objects": [self.parent], "children": self.children });
        Description::parse(&description.to_string()).ok()
    }
}

/// The host's name of a method; none where Metacontroller names none: it never
/// updates then.
fn update(method: &str) -> Option<Update> {
    Update::named(match method {
        "" | "OnDelete" => "on-delete",
        "Recreate" => "recreate",
        "InPlace" => "in-place",
        "RollingRecreate" => "rolling-recreate",
        "RollingInPlace" => "rolling-in-place",
        _ => return None,
    })
}

/// Where the hooks are, and how long a call may take.
#[derive(Default)]
struct Hooks {
    origins: BTreeSet<Origin>,
    wall: Duration,
    customizes: bool,
    finalizes: bool,
}

fn hooks(controller: &Value, wrong: &mut Wrong<'_>) -> Hooks {
    let hooks = &controller["spec"]["hooks"];
    if hooks["sync"].is_null() {
        wrong.at("spec.hooks", "a sync hook is wanted");
    }
    let mut timeouts = [Duration::ZERO; 3];
    let mut found = Hooks {
        customizes: hooks["customize"].is_object(),
        finalizes: hooks["finalize"].is_object(),
        ..Hooks::default()
    };
    for (at, name) in
        ["sync", "finalize", "customize"].into_iter().enumerate().filter(|(_, name)| hooks[name].is_object())
    {
        let webhook = &hooks[name]["webhook"];
        let path = format!("spec.hooks.{name}.webhook");
        match origin(webhook) {
            Some(origin) => _ = found.origins.insert(origin),
            None => wrong.at(&path, "a url of http or https, or a service with name and namespace, is wanted"),
        }
        match webhook["timeout"].as_str().map_or(Some(HOOK_TIMEOUT), seconds) {
            Some(timeout) => timeouts[at] = timeout,
            None => wrong.at(&format!("{path}.timeout"), "a number with ms, s or m is wanted, such as 10s"),
        }
    }
    let [sync, finalize, customize] = timeouts;
    found.wall = sync.max(finalize) + customize + BESIDE_HOOKS;
    if found.wall > Limits::CEILING.wall {
        let most = Limits::CEILING.wall.as_secs();
        wrong.at(
            "spec.hooks",
            format!("the hooks of one call may take {} s, and a call at most {most} s", found.wall.as_secs()),
        );
    }
    found
}

fn origin(webhook: &Value) -> Option<Origin> {
    if let Some(url) = webhook["url"].as_str() {
        let host = url.find("://")? + 3;
        let end = url[host..].find(['/', '?']).map_or(url.len(), |at| host + at);
        return Origin::parse(&url[..end]);
    }
    let service = &webhook["service"];
    let protocol = service["protocol"].as_str().unwrap_or("http");
    let port = service["port"].as_u64().unwrap_or(80);
    Origin::parse(&format!("{protocol}://{}.{}:{port}", service["name"].as_str()?, service["namespace"].as_str()?))
}

fn seconds(text: &str) -> Option<Duration> {
    let read = |unit: &str, scale: f64| text.strip_suffix(unit)?.parse::<f64>().ok().map(|count| count * scale);
    let seconds = read("ms", 0.001).or_else(|| read("s", 1.0)).or_else(|| read("m", 60.0))?;
    Duration::try_from_secs_f64(seconds).ok().filter(|timeout| !timeout.is_zero())
}

fn policy(controller: &Value, found: &Found, hooks: &Hooks) -> Value {
    let kinds = found.kinds.iter().map(|(name, kind)| (name.clone(), kind.as_str().into()));
    let mut config = json!({ "kinds": Value::Object(kinds.collect()), "controller": controller });
    if hooks.customizes {
        // Which these are, only the hook knows.
        config["related"] = json!([]);
    }
    if !found.cluster_scoped.is_empty() {
        config["cluster_scoped"] = json!(found.cluster_scoped);
    }
    let mut grants = json!({ "http": hooks.origins.iter().map(ToString::to_string).collect::<Vec<_>>() });
    for (key, kinds) in powers(found) {
        grants[key] = json!(kinds);
    }
    let group_kind = |kind: &Value| GroupKind::new(text(kind, "apiVersion"), text(kind, "kind")).to_string();
    let mut inherit = json!({ "children": found.children.iter().map(group_kind).collect::<Vec<_>>() });
    if hooks.finalizes {
        let name = text(&controller["metadata"], "name");
        inherit["finalizers"] = json!([format!("metacontroller.io/compositecontroller-{name}")]);
    }
    let wall_ms = u64::try_from(hooks.wall.as_millis()).unwrap_or(u64::MAX);
    json!({
        "module": "bridge.wasm",
        "config": config,
        "limits": { "wall_ms": wall_ms },
        "grants": grants,
        "inherit": inherit,
    })
}

/// The kinds that are not granted by being declared, by the key that grants them.
fn powers(found: &Found) -> Vec<(&'static str, BTreeSet<String>)> {
    let Some(description) = found.description() else { return Vec::new() };
    let (mut writes, mut reads) = (BTreeSet::new(), BTreeSet::new());
    for child in &description.children {
        let ungranted = Grants::new(&description, &Policy::default());
        if let Err(Denied::NotGranted { kind, .. }) = ungranted.may_write(&child.kind) {
            writes.insert(kind.clone());
        }
    }
    let written = Policy { writes: writes.clone(), ..Policy::default() };
    for child in &description.children {
        if let Err(Denied::NotGranted { kind, .. }) = Grants::new(&description, &written).may_adopt(&child.kind) {
            reads.insert(kind.clone());
        }
    }
    let named = |kinds: BTreeSet<GroupKind>| kinds.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    let all = [("writes", named(writes)), ("reads", named(reads))];
    all.into_iter().filter(|(_, kinds)| !kinds.is_empty()).collect()
}

fn text<'a>(of: &'a Value, field: &str) -> &'a str {
    of[field].as_str().unwrap_or_default()
}

/// `deployments.apps`; `services` of the core group.
fn full_name(api_version: &str, resource: &str) -> String {
    match api_version.split_once('/') {
        Some((group, _)) => format!("{resource}.{group}"),
        None => resource.to_owned(),
    }
}

/// JSON as TOML, which has no null.
fn table(value: Value) -> toml::Table {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.retain(|_, field| !field.is_null());
                fields.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut value = value;
    strip(&mut value);
    toml::Table::try_from(value).expect("JSON without null is TOML")
}
