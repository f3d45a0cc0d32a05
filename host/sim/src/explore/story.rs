//! What happened in a run, as a list that a person can follow.

use std::time::Duration;

use super::Disturbance;
use crate::scenario::{Player, Scenario};

/// The steps, what went wrong and the writes, in their order.
pub fn story(scenario: &Scenario, player: &Player<'_>, disturbance: Option<&Disturbance>) -> Vec<String> {
    let mut told: Vec<(Duration, u8, String)> = Vec::new();
    for (index, began) in &player.began {
        let step = &scenario.steps[*index];
        told.push((*began, 1, format!("step {} (line {}): {}", index + 1, step.line, step.title())));
    }
    for (at, _) in player.world.disturbances() {
        let what = disturbance.map_or_else(String::new, Disturbance::told);
        told.push((at, 0, format!("  ** {what}")));
    }
    let entries = player.world.log().entries();
    let writes = entries.iter().filter(|entry| entry.writes() && !entry.is_about_a_lease());
    for (index, write) in writes.enumerate() {
        told.push((write.at, 2, format!("  write {:<3} {}", index + 1, write.in_short())));
    }
    told.sort_by_key(|(at, order, _)| (*at, *order));
    told.into_iter().map(|(_, _, line)| line).collect()
}
