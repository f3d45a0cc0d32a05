//! The rules of the queue one by one, and all of them against a naive model.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::queue::{lane::AGED, tests::PER_LANE};

const NOW: Duration = Duration::ZERO;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn with(keys: &[(u32, Priority)]) -> State<u32> {
    let mut state = State::default();
    for (key, priority) in keys {
        state.add(*key, *priority, NOW);
    }
    state
}

/// Takes and forgets all that is ready.
fn drain(state: &mut State<u32>, now: Duration) -> Vec<u32> {
    let mut taken = Vec::new();
    while let Some((key, _)) = state.take(now) {
        state.done(&key, Done::Forget, now);
        taken.push(key);
    }
    taken
}

use Priority::{Low, Normal};

#[test]
fn keys_of_one_priority_are_taken_in_the_order_of_arrival_and_normal_ones_first() {
    let mut state = with(&[(1, Low), (2, Normal), (3, Low), (4, Normal)]);
    assert_eq!(drain(&mut state, NOW), [2, 4, 1, 3]);
}

#[test]
fn adding_again_keeps_the_place_and_takes_the_higher_priority() {
    let mut state = with(&[(1, Normal), (2, Low), (3, Normal)]);
    assert!(!state.add(2, Normal, NOW));
    assert!(!state.add(3, Low, NOW));
    assert_eq!(drain(&mut state, NOW), [1, 2, 3]);
}

#[test]
fn adding_a_delayed_key_makes_it_ready_at_once() {
    let mut state = with(&[(1, Low)]);
    state.take(NOW);
    state.done(&1, Done::After(seconds(9)), NOW);
    assert_eq!((state.take(NOW), state.next_due()), (None, Some(seconds(9))));
    state.add(1, Low, seconds(1));
    assert_eq!(state.take(seconds(1)), Some((1, NOW)));
    assert_eq!(state.next_due(), None);
}

#[test]
fn delayed_keys_ripen_in_the_order_of_their_times() {
    let mut state = with(&[(1, Normal), (2, Normal), (3, Normal)]);
    for (key, delay) in [(1, 3), (2, 1), (3, 2)] {
        state.take(NOW);
        state.done(&key, Done::After(seconds(delay)), NOW);
    }
    assert_eq!(drain(&mut state, seconds(2)), [2, 3]);
    assert_eq!(state.take(seconds(5)), Some((1, seconds(2))), "it was ready for two seconds");
}

#[test]
fn what_is_added_while_it_is_out_comes_again_with_the_higher_priority_before_its_delay() {
    let mut state = with(&[(1, Low)]);
    state.take(NOW);
    assert!(state.add(1, Low, NOW));
    assert!(!state.add(1, Normal, NOW));
    state.add(2, Low, NOW);
    assert_eq!(state.done(&1, Done::After(seconds(9)), seconds(1)), Some(seconds(1)));
    assert_eq!(drain(&mut state, seconds(1)), [1, 2]);
}

#[test]
fn a_delay_keeps_the_priority() {
    let mut state = with(&[(1, Low)]);
    state.take(NOW);
    state.done(&1, Done::After(seconds(1)), NOW);
    state.add(2, Normal, seconds(1));
    assert_eq!(drain(&mut state, seconds(1)), [2, 1]);
}

#[test]
fn giving_back_what_is_not_out_changes_nothing() {
    let mut state = with(&[(1, Normal)]);
    assert_eq!(state.done(&1, Done::After(seconds(1)), NOW), None);
    assert_eq!(state.done(&2, Done::Forget, NOW), None);
    assert_eq!(drain(&mut state, NOW), [1]);
}

#[test]
fn under_a_flood_of_edits_aged_keys_take_turns_and_young_ones_wait() {
    let mut state = with(&[(1, Low), (2, Low), (3, Low)]);
    let mut next_edit = 100;
    let mut take = |state: &mut State<u32>, now| {
        (0..6)
            .map(|_| {
                state.add(next_edit, Normal, now);
                next_edit += 1;
                let (key, _) = state.take(now).unwrap();
                state.done(&key, Done::Forget, now);
                key
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(take(&mut state, AGED - seconds(1)), [100, 101, 102, 103, 104, 105]);
    assert_eq!(take(&mut state, AGED), [1, 106, 2, 107, 3, 108]);
}

#[test]
fn plugins_take_turns_so_that_one_with_many_keys_does_not_delay_anothers_few() {
    let (noisy, small) = (|key| key, |key| PER_LANE + key);
    let mut state = State::default();
    for key in 0..1_000 {
        state.add(noisy(key), Normal, NOW);
    }
    (0..3).for_each(|key| _ = state.add(small(key), Normal, NOW));
    let first = drain(&mut state, NOW)[..6].to_vec();
    assert_eq!(first, [noisy(0), small(0), noisy(1), small(1), noisy(2), small(2)]);
}

#[test]
fn what_somebody_waits_for_goes_before_what_another_plugin_can_wait_for() {
    let other = PER_LANE;
    let mut state = with(&[(1, Low), (2, Low), (other, Normal), (other + 1, Normal)]);
    assert_eq!(drain(&mut state, NOW), [other, other + 1, 1, 2]);
    let mut state = with(&[(1, Low), (2, Low), (other, Normal), (other + 1, Normal)]);
    assert_eq!(drain(&mut state, AGED), [1, other, 2, other + 1], "once aged they take turns");
}

#[test]
fn no_more_keys_of_a_plugin_are_out_than_its_limit_and_others_go_on() {
    let other = PER_LANE;
    let mut state = with(&[(1, Normal), (2, Normal), (3, Normal), (other, Low)]);
    state.bound([(0, Bounds { running_max: 2, ..Bounds::default() })].into());
    let take = |state: &mut State<u32>| state.take(NOW).map(|(key, _)| key);
    assert_eq!([(); 4].map(|()| take(&mut state)), [Some(1), Some(2), Some(other), None]);
    state.done(&1, Done::Forget, NOW);
    assert_eq!(take(&mut state), Some(3));
    state.bound(HashMap::new());
    state.add(4, Low, NOW);
    assert_eq!(take(&mut state), Some(4), "a limit may be taken away");
}

/// What the queue should be, with no thought for speed: a list of entries in
/// the order of arrival, searched from the front.
#[derive(Default)]
struct Model {
    waiting: Vec<(u32, Priority, Duration)>,
    out: BTreeMap<u32, (Priority, Option<Priority>)>,
    took_aged: bool,
}

impl Model {
    fn add(&mut self, key: u32, priority: Priority, now: Duration) {
        if let Some((_, added)) = self.out.get_mut(&key) {
            *added = (*added).max(Some(priority));
            return;
        }
        let known = self.waiting.iter().position(|(waiting, ..)| *waiting == key);
        match known {
            Some(at) if self.waiting[at].2 > now => {
                let (_, before, _) = self.waiting.remove(at);
                self.waiting.push((key, before.max(priority), now));
            }
            Some(at) => self.waiting[at].1 = self.waiting[at].1.max(priority),
            None => self.waiting.push((key, priority, now)),
        }
    }

    fn take(&mut self, now: Duration) -> Option<u32> {
        let first =
            |priority| self.waiting.iter().position(|(_, waiting, ready)| *waiting == priority && *ready <= now);
        let (normal, low) = (first(Normal), first(Low));
        let aged = low.is_some_and(|at| now - self.waiting[at].2 >= AGED);
        let from_low = normal.is_none() || (aged && !self.took_aged);
        let at = if from_low { low? } else { normal? };
        self.took_aged = from_low && aged;
        let (key, priority, _) = self.waiting.remove(at);
        self.out.insert(key, (priority, None));
        Some(key)
    }

    fn done(&mut self, key: u32, done: Done, now: Duration) {
        match (self.out.remove(&key), done) {
            (Some((_, Some(added))), _) => self.add(key, added, now),
            (Some((priority, None)), Done::After(delay)) => {
                self.waiting.push((key, priority, now + delay));
            }
            _ => {}
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Add(u32, Priority),
    Take,
    Forget(usize),
    After(usize, u64),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let priority = prop_oneof![Just(Low), Just(Normal)];
    prop_oneof![
        3 => (0_u32..6, priority).prop_map(|(key, priority)| Step::Add(key, priority)),
        3 => Just(Step::Take),
        1 => (0_usize..6).prop_map(Step::Forget),
        2 => (0_usize..6, 0_u64..9).prop_map(|(at, delay)| Step::After(at, delay)),
        1 => (0_u64..7).prop_map(Step::Pass),
    ]
}

proptest! {
    #[test]
    fn it_does_what_a_naive_model_does(steps in prop::collection::vec(step(), 0..120)) {
        let (mut state, mut model) = (State::default(), Model::default());
        let mut now = NOW;
        for step in steps {
            let out = model.out.keys().copied().collect::<Vec<_>>();
            match step {
                Step::Add(key, priority) => {
                    state.add(key, priority, now);
                    model.add(key, priority, now);
                }
                Step::Take => {
                    let taken = state.take(now).map(|(key, _)| key);
                    prop_assert!(taken.is_none_or(|key| !out.contains(&key)), "{taken:?} is out twice");
                    prop_assert_eq!(taken, model.take(now));
                }
                Step::Forget(at) if !out.is_empty() => {
                    let key = out[at % out.len()];
                    state.done(&key, Done::Forget, now);
                    model.done(key, Done::Forget, now);
                }
                Step::After(at, delay) if !out.is_empty() => {
                    let (key, done) = (out[at % out.len()], Done::After(seconds(delay)));
                    state.done(&key, done, now);
                    model.done(key, done, now);
                }
                Step::Pass(passed) => {
                    // What ripens goes behind what was ready, by its time.
                    let old = now;
                    now += seconds(passed);
                    let (mut ripe, rest): (Vec<_>, Vec<_>) =
                        model.waiting.drain(..).partition(|(_, _, ready)| *ready > old && *ready <= now);
                    ripe.sort_by_key(|(_, _, ready)| *ready);
                    model.waiting = rest;
                    model.waiting.extend(ripe);
                }
                Step::Forget(_) | Step::After(..) => {}
            }
            let stats = state.stats(now);
            prop_assert_eq!(stats.running, model.out.len());
            prop_assert_eq!(stats.ready + stats.delayed, model.waiting.len());
        }
    }

    #[test]
    fn no_key_starves_whatever_is_added(low in 1_u32..20, flood in 1_usize..4) {
        let mut state = State::default();
        for key in 0..low {
            state.add(key, Low, NOW);
        }
        let mut edits = 1_000_u32..;
        let mut left = low;
        // Once aged, each of them is at most two turns away from the one before.
        for _ in 0..2 * low {
            for edit in edits.by_ref().take(flood) {
                state.add(edit, Normal, AGED);
            }
            let (key, _) = state.take(AGED).expect("there are edits");
            state.done(&key, Done::Forget, AGED);
            left -= u32::from(key < low);
        }
        prop_assert_eq!(left, 0);
    }
}
