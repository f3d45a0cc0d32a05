//! What a run is about: an object of the one kind that a plugin reconciles, or of
//! one of several.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{Error, Metadata, Resource, Result};

/// What a plugin's function may take as its object: a type of a kind, or [`Object`].
pub trait Observed: Sized {
    /// From the object's JSON.
    fn read(text: &str) -> Result<Self>;

    /// `metadata.namespace`
    fn namespace(&self) -> Option<&str>;
}

impl<R: Resource + DeserializeOwned> Observed for R {
    fn read(text: &str) -> Result<Self> {
        serde_json::from_str(text)
            .map_err(|error| Error::terminal(format!("the object is no {} of {}: {error}", R::KIND, R::API_VERSION)))
    }

    fn namespace(&self) -> Option<&str> {
        Resource::namespace(self)
    }
}

/// An object of one of the kinds that a decorator names.
#[derive(Clone, Debug)]
pub struct Object {
    head: Head,
    text: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    api_version: String,
    kind: String,
    metadata: Metadata,
}

impl Object {
    /// Its metadata.
    pub fn metadata(&self) -> &Metadata {
        &self.head.metadata
    }

    /// `metadata.name`
    pub fn name(&self) -> &str {
        &self.head.metadata.name
    }

    /// Whether it is of a kind.
    pub fn is<R: Resource>(&self) -> bool {
        self.head.kind == R::KIND && self.head.api_version == R::API_VERSION
    }

    /// The whole of it, whatever it is.
    pub fn into_value(self) -> Result<Value> {
        Ok(serde_json::from_str(&self.text)?)
    }

    /// The whole of it, if it is of a kind.
    pub fn get<R: Resource + DeserializeOwned>(&self) -> Result<Option<R>> {
        self.is::<R>().then(|| Observed::read(&self.text)).transpose()
    }
}

impl Observed for Object {
    fn read(text: &str) -> Result<Self> {
        let head =
            serde_json::from_str(text).map_err(|error| Error::terminal(format!("this is no object: {error}")))?;
        Ok(Self { head, text: text.to_owned() })
    }

    fn namespace(&self) -> Option<&str> {
        self.head.metadata.namespace.as_deref()
    }
}
