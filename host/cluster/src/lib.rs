//! All traffic with a Kubernetes API: connections, discovery, watches, the
//! store of what they saw, and what is written back. The only crate that knows
//! a Kubernetes client; no other names `kube`.
#![forbid(unsafe_code)]

mod apply;
pub mod canaries;
pub mod connect;
pub mod discovery;
pub mod events;
pub mod fanout;
pub mod gate;
pub mod lease;
pub mod openapi;
pub mod reports;
mod request;
pub mod spec;
pub mod store;
mod time;
mod watch;
pub mod watches;

pub use kube::Client;

/// An error with all its causes: kube's own texts often lack the one that
/// matters, such as a refused connection.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}
