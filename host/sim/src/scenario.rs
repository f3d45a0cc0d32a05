//! Scenarios: what a plugin's author expects of it, as a YAML file of steps that
//! are played in a [`crate::World`].
//!
//! ```yaml
//! name: a Site is served and forgets nothing      # optional
//! plugins:                                        # the plugins folder: its files, and where they come from
//!   site.wasm: ../target/site.wasm                # relative to this file
//!   canary/site.wasm: ../target/site-next.wasm    # for the objects of the instance canary
//!   site.toml: site.toml                          # a policy
//! workloads: true                                 # Deployments and the like get pods; optional
//! steps:
//!   - apply: [crd.yaml, { apiVersion: example.dev/v1, kind: Site, metadata: { name: anna }, spec: {} }]
//!   - patch: { Site/anna: { spec: { page: hello } } }        # a merge patch; its status goes to the subresource
//!   - label: { Site/anna: { team: a, old: null } }           # null takes a label away
//!   - annotate: { Site/anna: { note: b } }
//!   - ready: [Deployment/anna]                               # as its own controller would report it; with
//!                                                            # workloads, its pods become ready
//!   - failed: [Job/anna]
//!   - delete: [Site/staging/anna]                            # Kind/name, Kind/namespace/name, Kind.group/...
//!   - advance: 10m
//!   - swap: { site.wasm: ../target/site-next.wasm, canary/site.wasm: null }
//!   - expect:
//!       objects: { Deployment/anna: { spec: { replicas: 2 } } }      # what is named must be so
//!       exact: { ConfigMap/anna: { data: { index.html: hello } } }   # and nothing else may be there
//!       absent: [Service/old]
//!       conditions: { Site/anna: { Reconciled: "True" } }            # or { status, reason, message }
//!       events: { Site/anna: [Renamed] }                             # or { reason, type, message }
//!       writes: 4                      # since the expectation before, without Leases and Events
//!       settled: true                  # nothing is written for a minute more
//! ```
//!
//! A step begins when the world has come to rest, which is when nothing has been
//! written for a few simulated seconds; only `advance` lets more time pass. What
//! is compared leaves out what a server gives by chance and by order: see
//! `normal`. `scenario.schema.json` beside this file is the format as a schema.

mod check;
mod cluster;
mod diff;
mod lines;
mod normal;
mod player;
mod read;
mod reference;
mod report;
mod run;
mod stage;
mod update;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;

pub use self::{
    check::Mismatch,
    reference::Reference,
    run::{Failure, Ran, run},
    stage::Stage,
    update::{Edit, updated},
};
pub(crate) use self::{
    cluster::{Cluster, Undone},
    player::{Player, REST, Stuck},
};
use crate::located::{At, Malformed, Node};

/// A scenario, read and checked.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The file, as it was named.
    pub file: Arc<str>,
    /// What it tests, or the file's name.
    pub name: String,
    /// The text of the file.
    pub text: Arc<str>,
    /// The plugins folder at the beginning.
    pub plugins: Plugins,
    /// Whether workloads get pods, see [`crate::workloads`].
    pub workloads: bool,
    /// What happens.
    pub steps: Vec<Step>,
}

/// The plugins folder: the names of its files, and the files that they are.
pub type Plugins = BTreeMap<String, PathBuf>;

/// One step.
#[derive(Debug, Clone)]
pub struct Step {
    /// Where it stands.
    pub line: u64,
    /// What is done.
    pub action: Action,
}

/// What a step does.
#[derive(Debug, Clone)]
pub enum Action {
    /// Applies objects.
    Apply(Vec<Manifest>),
    /// Merges patches into objects.
    Patch(Vec<(Reference, Value)>),
    /// Sets labels, or takes them away.
    Label(Vec<(Reference, Value)>),
    /// Sets annotations, or takes them away.
    Annotate(Vec<(Reference, Value)>),
    /// Deletes objects.
    Delete(Vec<Reference>),
    /// Reports objects as ready, or as failed.
    Report(Vec<Reference>, Outcome),
    /// Lets time pass.
    Advance(Duration),
    /// Replaces files of the plugins folder; none: takes one out.
    Swap(BTreeMap<String, Option<PathBuf>>),
    /// Compares.
    Expect(Expect),
}

/// What an object's own controller reports of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It runs, or has done its work.
    Ready,
    /// It does not.
    Failed,
}

/// An object to apply.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The file in which it stands.
    pub file: Arc<str>,
    /// It and its parts, with their places.
    pub node: Node,
    /// The same without the places.
    pub object: Value,
}

/// What is expected.
#[derive(Debug, Clone, Default)]
pub struct Expect {
    /// Objects of which the named fields must be so.
    pub objects: Vec<Expected>,
    /// Objects that must be so and have nothing else.
    pub exact: Vec<Expected>,
    /// Objects that must not be there.
    pub absent: Vec<(Reference, At)>,
    /// Conditions by object and type.
    pub conditions: Vec<Expected>,
    /// Events of objects.
    pub events: Vec<Expected>,
    /// How many writes there were since the expectation before.
    pub writes: Option<(u64, At)>,
    /// Whether nothing more may be written, or something must be.
    pub settled: Option<(bool, At)>,
}

/// An object, and what is expected of it.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Which object.
    pub of: Reference,
    /// Where its name stands.
    pub at: At,
    /// What is expected.
    pub node: Node,
}

/// Why a scenario cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// A file cannot be read.
    #[error("{file} cannot be read: {error}")]
    Io {
        /// Which.
        file: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// A file does not say what it has to.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A plugin's file cannot be loaded.
    #[error("{0}")]
    Plugin(String),
}

impl Scenario {
    /// Reads a scenario and the manifests that it names.
    pub fn read(path: &Path) -> Result<Self, Unusable> {
        read::scenario(path)
    }

    /// Each state that the plugins folder comes to have.
    pub fn folders(&self) -> Vec<Plugins> {
        let mut folders = vec![self.plugins.clone()];
        for step in &self.steps {
            if let Action::Swap(files) = &step.action {
                let mut next = folders[folders.len() - 1].clone();
                swap(&mut next, files);
                folders.push(next);
            }
        }
        folders
    }
}

/// Replaces files of a folder.
pub(crate) fn swap(plugins: &mut Plugins, files: &BTreeMap<String, Option<PathBuf>>) {
    for (name, file) in files {
        match file {
            Some(file) => plugins.insert(name.clone(), file.clone()),
            None => plugins.remove(name),
        };
    }
}

impl Step {
    /// The step in a few words.
    pub fn title(&self) -> String {
        let of = |references: Vec<&Reference>| references.into_iter().map(ToString::to_string).collect::<Vec<_>>();
        let list = |verb: &str, of: Vec<String>| format!("{verb} {}", of.join(", "));
        let firsts = |pairs: &[(Reference, Value)]| pairs.iter().map(|(first, _)| first.to_string()).collect();
        match &self.action {
            Action::Apply(manifests) => list("apply", manifests.iter().map(Manifest::title).collect()),
            Action::Patch(patches) => list("patch", firsts(patches)),
            Action::Label(labels) => list("label", firsts(labels)),
            Action::Annotate(annotations) => list("annotate", firsts(annotations)),
            Action::Delete(references) => list("delete", of(references.iter().collect())),
            Action::Report(references, Outcome::Ready) => list("ready", of(references.iter().collect())),
            Action::Report(references, Outcome::Failed) => list("failed", of(references.iter().collect())),
            Action::Advance(time) => format!("advance {time:?}"),
            Action::Swap(files) => list("swap", files.keys().cloned().collect()),
            Action::Expect(_) => "expect".to_owned(),
        }
    }
}

impl Manifest {
    /// `Site/anna`
    pub fn title(&self) -> String {
        let text = |pointer| self.object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        format!("{}/{}", text("/kind"), text("/metadata/name"))
    }
}
