//! The faults that are still to happen, and what becomes of them.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::asked::Asked;
use crate::fault::{Fault, Target, What, When};

/// The faults of one world.
#[derive(Default)]
pub(crate) struct Pending(Mutex<State>);

#[derive(Default)]
struct State {
    /// Whose time has not come.
    waiting: Vec<Fault>,
    /// Whose time has come, and which wait for something to happen to: the
    /// oldest first, each with whether it is for a write of a Lease.
    armed: Vec<(What, bool)>,
    writes: usize,
    lease_writes: usize,
    /// By resource, how many were shown.
    events: BTreeMap<String, usize>,
    met: Vec<(Duration, What)>,
}

impl Pending {
    pub fn new(faults: impl IntoIterator<Item = Fault>) -> Self {
        let pending = Self::default();
        pending.add(faults);
        pending
    }

    pub fn add(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state().waiting.extend(faults);
    }

    /// What has not happened yet does not happen any more.
    pub fn clear(&self) {
        let state = &mut *self.state();
        state.waiting.clear();
        state.armed.clear();
    }

    /// When the next fault that has a time is due.
    pub fn next_at(&self) -> Option<Duration> {
        let at = |fault: &Fault| match fault.when {
            When::At(at) => Some(at),
            When::Write(_) | When::LeaseWrite(_) | When::Event(_) => None,
        };
        self.state().waiting.iter().filter_map(at).min()
    }

    /// Arms what is due by time, and returns what happens to the world.
    pub fn due(&self, now: Duration) -> Vec<What> {
        let state = &mut *self.state();
        state.arm(|fault| matches!(fault.when, When::At(at) if at <= now));
        state.of_the_world(now)
    }

    /// Counts a request; what happens to it, and what happens to the world at it.
    pub fn meet(&self, asked: &Asked, now: Duration) -> (Option<What>, Vec<What>) {
        let state = &mut *self.state();
        let mut reached = When::At(now);
        if asked.writes() {
            let of_lease = asked.is_about_a_lease();
            let count = if of_lease { &mut state.lease_writes } else { &mut state.writes };
            *count += 1;
            reached = if of_lease { When::LeaseWrite(*count) } else { When::Write(*count) };
        }
        state.arm(|fault| fault.when == reached || matches!(fault.when, When::At(at) if at <= now));
        let world = state.of_the_world(now);
        (state.take_for(asked, now), world)
    }

    /// Counts an event that a watch of that resource is about to show; what
    /// happens to the world at it.
    pub fn shown(&self, resource: &str, now: Duration) -> Vec<What> {
        let state = &mut *self.state();
        let count = state.events.entry(resource.to_owned()).or_default();
        *count += 1;
        let reached = When::Event(*count);
        state.arm(|fault| fault.when == reached && fault.what.resource() == Some(resource));
        state.of_the_world(now)
    }

    /// How many events were shown so far, by resource.
    pub fn events(&self) -> BTreeMap<String, usize> {
        self.state().events.clone()
    }

    /// What has happened so far, and at which age of the world.
    pub fn met(&self) -> Vec<(Duration, What)> {
        self.state().met.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is complete before the guard goes.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn arm(&mut self, is_due: impl Fn(&Fault) -> bool) {
        let (due, waiting) = mem::take(&mut self.waiting).into_iter().partition(is_due);
        self.waiting = waiting;
        let armed = |fault: Fault| (fault.what, matches!(fault.when, When::LeaseWrite(_)));
        self.armed.extend(Vec::into_iter(due).map(armed));
    }

    fn of_the_world(&mut self, now: Duration) -> Vec<What> {
        let world = self.armed.extract_if(.., |(what, _)| what.target() == Target::World);
        let world = world.map(|(what, _)| what).collect::<Vec<_>>();
        self.met.extend(world.iter().map(|what| (now, what.clone())));
        world
    }

    fn take_for(&mut self, asked: &Asked, now: Duration) -> Option<What> {
        let at = self.armed.iter().position(|(what, of_lease)| asked.suits(what.target(), *of_lease))?;
        let what = match &mut self.armed[at].0 {
            What::Refused { by, requests } if *requests > 1 => {
                *requests -= 1;
                What::Refused { by: *by, requests: 1 }
            }
            _ => self.armed.remove(at).0,
        };
        self.met.push((now, what.clone()));
        Some(what)
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::fault::{Outage, Stream};

    const WRITE: (Method, &str) = (Method::PATCH, "/api/v1/namespaces/a/configmaps/b");
    const LEASE: (Method, &str) = (Method::PUT, "/apis/coordination.k8s.io/v1/namespaces/a/leases/b");
    const READ: (Method, &str) = (Method::GET, "/api/v1/configmaps?limit=500");

    fn meet(pending: &Pending, (method, path): (Method, &str), at_s: u64) -> Option<What> {
        let now = Duration::from_secs(at_s);
        pending.meet(&Asked { method, path: path.into() }, now).0
    }

    #[test]
    fn a_fault_of_a_write_happens_to_that_one() {
        let fault = |when| Fault { when, what: What::CrashAfter };
        let pending = Pending::new([fault(When::Write(2)), fault(When::LeaseWrite(1))]);
        assert_eq!(meet(&pending, WRITE, 0), None);
        assert_eq!(meet(&pending, READ, 0), None);
        assert_eq!(meet(&pending, WRITE, 0), Some(What::CrashAfter));
        assert_eq!(meet(&pending, LEASE, 0), Some(What::CrashAfter));
        assert_eq!(meet(&pending, LEASE, 0), None);
    }

    #[test]
    fn a_fault_that_has_a_time_waits_for_the_first_request_that_suits_it() {
        let list = What::StaleList { changes: 1 };
        let pending = Pending::new([Fault { when: When::At(Duration::from_secs(5)), what: list.clone() }]);
        assert_eq!(pending.next_at(), Some(Duration::from_secs(5)));
        assert_eq!(meet(&pending, READ, 4), None);
        assert_eq!(meet(&pending, WRITE, 6), None);
        assert_eq!(meet(&pending, READ, 7), Some(list.clone()));
        assert_eq!(meet(&pending, READ, 8), None);
        assert_eq!(pending.met(), [(Duration::from_secs(7), list)]);
    }

    #[test]
    fn an_outage_refuses_as_many_requests_as_it_says() {
        let what = What::Refused { by: Outage::Internal, requests: 3 };
        let pending = Pending::new([Fault { when: When::At(Duration::ZERO), what }]);
        let refused = (0..5).filter(|_| meet(&pending, READ, 1).is_some()).count();
        assert_eq!(refused, 3);
    }

    #[test]
    fn what_happens_to_the_world_waits_for_no_request() {
        let pending = Pending::new([
            Fault { when: When::At(Duration::from_secs(5)), what: What::Compacted },
            Fault { when: When::Write(1), what: What::LeaseDeleted },
        ]);
        assert!(pending.due(Duration::from_secs(4)).is_empty());
        assert_eq!(pending.due(Duration::from_secs(5)), [What::Compacted]);
        let asked = Asked { method: WRITE.0, path: WRITE.1.into() };
        assert_eq!(pending.meet(&asked, Duration::from_secs(6)), (None, vec![What::LeaseDeleted]));
    }

    #[test]
    fn a_fault_of_an_event_happens_before_that_one_of_its_own_resource() {
        let what = |of: &str| What::Watches { of: Some(of.into()), stream: Stream::Ended };
        let fault = |of| Fault { when: When::Event(2), what: what(of) };
        let pending = Pending::new([fault("sites"), fault("configmaps")]);
        let shown = ["sites", "configmaps", "sites", "sites"].map(|of| pending.shown(of, Duration::ZERO));
        assert_eq!(shown, [vec![], vec![], vec![what("sites")], vec![]]);
        assert_eq!(pending.events()["sites"], 3);
    }

    #[test]
    fn what_is_cleared_never_happens() {
        let pending = Pending::new([
            Fault { when: When::At(Duration::ZERO), what: What::Conflict },
            Fault { when: When::Write(9), what: What::Late },
        ]);
        pending.due(Duration::ZERO);
        pending.clear();
        assert_eq!((0..9).find_map(|_| meet(&pending, WRITE, 1)), None);
    }
}
