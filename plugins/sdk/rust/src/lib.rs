//! Write Trimtab plugins in Rust: a function from what is observed to what
//! should be.
#![cfg_attr(feature = "k8s", doc = "")]
#![cfg_attr(feature = "k8s", doc = include_str!("../README.md"))]
//!
//! # Only declared kinds are children
//!
//! A child of a kind that the attribute does not declare does not compile:
//!
//! ```compile_fail,E0277
//! # use serde::{Deserialize, Serialize};
//! # use trimtab::prelude::*;
//! # #[derive(Deserialize, Resource)]
//! # #[resource(api_version = "example.dev/v1", kind = "Site")]
//! # struct Site { metadata: Metadata }
//! # #[derive(Serialize, Resource)]
//! # #[resource(api_version = "v1", kind = "ConfigMap")]
//! # struct ConfigMap { metadata: Metadata }
//! # #[derive(Serialize, Resource)]
//! # #[resource(api_version = "v1", kind = "Secret")]
//! # struct Secret { metadata: Metadata }
//! # #[derive(Serialize)]
//! # struct SiteStatus {}
//! #[trimtab::composite(children(ConfigMap))]
//! fn reconcile(site: Site, _cx: &Cx) -> Result<Answer<SiteStatus>> {
//!     Ok(answer().child(Secret { metadata: site.metadata }))
//! }
//! ```
//!
//! while the same with a declared one does:
//!
//! ```
//! # use serde::{Deserialize, Serialize};
//! # use trimtab::prelude::*;
//! # #[derive(Deserialize, Resource)]
//! # #[resource(api_version = "example.dev/v1", kind = "Site")]
//! # struct Site { metadata: Metadata }
//! # #[derive(Serialize, Resource)]
//! # #[resource(api_version = "v1", kind = "ConfigMap")]
//! # struct ConfigMap { metadata: Metadata }
//! # #[derive(Serialize)]
//! # struct SiteStatus {}
//! #[trimtab::composite(children(ConfigMap))]
//! fn reconcile(site: Site, _cx: &Cx) -> Result<Answer<SiteStatus>> {
//!     Ok(answer().child(ConfigMap { metadata: site.metadata }))
//! }
//! ```
// Denied, not forbidden: the bindings that wit-bindgen writes need it, and so
// does the allocator.
#![deny(unsafe_code)]

mod answer;
#[cfg(target_family = "wasm")]
mod arena;
mod context;
pub mod describe;
mod error;
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod guest;
mod json;
#[cfg(feature = "k8s")]
pub mod k8s;
pub mod metacontroller;
mod object;
mod related;
#[cfg(not(target_family = "wasm"))]
pub mod replay;
mod resource;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

pub use answer::{Answer, Decorates, Event, Owns, Plugin, answer};
pub use context::{Cx, Level};
pub use error::{Error, OrWait, Outcome, Result};
pub use json::Json;
pub use object::{Object, Observed};
pub use resource::{Metadata, Resource};
pub use serde_json::{self, json};
pub use trimtab_sdk_macros::{Resource, composite, decorator};

/// What a plugin usually names.
pub mod prelude {
    pub use crate::{Answer, Cx, Error, Json, Level, Metadata, Object, OrWait, Resource, Result, answer, json};
}
