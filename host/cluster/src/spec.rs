//! What is watched, and how that goes: the words that the engine, the watches
//! and the store share.

use std::{fmt, sync::Arc};

use trimtab_core::id::GroupKind;

/// One watch: a kind in one version, in one namespace or in all, and of those
/// the objects that a label selector takes, or the one of a name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct WatchSpec {
    /// The group and kind. Its plural and its scope are looked up in discovery
    /// when the watch starts, so that a kind may be wanted before it exists.
    pub kind: GroupKind,
    /// The version that objects are asked for in: `v1` of `apps/v1`.
    pub version: Arc<str>,
    /// One namespace; none for all of them, or for a kind without namespaces.
    pub namespace: Option<Arc<str>>,
    /// A label selector as the API takes it, see
    /// [`trimtab_core::selector::Selector`].
    pub labels: Option<Arc<str>>,
    /// Only the object of this name.
    pub name: Option<Arc<str>>,
}

impl fmt::Display for WatchSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.version)?;
        if let Some(namespace) = &self.namespace {
            write!(f, " in {namespace}")?;
        }
        if let Some(labels) = &self.labels {
            write!(f, " with {labels}")?;
        }
        if let Some(name) = &self.name {
            write!(f, " of the name {name}")?;
        }
        Ok(())
    }
}

/// How a watch is doing. Only [`Health::Synced`] lets anything be written:
/// what is absent from another store may exist all the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Health {
    /// The list has not been taken in yet, or has to be taken again because
    /// the kind has changed.
    Starting,
    /// All that the server had when it was asked last, and what came since.
    Synced,
    /// The server cannot be reached or does not answer as it should. What was
    /// seen before can still be read.
    Failing(Arc<str>),
    /// The server refuses (401, 403); asked again within 30 s.
    Forbidden(Arc<str>),
    /// The server has no such kind or version.
    Missing,
}

impl Health {
    /// Whether what the store holds is what the server has.
    pub fn is_synced(&self) -> bool {
        *self == Self::Synced
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting => f.write_str("not listed yet"),
            Self::Synced => f.write_str("synced"),
            Self::Failing(why) => write!(f, "failing: {why}"),
            Self::Forbidden(why) => write!(f, "forbidden: {why}"),
            Self::Missing => f.write_str("no such kind is served; create its CustomResourceDefinition"),
        }
    }
}
