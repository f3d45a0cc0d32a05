//! What a policy says of a new generation: whether it has to shadow first, how long it is
//! on probation, how many objects it may break, and whether a person has taken its part.

use std::time::Duration;

use toml::Table;

use super::shadow::Shadow;
use crate::{
    hash::Hash,
    policy::{PolicyError, flag, whole_number, wrong},
};

/// The table `[rollout]` of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// What it has to show before it serves, if anything.
    pub shadow: Option<Shadow>,
    /// Whether a generation that does worse than the last good one makes way for it.
    pub rollback: bool,
    /// How long the last good one is kept at hand.
    pub probation: Duration,
    /// Hundredths of the objects that may fail though the last good one served them.
    pub tolerated_percent: usize,
    /// The generation that serves whatever comes of it, since a person has said so; as
    /// it is called without this very line.
    pub accepted: Option<Hash>,
}

/// A day: who needs longer wants two versions side by side.
const PROBATION_SECONDS_MAX: u64 = 86_400;
const KNOWN: &str = "rollback, probation_seconds, tolerated_percent, accepted, shadow_seconds, \
                     shadow_until_accepted, shadow_changes_max, shadow_fields";

impl Default for Terms {
    fn default() -> Self {
        let probation = Duration::from_secs(300);
        Self { shadow: None, rollback: true, probation, tolerated_percent: 1, accepted: None }
    }
}

impl Terms {
    /// Reads the table.
    pub(crate) fn read(table: &Table) -> Result<Self, PolicyError> {
        let mut terms = Self { shadow: Shadow::read(table)?, ..Self::default() };
        for (name, value) in table {
            let key = format!("rollout.{name}");
            match name.as_str() {
                "rollback" => terms.rollback = flag(&key, value)?,
                "probation_seconds" => {
                    terms.probation = Duration::from_secs(whole_number(&key, value, 1..=PROBATION_SECONDS_MAX)?);
                }
                "tolerated_percent" => {
                    let percent = whole_number(&key, value, 0..=100)?;
                    terms.tolerated_percent = usize::try_from(percent).expect("it is at most 100");
                }
                "accepted" => match value.as_str().and_then(Hash::parse) {
                    Some(generation) => terms.accepted = Some(generation),
                    None => {
                        let accepted = "the generation that was rolled back, as its slot's reason names it: \
                                        32 hexadecimal digits";
                        return wrong(&key, value, accepted);
                    }
                },
                _ if Shadow::KEYS.contains(&name.as_str()) => {}
                _ => return Err(PolicyError::UnknownKey { key, known: KNOWN.into() }),
            }
        }
        if let Some(rollback) = table.get("rollback").filter(|_| terms.shadow.is_some() && !terms.rollback) {
            return wrong(
                "rollout.rollback",
                rollback,
                "true beside a shadow, of which nothing would follow otherwise",
            );
        }
        Ok(terms)
    }

    /// Whether a generation serves without a probation, and whatever was found of it
    /// before.
    pub fn is_accepted(&self, generation: Hash) -> bool {
        !self.rollback || self.accepted == Some(generation)
    }
}
