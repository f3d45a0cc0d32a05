//! `trimtab test --explore`: one scenario with one thing going wrong after the
//! other, on all cores.

use std::{
    collections::BTreeMap,
    slice,
    time::{Duration, Instant},
};

use trimtab_sim::{
    explore::{Disturbance, Explorer, Finding, Wrong},
    scenario::{Scenario, Stage, Unusable},
};

use super::on_all_cores;

/// What exploring has found.
pub struct Explored {
    /// How many runs there were.
    pub runs: usize,
    /// How long they took.
    pub took: Duration,
    /// What went wrong, each once.
    pub found: Vec<Found>,
}

/// One thing that goes wrong.
pub struct Found {
    /// The shortest way to it.
    pub finding: Finding,
    /// Other disturbances that lead to the same.
    pub also: Vec<String>,
}

/// Tries all disturbances, or those that are named.
pub fn explore(scenario: &Scenario, stage: &Stage, seed: u64, only: &[Disturbance]) -> Result<Explored, Unusable> {
    let began = Instant::now();
    let explorer = Explorer::new(scenario, stage, stage.wasm()?, seed);
    let explorer = explorer.map_err(|wrong| Unusable::Plugin(format!("{}: {}", scenario.file, text(&wrong))))?;
    let disturbances = if only.is_empty() { explorer.disturbances() } else { only.to_vec() };
    let wasm = || stage.wasm();
    let tried = on_all_cores(&disturbances, wasm, |wasm, disturbance| match wasm {
        Ok(wasm) => Ok(explorer.explore(disturbance, wasm)),
        Err(error) => Err(Unusable::Plugin(error.to_string())),
    });
    let findings = tried.into_iter().collect::<Result<Vec<_>, _>>()?;
    let (runs, findings) = (disturbances.len() + 1, findings.into_iter().flatten());
    Ok(Explored { runs, took: began.elapsed(), found: grouped(findings) })
}

/// What is wrong in the same way is told once, by its shortest story.
fn grouped(findings: impl Iterator<Item = Finding>) -> Vec<Found> {
    let mut groups = BTreeMap::<String, Vec<Finding>>::new();
    for finding in findings {
        groups.entry(text(&finding.wrong)).or_default().push(finding);
    }
    let group = |mut findings: Vec<Finding>| {
        findings.sort_by_key(|finding| finding.story.len());
        let finding = findings.remove(0);
        Found { finding, also: findings.iter().map(|other| other.disturbance.to_string()).collect() }
    };
    let mut found = groups.into_values().map(group).collect::<Vec<_>>();
    found.sort_by_key(|found| found.finding.story.len());
    found
}

/// What is wrong, in words.
pub fn text(wrong: &Wrong) -> String {
    match wrong {
        Wrong::Differs(lines) => format!("it ends otherwise than undisturbed:{}", list(lines)),
        Wrong::Leaked(lines) => format!("it leaves something over:{}", list(lines)),
        Wrong::Restless(last) => format!("it never stops writing; the last write was{}", list(slice::from_ref(last))),
        Wrong::Stuck(why) => format!("it comes to no end:{}", list(slice::from_ref(why))),
    }
}

fn list(lines: &[String]) -> String {
    lines.iter().map(|line| format!("\n      {line}")).collect()
}
