//! What the tests share: the control plane, a host as a process, its plugins
//! folder, and the API as a person's client sees it.

mod api;
mod dev;
mod hooks;
mod host;
mod plugins;
mod proxy;
mod scene;
mod user;

use std::time::Duration;

pub use self::{
    api::Api,
    dev::{Dev, processes_of},
    hooks::{Hooks, json_answer, migrated, nobody_listens},
    host::Host,
    plugins::{file, source},
    proxy::{Held, Proxy},
    scene::{BENCH, MISBEHAVE, REPORTS, SITE, Scene},
    user::User,
};

/// How long something may take that takes a moment on an idle machine: tests
/// build and compile plugins beside it.
pub const SOON: Duration = Duration::from_secs(30);

/// The bytes of a built plugin.
pub fn plugin(name: &str) -> Vec<u8> {
    std::fs::read(file(name)).expect("it was built")
}
