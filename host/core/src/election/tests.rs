//! The elector by cases, then two of them against a store that compares and
//! swaps, over a network that loses, delays and repeats.

mod two_electors;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn elector() -> Elector {
    Elector::new("me".into(), Timings::default(), 0)
}

fn record(resource_version: u64, holder: &str) -> Record {
    Record { resource_version, holder: holder.into(), transitions: 3, is_newer: false }
}

fn written(step: Step) -> Proposal {
    let Step::Write(proposal) = step else { panic!("{step:?} is no write") };
    proposal
}

/// An elector that took the Lease at resource version 2 with a write begun at 1 s.
fn leader() -> Elector {
    let mut elector = elector();
    elector.seen(SECOND, record(1, ""));
    let proposal = written(elector.step(SECOND));
    assert_eq!(proposal, Proposal { on: Some(1), holder: "me".into(), acquires: true, transitions: 4 });
    elector.answered(SECOND * 3, Answer::Stored(record(2, "me")));
    elector
}

#[test]
fn an_elector_that_never_saw_the_lease_creates_it_at_once() {
    let mut elector = elector();
    assert_eq!(elector.step(SECOND), Step::Read);
    elector.seen_gone(SECOND, None);
    let proposal = written(elector.step(SECOND));
    assert_eq!((proposal.on, proposal.transitions, proposal.acquires), (None, 0, true));
}

#[test]
fn an_elector_that_saw_the_lease_waits_out_its_vanishing() {
    let mut elector = elector();
    elector.seen(SECOND, record(1, "other"));
    elector.seen_gone(SECOND * 5, Some(2));
    elector.seen_gone(SECOND * 9, None);
    assert_eq!(elector.step(SECOND * 10), Step::Wait(SECOND * 20));
    assert_eq!(written(elector.step(SECOND * 20)).on, None);
}

#[test]
fn a_leader_whose_lease_is_deleted_makes_it_again_at_once() {
    let mut leader = leader();
    leader.seen_gone(SECOND * 4, Some(3));
    assert_eq!(written(leader.step(SECOND * 4)).on, None);
    assert!(leader.leads(SECOND * 4));
}

#[test]
fn a_leader_leads_from_the_answer_until_the_deadline_counted_from_before_it_asked() {
    let leader = leader();
    assert_eq!(leader.leading_until(), Some(SECOND * 11));
    assert!(leader.leads(SECOND * 3) && !leader.leads(SECOND * 11));
}

#[test]
fn renewals_go_on_at_the_retry_period_and_count_no_transition() {
    let mut leader = leader();
    assert_eq!(leader.step(SECOND * 2), Step::Wait(SECOND * 3));
    let renewal = written(leader.step(SECOND * 3));
    assert_eq!(renewal, Proposal { on: Some(2), holder: "me".into(), acquires: false, transitions: 3 });
}

#[test]
fn a_leader_with_news_renews_at_once_and_then_as_ever() {
    let mut leader = leader();
    leader.renew();
    assert!(!written(leader.step(SECOND * 3)).acquires);
    leader.answered(SECOND * 3, Answer::Stored(record(3, "me")));
    assert_eq!(leader.step(SECOND * 3), Step::Wait(SECOND * 5));
    let mut standby = elector();
    standby.seen(SECOND, record(1, "other"));
    standby.renew();
    assert_eq!(standby.step(SECOND * 2), Step::Wait(SECOND * 16), "it is not its Lease");
}

#[test]
fn a_held_lease_is_taken_only_after_it_was_seen_unchanged_for_its_whole_length() {
    let mut elector = elector();
    elector.seen(SECOND, record(1, "other"));
    elector.seen(SECOND * 10, record(2, "other"));
    elector.seen(SECOND * 20, record(2, "other"));
    assert_eq!(elector.step(SECOND * 20), Step::Wait(SECOND * 25));
    assert_eq!(written(elector.step(SECOND * 25)).on, Some(2));
}

#[test]
fn a_released_lease_is_taken_at_once() {
    let mut elector = elector();
    elector.seen(SECOND, record(1, "other"));
    elector.seen(SECOND * 2, record(2, ""));
    assert_eq!(written(elector.step(SECOND * 2)).on, Some(2));
}

#[test]
fn a_lease_that_a_newer_release_has_written_is_left_to_it_until_somebody_says_otherwise() {
    let newer = |resource_version, holder| Record { is_newer: true, ..record(resource_version, holder) };
    let mut leader = leader();
    leader.seen(SECOND * 4, newer(3, "other"));
    leader.seen(SECOND * 5, newer(4, ""));
    assert!(!leader.leads(SECOND * 5));
    assert_eq!(leader.step(SECOND * 1000), Step::Wait(Duration::MAX), "neither released nor run out is it taken");
    leader.seen(SECOND * 1001, record(5, ""));
    assert_eq!(written(leader.step(SECOND * 1001)).on, Some(5));
    leader.seen(SECOND * 1002, newer(6, "me"));
    assert!(!leader.leads(SECOND * 1002), "not even its own");
}

#[test]
fn late_news_of_an_older_lease_changes_nothing() {
    let mut leader = leader();
    leader.seen(SECOND * 4, record(1, "other"));
    leader.seen_gone(SECOND * 4, Some(1));
    assert!(leader.leads(SECOND * 4));
    assert_eq!(written(leader.step(SECOND * 4)).on, Some(2));
}

#[test]
fn a_read_that_found_none_does_not_outdo_the_news_that_came_meanwhile() {
    let mut elector = elector();
    assert_eq!(elector.step(SECOND), Step::Read);
    elector.seen(SECOND * 2, record(1, "other"));
    elector.seen_gone(SECOND * 3, None);
    assert_eq!(elector.holder(), Some("other"));
}

#[test]
fn a_leader_that_sees_another_holder_stops_at_once() {
    let mut leader = leader();
    leader.seen(SECOND * 4, record(3, "other"));
    assert!(!leader.leads(SECOND * 4));
    assert_eq!(leader.holder(), Some("other"));
}

#[test]
fn an_answer_that_was_overtaken_makes_no_leader() {
    let mut elector = elector();
    elector.seen(SECOND, record(1, ""));
    written(elector.step(SECOND));
    elector.seen(SECOND * 2, record(3, "other"));
    elector.answered(SECOND * 3, Answer::Stored(record(2, "me")));
    assert!(!elector.leads(SECOND * 3));
}

#[test]
fn after_a_lost_answer_the_same_write_is_tried_and_a_conflict_is_looked_into() {
    let mut leader = leader();
    written(leader.step(SECOND * 3));
    leader.answered(SECOND * 4, Answer::Unknown);
    assert_eq!(leader.step(SECOND * 4), Step::Wait(SECOND * 6));
    assert_eq!(written(leader.step(SECOND * 6)).on, Some(2));
    leader.answered(SECOND * 6, Answer::Conflict);
    assert_eq!(leader.step(SECOND * 7), Step::Read);
    leader.seen(SECOND * 7, record(3, "me"));
    assert_eq!(leader.leading_until(), Some(SECOND * 11), "seeing itself is no renewal");
    assert_eq!(written(leader.step(SECOND * 7)).on, Some(3));
}

#[test]
fn who_released_never_leads_again() {
    let mut leader = leader();
    written(leader.step(SECOND * 3));
    let release = leader.release().unwrap();
    assert_eq!((release.on, release.holder.as_str()), (Some(2), ""));
    leader.answered(SECOND * 3, Answer::Stored(record(3, "me")));
    assert!(!leader.leads(SECOND * 3));
    assert_eq!(leader.step(SECOND * 100), Step::Wait(Duration::MAX));
    assert_eq!(leader.release().unwrap().on, Some(3), "the renewal that was under way came first");
}

#[test]
fn electors_with_other_random_numbers_act_at_other_times() {
    let at = |random| {
        let mut elector = Elector::new("me".into(), Timings::default(), random);
        elector.seen(SECOND, record(1, "other"));
        elector.step(SECOND)
    };
    assert_eq!(at(0), Step::Wait(SECOND * 16));
    assert_eq!(at(u64::MAX), Step::Wait(Duration::from_millis(16_400)));
}
