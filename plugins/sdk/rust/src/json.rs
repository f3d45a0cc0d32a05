//! Objects of a kind as they are, without a type for what is in them.

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Resource;

/// An object of the kind of `R` as JSON: all of it, also what `R` does not name.
#[derive(Serialize, Deserialize)]
#[serde(transparent, bound = "")]
pub struct Json<R> {
    value: Value,
    #[serde(skip)]
    kind: PhantomData<R>,
}

impl<R: Resource> Json<R> {
    /// `apiVersion` and `kind` need not be written.
    ///
    /// # Panics
    /// If it is no JSON object.
    pub fn new(mut value: Value) -> Self {
        assert!(value.is_object(), "an object of {} is a JSON object, this is {value}", R::KIND);
        value["apiVersion"] = json!(R::API_VERSION);
        value["kind"] = json!(R::KIND);
        Self { value, kind: PhantomData }
    }

    /// Its fields.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The same, to keep.
    pub fn into_value(self) -> Value {
        self.value
    }
}

impl<R: Resource> Resource for Json<R> {
    const API_VERSION: &'static str = R::API_VERSION;
    const KIND: &'static str = R::KIND;
    const NAMESPACED: bool = R::NAMESPACED;
    const WRITES_KIND: bool = true;

    fn name(&self) -> &str {
        self.value["metadata"]["name"].as_str().unwrap_or_default()
    }

    fn namespace(&self) -> Option<&str> {
        self.value["metadata"]["namespace"].as_str()
    }
}
