//! What a request asks for: the path taken apart into group, version,
//! namespace, resource, name and subresource, and the query's parameters.

use std::str::FromStr;

use crate::status_error::ApiError;

/// A path below `/api/v1` or `/apis/GROUP/VERSION`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResourcePath {
    pub group: String,
    pub version: String,
    pub namespace: Option<String>,
    pub resource: String,
    pub name: Option<String>,
    pub subresource: Option<String>,
    /// Below `watch/`, where watches were before they were lists with a parameter.
    pub watching: bool,
}

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// `/api`: the versions of the core group.
    CoreVersions,
    /// `/apis`: all named groups.
    Groups,
    /// `/apis/GROUP`.
    Group(String),
    /// `/api/v1` or `/apis/GROUP/VERSION`.
    Resources {
        group: String,
        version: String,
    },
    Resource(ResourcePath),
    /// `/openapi/v3`: the index, or the document of `apis/GROUP/VERSION`.
    OpenApi(Option<String>),
    OpenApiV2,
    /// `/`: all paths.
    Root,
    Version,
    /// `/healthz`, `/readyz`, `/livez` and what lies below them.
    Health,
    Unknown,
}

impl Target {
    pub fn parse(path: &str) -> Self {
        // An escaped slash separates like any other, as in Go.
        let decoded = decode(path);
        let parts: Vec<&str> = decoded.split('/').filter(|part| !part.is_empty()).collect();
        match parts.as_slice() {
            [] => Self::Root,
            ["api"] => Self::CoreVersions,
            ["apis"] => Self::Groups,
            ["apis", group] => Self::Group((*group).to_owned()),
            ["api", version, rest @ ..] => Self::below("", version, rest),
            ["apis", group, version, rest @ ..] => Self::below(group, version, rest),
            ["openapi", "v3"] => Self::OpenApi(None),
            ["openapi", "v3", rest @ ..] => Self::OpenApi(Some(rest.join("/"))),
            ["openapi", "v2"] => Self::OpenApiV2,
            ["version"] => Self::Version,
            ["healthz" | "readyz" | "livez", ..] => Self::Health,
            _ => Self::Unknown,
        }
    }

    fn below(group: &str, version: &str, rest: &[&str]) -> Self {
        let at = |namespace: Option<&str>, resource: &str, rest: &[&str]| {
            let (name, subresource) = match rest {
                [] => (None, None),
                [name] => (Some(*name), None),
                [name, subresource @ ..] => (Some(*name), Some(subresource.join("/"))),
            };
            Self::Resource(ResourcePath {
                group: group.to_owned(),
                version: version.to_owned(),
                namespace: namespace.map(str::to_owned),
                resource: resource.to_owned(),
                name: name.map(str::to_owned),
                subresource,
                watching: false,
            })
        };
        match rest {
            ["watch", rest @ ..] if !rest.is_empty() => match Self::below(group, version, rest) {
                Self::Resource(path) => Self::Resource(ResourcePath { watching: true, ..path }),
                _ => Self::Unknown,
            },
            [] => Self::Resources { group: group.to_owned(), version: version.to_owned() },
            // A namespace's own subresources, not resources inside of it.
            ["namespaces", name, sub @ ("status" | "finalize")] => at(None, "namespaces", &[name, sub]),
            ["namespaces", namespace, resource, rest @ ..] => at(Some(namespace), resource, rest),
            [resource, rest @ ..] => at(None, resource, rest),
        }
    }
}

/// A path without its percent-escapes.
fn decode(path: &str) -> String {
    // A plus sign is itself in a path and a space in a form.
    let form = format!("={}", path.replace('+', "%2B").replace('&', "%26"));
    form_urlencoded::parse(form.as_bytes()).map(|(_, value)| value.into_owned()).collect()
}

/// The parameters after the question mark.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub fn parse(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// The first value of a parameter, unless it is empty.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// A switch is on unless it says `false` or `0`, as in Go's API machinery.
    pub fn flag(&self, key: &str) -> bool {
        self.0
            .iter()
            .find(|(name, _)| name == key)
            .is_some_and(|(_, value)| !matches!(value.to_ascii_lowercase().as_str(), "false" | "0"))
    }

    pub fn number<T: FromStr>(&self, key: &str) -> Result<Option<T>, ApiError> {
        let Some(text) = self.get(key) else { return Ok(None) };
        text.parse()
            .map(Some)
            .map_err(|_| ApiError::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(path: &str) -> ResourcePath {
        match Target::parse(path) {
            Target::Resource(resource) => resource,
            other => panic!("{path} leads to {other:?}"),
        }
    }

    #[test]
    fn a_path_is_taken_apart_whatever_its_group_and_scope() {
        let found = resource("/apis/demo.dev/v1/namespaces/default/sites/a%20b+c/status");
        assert_eq!((found.group.as_str(), found.version.as_str()), ("demo.dev", "v1"));
        assert_eq!(found.namespace.as_deref(), Some("default"));
        assert_eq!(found.name.as_deref(), Some("a b+c"));
        assert_eq!(found.subresource.as_deref(), Some("status"));
        let found = resource("/api/v1/namespaces/x/status");
        assert_eq!((found.namespace.as_deref(), found.resource.as_str()), (None, "namespaces"));
        assert_eq!((found.name.as_deref(), found.subresource.as_deref()), (Some("x"), Some("status")));
        let found = resource("/api/v1/namespaces/x/pods");
        assert_eq!((found.namespace.as_deref(), found.name), (Some("x"), None));
    }

    #[test]
    fn the_old_path_of_a_watch_leads_to_what_is_watched() {
        let found = resource("/apis/apps/v1/watch/namespaces/x/deployments/d");
        assert!(found.watching);
        assert_eq!((found.resource.as_str(), found.name.as_deref()), ("deployments", Some("d")));
        assert!(!resource("/api/v1/namespaces/watch/pods").watching);
    }

    #[test]
    fn other_paths_lead_to_discovery_or_nowhere() {
        assert_eq!(Target::parse("/apis/"), Target::Groups);
        assert_eq!(Target::parse("/apis/apps"), Target::Group("apps".into()));
        let group = String::from("apps");
        assert_eq!(Target::parse("/apis/apps/v1"), Target::Resources { group, version: "v1".into() });
        assert_eq!(Target::parse("/openapi/v3/apis/apps/v1"), Target::OpenApi(Some("apis/apps/v1".into())));
        assert_eq!(Target::parse("/readyz/etcd"), Target::Health);
        assert_eq!(Target::parse("/foo"), Target::Unknown);
        assert_eq!(Target::parse("/"), Target::Root);
        assert_eq!(Target::parse("/openapi/v2"), Target::OpenApiV2);
    }

    #[test]
    fn a_switch_is_off_only_when_it_says_so() {
        let query = Query::parse("watch=1&force=false&allowWatchBookmarks&limit=x");
        assert!(query.flag("watch") && query.flag("allowWatchBookmarks"));
        assert!(!query.flag("force") && !query.flag("sendInitialEvents"));
        assert!(query.number::<i64>("limit").is_err());
    }
}
