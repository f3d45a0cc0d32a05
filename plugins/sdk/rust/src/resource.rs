//! Objects of a kind, as far as the SDK must know them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A type whose values are objects of one kind at one version. Derive it for own
/// kinds, and for what a plugin needs to see of others; the types of k8s-openapi
/// have it with the feature `k8s`.
///
/// ```
/// # use serde::Deserialize;
/// use trimtab::prelude::*;
///
/// #[derive(Deserialize, Resource)]
/// #[resource(api_version = "example.dev/v1", kind = "Site")]
/// struct Site {
///     metadata: Metadata,
///     spec: SiteSpec,
/// }
///
/// #[derive(Deserialize)]
/// struct SiteSpec {
///     page: String,
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no object of a Kubernetes kind",
    note = "derive `trimtab::Resource` for it, or turn on the feature `k8s` for the types of k8s-openapi"
)]
pub trait Resource {
    /// `apps/v1`
    const API_VERSION: &'static str;
    /// `Deployment`
    const KIND: &'static str;
    /// Whether its objects lie in namespaces.
    const NAMESPACED: bool;
    /// Whether serialising a value writes `apiVersion` and `kind`.
    #[doc(hidden)]
    const WRITES_KIND: bool = false;

    /// `metadata.name`
    fn name(&self) -> &str;

    /// `metadata.namespace`
    fn namespace(&self) -> Option<&str>;
}

/// The metadata that plugins use. What is absent is not written.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    /// Unique among the objects of a kind in a namespace.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// A child without one lies beside its object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// What selectors see.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What they do not.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Which object of its name it is; given by the API server.
    #[serde(skip_serializing)]
    pub uid: String,
    /// Grows with each change of the spec; given by the API server.
    #[serde(skip_serializing)]
    pub generation: i64,
    /// Since when it is being deleted, RFC 3339; given by the API server.
    #[serde(skip_serializing)]
    pub deletion_timestamp: Option<String>,
}

impl Metadata {
    /// Of a new object.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// With one label more.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }
}

/// An object of a kind as JSON, with `apiVersion` and `kind`.
///
/// # Panics
/// If the value has a map whose keys are no strings, or its own `Serialize` fails.
pub(crate) fn to_json<R: Resource + Serialize>(object: &R) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct WithKind<'a, R> {
        api_version: &'static str,
        kind: &'static str,
        #[serde(flatten)]
        object: &'a R,
    }

    let written = if R::WRITES_KIND {
        serde_json::to_string(object)
    } else {
        serde_json::to_string(&WithKind { api_version: R::API_VERSION, kind: R::KIND, object })
    };
    written.unwrap_or_else(|error| panic!("the {} {:?} is no JSON: {error}", R::KIND, object.name()))
}
