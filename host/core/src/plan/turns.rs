//! Whose turn it is in a rolling update. A child has moved once it was made from
//! what is wanted now, whatever changed that: its object, the plugin or its config.

use std::collections::{BTreeMap, BTreeSet};

use super::{Child, Ours};
use crate::{
    answer::Desired,
    description::Update,
    id::Place,
    marks,
    object::Object,
    rollout::{Counts, Progress, Rollout, State, is_made_from, moves},
};

/// The children whose turn has not come, with what they are held to until then:
/// the wish that they were made from, where an earlier revision still says it.
#[derive(Default)]
pub(super) struct Turns<'a> {
    held: BTreeMap<&'a Place, Option<&'a Desired>>,
    pub(super) progress: Option<Progress>,
}

impl<'a> Turns<'a> {
    /// Gives each child of a kind that rolls its turn, in the order of the answer; broken ones come first.
    pub(super) fn of(rollout: &'a Rollout, children: &[Child<'a>], ours: &Ours<'a>) -> Self {
        let mut turns = Self::default();
        let mut progress = Progress { counts: Counts::default(), waits_for: None };
        let kinds = children.first().map_or(&[][..], |child| child.input.kinds);
        for (kind, spec) in kinds.iter().enumerate().filter(|(_, spec)| spec.update.is_rolling()) {
            let of_kind = children.iter().filter(|child| child.desired.kind == kind);
            let of_kind = of_kind.map(|child| (child, ours.get(&child.desired.place).map(|(_, live)| &***live)));
            let of_kind = of_kind.map(|(child, live)| (child, live, child.state(live))).collect::<Vec<_>>();
            let states = of_kind.iter().map(|(.., state)| *state).collect::<Vec<_>>();
            let max = spec.rolling.max_unavailable.of(states.len());
            let start = if rollout.kept { moves(&states, max) } else { BTreeSet::new() };
            for (at, (child, live, state)) in of_kind.into_iter().enumerate() {
                let place = &child.desired.place;
                progress.counts.all += 1;
                match state {
                    State::Moved { ready } => {
                        progress.counts.latest += 1;
                        if !ready {
                            progress.waits_for.get_or_insert_with(|| place.clone());
                        }
                    }
                    State::Missing if live.is_some() => _ = progress.waits_for.get_or_insert_with(|| place.clone()),
                    State::Missing if rollout.kept => progress.counts.moving += 1,
                    State::Earlier { .. } if start.contains(&at) => progress.counts.moving += 1,
                    State::Missing | State::Earlier { .. } => {
                        turns.held.insert(place, live.and_then(|live| made_from(rollout, live)));
                    }
                }
            }
        }
        turns.progress = Some(progress);
        turns
    }

    /// What a child is held to, if its turn has not come.
    pub(super) fn held(&self, place: &Place) -> Option<Option<&'a Desired>> {
        self.held.get(place).copied()
    }
}

/// What a child of an earlier revision was made from, where that can still be told.
fn made_from<'a>(rollout: &'a Rollout, live: &Object) -> Option<&'a Desired> {
    let earlier = rollout.earlier.get(live.meta.mark(marks::REVISION)?)?.get(&live.meta.place)?;
    is_made_from(live.meta.mark(marks::INTENT), earlier.hash).then_some(earlier)
}

impl Child<'_> {
    fn state(&self, live: Option<&Object>) -> State {
        let Some(live) = live.filter(|live| !live.meta.deleting) else { return State::Missing };
        let mark = live.meta.mark(marks::INTENT);
        let ready = || self.spec.rolling.is_ready(&live.value());
        if is_made_from(mark, self.desired.hash) {
            State::Moved { ready: self.rests(live) && ready() }
        } else {
            State::Earlier { ready: ready() }
        }
    }
}

impl Update {
    /// Whether children are moved a few at a time.
    pub fn is_rolling(self) -> bool {
        matches!(self, Self::RollingInPlace | Self::RollingRecreate)
    }
}
