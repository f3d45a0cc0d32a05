//! The whole host in one process, against a Kubernetes API in memory, in
//! simulated time: what takes an hour takes a second, and the same seed makes
//! the same requests.
//!
//! A [`World`] holds the API, the plugins folder and the host processes. What
//! goes between a host and the API goes over a [`wire`], which is slow by
//! chance, keeps a log of every request, and lets happen to it what is to go
//! wrong: a plan of [`fault`]s, written by hand or drawn from a seed. The
//! [`oracle`] holds each write to the rules, and says whether a disturbed run
//! came to the same end as an undisturbed one; [`shrink`] finds the smallest
//! part of a plan after which it does not.
//!
//! Everything runs on one thread under a paused clock, see [`simulate`]: while
//! some task can run, no time passes; when all wait, it jumps to the next timer.
#![forbid(unsafe_code)]

mod api;
mod clock;
mod env;
pub mod explore;
pub mod fault;
pub mod feed;
pub mod located;
mod log;
pub mod oracle;
mod refusal;
mod requests;
pub mod scenario;
pub mod shrink;
pub mod wire;
pub mod workloads;
mod world;

pub use api::{Api, Refused};
pub use clock::{Clock, simulate};
pub use env::{SimEnv, SplitMix};
pub use log::{Entry, Log};
pub use refusal::{Instead, Refusal};
pub use world::{Broken, SETTLED, World};
