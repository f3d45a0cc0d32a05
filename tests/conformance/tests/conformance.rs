//! Both servers say the same: to the transcripts, and to what is drawn from some
//! seeds (`make conformance` draws from others).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod documents;

use std::path::Path;

use futures::StreamExt;
use trimtab_conformance::exceptions::{self, Exception};
use trimtab_conformance::generate::Generator;
use trimtab_conformance::{Case, Runner, read_folder};
use trimtab_harness::ControlPlane;

/// Cases that are played side by side: enough to fill the waits for the real
/// server's controllers.
const CASES_AT_ONCE: usize = 16;

/// Episodes mostly keep both servers busy; more only wait for each other.
const EPISODES_AT_ONCE: usize = 6;
/// Seeds that are known to be drawn the same, some hundred writes.
const SEEDS: std::ops::Range<u64> = 100..120;

/// Only the cases whose name holds the text of `TRANSCRIPT` are played, to try one out.
fn chosen(case: &Case) -> bool {
    std::env::var("TRANSCRIPT").map_or(true, |part| case.case.contains(&part))
}

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What differs on purpose.
fn table() -> Vec<Exception> {
    exceptions::read(&here().join("differences.yaml")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn transcripts_read_the_same_on_both_servers() {
    let cases = read_folder(&here().join("transcripts")).unwrap();
    let cases: Vec<Case> = cases.into_iter().filter(chosen).collect();
    let exceptions: Vec<Exception> = table().into_iter().filter(|exception| !exception.drawn).collect();
    let runner = Runner::new(ControlPlane::shared().await.client().await, "case-");
    let outcomes = futures::stream::iter(&cases).map(|case| runner.run(case)).buffered(CASES_AT_ONCE);
    let outcomes: Vec<_> = outcomes.collect().await;

    let (mut failures, mut used) = (Vec::new(), vec![false; exceptions.len()]);
    for (case, outcome) in cases.iter().zip(outcomes) {
        let mut found = outcome.unwrap().differences;
        found.retain(|difference| {
            let covering = exceptions.iter().position(|exception| exception.covers(&case.case, difference));
            covering.inspect(|index| used[*index] = true).is_none()
        });
        if !found.is_empty() {
            let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
            failures.push(format!("{}\n{}", case.case, lines.join("\n")));
        }
    }
    let unused = exceptions.iter().zip(used).filter(|(exception, used)| {
        !used && exception.case.as_ref().is_none_or(|name| cases.iter().any(|case| case.case == *name))
    });
    failures.extend(unused.map(|(exception, _)| format!("no longer differs: {exception:?}")));
    println!("{} cases compared, {} differ", cases.len(), failures.len());
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn drawn_writes_leave_the_same_on_both_servers() {
    let generator = Generator::new(&std::fs::read_to_string(here().join("kinds.yaml")).unwrap()).unwrap();
    let drawn = table().into_iter().filter(|exception| exception.drawn).collect();
    let runner = Runner::new(ControlPlane::shared().await.client().await, "drawn-").except(drawn);
    let cases: Vec<Case> = SEEDS.map(|seed| generator.episode(seed)).collect();
    let outcomes = futures::stream::iter(&cases).map(|case| runner.run(case)).buffered(EPISODES_AT_ONCE);
    let outcomes: Vec<_> = outcomes.collect().await;
    for (case, outcome) in cases.iter().zip(outcomes) {
        let found: Vec<String> = outcome.unwrap().differences.iter().map(ToString::to_string).collect();
        assert!(found.is_empty(), "{}\n{}", case.case, found.join("\n"));
    }
    println!("{} drawn writes compared", cases.iter().map(Case::writes).sum::<usize>());
}
