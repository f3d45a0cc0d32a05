//! Results as JUnit's XML, which build servers show.

use std::{fs, path::Path};

use anyhow::Context;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::{Tested, report};

/// Writes the results: each file is a suite of one case.
pub fn write(file: &Path, tested: &[Tested], seed: u64) -> anyhow::Result<()> {
    let mut report = Report::new("trimtab test");
    for tested in tested {
        let mut suite = TestSuite::new(tested.file.display().to_string());
        suite.add_test_case(case(tested, seed));
        report.add_test_suite(suite);
    }
    let text = report.to_string().context("writing JUnit's XML")?;
    fs::write(file, text).with_context(|| format!("writing {}", file.display()))
}

fn case(tested: &Tested, seed: u64) -> TestCase {
    let status = |kind, message: String, details: String| {
        let mut status = TestCaseStatus::non_success(kind);
        status.set_message(message).set_description(details);
        status
    };
    let (name, status) = match &tested.outcome {
        Err(unusable) => {
            let message = unusable.to_string();
            (tested.file.display().to_string(), status(NonSuccessKind::Error, message.clone(), message))
        }
        Ok(played) => {
            let failed = played.ran.failure.as_ref().map(|failure| {
                let message = format!("line {}: {}", failure.line, failure.title);
                status(NonSuccessKind::Failure, message, report::failure(failure))
            });
            let explored = played.explored.as_ref().filter(|explored| !explored.found.is_empty()).map(|explored| {
                let message = format!("{} of {} runs went wrong", explored.found.len(), explored.runs);
                status(NonSuccessKind::Failure, message, report::explored(played, explored, seed))
            });
            (played.scenario.name.clone(), failed.or(explored).unwrap_or_else(TestCaseStatus::success))
        }
    };
    let mut case = TestCase::new(name, status);
    case.set_classname(tested.file.display().to_string()).set_time(tested.took);
    case
}
