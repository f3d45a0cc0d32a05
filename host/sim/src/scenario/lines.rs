//! What plugins log and what the host says of its work on objects, as lines to
//! show where a scenario fails.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt};

/// The newest lines are kept: enough to see how it came to a failure.
const LINES_MAX: usize = 200;

/// The lines of one run.
#[derive(Debug, Clone, Default)]
pub struct Lines(Arc<Mutex<VecDeque<String>>>);

impl Lines {
    /// Does the work and hears what it says, on this thread.
    pub fn hear<R>(&self, work: impl FnOnce() -> R) -> R {
        tracing::subscriber::with_default(tracing_subscriber::registry().with(self.clone()), work)
    }

    /// The newest lines, the oldest of them first.
    pub fn newest(&self, count: usize) -> Vec<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().skip(lines.len().saturating_sub(count)).cloned().collect()
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        // What is about an object has its key among the fields; warnings are about the whole.
        *metadata.level() <= Level::WARN
            || (*metadata.level() <= Level::INFO && metadata.fields().field("key").is_some())
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() >= LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(line.to_string());
    }
}

#[derive(Default)]
struct Line {
    key: String,
    message: String,
    fields: Vec<String>,
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "key" => self.key = format!("{value:?}: "),
            "message" => self.message = format!("{value:?}"),
            "line" => self.fields.push(format!("{value:?}")),
            name => self.fields.push(format!("{name}={value:?}")),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.key, self.message)?;
        self.fields.iter().try_for_each(|field| write!(f, " {field}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_about_an_object_and_every_warning_is_heard() {
        let lines = Lines::default();
        lines.hear(|| {
            tracing::info!(key = "Site/a", level = "info", line = "hello", "plugin");
            tracing::info!("serving");
            tracing::debug!(key = "Site/a", "wrote");
            tracing::warn!(failure = 7, "the watch fails");
        });
        assert_eq!(lines.newest(9), ["Site/a: plugin level=info hello", "the watch fails failure=7"]);
        assert_eq!(lines.newest(1).len(), 1);
    }
}
