//! Signals as people expect them: the first one asks, the second one ends.

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The exit code of a process that a second signal ended (128 + SIGTERM).
const ABORTED: i32 = 143;

/// Cancels `stop` at the first SIGTERM or SIGINT and ends the process at the second.
pub async fn watch(stop: CancellationToken) -> anyhow::Result<()> {
    let mut term = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut int = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    for count in 0.. {
        let name = tokio::select! {
            _ = term.recv() => "SIGTERM",
            _ = int.recv() => "SIGINT",
        };
        if count > 0 {
            tracing::warn!(signal = name, "second signal, ending at once");
            std::process::exit(ABORTED);
        }
        tracing::info!(signal = name, "stopping: no new work, finishing what is in flight");
        stop.cancel();
    }
    Ok(())
}
