//! Whole hosts in simulated time: whatever goes wrong with one write, the
//! cluster comes to the same end, and then nothing is written any more.
//!
//! Each test here runs the scenario of `site` once for each write that is
//! disturbed, and compares with the undisturbed run from the same seed: with
//! twenty Sites for a crash, with five for the other faults. `seeds` does it with
//! what is drawn from many seeds, people and faults alike. What the server refuses
//! for long has its own tests, `refusals`.

mod adopting;
mod beside;
mod canary;
mod case;
mod configs;
mod decorating;
mod deletions;
mod elsewhere;
mod exclusive;
mod found;
mod granted;
mod inheriting;
mod keeping;
mod keys;
mod leases;
mod many;
mod mirror;
mod promotion;
mod quarantine;
mod refusals;
mod reporting;
mod retiring;
mod rolling;
mod seeds;
mod selecting;
mod shadow;
mod site;
mod stage;
mod succession;
mod unserved;
mod user;
mod work;

use std::{sync::LazyLock, time::Duration};

use site::{Run, Scenario};
use trimtab_sim::{
    SETTLED,
    fault::{Fault, What, When},
};

const SEED: u64 = 1;
const HOUR: Duration = Duration::from_secs(3600);
/// Longer than the longest back-off, so that nothing can still be to come.
const QUIET: Duration = Duration::from_secs(1200);
/// Every so many runs are quiet for so long; for the others, the minute that a
/// world takes to count as settled is doubled.
const QUIET_EVERY: usize = 10;
const QUIET_SHORTLY: Duration = SETTLED;

const TWENTY: Scenario = Scenario { seed: SEED, sites: 20, fault: None, hosts: 1, quiet: HOUR };
const FIVE: Scenario = Scenario { sites: 5, ..TWENTY };

static TWENTY_UNDISTURBED: LazyLock<Run> = LazyLock::new(|| TWENTY.run());
static FIVE_UNDISTURBED: LazyLock<Run> = LazyLock::new(|| FIVE.run());

/// Disturbs each write of the scenario, one in each run.
fn disturb(scenario: &Scenario, undisturbed: &Run, what: &What) {
    for write in 1..=undisturbed.writes {
        let fault = Some(Fault { when: When::Write(write), what: what.clone() });
        let quiet = if write % QUIET_EVERY == 0 { QUIET } else { QUIET_SHORTLY };
        let run = Scenario { fault, quiet, ..*scenario }.run_to_the_end_of(undisturbed);
        if matches!(what, What::CrashBefore | What::CrashAfter) {
            let last = run.log.iter().map(|entry| entry.process).max();
            assert_eq!(last, Some(scenario.hosts + 1), "one died and one was started for it");
        }
    }
}

#[test]
fn two_runs_from_one_seed_make_the_same_requests() {
    let first = &TWENTY_UNDISTURBED.log;
    let second = TWENTY.run().log;
    if let Some(at) = first.iter().zip(&second).position(|(a, b)| a != b) {
        panic!("seed {SEED}: request {at} was\n{}\nand is\n{}", first[at], second[at]);
    }
    assert_eq!(first.len(), second.len(), "seed {SEED}");
}

#[test]
fn a_disturbed_run_can_be_repeated_too() {
    let fault = Fault { when: When::Write(20), what: What::CrashAfter };
    let run = || Scenario { fault: Some(fault.clone()), ..FIVE }.run();
    assert!(run().log == run().log, "seed {SEED}");
}

#[test]
fn other_seeds_take_other_ways_and_settle_too() {
    for seed in 2..6 {
        let other = Scenario { seed, ..FIVE }.run();
        assert!(other.log != FIVE_UNDISTURBED.log);
    }
}

#[test]
fn a_crash_after_any_write_ends_as_if_undisturbed() {
    disturb(&TWENTY, &TWENTY_UNDISTURBED, &What::CrashAfter);
}

#[test]
fn a_crash_before_any_write_ends_as_if_undisturbed() {
    disturb(&FIVE, &FIVE_UNDISTURBED, &What::CrashBefore);
}

#[test]
fn a_lost_request_is_made_up_for() {
    disturb(&FIVE, &FIVE_UNDISTURBED, &What::RequestLost);
}

#[test]
fn a_lost_answer_is_made_up_for() {
    disturb(&FIVE, &FIVE_UNDISTURBED, &What::AnswerLost);
}

#[test]
fn a_write_that_comes_late_does_no_harm() {
    disturb(&FIVE, &FIVE_UNDISTURBED, &What::Late);
}

#[test]
fn a_host_that_stands_by_takes_over_wherever_the_leader_dies() {
    let scenario = Scenario { hosts: 2, ..FIVE };
    let undisturbed = scenario.run();
    disturb(&scenario, &undisturbed, &What::CrashAfter);
}

#[test]
fn no_fault_of_a_lease_changes_the_end() {
    let faults = [What::CrashBefore, What::CrashAfter, What::RequestLost, What::AnswerLost, What::Late];
    for what in faults {
        for write in 1..=4 {
            let fault = Some(Fault { when: When::LeaseWrite(write), what: what.clone() });
            Scenario { fault, quiet: QUIET_SHORTLY, ..FIVE }.run_to_the_end_of(&FIVE_UNDISTURBED);
        }
    }
}
