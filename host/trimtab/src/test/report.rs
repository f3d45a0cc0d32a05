//! Results as a person reads them.

use std::{fmt::Write, time::Duration};

use trimtab_sim::scenario::Failure;

use super::{Played, Tested};
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
            Ok(played) => match &played.ran.failure {
                None => {
                    passed += 1;
                    println!("passed    {}", line(tested, played));
                }
                Some(failure) => {
                    failed += 1;
                    print!("FAILED    {}\n{}", line(tested, played), self::failure(failure));
                }
            },
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
