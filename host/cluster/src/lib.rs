//! All traffic with a Kubernetes API: connections, discovery, watches, the
//! store of what they saw, and what is written back. The only crate that knows
//! a Kubernetes client; no other names `kube`.
#![forbid(unsafe_code)]

pub mod connect;
pub mod discovery;
pub mod openapi;
pub mod spec;
pub mod store;
pub mod watches;

pub use kube::Client;
