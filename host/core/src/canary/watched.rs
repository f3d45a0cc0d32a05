//! What a canary's process keeps in memory: since when objects fail, and since when a step
//! has been steady. Nothing rests on it but time; a new process waits a little longer.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    time::Duration,
};

use crate::{id::Uid, promotion::gate::Tally};

use super::{
    Member,
    mark::{Fares, Report},
};

/// What a retry mends is mended by then, see the gate of promotions.
const FAILING_AFTER: Duration = Duration::from_secs(5);
/// Where nothing has come of any object for so long, nothing will of those that are waited
/// for: longer than a Lease that has to be waited out, and the pace of most plugins.
const OVERDUE_AFTER: Duration = Duration::from_secs(60);

/// What is kept of one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Watched {
    /// Which attempt.
    pub(super) attempt: i64,
    pub(super) tried: BTreeSet<Uid>,
    /// When one was tried for the first time last.
    pub(super) newest: Duration,
    pub(super) failing: BTreeMap<Uid, Duration>,
    /// The objects that are waited for, and since when it is these.
    pub(super) awaited: (BTreeSet<Uid>, Duration),
    /// The step whose objects have all been tried, and since when.
    pub(super) steady: Option<(usize, Duration)>,
    /// Since when nobody has served the instance that is tried.
    pub(super) unserved: Option<Duration>,
}

impl Watched {
    /// Those of the objects that are waited for of which nothing is to be expected.
    pub(super) fn overdue(&mut self, members: &[Member], now: Duration) -> BTreeSet<Uid> {
        let awaited = members.iter().filter(|member| member.is_awaited()).map(|member| member.uid.clone());
        let awaited = awaited.collect::<BTreeSet<_>>();
        if awaited != self.awaited.0 {
            self.awaited = (awaited, now);
        }
        let (awaited, since) = &self.awaited;
        if now.saturating_sub(*since) >= OVERDUE_AFTER { awaited.clone() } else { BTreeSet::new() }
    }

    /// Takes up what is seen of the objects that were moved, and counts them. Those that
    /// nobody looks at fail as those that are looked at and fail.
    pub(super) fn note(&mut self, attempt: i64, members: &[Member], overdue: &BTreeSet<Uid>, now: Duration) -> Tally {
        if self.attempt != attempt {
            *self = Self { attempt, awaited: mem::take(&mut self.awaited), ..Self::default() };
        }
        let counted = members.iter().filter(|member| member.counts(attempt));
        let reports = counted.filter_map(|member| Some((member, member.report.as_ref()?))).collect::<Vec<_>>();
        let tried = reports.iter().map(|(member, _)| member.uid.clone()).collect::<BTreeSet<_>>();
        if !tried.is_subset(&self.tried) {
            self.newest = now;
        }
        self.tried = tried;
        let since = mem::take(&mut self.failing);
        let mut tally = Tally { tried: reports.len(), ..Tally::default() };
        for (member, Report { fares, .. }) in reports {
            let Fares::Badly { for_good, why } = fares else { continue };
            let first = *since.get(&member.uid).unwrap_or(&now);
            self.failing.insert(member.uid.clone(), first);
            if *for_good || now.saturating_sub(first) >= FAILING_AFTER {
                tally.failing += 1;
                tally.example.get_or_insert_with(|| format!("{}: {why}", member.place));
            }
        }
        for member in members.iter().filter(|member| member.counts(attempt) && overdue.contains(&member.uid)) {
            tally.tried += 1;
            tally.failing += 1;
            tally.example.get_or_insert_with(|| format!("{}: nobody has looked at it there", member.place));
        }
        tally.quiet = now.saturating_sub(self.newest);
        tally
    }

    /// How long a step has been steady; a step that is not over stays so when objects come.
    pub(super) fn steady(&mut self, step: usize, complete: bool, now: Duration) -> Option<Duration> {
        self.steady = self.steady.filter(|(of, _)| *of == step).or(complete.then_some((step, now)));
        self.steady.map(|(_, since)| now.saturating_sub(since))
    }

    /// The time of the step does not count, nor that of what is waited for.
    pub fn unsteady(&mut self) {
        self.steady = None;
        self.awaited = Default::default();
    }

    /// For how long nobody has served the instance.
    pub(super) fn unserved(&mut self, is_served: bool, now: Duration) -> Duration {
        self.unserved = if is_served { None } else { self.unserved.or(Some(now)) };
        self.unserved.map_or(Duration::ZERO, |since| now.saturating_sub(since))
    }
}
