//! Two servers for one client: the API in memory and a real kube-apiserver,
//! and what has to be taken out of a client's output before the two outputs
//! are compared. Only tests depend on it.
#![forbid(unsafe_code)]

mod normal;
mod servers;

pub use normal::{differences, normal};
pub use servers::{Servers, Side};
