//! Moves a share of an instance's objects to another instance, step by step, and back at
//! once where the [gate](crate::promotion::gate) finds that they do worse there: one
//! machine of values.
//!
//! What was moved is written on the objects ([`mark`]), what was decided in the status of
//! the `Canary`. Each decision is written before the first move that rests on it, so that
//! a process which dies between any two writes leaves nothing that the next one could
//! misread: in a step, objects go to the canary; once the status says that they go back,
//! none goes there again before the spec changes.

pub mod mark;
mod member;
mod spec;
mod watched;

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};

use self::mark::Mark;
pub use self::{
    member::{At, Member},
    spec::{BadSpec, Chosen, Spec, Step, bucket},
    watched::Watched,
};
use crate::{
    id::Uid,
    instance::InstanceKey,
    kind::Kind,
    object::Object,
    promotion::gate::{self, Verdict},
    write::Write,
};

/// The finalizer on a `Canary` that has begun: it stays until all objects are back.
pub const FINALIZER: &str = "trimtab.dev/canary";
/// The shortest hold: what fails takes half of it to be taken for failing.
const HOLD_MIN: Duration = Duration::from_secs(10);
/// An instance that nobody has served for so long gives its objects back.
const UNSERVED_MAX: Duration = Duration::from_secs(60);

/// What a canary is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum Phase {
    /// It has not begun: something is missing or in the way.
    #[default]
    Pending,
    /// A step is under way.
    Progressing,
    /// All steps are over, and the objects stay where they are.
    Passed,
    /// It did worse, and the objects go back.
    RollingBack,
    /// It did worse, and the objects are back.
    RolledBack,
    /// The stable instance serves the same build by now, and the objects go back to it.
    Promoting,
    /// The stable instance has taken over.
    Promoted,
    /// It is being deleted, and the objects go back.
    Aborting,
}

impl Phase {
    /// Whether objects are on their way back.
    pub fn goes_back(self) -> bool {
        matches!(self, Self::RollingBack | Self::Promoting | Self::Aborting)
    }

    /// Whether it is over for this spec.
    pub fn is_over(self) -> bool {
        matches!(self, Self::RolledBack | Self::Promoted)
    }
}

/// What a canary says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// In one word.
    pub phase: Phase,
    /// What it waits for, or why it went back.
    pub message: String,
    /// The generation of the spec that this was decided on.
    pub observed_generation: i64,
    /// The generation of the spec that began this attempt.
    pub attempt: i64,
    /// How many steps are over.
    pub step: usize,
    /// Hundredths of the objects that are moved in this step.
    pub percent: u8,
    /// Objects that may be moved.
    pub objects: usize,
    /// Those that have been.
    pub moved: usize,
    /// Those of them that have been looked at there.
    pub tried: usize,
    /// Those of these that fail, and did not before.
    pub failing: usize,
}

impl Status {
    /// Where it stands: what moves rest on, and what people are told at once.
    pub fn stands(&self) -> (Phase, i64, usize, u8) {
        (self.phase, self.attempt, self.step, self.percent)
    }
}

/// What one decision rests on.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// What is asked for.
    pub spec: &'a Spec,
    /// The generation of it.
    pub generation: i64,
    /// The `Canary` is being deleted.
    pub deleting: bool,
    /// What it has said last.
    pub status: &'a Status,
    /// All objects of both instances.
    pub members: &'a [Member],
    /// The build that serves in the stable instance, as a sign names it.
    pub stable: &'a str,
    /// Whether it may go on; the error says what is missing.
    pub may: Result<(), &'a str>,
    /// A monotonic time.
    pub now: Duration,
}

/// What is to be done with one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Move {
    /// It goes to the canary.
    Away,
    /// It goes back.
    Home,
    /// It has arrived, and is like any other.
    Unmark,
}

/// What comes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What is to be said.
    pub status: Status,
    /// What is to be done, by the index of the object. None while it has still to be said
    /// on what grounds.
    pub moves: Vec<(usize, Move)>,
    /// It is deleted, and nothing is left of it.
    pub is_gone: bool,
}

/// What a canary is to do now.
pub fn decide(input: &Input<'_>, watched: &mut Watched) -> Decision {
    let Input { status, members, .. } = *input;
    let mut next = status.clone();
    let is_one = |member: &&Member| member.chosen && (member.at == At::Home || member.mark.is_some());
    next.objects = members.iter().filter(is_one).count();
    next.moved = members.iter().filter(|member| member.at == At::Away && member.mark.is_some()).count();
    let has_marks = members.iter().any(|member| member.mark.is_some());
    if input.deleting && next.phase != Phase::Aborting {
        (next.phase, next.message) = (Phase::Aborting, "it is deleted, and the objects go back".into());
    }
    let begins = next.phase == Phase::Pending
        || (next.phase.is_over() && !input.deleting && status.observed_generation != input.generation);
    if begins {
        begin(input, &mut next);
    }
    let overdue = watched.overdue(members, input.now);
    match next.phase {
        Phase::Progressing | Phase::Passed => go_on(input, watched, &overdue, &mut next),
        Phase::RollingBack if !has_marks => end(input, &mut next, Phase::RolledBack),
        Phase::Promoting if !has_marks => end(input, &mut next, Phase::Promoted),
        _ => {}
    }
    let moves = if next.stands() == status.stands() { moves(input, &overdue, &next) } else { Vec::new() };
    Decision { is_gone: next.phase == Phase::Aborting && !has_marks, moves, status: next }
}

/// All are back. What was wished on the way there begins nothing.
fn end(input: &Input<'_>, next: &mut Status, phase: Phase) {
    (next.phase, next.observed_generation) = (phase, input.generation);
}

fn begin(input: &Input<'_>, next: &mut Status) {
    next.observed_generation = input.generation;
    let paused = if input.spec.paused { Err("paused before it has begun") } else { Ok(()) };
    if let Err(why) = paused.and(input.may) {
        (next.phase, next.message) = (Phase::Pending, why.into());
        return;
    }
    let percent = input.spec.step(0).map_or(0, |step| step.percent);
    *next = Status {
        phase: Phase::Progressing,
        observed_generation: input.generation,
        attempt: input.generation,
        percent,
        objects: next.objects,
        moved: next.moved,
        ..Status::default()
    };
}

/// A step is under way, or all are over.
fn go_on(input: &Input<'_>, watched: &mut Watched, overdue: &BTreeSet<Uid>, next: &mut Status) {
    let Input { spec, members, now, .. } = *input;
    next.observed_generation = input.generation;
    let tally = watched.note(next.attempt, members, overdue, now);
    let moved = || members.iter().filter(|member| member.is_moved(next.attempt));
    (next.tried, next.failing) = (moved().filter(|member| member.report.is_some()).count(), tally.failing);
    if let Verdict::Worse(why) = gate::judge(&tally, &spec.terms) {
        (next.phase, next.message) = (Phase::RollingBack, why);
        return;
    }
    let mut looked_at = moved().filter(|member| !member.rests).peekable();
    let is_stable = |member: &Member| member.report.as_ref().is_some_and(|report| report.build == input.stable);
    if looked_at.peek().is_some() && looked_at.all(is_stable) {
        (next.phase, next.message) = (Phase::Promoting, "the stable instance serves this very build".into());
        return;
    }
    let unserved = watched.unserved(input.may.is_ok(), now);
    if let Err(why) = input.may {
        watched.unsteady();
        next.message = why.into();
        if unserved >= UNSERVED_MAX && moved().count() > 0 {
            next.phase = Phase::RollingBack;
        }
        return;
    }
    step_on(input, watched, next);
}

/// Nothing stands in the way of the step, or it is over.
fn step_on(input: &Input<'_>, watched: &mut Watched, next: &mut Status) {
    let Input { spec, members, now, .. } = *input;
    let moved = || members.iter().filter(|member| member.is_moved(next.attempt));
    let step = spec.step(next.step);
    next.percent = step.map_or(spec.last_percent(), |step| step.percent);
    let Some(step) = step else {
        next.phase = Phase::Passed;
        next.message = "all steps are over: let the stable instance serve this build and the objects return to it, \
                        or delete this and they return as it is"
            .into();
        return;
    };
    next.phase = Phase::Progressing;
    if spec.paused {
        watched.unsteady();
        next.message = format!("paused at {} %", step.percent);
        return;
    }
    let tried = to_move(input, next).is_empty() && moved().all(Member::is_tried);
    let complete = tried && moved().any(|member| member.proves(next.attempt));
    let hold = step.hold().max(HOLD_MIN);
    let steady = watched.steady(next.step, complete, now);
    next.message = match steady {
        Some(_) => format!("{} % of the objects are watched for {} s", step.percent, hold.as_secs()),
        None if tried => "no object that was well before is so there, so nothing is shown by any: see which objects \
                          the spec chooses, and what they say"
            .into(),
        None => format!("{} % of the objects are moved and looked at", step.percent),
    };
    if complete && steady.is_some_and(|steady| steady >= hold) {
        next.step = if spec.promote { spec.steps.len() } else { next.step + 1 };
        next.percent = spec.step(next.step).map_or(spec.last_percent(), |step| step.percent);
        watched.unsteady();
    }
}

/// What is to be done in the phase that the status says.
fn moves(input: &Input<'_>, overdue: &BTreeSet<Uid>, status: &Status) -> Vec<(usize, Move)> {
    match status.phase {
        Phase::Progressing | Phase::Passed if input.may.is_ok() && !input.spec.paused => {
            to_move(input, status).into_iter().map(|index| (index, Move::Away)).collect()
        }
        phase if phase.goes_back() => input
            .members
            .iter()
            .enumerate()
            .filter_map(|(index, member)| Some((index, back(member, overdue)?)))
            .collect(),
        _ => Vec::new(),
    }
}

/// Those that go to the canary in a step. Where the hash takes none, one goes all the
/// same: a step that tries nothing says nothing. Who was taken back by hand stays there.
fn to_move(input: &Input<'_>, status: &Status) -> Vec<usize> {
    let limit = u16::from(status.percent) * 100;
    let members = input.members.iter().enumerate();
    let free = members.filter(|(_, it)| it.at == At::Home && it.mark.is_none() && it.chosen).collect::<Vec<_>>();
    let none_is_moved = !input.members.iter().any(|member| member.is_moved(status.attempt));
    let first = free.iter().min_by_key(|(_, it)| (bucket(&it.uid), &it.uid)).filter(|_| none_is_moved && limit > 0);
    let first = first.map(|(index, _)| *index);
    let taken = |(index, it): &(usize, &Member)| bucket(&it.uid) < limit || Some(*index) == first;
    free.into_iter().filter(taken).map(|(index, _)| index).collect()
}

/// The way back of one object: home, and its mark off when it is well there again, or
/// nothing more is to be expected.
fn back(member: &Member, overdue: &BTreeSet<Uid>) -> Option<Move> {
    member.mark.as_ref()?;
    match member.at {
        At::Away => Some(Move::Home),
        At::Home if member.is_awaited() && !overdue.contains(&member.uid) => None,
        At::Home | At::Elsewhere => Some(Move::Unmark),
    }
}

/// Who moves an object, and as what.
#[derive(Debug, Clone, Copy)]
pub struct Mover<'a> {
    /// What is asked for.
    pub spec: &'a Spec,
    /// The uid of the `Canary`.
    pub canary: &'a Uid,
    /// Which attempt.
    pub attempt: i64,
    /// The objects' kind.
    pub kind: &'a Kind,
    /// Where they say whose they are.
    pub key: &'a InstanceKey,
    /// RFC 3339.
    pub now: &'a str,
}

impl Mover<'_> {
    /// The write that a move is.
    pub fn write(&self, object: &Object, what: Move) -> Write {
        let Spec { lineage, from, to, .. } = self.spec;
        let write = |to| mark::write(&object.meta, self.kind, lineage, self.key, to);
        match what {
            Move::Away => write(Some((to, &self.mark(object)))),
            Move::Home => {
                let mark = Mark::of(&object.meta).unwrap_or_else(|| self.mark(object));
                write(Some((from, &Mark { back: true, ..mark })))
            }
            Move::Unmark => write(None),
        }
    }

    fn mark(&self, object: &Object) -> Mark {
        Mark {
            canary: self.canary.as_str().to_owned(),
            attempt: self.attempt,
            from: self.spec.from.as_str().to_owned(),
            well: mark::is_well(object),
            wish: object.meta.generation,
            since: self.now.to_owned(),
            back: false,
        }
    }
}

#[cfg(test)]
mod tests;
