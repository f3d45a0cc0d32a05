//! Values and decisions of Trimtab. Nothing here does I/O, reads a clock,
//! awaits or knows a Kubernetes client: every decision is a function from
//! values to a value, so that each can be tested with neither cluster nor time.
#![forbid(unsafe_code)]

pub mod description;
pub mod env;
pub mod grants;
pub mod hash;
pub mod id;
pub mod kind;
pub mod limits;
pub mod marks;
pub mod object;
pub mod policy;
pub mod selector;
pub mod write;
