//! Values and decisions of Trimtab. Nothing here does I/O, reads a clock,
//! awaits or knows a Kubernetes client: every decision is a function from
//! values to a value, so that each can be tested with neither cluster nor time.
#![forbid(unsafe_code)]

pub mod account;
pub mod adoption;
pub mod answer;
pub mod api_error;
pub mod backoff;
pub mod canary;
pub mod claim;
pub mod config;
pub mod covers;
pub mod decorate;
pub mod deletions;
pub mod description;
pub mod difference;
pub mod election;
pub mod env;
pub mod exclusive;
pub mod finalizer;
pub mod fingerprint;
pub mod fixed;
pub mod grants;
pub mod hash;
pub mod id;
pub mod inherit;
pub mod instance;
pub mod intent;
pub mod kind;
pub mod limits;
pub mod marks;
pub mod object;
pub mod origin;
pub mod ownership;
pub mod pace;
pub mod plan;
pub mod policy;
pub mod promotion;
pub mod quarantine;
pub mod readiness;
pub mod retire;
pub mod rollout;
pub mod route;
pub mod schema;
pub mod selector;
pub mod status;
pub mod work;
pub mod write;
