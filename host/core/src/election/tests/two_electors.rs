//! Two electors and one Lease in virtual time. A schedule says when each runs,
//! what the network does to each request and to each piece of news, and when a
//! process dies or somebody deletes the Lease.
//!
//! A Lease that is deleted, made again and deleted while another waits out the
//! first deletion, unheard, cannot be told from one that stayed deleted; and one
//! that never saw the Lease makes a deleted one at once. So a schedule has one
//! deletion, once both have seen the Lease and nothing that they sent before is
//! on the wire, or has processes that die, but not both.

use std::{cmp::Reverse, collections::BinaryHeap};

use proptest::prelude::*;

use super::super::*;

/// The longest that a request may be on the wire, four times as long as its
/// sender waits.
const REQUEST_MS_MAX: u64 = 20_000;
/// Time passes, what is under way arrives, one of the two runs.
#[derive(Debug, Clone)]
struct Turn {
    pass_ms: u64,
    runs: usize,
    /// Until a request begun in this turn reaches the store; none: it is lost.
    there_ms: Option<u64>,
    /// Until its answer is back; none: it is lost.
    back_ms: Option<u64>,
    /// Until the two hear of a change made in this turn; none: they do not.
    news_ms: [Option<u64>; 2],
    accident: Accident,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Accident {
    None,
    /// The one that runs dies; another process takes its place.
    Restart,
    /// Somebody deletes the Lease.
    Delete,
    /// The one that runs is shut down; another process takes its place.
    Release,
}

/// Something under way, by the true time at which it arrives.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Arrival {
    at_ms: u64,
    /// Keeps what arrives at one time in order.
    order: usize,
    what: What,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Request(Sender, Request, Option<u64>),
    Answer(Sender, Reply),
    News(usize, News),
}

/// Which of the two, and its how-manyth request: an answer to one that it has
/// given up, or that its predecessor made, is none to the next.
type Sender = (usize, u32);

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Request {
    Read,
    Write { on: Option<u64>, holder: String, transitions: u32 },
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reply {
    Read(News),
    Stored(News),
    Conflict,
}

/// A state of the Lease: resource version, and holder and transitions if it is there.
type News = (u64, Option<(String, u32)>);

fn record((resource_version, lease): &News) -> Option<Record> {
    let (holder, transitions) = lease.clone()?;
    Some(Record { resource_version: *resource_version, holder, transitions, is_newer: false })
}

struct Candidate {
    elector: Elector,
    incarnation: u32,
    requests: u32,
    /// Thousandths that its clock is off: within 10, one per cent.
    rate: i64,
    /// When it gives up on the request that is under way, by its own clock.
    gives_up: Option<Duration>,
    writing: bool,
}

struct World {
    timings: Timings,
    now_ms: u64,
    lease: News,
    candidates: [Candidate; 2],
    /// Not before this does anybody delete the Lease.
    deletable_ms: u64,
    arrivals: BinaryHeap<Reverse<Arrival>>,
    arrived: usize,
}

impl World {
    fn new(timings: Timings, rates: [i64; 2]) -> Self {
        let candidate = |which: usize| Candidate {
            elector: Elector::new(format!("{which}-0"), timings, which as u64 * u64::MAX),
            incarnation: 0,
            requests: 0,
            rate: rates[which],
            gives_up: None,
            writing: false,
        };
        Self {
            timings,
            now_ms: 0,
            lease: (0, None),
            deletable_ms: 0,
            candidates: [candidate(0), candidate(1)],
            arrivals: BinaryHeap::new(),
            arrived: 0,
        }
    }

    fn clock(&self, which: usize) -> Duration {
        let rate = 1000_u64.checked_add_signed(self.candidates[which].rate).expect("within one per cent");
        // The two clocks start at different times, too.
        Duration::from_micros(self.now_ms * rate) + Duration::from_secs(1000 * which as u64)
    }

    fn leaders(&self) -> usize {
        (0..2).filter(|&which| self.candidates[which].elector.leads(self.clock(which))).count()
    }

    fn play(&mut self, turn: &Turn, deletions: bool) -> Result<(), String> {
        let end = self.now_ms + turn.pass_ms;
        while self.arrivals.peek().is_some_and(|Reverse(arrival)| arrival.at_ms <= end) {
            let Reverse(arrival) = self.arrivals.pop().expect("it was there");
            self.now_ms = arrival.at_ms;
            self.arrive(arrival.what, turn);
            self.check()?;
        }
        self.now_ms = end;
        self.check()?;
        self.run(turn, deletions);
        self.check()
    }

    fn check(&self) -> Result<(), String> {
        if self.leaders() < 2 { Ok(()) } else { Err(format!("both lead at {} ms", self.now_ms)) }
    }

    fn run(&mut self, turn: &Turn, deletions: bool) {
        let which = turn.runs;
        if self.candidates.iter().any(|candidate| candidate.elector.newest == 0) {
            self.deletable_ms = self.now_ms + REQUEST_MS_MAX;
        }
        match turn.accident {
            Accident::Delete if deletions && self.now_ms >= self.deletable_ms && self.lease.1.is_some() => {
                self.deletable_ms = u64::MAX;
                self.change(None, turn);
            }
            Accident::Restart if !deletions => return self.restart(which),
            Accident::Release if !deletions => return self.release(which, turn),
            _ => {}
        }
        let now = self.clock(which);
        let candidate = &mut self.candidates[which];
        if let Some(gives_up) = candidate.gives_up {
            if now < gives_up {
                return;
            }
            candidate.gives_up = None;
            if candidate.writing {
                candidate.elector.answered(now, Answer::Unknown);
            } else {
                candidate.elector.failed(now);
            }
        }
        let request = match candidate.elector.step(now) {
            Step::Wait(until) => return assert!(until > now, "a wait is for later"),
            Step::Read => Request::Read,
            Step::Write(proposal) => write(proposal),
        };
        candidate.writing = request != Request::Read;
        candidate.gives_up = Some(now + Duration::from_secs(5));
        self.send(which, request, turn);
    }

    fn send(&mut self, which: usize, request: Request, turn: &Turn) {
        let candidate = &mut self.candidates[which];
        candidate.requests += 1;
        let sender = (which, candidate.requests);
        if let Some(there_ms) = turn.there_ms {
            self.later(there_ms, What::Request(sender, request, turn.back_ms));
        }
    }

    fn restart(&mut self, which: usize) {
        let candidate = &mut self.candidates[which];
        candidate.incarnation += 1;
        candidate.requests += 1;
        candidate.gives_up = None;
        candidate.elector = Elector::new(format!("{which}-{}", candidate.incarnation), self.timings, self.now_ms);
    }

    fn release(&mut self, which: usize, turn: &Turn) {
        if let Some(proposal) = self.candidates[which].elector.release() {
            self.send(which, write(proposal), turn);
        }
        self.restart(which);
    }

    fn arrive(&mut self, what: What, turn: &Turn) {
        match what {
            What::Request(sender, request, back_ms) => {
                let reply = self.serve(request, turn);
                if let Some(back_ms) = back_ms {
                    self.later(back_ms, What::Answer(sender, reply));
                }
            }
            What::Answer(sender, reply) => self.answer(sender, reply),
            What::News(which, news) => {
                let now = self.clock(which);
                tell(&mut self.candidates[which].elector, now, &news, false);
            }
        }
    }

    fn answer(&mut self, (which, request): Sender, reply: Reply) {
        let now = self.clock(which);
        let candidate = &mut self.candidates[which];
        if candidate.requests != request || candidate.gives_up.is_none_or(|gives_up| gives_up <= now) {
            return;
        }
        candidate.gives_up = None;
        match reply {
            Reply::Read(news) => tell(&mut candidate.elector, now, &news, true),
            Reply::Stored(news) => {
                let record = record(&news).expect("a write stores something");
                candidate.elector.answered(now, Answer::Stored(record));
            }
            Reply::Conflict => candidate.elector.answered(now, Answer::Conflict),
        }
    }

    fn serve(&mut self, request: Request, turn: &Turn) -> Reply {
        match request {
            Request::Read => Reply::Read(self.lease.clone()),
            Request::Write { on, holder, transitions } => {
                let there = self.lease.1.is_some().then_some(self.lease.0);
                if there != on {
                    return Reply::Conflict;
                }
                self.change(Some((holder, transitions)), turn);
                Reply::Stored(self.lease.clone())
            }
        }
    }

    fn change(&mut self, lease: Option<(String, u32)>, turn: &Turn) {
        self.lease = (self.lease.0 + 1, lease);
        for which in 0..2 {
            if let Some(news_ms) = turn.news_ms[which] {
                self.later(news_ms, What::News(which, self.lease.clone()));
            }
        }
    }

    fn later(&mut self, in_ms: u64, what: What) {
        self.arrived += 1;
        self.arrivals.push(Reverse(Arrival { at_ms: self.now_ms + in_ms, order: self.arrived, what }));
    }
}

fn write(proposal: Proposal) -> Request {
    Request::Write { on: proposal.on, holder: proposal.holder, transitions: proposal.transitions }
}

fn tell(elector: &mut Elector, now: Duration, news: &News, read: bool) {
    match record(news) {
        Some(record) => elector.seen(now, record),
        None => elector.seen_gone(now, (!read).then_some(news.0)),
    }
}

/// Both run in turn, each ten times a second, and all arrives at once.
fn calm(turns: usize) -> impl Iterator<Item = Turn> {
    (0..turns).map(|turn| Turn {
        pass_ms: 50,
        runs: turn % 2,
        there_ms: Some(1),
        back_ms: Some(1),
        news_ms: [Some(1); 2],
        accident: Accident::None,
    })
}

fn delay(longest_ms: u64) -> impl Strategy<Value = Option<u64>> {
    prop_oneof![4 => (0..100_u64).prop_map(Some), 2 => (0..longest_ms).prop_map(Some), 1 => Just(None)]
}

fn turn() -> impl Strategy<Value = Turn> {
    let accident = prop_oneof![
        60 => Just(Accident::None),
        1 => Just(Accident::Restart),
        1 => Just(Accident::Delete),
        1 => Just(Accident::Release),
    ];
    let pass = prop_oneof![8 => 0..1500_u64, 1 => 0..20_000_u64];
    (pass, 0..2_usize, delay(REQUEST_MS_MAX), delay(6000), [delay(30_000), delay(30_000)], accident).prop_map(
        |(pass_ms, runs, there_ms, back_ms, news_ms, accident)| Turn {
            pass_ms,
            runs,
            there_ms,
            back_ms,
            news_ms,
            accident,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn two_electors_never_both_lead_and_one_does_once_the_network_is_calm(
        turns in proptest::collection::vec(turn(), 1..150),
        rates in [-10..=10_i64, -10..=10_i64],
        deletions: bool,
    ) {
        let mut world = World::new(Timings::default(), rates);
        for turn in &turns {
            world.play(turn, deletions).map_err(TestCaseError::fail)?;
        }
        // What is still on the wire takes up to 56 s; then the Lease of a dead
        // process runs out.
        for turn in calm(2000) {
            world.play(&turn, false).map_err(TestCaseError::fail)?;
        }
        prop_assert_eq!(world.leaders(), 1, "{:?} {:?}", world.candidates[0].elector, world.candidates[1].elector);
    }
}

#[test]
fn the_world_notices_two_leaders_where_the_lease_is_shorter_than_the_deadline() {
    let lease = Duration::from_secs(5);
    let mut world = World::new(Timings { lease, ..Timings::default() }, [0, 0]);
    for turn in calm(100) {
        world.play(&turn, false).expect("nothing goes wrong yet");
    }
    let leader = (0..2).find(|&which| world.candidates[which].elector.leads(world.clock(which))).expect("one leads");
    let mut cut_off = calm(400).map(|turn| {
        let there_ms = turn.there_ms.filter(|_| turn.runs != leader);
        Turn { there_ms, news_ms: [None; 2], ..turn }
    });
    let noticed = cut_off.find_map(|turn| world.play(&turn, false).err());
    assert!(noticed.is_some(), "a leader that cannot renew leads for 10 s, the other waited only 5 s");
}
