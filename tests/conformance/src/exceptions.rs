//! The table of intended differences: what differs, where it shows, and why.

use std::path::Path;

use anyhow::Context;
use regex::Regex;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::compare::Difference;

/// One thing that the API in memory does otherwise on purpose.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// The case that shows it; absent where any may.
    pub case: Option<String>,
    /// A pattern of the requests that show it; absent where any may.
    #[serde(default, deserialize_with = "pattern")]
    pub request: Option<Regex>,
    /// It is for drawn cases, and no transcript shows it.
    #[serde(default)]
    pub drawn: bool,
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
        let below = |rest: &str| self.path.is_empty() || rest.is_empty() || rest.starts_with(['.', '[']);
        self.case.as_ref().is_none_or(|name| name == case)
            && self.request.as_ref().is_none_or(|pattern| pattern.is_match(&difference.request))
            && difference.path.strip_prefix(&self.path).is_some_and(below)
    }
}

fn pattern<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Regex>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| Regex::new(&text).map_err(D::Error::custom)).transpose()
}

/// Reads the table.
///
/// # Errors
/// Where it cannot be read or is no such table.
pub fn read(file: &Path) -> anyhow::Result<Vec<Exception>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    serde_saphyr::from_str(&text).with_context(|| format!("{} is no table of differences", file.display()))
}
