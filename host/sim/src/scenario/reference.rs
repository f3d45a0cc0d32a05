//! How a scenario names an object: `Deployment/anna`, `Site.example.dev/staging/anna`.

use std::{fmt, str::FromStr};

/// Where an object lies that names no namespace.
pub const DEFAULT_NAMESPACE: &str = "default";

/// An object by its kind and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// `Deployment`
    pub kind: String,
    /// `apps`; none where the kind's name is enough.
    pub group: Option<String>,
    /// None: the default one, or none where the kind has none.
    pub namespace: Option<String>,
    /// `metadata.name`
    pub name: String,
}

/// What a reference has to look like.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} names no object; Kind/name, Kind/namespace/name or Kind.group/name is wanted, such as Deployment/web")]
pub struct NoReference(String);

impl FromStr for Reference {
    type Err = NoReference;

    fn from_str(text: &str) -> Result<Self, NoReference> {
        let parts = text.split('/').collect::<Vec<_>>();
        let (kind, namespace, name) = match parts[..] {
            [kind, name] => (kind, None, name),
            [kind, namespace, name] => (kind, Some(namespace), name),
            _ => return Err(NoReference(text.to_owned())),
        };
        if parts.iter().any(|part| part.is_empty() || part.contains(char::is_whitespace)) {
            return Err(NoReference(text.to_owned()));
        }
        let (kind, group) = kind.split_once('.').map_or((kind, None), |(kind, group)| (kind, Some(group)));
        Ok(Self {
            kind: kind.to_owned(),
            group: group.map(str::to_owned),
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, group, namespace, name } = self;
        f.write_str(kind)?;
        group.iter().try_for_each(|group| write!(f, ".{group}"))?;
        namespace.iter().try_for_each(|namespace| write!(f, "/{namespace}"))?;
        write!(f, "/{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_read_and_written_alike() {
        for text in ["Deployment/a", "Deployment/b/a", "Site.example.dev/a", "Site.example.dev/b/a.c"] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
        }
        let full: Reference = "Site.example.dev/b/a".parse().unwrap();
        assert_eq!((full.group.as_deref(), full.namespace.as_deref()), (Some("example.dev"), Some("b")));
    }

    #[test]
    fn what_names_no_object_is_refused() {
        for text in ["Deployment", "Deployment/", "/a", "a/b/c/d", "a b/c", ""] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }
}
