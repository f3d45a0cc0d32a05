//! Logs: for a person in a terminal, JSON elsewhere.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::screen::Screen;

/// Starts the log on stderr, or above what a screen shows in a terminal. Bad directives fall back to `info`, with a line that says so.
pub fn start(directives: &str, screen: Option<Screen>) {
    let (filter, bad) = match EnvFilter::try_new(directives) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("info"), Some(error)),
    };
    let registry = tracing_subscriber::registry().with(filter);
    if let Some(screen) = screen.filter(Screen::is_terminal) {
        registry.with(fmt::layer().compact().with_target(false).with_writer(screen)).init();
    } else if std::io::stderr().is_terminal() {
        registry.with(fmt::layer().compact().with_target(false).with_writer(std::io::stderr)).init();
    } else {
        registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).init();
    }
    if let Some(error) = bad {
        tracing::warn!(%error, directives, "bad log directives, logging at info; a level or target=level is wanted");
    }
}
