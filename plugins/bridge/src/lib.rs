//! The bridge from Metacontroller: a controller's webhooks, in whatever language
//! they are, served as a plugin. The config holds the user's own
//! CompositeController or DecoratorController; `trimtab migrate metacontroller` writes
//! it.

pub mod answer;
pub mod config;
pub mod controller;
#[cfg(target_family = "wasm")]
mod guest;
pub mod hook;
pub mod related;
pub mod run;
