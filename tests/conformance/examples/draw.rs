//! Draws writes from a seed and compares what they leave on both servers:
//! `make conformance`. What differs is shrunk and printed as a transcript.
#![allow(clippy::unwrap_used, reason = "it fails by panicking, as a test does")]

use std::path::Path;

use futures::StreamExt;
use trimtab_conformance::generate::{Generator, shrink};
use trimtab_conformance::{Case, Runner, exceptions};
use trimtab_harness::ControlPlane;

/// Episodes mostly keep both servers busy; more only wait for each other.
const EPISODES_AT_ONCE: usize = 6;
/// After so many episodes that differ there is enough to mend.
const FAILURES_MAX: usize = 8;

/// The number that the environment names; otherwise `usual`.
fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text:?} is no number")))
}

#[tokio::main]
async fn main() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sketches = std::fs::read_to_string(here.join("kinds.yaml")).unwrap();
    let generator = Generator::new(&sketches).unwrap();
    let seed = number("SEED", u64::from(fastrand::u32(..)));
    let episodes = number("OPERATIONS", 500).div_ceil(Generator::OPERATIONS as u64);
    println!("drawing {episodes} episodes from SEED={seed}");
    let runner = Runner::new(ControlPlane::shared().await.client().await, "drawn-").except(
        exceptions::read(&here.join("differences.yaml")).unwrap().into_iter().filter(|known| known.drawn).collect(),
    );
    let cases: Vec<Case> = (0..episodes).map(|episode| generator.episode(seed + episode)).collect();
    let mut outcomes = futures::stream::iter(&cases).map(|case| runner.run(case)).buffered(EPISODES_AT_ONCE);
    let (mut played, mut failures) = (0, Vec::new());
    while let Some(outcome) = outcomes.next().await {
        if let Some(first) = outcome.unwrap().differences.first() {
            failures.push((played, format!("SEED={} differs first at\n{first}", seed + played as u64)));
        }
        played += 1;
        if failures.len() == FAILURES_MAX {
            break;
        }
    }
    drop(outcomes);
    println!("{} operations compared from SEED={seed}", played * Generator::OPERATIONS);
    if let Some((episode, _)) = failures.first() {
        let small = shrink(&runner, cases[*episode].clone()).await;
        let found = runner.run(&small).await.unwrap().differences;
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        let all: Vec<String> = failures.into_iter().map(|(_, text)| text).collect();
        panic!("{}\n\nthe first, made smaller:\n{}\nas a transcript:\n{small}", all.join("\n"), found.join("\n"));
    }
}
