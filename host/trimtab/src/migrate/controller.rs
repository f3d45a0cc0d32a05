//! From a CompositeController or DecoratorController to the policy of a bridge. A
//! function of values: it asks nobody.

use std::{collections::BTreeSet, fmt};

use serde_json::{Value, json};
use trimtab_core::{
    description::Description,
    grants::{Denied, Grants},
    id::{GroupKind, Lineage},
    policy::Policy,
};

use super::{
    Kinds,
    fields::{self, Lost, Sorted},
    hooks::{Hooks, hooks},
};
use crate::manifests::Manifest;

/// By this annotation Metacontroller knows which DecoratorController made an
/// attachment; what a CompositeController makes has none.
const DECORATOR_MARK: &str = "metacontroller.k8s.io/decorator-controller";
/// A copy of what was applied, which is of no use in a copy of that.
const KUBECTLS: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The kind behind a resource.
#[derive(Debug, Clone)]
pub struct Named {
    pub kind: String,
    pub namespaced: bool,
}

/// In what the two kinds of controllers differ.
#[derive(Debug)]
pub struct Shape {
    role: &'static str,
    fields: &'static [&'static str],
    objects: &'static str,
    children: &'static str,
    updates: &'static [(&'static str, &'static str)],
    finalizer: &'static str,
    /// Whether it gives its objects selectors of their children where it is told to.
    generates_selectors: bool,
    /// Whether it marks what it makes with [`DECORATOR_MARK`].
    marks: bool,
}

/// The host's names of update methods. Metacontroller never updates where none is
/// named.
const UPDATES: &[(&str, &str)] = &[
    ("", "on-delete"),
    ("OnDelete", "on-delete"),
    ("Recreate", "recreate"),
    ("InPlace", "in-place"),
    ("RollingRecreate", "rolling-recreate"),
    ("RollingInPlace", "rolling-in-place"),
];

impl Shape {
    pub const COMPOSITE: Self = Self {
        role: "composite",
        fields: fields::COMPOSITE,
        objects: "parentResource",
        children: "childResources",
        updates: UPDATES,
        finalizer: "metacontroller.io/compositecontroller-",
        generates_selectors: true,
        marks: false,
    };
    pub const DECORATOR: Self = Self {
        role: "decorator",
        fields: fields::DECORATOR,
        objects: "resources",
        children: "attachments",
        // It rolls nothing.
        updates: UPDATES.split_at(4).0,
        finalizer: "metacontroller.io/decoratorcontroller-",
        generates_selectors: false,
        marks: true,
    };

    /// Which children a controller of that name has made, by their annotations.
    fn made_by(&self, name: &str) -> String {
        if self.marks { format!("{DECORATOR_MARK}={name}") } else { format!("!{DECORATOR_MARK}") }
    }
}

/// The policy of one controller.
#[derive(Debug)]
pub struct Migrated {
    /// The lineage, and the file's name.
    pub name: String,
    /// The group and resource of a composite's parents, of which it wants to be the
    /// only one.
    pub parent: Option<String>,
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
pub fn migrate(shape: &Shape, manifest: &Manifest, kinds: &Kinds) -> Result<Migrated, Vec<String>> {
    let mut sorted = Sorted::new(shape.fields);
    let mut controller = sorted.sort(&manifest.object, "").unwrap_or_default();
    if let Some(annotations) = controller.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove(KUBECTLS);
    }
    let mut wrong = Wrong { manifest, errors: Vec::new() };
    for path in &sorted.unknown {
        wrong.at(path, "the bridge knows no such field");
    }
    let found = Found::of(shape, &controller, kinds, &mut wrong);
    let hooks = hooks(&controller, &mut wrong);
    let name = controller["metadata"]["name"].as_str().unwrap_or_default().replace('.', "-");
    if Lineage::new(&name).is_err() {
        wrong.at("metadata.name", "a name that makes the name of a file is wanted: a DNS label");
    }
    let description = found.description(shape, &controller, &mut wrong);
    let Some(description) = description.filter(|_| wrong.errors.is_empty()) else { return Err(wrong.errors) };
    let parent = &controller["spec"]["parentResource"];
    let parent = parent.is_object().then(|| full_name(text(parent, "apiVersion"), text(parent, "resource")));
    let policy = policy(shape, &controller, &found, &hooks, &description);
    sorted.lost.extend(unsaid_statuses(&controller));
    if ignored_statuses(shape, &controller) == Some(false) {
        let path = format!("spec.{}[].ignoreStatusChanges", shape.objects);
        sorted.lost.push(Lost { path, why: "said of some kinds, and a policy says it of all or of none" });
    }
    Ok(Migrated { name, parent, policy: table(policy), lost: sorted.lost, customizes: hooks.customizes })
}

/// What is wrong, each with its place in the file.
pub struct Wrong<'a> {
    manifest: &'a Manifest,
    errors: Vec<String>,
}

impl Wrong<'_> {
    pub fn at(&mut self, path: &str, what: impl Into<String>) {
        self.errors.push(self.manifest.wrong(path, what).to_string());
    }
}

/// The kinds of a controller.
#[derive(Default)]
struct Found {
    kinds: Vec<(String, String)>,
    cluster_scoped: Vec<String>,
    objects: Vec<Value>,
    children: Vec<Value>,
}

impl Found {
    fn of(shape: &Shape, controller: &Value, kinds: &Kinds, wrong: &mut Wrong<'_>) -> Self {
        let mut found = Self::default();
        let spec = &controller["spec"];
        for (path, object) in one_or_many(shape.objects, &spec[shape.objects]) {
            let kind = found.kind(object, &path, kinds, wrong);
            found.objects.push(kind);
        }
        for (path, child) in one_or_many(shape.children, &spec[shape.children]) {
            let mut kind = found.kind(child, &path, kinds, wrong);
            let method = child["updateStrategy"]["method"].as_str().unwrap_or_default();
            match shape.updates.iter().find(|(known, _)| *known == method) {
                Some((_, update)) => kind["update"] = (*update).into(),
                None => {
                    wrong.at(&format!("{path}.updateStrategy.method"), format!("a {} has no {method:?}", shape.role))
                }
            }
            let checks = &child["updateStrategy"]["statusChecks"]["conditions"];
            if checks.is_array() {
                kind["ready"] = checks.clone();
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
            return json!({ "apiVersion": "v1", "kind": "Unknown" });
        };
        let name = full_name(api_version, resource);
        if !named.namespaced {
            self.cluster_scoped.push(name.clone());
        }
        self.kinds.push((name, named.kind.clone()));
        json!({ "apiVersion": api_version, "kind": named.kind })
    }

    /// What the bridge will say of itself, but for selectors, or why the host would
    /// refuse it. Where a kind is unknown, that is told and no more.
    fn description(&self, shape: &Shape, controller: &Value, wrong: &mut Wrong<'_>) -> Option<Description> {
        let mut description = json!({ "role": shape.role, "objects": self.objects, "children": self.children });
        let field_paths = &controller["spec"]["parentResource"]["revisionHistory"]["fieldPaths"];
        if field_paths.is_array() {
            description["fieldPaths"] = field_paths.clone();
        }
        let parsed = Description::parse(&description.to_string());
        if let (Err(errors), true) = (&parsed, wrong.errors.is_empty()) {
            errors.iter().for_each(|error| wrong.at("spec", format!("the host would refuse it: {error}")));
        }
        parsed.ok()
    }
}

/// What lies at a field of the spec, each with its path: the one kind of parents, or
/// a list of kinds.
fn one_or_many<'a>(field: &str, value: &'a Value) -> Vec<(String, &'a Value)> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(many) => many.iter().enumerate().map(|(at, one)| (format!("spec.{field}[{at}]"), one)).collect(),
        one => vec![(format!("spec.{field}"), one)],
    }
}

/// Status checks that take any status of a condition: the host has none of that kind.
fn unsaid_statuses(controller: &Value) -> Vec<Lost> {
    let mut lost = Vec::new();
    for (path, child) in one_or_many("childResources", &controller["spec"]["childResources"]) {
        let conditions = child["updateStrategy"]["statusChecks"]["conditions"].as_array();
        for (at, _) in conditions.into_iter().flatten().enumerate().filter(|(_, it)| it["status"].is_null()) {
            let path = format!("{path}.updateStrategy.statusChecks.conditions[{at}].status");
            lost.push(Lost { path, why: "none is said, and any would do: the host waits for True" });
        }
    }
    lost
}

/// Whether a parent's own selector says which children are its.
fn selects_children(shape: &Shape, controller: &Value) -> bool {
    shape.generates_selectors && controller["spec"]["generateSelector"] != true
}

/// Whether changes of the status of all kinds of objects, or of some alone, are to be
/// ignored; none: of no kind.
fn ignored_statuses(shape: &Shape, controller: &Value) -> Option<bool> {
    let objects = one_or_many(shape.objects, &controller["spec"][shape.objects]);
    let ignored = objects.iter().filter(|(_, object)| object["ignoreStatusChanges"] == true).count();
    (ignored > 0).then_some(ignored == objects.len())
}

fn policy(shape: &Shape, controller: &Value, found: &Found, hooks: &Hooks, description: &Description) -> Value {
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
    for (key, kinds) in powers(description) {
        grants[key] = json!(kinds);
    }
    let name = text(&controller["metadata"], "name");
    let kinds = description.children.iter().map(|child| child.kind.to_string()).collect::<Vec<_>>();
    let mut inherit = json!({ "children": kinds });
    if !kinds.is_empty() {
        inherit["annotations"] = shape.made_by(name).into();
    }
    if hooks.finalizes {
        inherit["finalizers"] = json!([format!("{}{name}", shape.finalizer)]);
    }
    let wall_ms = u64::try_from(hooks.wall.as_millis()).unwrap_or(u64::MAX);
    let mut policy = json!({
        "module": "bridge.wasm",
        "config": config,
        "limits": { "wall_ms": wall_ms },
        "grants": grants,
        "inherit": inherit,
    });
    if selects_children(shape, controller) {
        policy["children_selector"] = "spec.selector".into();
    }
    if ignored_statuses(shape, controller) == Some(true) {
        policy["work"] = json!({ "ignore_status_changes": true });
    }
    policy
}

/// The kinds that are not granted by being declared, by the key that grants them.
fn powers(description: &Description) -> Vec<(&'static str, BTreeSet<String>)> {
    let (mut writes, mut reads) = (BTreeSet::new(), BTreeSet::new());
    for child in &description.children {
        let ungranted = Grants::new(description, &Policy::default());
        if let Err(Denied::NotGranted { kind, .. }) = ungranted.may_write(&child.kind) {
            writes.insert(kind.clone());
        }
    }
    let written = Policy { writes: writes.clone(), ..Policy::default() };
    for child in &description.children {
        if let Err(Denied::NotGranted { kind, .. }) = Grants::new(description, &written).may_adopt(&child.kind) {
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
