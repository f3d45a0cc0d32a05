//! Results as a person reads them.

use std::{fmt::Write, time::Duration};

use trimtab_sim::scenario::Failure;

use super::{
    Played, Tested,
    explore::{self, Explored, Found},
};
use crate::cli::TestArgs;

/// Prints all results, and a line that sums them up.
pub fn print(tested: &[Tested], args: &TestArgs, took: Duration) {
    let (mut passed, mut failed, mut unusable) = (0, 0, 0);
    for tested in tested {
        match &tested.outcome {
            Err(error) => {
                unusable += 1;
                println!("UNUSABLE  {error}");
            }
            Ok(played) => {
                let (word, count) = if played.passed() { ("passed", &mut passed) } else { ("FAILED", &mut failed) };
                *count += 1;
                println!("{word}    {}", line(tested, played));
                played.ran.failure.iter().for_each(|failure| print!("{}", self::failure(failure)));
                played.explored.iter().for_each(|explored| print!("{}", self::explored(played, explored, args.seed)));
            }
        }
        if let Ok(Played { ran, .. }) = &tested.outcome
            && args.update
            && !ran.edits.is_empty()
        {
            println!("          recorded what was found");
        }
    }
    println!(
        "{passed} passed, {failed} failed, {unusable} unusable, in {:.2} s, seed {}",
        took.as_secs_f64(),
        args.seed
    );
}

fn line(tested: &Tested, played: &Played) -> String {
    format!(
        "{}: {} ({} writes, {:.0} s simulated in {} ms)",
        tested.file.display(),
        played.scenario.name,
        played.ran.writes,
        played.ran.simulated.as_secs_f64(),
        played.took.as_millis(),
    )
}

/// What exploring has found: what is wrong, how it came to that, and how to see
/// it again.
pub fn explored(played: &Played, explored: &Explored, seed: u64) -> String {
    let Explored { runs, took, found } = explored;
    let a_minute = *runs as f64 * 60.0 / took.as_secs_f64();
    let seconds = took.as_secs_f64();
    let mut text = format!("  explored {runs} runs in {seconds:.1} s, {a_minute:.0} a minute: {} wrong\n", found.len());
    for Found { finding, also } in found {
        let disturbance = &finding.disturbance;
        add(&mut text, format_args!("  {disturbance}: {}\n    what happened:\n", explore::text(&finding.wrong)));
        finding.story.iter().for_each(|line| add(&mut text, format_args!("      {line}\n")));
        if !also.is_empty() {
            add(&mut text, format_args!("    the same after {}\n", also.join(", ")));
        }
        // A path with a NUL could not have been opened.
        let file = shlex::try_quote(&played.scenario.file).unwrap_or_default();
        add(&mut text, format_args!("    again: trimtab test --explore --only {disturbance} --seed {seed} {file}\n"));
    }
    text
}

/// A failed step: what differs, and what else was so.
pub fn failure(failure: &Failure) -> String {
    let mut text = format!("  step at line {}: {}\n", failure.line, failure.title);
    for mismatch in &failure.mismatches {
        add(&mut text, format_args!("    {}:{}: {}\n", mismatch.file, mismatch.line, mismatch.what));
        if let Some((expected, found)) = &mismatch.values {
            add(&mut text, format_args!("        expected  {expected}\n        found     {found}\n"));
        }
    }
    for (heading, lines) in &failure.context {
        add(&mut text, format_args!("  {heading}:\n"));
        lines.iter().for_each(|line| add(&mut text, format_args!("    {line}\n")));
    }
    text
}

fn add(text: &mut String, more: std::fmt::Arguments<'_>) {
    text.write_fmt(more).expect("a String takes what it is given");
}
