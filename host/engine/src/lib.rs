//! The engine: which key is looked at when, which generation serves it, and the
//! way of one look from the store to the gate. It joins what `core` decides,
//! `wasm` calls and `cluster` watches and writes.
#![forbid(unsafe_code)]

mod adopting;
mod ask;
mod calls;
mod canarying;
mod collect;
mod configs;
mod engine;
mod first_use;
pub mod folder;
mod gather;
mod generation;
mod holders;
mod holding;
mod keep;
mod leading;
mod lookups;
mod memory;
mod metrics;
mod needs;
mod observed;
mod permit;
mod published;
pub mod queue;
mod readers;
mod readiness;
mod reconcile;
mod reporting;
mod retire;
mod revisions;
mod serving;
mod settings;
mod shadow;
mod shadowed;
mod slot;
mod slots;
mod succession;
mod tasks;
mod triggers;
mod trouble;
mod unserved;
mod view;
mod why;
mod workshop;

pub use calls::CallView;
pub use engine::{Engine, Parts};
pub use keep::Keep;
pub use memory::Counts;
pub use settings::{CALLS_BYTES, Settings};
pub use shadowed::{CostView, ShadowReport, ShadowView, ShadowedObject};
pub use tasks::TaskEnded;
pub use view::{PluginView, SlotState, SlotView};
pub use why::{Looked, Why};
