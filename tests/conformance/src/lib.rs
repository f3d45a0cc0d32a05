//! Holds the API in memory to a real kube-apiserver: both are asked the same,
//! in the same order, and every answer must be the same once that is taken out
//! which has to differ (uids, times, versions, allotted names and addresses).
//!
//! What is asked comes from transcripts, which people write, and from a
//! generator, which draws them from a seed. No answer is recorded, so none can
//! go stale: the truth runs beside.
#![forbid(unsafe_code)]

mod case;
mod compare;
pub mod exceptions;
pub mod generate;
mod normal;
mod play;
mod runner;
mod server;
mod variables;

pub use case::{Case, read_folder};
pub use compare::Difference;
pub use runner::{Outcome, Runner};
