//! The one place where a test waits on the wall clock.

use std::{
    future::Future,
    time::{Duration, Instant},
};

/// Between two looks: short beside what an API server takes to answer, long
/// enough to leave the processor to it.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks again and again until `look` has something to return. Panics with
/// `what` when that takes longer than `timeout`: a test cannot go on without.
pub async fn eventually<T, F>(what: &str, timeout: Duration, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let start = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(start.elapsed() < timeout, "after {timeout:?} still not seen: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}
