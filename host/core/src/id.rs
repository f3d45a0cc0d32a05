//! Identifiers as types of their own, so that a name is never taken for a
//! namespace nor a lineage for an instance.

use std::{fmt, sync::Arc};

use crate::marks;

/// Longest DNS label (RFC 1123), and so the longest lineage and instance-id.
pub const LABEL_BYTES_MAX: usize = 63;

/// Why a text is not the identifier that it was meant to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {text:?} is not usable: {rule}")]
pub struct BadId {
    /// Which identifier was wanted: `lineage`, `instance-id`.
    pub what: &'static str,
    /// What was given.
    pub text: String,
    /// The rule that it breaks.
    pub rule: &'static str,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text as it is written in files and on objects.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

text_id! {
    /// One controller through all its versions and instances: a file's stem up
    /// to `@`. A DNS label, because it becomes a label value, a part of a
    /// finalizer and of a field manager.
    Lineage
}
text_id! {
    /// The mark on an object that says which instance serves it; the empty one
    /// is the default instance. A label value of at most 63 bytes.
    InstanceId
}
text_id! {
    /// A file's name without `.wasm`: the lineage and, after `@`, free text.
    Stem
}
text_id! {
    /// The `metadata.uid` of an object: the only thing that tells an object
    /// from a later one of the same name.
    Uid
}
text_id! {
    /// The cluster that an object lives in; empty for the one cluster that a
    /// host is started for.
    Cluster
}

impl Lineage {
    /// A lineage, if `text` is a DNS label (RFC 1123) of at most 63 bytes.
    pub fn new(text: &str) -> Result<Self, BadId> {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let inner = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if text.len() <= LABEL_BYTES_MAX && inner && edge(text.chars().next()) && edge(text.chars().last()) {
            Ok(Self(text.into()))
        } else {
            Err(BadId {
                what: "lineage",
                text: text.into(),
                rule: "lower-case letters, digits and inner dashes, at most 63 bytes (a DNS label)",
            })
        }
    }

    /// The field manager of what this lineage writes on its children.
    pub fn manager(&self) -> String {
        format!("trimtab/{self}")
    }

    /// The field manager of an object's finalizers, labels and annotations.
    pub fn metadata_manager(&self) -> String {
        format!("trimtab/{self}/metadata")
    }

    /// The field manager of an object's status.
    pub fn status_manager(&self) -> String {
        format!("trimtab/{self}/status")
    }

    /// The label and the annotation on the objects of a decorator.
    pub fn decorator_mark(&self) -> String {
        format!("{}{self}", marks::DECORATOR_PREFIX)
    }

    /// The label that says which instance holds an object of an exclusive plugin.
    pub fn hold_mark(&self) -> String {
        format!("{}{self}", marks::HOLD_PREFIX)
    }

    /// The finalizer on the objects of a plugin that finalizes.
    pub fn finalizer(&self) -> String {
        format!("trimtab.dev/{self}")
    }
}

impl InstanceId {
    /// The default instance: the one of the objects without a mark.
    pub fn default_instance() -> Self {
        Self("".into())
    }

    /// An instance-id, if `text` is a label value (possibly empty).
    pub fn new(text: &str) -> Result<Self, BadId> {
        let edge = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
        let inner = text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if text.len() <= LABEL_BYTES_MAX && inner && edge(text.chars().next()) && edge(text.chars().last()) {
            Ok(Self(text.into()))
        } else {
            Err(BadId {
                what: "instance-id",
                text: text.into(),
                rule: "letters, digits and inner '-', '_', '.', at most 63 bytes (a label value)",
            })
        }
    }

    /// Whether this is the instance of unmarked objects.
    pub fn is_default(&self) -> bool {
        self.0.is_empty()
    }
}

impl Stem {
    /// A stem, if what comes before `@` is a lineage.
    pub fn new(text: &str) -> Result<Self, BadId> {
        Lineage::new(text.split('@').next().unwrap_or_default())?;
        Ok(Self(text.into()))
    }

    /// The lineage that the file belongs to.
    pub fn lineage(&self) -> Lineage {
        Lineage(self.0.split('@').next().unwrap_or_default().into())
    }
}

impl Uid {
    /// Any text: the server makes them.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }
}

impl Cluster {
    /// The one cluster of a host that serves one.
    pub fn local() -> Self {
        Self("".into())
    }
}

/// One file's place in the plugins folder: whom it serves and what it is called.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SlotId {
    /// The folder's name; the default instance for the top folder.
    pub instance: InstanceId,
    /// The file's name without its ending.
    pub stem: Stem,
}

impl fmt::Display for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.instance.is_default() {
            write!(f, "{}", self.stem)
        } else {
            write!(f, "{}/{}", self.instance, self.stem)
        }
    }
}

/// A group and kind: what stays the same through a kind's versions.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct GroupKind {
    /// Empty for the core group.
    pub group: Arc<str>,
    /// CamelCase, as in manifests.
    pub kind: Arc<str>,
}

impl GroupKind {
    /// The group and kind of `kind` at `api_version` (`v1`, `apps/v1`).
    pub fn new(api_version: &str, kind: &str) -> Self {
        Self { group: split_api_version(api_version).0.into(), kind: kind.into() }
    }
}

impl fmt::Display for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() { write!(f, "{}", self.kind) } else { write!(f, "{}.{}", self.kind, self.group) }
    }
}

/// `apps/v1` is group `apps`, version `v1`; `v1` is the core group.
pub fn split_api_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// `("apps", "v1")` is `apps/v1`; the core group has no slash.
pub fn join_api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// Where an object lies, whichever object that is today.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Place {
    /// Its group and kind.
    pub kind: GroupKind,
    /// Empty for cluster-scoped objects.
    pub namespace: Arc<str>,
    /// `metadata.name`.
    pub name: Arc<str>,
}

impl Place {
    /// Whether Kubernetes allows what lies at `child` an ownerReference to what
    /// lies here: in the same namespace, or from anywhere to what lies in none.
    pub fn may_be_named_by(&self, child: &Self) -> bool {
        self.namespace.is_empty() || self.namespace == child.namespace
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} {}", self.kind, self.name)
        } else {
            write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}

/// What the queue holds: an object and the lineage that is to look at it. It
/// carries no instance and no version: those are looked up at the moment of
/// work, and so two of them never run for one object at once.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Key {
    /// The cluster of the object.
    pub cluster: Cluster,
    /// The object.
    pub place: Place,
    /// Who looks at it.
    pub lineage: Lineage,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.place, self.lineage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stem_gives_its_lineage_up_to_the_at_sign() {
        assert_eq!(Stem::new("site@v2").unwrap().lineage(), Lineage::new("site").unwrap());
        assert_eq!(Stem::new("site").unwrap().lineage(), Lineage::new("site").unwrap());
        assert!(Stem::new("@v2").is_err());
        assert!(Stem::new("Site").is_err());
    }

    #[test]
    fn the_longest_field_manager_fits_into_what_the_server_takes() {
        let longest = Lineage::new(&"x".repeat(LABEL_BYTES_MAX)).unwrap();
        assert!(longest.metadata_manager().len() <= 128);
        assert!(Lineage::new(&"x".repeat(LABEL_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn the_empty_instance_id_is_the_default_instance() {
        assert!(InstanceId::new("").unwrap().is_default());
        assert!(InstanceId::new("a b").is_err());
        assert!(InstanceId::new("-a").is_err());
    }
}
