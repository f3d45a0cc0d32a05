//! The machine, explored: all of its states that any sequence of observations leads to,
//! beside a slot that does what it is told.

use std::collections::{HashMap, HashSet};

use super::{shadow::Shadow, *};

/// The clock stands still; what passes is the age of a probation.
const NOW: Duration = Duration::from_secs(100);
const PROBATION: Duration = Duration::from_secs(2);

/// What a slot holds, by what it was told alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct Slot {
    coming: Option<u8>,
    serving: Option<u8>,
    last_good: Option<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Event {
    Changed(u8),
    Gone,
    Refused,
    Loaded { accepted: bool },
    Ready { accepted: bool, shadow: bool },
    Shadowed { well: bool, counts: bool },
    SecondPasses,
    Well,
    WellNotCounted,
    Worse,
    Told(u8),
    Disowned,
    Replaced,
}

const EVENTS: [Event; 23] = [
    Event::Changed(1),
    Event::Changed(2),
    Event::Changed(3),
    Event::Gone,
    Event::Refused,
    Event::Loaded { accepted: false },
    Event::Loaded { accepted: true },
    Event::Ready { accepted: false, shadow: false },
    Event::Ready { accepted: true, shadow: false },
    Event::Ready { accepted: false, shadow: true },
    Event::Ready { accepted: true, shadow: true },
    Event::Shadowed { well: true, counts: true },
    Event::Shadowed { well: true, counts: false },
    Event::Shadowed { well: false, counts: true },
    Event::SecondPasses,
    Event::Well,
    Event::WellNotCounted,
    Event::Worse,
    Event::Told(1),
    Event::Told(2),
    Event::Told(3),
    Event::Disowned,
    Event::Replaced,
];

fn hash(of: u8) -> Hash {
    Hash::of([&[of][..]])
}

fn shadow_terms() -> Shadow {
    Shadow { lasts: PROBATION, ..Shadow::default() }
}

fn terms(accepted: Option<u8>) -> Terms {
    Terms { probation: PROBATION, accepted: accepted.map(hash), ..Terms::default() }
}

/// What an event leaves, and what the machine said; none where it cannot happen.
fn step(machine: &Promotion, slot: &Slot, event: Event) -> Option<(Promotion, Slot, Option<Action>)> {
    let (mut machine, mut slot) = (machine.clone(), slot.clone());
    let of = |accepted: bool| slot.coming.map(|it| (hash(it), terms(accepted.then_some(it))));
    let worse = Verdict::Worse("it traps".into());
    let watched = |verdict, counts| (verdict, counts, terms(None));
    let action = match event {
        Event::Changed(to) => {
            slot.coming = Some(to);
            machine.observe(&Observation::Changed)
        }
        Event::Gone => {
            slot = Slot::default();
            machine.observe(&Observation::Gone)
        }
        Event::Refused => {
            slot.coming.take()?;
            machine.observe(&Observation::Refused)
        }
        Event::Loaded { accepted } => {
            let (generation, terms) = of(accepted)?;
            machine.observe(&Observation::Loaded(generation, &terms))
        }
        Event::Ready { accepted, shadow } => {
            let (generation, mut terms) = of(accepted)?;
            terms.shadow = shadow.then(shadow_terms);
            machine.observe(&Observation::Ready(generation, &terms, NOW))
        }
        Event::Shadowed { well, counts } => {
            let terms = Terms { shadow: Some(shadow_terms()), ..terms(None) };
            let verdict = if well { &Verdict::Well } else { &worse };
            machine.observe(&Observation::Shadowed { verdict, counts, terms: &terms, now: NOW })
        }
        Event::SecondPasses => {
            let earlier =
                |since: &mut Duration| *since = since.saturating_sub(Duration::from_secs(1)).max(NOW - PROBATION);
            let before = machine.clone();
            if let Serving::Probation { since, .. } = &mut machine.serving {
                earlier(since);
            }
            if let File::Shadows { since, .. } = &mut machine.file {
                earlier(since);
            }
            (machine != before).then_some(())?;
            None
        }
        Event::Told(of) => machine.observe(&Observation::Told(&Rejected { generation: hash(of), why: "told".into() })),
        Event::Disowned => machine.observe(&Observation::Disowned("by hand")),
        Event::Replaced => machine.observe(&Observation::Replaced),
        Event::Well | Event::WellNotCounted | Event::Worse => {
            let (verdict, counts, terms) = match event {
                Event::Worse => watched(&worse, true),
                Event::Well => watched(&Verdict::Well, true),
                _ => watched(&Verdict::Well, false),
            };
            machine.observe(&Observation::Watched { verdict, counts, terms: &terms, now: NOW })
        }
    };
    match &action {
        Some(Action::Shadow) => assert!(slot.coming.is_some() && slot.serving.is_some(), "one is beside the other"),
        Some(Action::Swap { on_probation }) => {
            let before = std::mem::replace(&mut slot.serving, slot.coming.take());
            slot.last_good = slot.last_good.or(before).filter(|_| *on_probation);
        }
        Some(Action::RollBack) => slot.serving = Some(slot.last_good.take().expect("there is one")),
        Some(Action::DropLastGood) => assert!(slot.last_good.take().is_some(), "there is one"),
        Some(Action::DropCandidate) => assert!(slot.coming.take().is_some(), "there is one"),
        Some(Action::Stop) => slot.serving = None,
        None => {}
    }
    Some((machine, slot, action))
}

/// All that a state is, in a form that the order of what was rejected does not change.
fn known(machine: &Promotion, slot: &Slot) -> (String, Slot) {
    let mut rejected = machine.rejected().map(|it| it.generation).collect::<Vec<_>>();
    rejected.sort();
    (format!("{:?} {:?} {rejected:?}", machine.file, machine.serving), slot.clone())
}

type States = HashMap<(String, Slot), Vec<(Event, Option<Action>, (String, Slot))>>;

/// All states, each with where every event leads; each step is checked as it is made.
fn explore() -> States {
    let mut states = States::new();
    let mut open = vec![(Promotion::default(), Slot::default())];
    while let Some((machine, slot)) = open.pop() {
        let name = known(&machine, &slot);
        if states.contains_key(&name) {
            continue;
        }
        let mut ways = Vec::new();
        for event in EVENTS {
            let Some((next, then, action)) = step(&machine, &slot, event) else { continue };
            holds((&machine, &slot), event, (&next, &then), action.as_ref());
            ways.push((event, action, known(&next, &then)));
            open.push((next, then));
        }
        states.insert(name, ways);
    }
    states
}

/// What holds of each step.
fn holds(before: (&Promotion, &Slot), event: Event, after: (&Promotion, &Slot), action: Option<&Action>) {
    let (machine, slot) = after;
    let context = format!("{before:?}\n{event:?} {action:?}\n{after:?}");
    let serving = match machine.serving {
        Serving::Nothing => (None, None),
        Serving::Good(good) => (Some(good), None),
        Serving::Probation { generation, last_good, .. } => (Some(generation), Some(last_good)),
    };
    assert_eq!(serving, (slot.serving.map(hash), slot.last_good.map(hash)), "it says what serves\n{context}");
    assert!(serving.0 != serving.1 || serving.0.is_none(), "none makes way for itself\n{context}");
    if let (Some(Action::Swap { .. }), Event::Ready { accepted: false, .. } | Event::Shadowed { .. }) = (action, event)
    {
        let coming = before.1.coming.map(hash).expect("it has come");
        assert_eq!(before.0.why_rejected(coming), None, "what is bad is not served unasked\n{context}");
    }
    if before.1.serving.is_some() && slot.serving.is_none() {
        let nothing_left = matches!(action, Some(Action::Stop)) && before.1.last_good.is_none();
        assert!(event == Event::Gone || nothing_left, "what serves stays until something better does\n{context}");
    }
    if let Some(Action::RollBack) = action {
        assert_eq!(slot.serving, before.1.last_good, "{context}");
    }
    for rejected in before.0.rejected() {
        assert!(machine.why_rejected(rejected.generation).is_some(), "what was found is remembered\n{context}");
    }
    let waits = slot.coming.is_some();
    let shadows = if let File::Shadows { generation, .. } = machine.file { Some(generation) } else { None };
    assert_eq!(machine.file == File::Coming || shadows.is_some(), waits, "what is coming is known to be\n{context}");
    if let Some(shadows) = shadows {
        assert_eq!(Some(shadows), slot.coming.map(hash), "none shadows but what is coming\n{context}");
    }
    if matches!((action, event), (Some(Action::Swap { .. }), Event::Shadowed { .. })) {
        let File::Shadows { since, .. } = before.0.file else { panic!("it did not shadow\n{context}") };
        assert!(NOW - since >= PROBATION, "it shadows as long as it has to\n{context}");
    }
    if let (Some(Action::Swap { on_probation }), Event::Ready { shadow: true, .. }) = (action, event) {
        let is_bad = before.1.serving.is_some_and(|it| before.0.why_rejected(hash(it)).is_some());
        assert!(!on_probation || is_bad || before.1.coming == before.1.serving, "what has to shadow does\n{context}");
    }
}

#[test]
fn in_every_state_that_can_be_reached_what_must_hold_does() {
    let states = explore();
    assert!(states.len() > 100, "only {} states", states.len());
}

#[test]
fn every_state_but_that_of_a_file_at_rest_is_left_by_something_else_than_a_change_of_the_file() {
    for (state, ways) in explore() {
        let moves = |(event, _, to): &&(Event, Option<Action>, (String, Slot))| {
            !matches!(event, Event::Changed(_) | Event::Gone | Event::Told(_) | Event::Disowned | Event::Replaced)
                && *to != state
        };
        let rests = state.1.coming.is_none() && state.1.last_good.is_none();
        assert_eq!(ways.iter().filter(moves).count() == 0, rests, "{state:?}: {ways:?}");
    }
}

#[test]
fn every_probation_ends_either_way() {
    let states = explore();
    let leads = |from: &(String, Slot), wanted: &Action| {
        let (mut seen, mut open) = (HashSet::new(), vec![from.clone()]);
        while let Some(state) = open.pop() {
            if !seen.insert(state.clone()) {
                continue;
            }
            let passing = |event: &Event| matches!(event, Event::SecondPasses | Event::Well | Event::Worse);
            for (_, action, to) in states[&state].iter().filter(|(event, ..)| passing(event)) {
                if action.as_ref() == Some(wanted) {
                    return true;
                }
                open.push(to.clone());
            }
        }
        false
    };
    for state in states.keys().filter(|(_, slot)| slot.last_good.is_some()) {
        assert!(leads(state, &Action::DropLastGood) && leads(state, &Action::RollBack), "{state:?}");
    }
}

#[test]
fn every_shadow_ends_either_way() {
    for (state, ways) in explore().iter().filter(|((name, _), _)| name.starts_with("Shadows")) {
        let leads =
            |wanted: &dyn Fn(&Action) -> bool| ways.iter().any(|(_, action, _)| action.as_ref().is_some_and(wanted));
        assert!(leads(&|action| *action == Action::DropCandidate), "{state:?}");
        assert!(leads(&|action| matches!(action, Action::Swap { .. })), "{state:?}: a person may accept it");
    }
}

#[test]
fn what_serves_before_is_what_a_shadow_is_compared_with_and_a_rollback_begins_it_anew() {
    let mut machine = Promotion::default();
    let (good, on_probation) = (hash(1), hash(2));
    machine.observe(&Observation::Ready(good, &terms(None), NOW));
    machine.observe(&Observation::Ready(on_probation, &terms(None), NOW));
    let shadow = Terms { shadow: Some(shadow_terms()), ..terms(None) };
    machine.observe(&Observation::Changed);
    assert_eq!(machine.observe(&Observation::Ready(hash(3), &shadow, NOW)), Some(Action::Shadow));
    let worse = Verdict::Worse("it traps".into());
    let watched = Observation::Watched { verdict: &worse, counts: true, terms: &terms(None), now: NOW };
    assert_eq!(machine.observe(&watched), Some(Action::RollBack));
    assert_eq!(machine.observe(&Observation::Ready(hash(3), &shadow, NOW)), Some(Action::Shadow));
}

#[test]
fn only_so_many_bad_ones_are_remembered_and_the_oldest_goes_first() {
    let mut machine = Promotion::default();
    for number in 0..=u8::try_from(REJECTED_MAX).unwrap() {
        machine.observe(&Observation::Told(&Rejected { generation: hash(number), why: "told".into() }));
    }
    assert_eq!((machine.why_rejected(hash(0)), machine.why_rejected(hash(1))), (None, Some("told")));
    assert_eq!(machine.rejected().count(), REJECTED_MAX);
}
