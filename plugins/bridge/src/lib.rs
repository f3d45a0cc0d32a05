//! The bridge from Metacontroller: a controller's webhooks, in whatever language
//! they are, served as a plugin. The config holds the user's own
//! CompositeController; `trimtab migrate metacontroller` writes it.

pub mod config;
#[cfg(target_family = "wasm")]
mod guest;
pub mod hook;
pub mod related;
pub mod run;
