//! The records of the contract (`wit/next/plugin.wit`) as the host holds them.
//!
//! They are written here and not generated, so that a request is made of texts
//! that the store already holds and is lowered into the guest without a copy on
//! the way. Loading type-checks each plugin against them, so a record that
//! drifts from the WIT refuses every plugin.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use trimtab_core::hash::Hash;
use wasmtime::component::{ComponentType, Lift, Lower};

/// A kind at one version, as a manifest names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ComponentType, Lower, Lift)]
#[serde(rename_all = "camelCase")]
#[component(record)]
pub struct KindRef {
    /// Absent: the cluster of the object.
    pub cluster: Option<Arc<str>>,
    /// `apps/v1`
    #[component(name = "api-version")]
    pub api_version: Arc<str>,
    /// `Deployment`
    pub kind: Arc<str>,
}

impl KindRef {
    pub(crate) fn bytes(&self) -> usize {
        self.cluster.as_ref().map_or(0, |cluster| cluster.len()) + self.api_version.len() + self.kind.len()
    }
}

/// All observed children of one declared kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lower)]
#[serde(rename_all = "camelCase")]
#[component(record)]
pub struct Group {
    /// The kind, as the description names it.
    pub of: KindRef,
    /// JSON texts, in order of namespace and name.
    pub objects: Vec<Arc<str>>,
}

/// What a plugin is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lower)]
#[serde(rename_all = "camelCase")]
#[component(record)]
pub struct Request {
    /// The cluster of the object.
    pub cluster: Arc<str>,
    /// Absent: the default instance.
    #[component(name = "instance-id")]
    pub instance_id: Option<Arc<str>>,
    /// RFC 3339, UTC; also what the guest's wall clock says.
    pub now: Arc<str>,
    /// JSON: the `config` table of the policy.
    pub config: Arc<str>,
    /// JSON: the object, in the version that the description names.
    pub object: Arc<str>,
    /// One group for each declared child kind.
    pub children: Vec<Group>,
    /// The object is being deleted and the plugin said that it finalizes.
    pub finalizing: bool,
    /// JSON: room to grow.
    pub extra: Arc<str>,
}

impl Request {
    /// The bytes of all texts: what is copied into the guest.
    pub(crate) fn bytes(&self) -> u64 {
        let texts = [&self.cluster, &self.now, &self.config, &self.object, &self.extra];
        let objects = self.children.iter().flat_map(|group| &group.objects);
        texts.into_iter().chain(objects).map(|text| text.len() as u64).sum()
    }

    /// What stands for chance in a simulation: another for each object and time.
    pub(crate) fn seed(&self) -> u64 {
        let hash = Hash::of([self.now.as_bytes(), self.object.as_bytes()]);
        u64::from_le_bytes(*hash.as_bytes().first_chunk().expect("a hash has 16 bytes"))
    }
}

/// Something to be told to people who look at the object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lift)]
#[serde(rename_all = "camelCase")]
#[component(record)]
pub struct Event {
    /// A warning, or else normal.
    pub warning: bool,
    /// CamelCase.
    pub reason: String,
    /// A sentence.
    pub message: String,
}

/// What a plugin answers. Nothing of it has been checked yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lift)]
#[serde(rename_all = "camelCase")]
#[component(record)]
pub struct Response {
    /// JSON texts: the whole of what should be.
    pub children: Vec<String>,
    /// JSON text; absent: stays as it is.
    pub status: Option<String>,
    /// Labels of the object, without a value to be removed.
    pub labels: Vec<(String, Option<String>)>,
    /// Annotations of the object, without a value to be removed.
    pub annotations: Vec<(String, Option<String>)>,
    /// Events on the object.
    pub events: Vec<Event>,
    /// Look again after so many milliseconds.
    #[component(name = "requeue-after-ms")]
    pub requeue_after_ms: Option<u32>,
    /// While finalizing: nothing is left to do.
    pub finalized: bool,
    /// JSON text: room to grow.
    pub extra: Option<String>,
}

impl Response {
    /// The bytes of all texts, and of what holds them.
    pub(crate) fn bytes(&self) -> usize {
        let texts =
            self.children.iter().chain(&self.status).chain(&self.extra).map(|text| text.len() + size_of::<String>());
        let marks = self.labels.iter().chain(&self.annotations);
        let marks = marks.map(|mark| size_of_val(mark) + mark.0.len() + mark.1.as_ref().map_or(0, String::len));
        let events = self.events.iter().map(|event| size_of_val(event) + event.reason.len() + event.message.len());
        texts.sum::<usize>() + marks.sum::<usize>() + events.sum::<usize>()
    }
}

/// What is to be done about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lift)]
#[serde(rename_all = "camelCase")]
#[component(enum)]
#[repr(u8)]
pub enum Outcome {
    /// Run again with growing delays.
    #[component(name = "retry")]
    Retry,
    /// A prerequisite is missing: run again when a look-up changes.
    #[component(name = "waiting")]
    Waiting,
    /// Running again is useless until the object changes.
    #[component(name = "terminal")]
    Terminal,
}

/// Why a plugin has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lift)]
#[serde(rename_all = "camelCase")]
#[component(record)]
pub struct Failure {
    /// What is to be done about it.
    pub outcome: Outcome,
    /// For people.
    pub message: String,
    /// The plugin's own wish for the delay.
    #[component(name = "retry-after-ms")]
    pub retry_after_ms: Option<u32>,
}

/// How much a line of the log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ComponentType, Lift)]
#[serde(rename_all = "camelCase")]
#[component(enum)]
#[repr(u8)]
pub enum Level {
    /// For who writes the plugin.
    #[component(name = "debug")]
    Debug,
    /// What happened.
    #[component(name = "info")]
    Info,
    /// What is odd.
    #[component(name = "warn")]
    Warn,
    /// What failed.
    #[component(name = "error")]
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        })
    }
}
