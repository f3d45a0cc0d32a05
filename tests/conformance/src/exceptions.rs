//! The table of intended differences: what differs, where it shows, and why.

use std::path::Path;

use anyhow::Context;
use serde::Deserialize;

use crate::compare::Difference;

/// One thing that the API in memory does otherwise on purpose.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// The case that shows it.
    pub case: String,
    /// Where in the answers: a path, and all below it; empty for all.
    pub path: String,
    /// Why it stays so.
    #[serde(rename = "why")]
    _why: String,
}

impl Exception {
    /// Whether this is what differs here.
    #[must_use]
    pub fn covers(&self, case: &str, difference: &Difference) -> bool {
        let rest = difference.path.strip_prefix(&self.path);
        let below = |rest: &str| self.path.is_empty() || rest.is_empty() || rest.starts_with(['.', '[']);
        self.case == case && rest.is_some_and(below)
    }
}

/// Reads the table.
///
/// # Errors
/// Where it cannot be read or is no such table.
pub fn read(file: &Path) -> anyhow::Result<Vec<Exception>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    serde_saphyr::from_str(&text).with_context(|| format!("{} is no table of differences", file.display()))
}
