//! What may be written to a cluster: a plan is a list of these, and the gate
//! takes nothing else.

use std::fmt;

use serde_json::{Map, Value};

use crate::{
    grants::Verb,
    id::{Place, Uid},
    object::Meta,
};

/// One write, with the preconditions that fence it: whatever has changed since
/// it was decided, a write that comes late fails on the server, not on a clock.
#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    /// What is written.
    pub place: Place,
    /// The version of its kind that the request speaks: `v1` of `apps/v1`.
    pub version: String,
    /// The field manager that the write is made as.
    pub manager: String,
    /// What is done.
    pub action: Action,
}

/// The kinds of writes.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Server-side apply of an object that must not exist yet.
    Create {
        /// The whole intent.
        body: Value,
    },
    /// Server-side apply, with force, on the object that was seen.
    Apply {
        /// What was seen.
        seen: Seen,
        /// The whole intent.
        body: Value,
    },
    /// Background deletion of the object that was seen.
    Delete {
        /// What was seen.
        seen: Seen,
    },
    /// Server-side apply of the status subresource.
    Status {
        /// What was seen.
        seen: Seen,
        /// The whole status of this manager; what is left out is taken away.
        status: Map<String, Value>,
        /// Whether it is taken from whoever else has set the same: not by who
        /// writes into the status of somebody else's object.
        force: bool,
    },
    /// Merge patch that takes the whole status away: where nothing of it would be
    /// left, the server makes null of it in an apply, and refuses that.
    ClearStatus {
        /// What was seen.
        seen: Seen,
    },
    /// Merge patch of `metadata`: finalizers, labels and annotations of the object.
    Metadata {
        /// What was seen.
        seen: Seen,
        /// The part below `metadata`.
        patch: Map<String, Value>,
    },
}

impl Action {
    /// What it does to a child, if that is what is written; a child has no status of ours.
    pub fn verb(&self) -> Option<Verb> {
        match self {
            Self::Create { .. } => Some(Verb::Create),
            Self::Apply { .. } | Self::Metadata { .. } => Some(Verb::Update),
            Self::Delete { .. } => Some(Verb::Delete),
            Self::Status { .. } | Self::ClearStatus { .. } => None,
        }
    }
}

/// Which object, and at which state, a write was decided on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its uid: a later object of the same name is another one.
    pub uid: Uid,
    /// Its resource version.
    pub resource_version: u64,
}

/// For people: what is done to what, and with which body.
impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = &self.place;
        match &self.action {
            Action::Create { body } => write!(f, "create {place}: {body}"),
            Action::Apply { body, .. } => write!(f, "apply {place}: {body}"),
            Action::Delete { .. } => write!(f, "delete {place}"),
            Action::Status { status, .. } => write!(f, "set the status of {place}: {}", Value::from(status.clone())),
            Action::ClearStatus { .. } => write!(f, "clear the status of {place}"),
            Action::Metadata { patch, .. } => {
                write!(f, "patch the metadata of {place}: {}", Value::from(patch.clone()))
            }
        }
    }
}

impl Action {
    /// What is done, in a word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Apply { .. } => "apply",
            Self::Delete { .. } => "delete",
            Self::Status { .. } => "status",
            Self::ClearStatus { .. } => "clear-status",
            Self::Metadata { .. } => "metadata",
        }
    }
}

impl Seen {
    /// The state that `meta` was read from.
    pub fn of(meta: &Meta) -> Self {
        Self { uid: meta.uid.clone(), resource_version: meta.resource_version }
    }
}
