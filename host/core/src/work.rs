//! How much and how often one plugin is to work: what its policy says of it, in
//! place of what holds for all.

use std::time::Duration;

use toml::Table;

use crate::{
    backoff::{self, Curve},
    description::RESYNC_SECONDS_MAX,
    policy::{PolicyError, flag, whole_number},
};

/// The table `[work]` of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// Objects of the lineage worked on at once; absent: as many as there are
    /// workers.
    pub concurrency: Option<u32>,
    /// Calls in a second, on average over more than one; absent: any number.
    pub calls_per_second: Option<u32>,
    /// Processor time that all its calls may take in a second, on average; absent: all
    /// that there is.
    pub cpu_per_second: Option<Duration>,
    /// Lines of its log that are told in a second, on average over ten.
    pub log_lines_per_second: u32,
    /// Between two calls for an object that does not change, in place of the
    /// description's.
    pub resync: Option<Duration>,
    /// Changes of nothing but an object's status are no reason to call for it.
    pub ignore_status_changes: bool,
    /// The delays after failures.
    pub backoff: Curve,
}

const CONCURRENCY_MAX: u64 = 1024;
const CALLS_PER_SECOND_MAX: u64 = 10_000;
/// As much as 64 cores have.
const CPU_MS_PER_SECOND_MAX: u64 = 64_000;
/// Under it, a call that takes all that it may would pause its plugin for hours.
const CPU_MS_PER_SECOND_MIN: u64 = 10;
const LOG_LINES_PER_SECOND_MAX: u64 = 10_000;
const KNOWN: &str = "concurrency, calls_per_second, cpu_ms_per_second, log_lines_per_second, resync_seconds, \
                     ignore_status_changes, backoff_first_ms, backoff_longest_seconds";

impl Default for Work {
    fn default() -> Self {
        Self {
            concurrency: None,
            calls_per_second: None,
            cpu_per_second: None,
            log_lines_per_second: 100,
            resync: None,
            ignore_status_changes: false,
            backoff: Curve::default(),
        }
    }
}

impl Work {
    /// Reads the table.
    pub(crate) fn read(table: &Table) -> Result<Self, PolicyError> {
        let mut work = Self::default();
        for (name, value) in table {
            let key = format!("work.{name}");
            let number = |max: u64| whole_number(&key, value, 1..=max);
            let count = |max: u64| number(max).map(|number| u32::try_from(number).expect("the most is a u32"));
            let longest = backoff::LONGEST;
            match name.as_str() {
                "concurrency" => work.concurrency = Some(count(CONCURRENCY_MAX)?),
                "calls_per_second" => work.calls_per_second = Some(count(CALLS_PER_SECOND_MAX)?),
                "cpu_ms_per_second" => {
                    let millis = whole_number(&key, value, CPU_MS_PER_SECOND_MIN..=CPU_MS_PER_SECOND_MAX)?;
                    work.cpu_per_second = Some(Duration::from_millis(millis));
                }
                "log_lines_per_second" => work.log_lines_per_second = count(LOG_LINES_PER_SECOND_MAX)?,
                "resync_seconds" => work.resync = Some(Duration::from_secs(number(RESYNC_SECONDS_MAX)?)),
                "ignore_status_changes" => work.ignore_status_changes = flag(&key, value)?,
                "backoff_first_ms" => work.backoff.first = Duration::from_millis(number(longest.as_secs() * 1000)?),
                "backoff_longest_seconds" => work.backoff.longest = Duration::from_secs(number(longest.as_secs())?),
                _ => return Err(PolicyError::UnknownKey { key, known: KNOWN.into() }),
            }
        }
        Ok(work)
    }
}
