//! Draws writes from a seed and compares what they leave on both servers:
//! `make conformance`. What differs is shrunk and printed as a transcript.
#![allow(clippy::unwrap_used, reason = "it fails by panicking, as a test does")]

use std::path::Path;
use std::process::ExitCode;

use futures::StreamExt;
use trimtab_conformance::generate::{Generator, shrink};
use trimtab_conformance::{Case, Runner, exceptions};
use trimtab_harness::ControlPlane;

/// Episodes mostly keep both servers busy; more only wait for each other.
const EPISODES_AT_ONCE: usize = 6;
/// After so many episodes that differ there is enough to mend.
const FAILURES_MAX: usize = 16;

/// The number that the environment names; otherwise `usual`.
fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text:?} is no number")))
}

#[tokio::main]
async fn main() -> ExitCode {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sketches = std::fs::read_to_string(here.join("kinds.yaml")).unwrap();
    let generator = Generator::new(&sketches).unwrap();
    let seed = number("SEED", u64::from(fastrand::u32(..)));
    let wanted = usize::try_from(number("OPERATIONS", 500)).unwrap();
    let mut drawn = 0;
    let cases: Vec<Case> = (seed..)
        .map(|seed| generator.episode(seed))
        .take_while(|case| {
            let before = drawn;
            drawn += case.writes();
            before < wanted
        })
        .collect();
    println!("drawing {} episodes from SEED={seed}", cases.len());
    let runner = Runner::new(ControlPlane::shared().await.client().await, "drawn-").except(
        exceptions::read(&here.join("differences.yaml")).unwrap().into_iter().filter(|known| known.drawn).collect(),
    );
    let mut outcomes = futures::stream::iter(&cases).map(|case| runner.run(case)).buffered(EPISODES_AT_ONCE);
    let (mut played, mut operations, mut failures) = (0, 0, Vec::new());
    while let Some(outcome) = outcomes.next().await {
        let case = &cases[played];
        if let Some(first) = outcome.unwrap().differences.first() {
            failures.push((case, format!("SEED={} differs first at\n{first}", seed + played as u64)));
        }
        operations += case.writes();
        played += 1;
        if failures.len() == FAILURES_MAX {
            break;
        }
    }
    drop(outcomes);
    println!("{operations} operations compared from SEED={seed}, {} of {played} episodes differ", failures.len());
    let Some((case, _)) = failures.first() else { return ExitCode::SUCCESS };
    failures.iter().for_each(|(_, text)| println!("{text}"));
    let small = shrink(&runner, (*case).clone()).await;
    println!("\nthe first, made smaller:");
    runner.run(&small).await.unwrap().differences.iter().for_each(|difference| println!("{difference}"));
    println!("as a transcript:\n{small}");
    ExitCode::FAILURE
}
