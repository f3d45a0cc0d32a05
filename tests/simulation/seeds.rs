//! Many seeds: each draws people and faults, and must end as the same people do
//! without the faults. `SEEDS` says how many, `FROM` the first, and `AGAIN` how
//! many are run twice to be compared request by request. One that fails is
//! shrunk, and the smallest case that still fails is printed.

use std::{
    collections::BTreeMap,
    env,
    fmt::Write,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use trimtab_sim::shrink::shrink;

use crate::{
    HOUR, QUIET_SHORTLY,
    case::{Case, Left, Size},
};

/// How many seeds CI runs, and how many of them are large.
const SEEDS: u64 = 200;
const LARGE_EVERY: u64 = 100;
/// Every so many small ones are quiet for an hour in the end, as the large ones are.
const HOUR_EVERY: u64 = 10;
/// How many seeds are run twice.
const SEEDS_AGAIN: u64 = 10;
/// After how many it is told how far it has come.
const TOLD_EVERY: usize = 500;
/// Runs that shrinking may take: some minutes.
const SHRINK_TRIES: usize = 300;

const SMALL: Size = Size { sites: 8, steps: 40, faults: 30, quiet: QUIET_SHORTLY };
const LARGE: Size = Size { sites: 300, steps: 600, faults: 60, quiet: HOUR };

fn number(name: &str, otherwise: u64) -> u64 {
    let parse = |text: String| text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error}"));
    env::var(name).map_or(otherwise, parse)
}

fn case_of(seed: u64) -> Case {
    let size = if seed.is_multiple_of(LARGE_EVERY) { LARGE } else { SMALL };
    let quiet = if seed.is_multiple_of(HOUR_EVERY) { HOUR } else { size.quiet };
    Case::draw(seed, Size { quiet, ..size })
}

/// What all seeds together have seen.
#[derive(Default)]
struct Tally {
    seeds: usize,
    requests: usize,
    writes: usize,
    actions: usize,
    met: BTreeMap<&'static str, usize>,
    failed: BTreeMap<u64, String>,
}

impl Tally {
    fn count(&mut self, case: &Case, left: &Left) {
        self.seeds += 1;
        self.requests += left.log.len();
        self.writes += left.writes;
        self.actions += case.steps.len();
        for what in &left.met {
            *self.met.entry(what.word()).or_default() += 1;
        }
    }
}

#[test]
fn whatever_people_do_and_whatever_goes_wrong_the_end_is_the_same_and_quiet() {
    let (first, count) = (number("FROM", 1), number("SEEDS", SEEDS));
    let (next, tally) = (AtomicU64::new(first), Mutex::new(Tally::default()));
    let began = Instant::now();
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                return;
            }
            let case = case_of(seed);
            let checked = case.check();
            let mut tally = tally.lock().expect("no one panics while they count");
            match checked {
                Ok(left) => tally.count(&case, &left),
                Err(why) => {
                    println!("seed {seed} fails: {}", why.lines().next().unwrap_or_default());
                    tally.failed.insert(seed, why);
                }
            }
            let done = tally.seeds + tally.failed.len();
            if done.is_multiple_of(TOLD_EVERY) {
                println!("{done} seeds in {:.0} s, {} failed", began.elapsed().as_secs_f64(), tally.failed.len());
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let tally = tally.into_inner().expect("no one panics while they count");
    let Tally { seeds, requests, writes, actions, met, failed } = tally;
    let took = began.elapsed().as_secs_f64();
    println!("{seeds} seeds from {first} in {took:.1} s: {actions} actions, {requests} requests, {writes} writes");
    println!("what went wrong: {met:?}");
    if let Some((seed, why)) = failed.first_key_value() {
        panic!("seeds {:?} failed; the first:\n{why}\n{}", failed.keys(), smallest(case_of(*seed), why));
    }
}

#[test]
fn a_seed_makes_the_same_requests_again_with_all_that_goes_wrong() {
    for seed in number("FROM", 1)..number("FROM", 1) + number("AGAIN", SEEDS_AGAIN) {
        let case = Case::draw(seed, SMALL);
        let run = || case.run().unwrap_or_else(|why| panic!("{case}{why}")).log;
        let (first, again) = (run(), run());
        if let Some(at) = first.iter().zip(&again).position(|(first, again)| first != again) {
            panic!("{case}request {at} was\n{}\nand is\n{}", first[at], again[at]);
        }
        assert_eq!(first.len(), again.len(), "seed {seed}");
    }
}

/// The smallest case that fails still, to be read and to be made a test of.
fn smallest(case: Case, why: &str) -> String {
    let (mut case, mut why, mut tries) = (case, why.to_owned(), SHRINK_TRIES);
    let mut fails = |case: &Case| match case.check() {
        Ok(_) => false,
        Err(error) => {
            why = error;
            true
        }
    };
    let without_faults = case.undisturbed();
    if fails(&without_faults) {
        case = without_faults;
    }
    case.faults = shrink(&case.faults, &mut tries, |faults| fails(&Case { faults: faults.to_vec(), ..case.clone() }));
    case.steps = shrink(&case.steps, &mut tries, |steps| fails(&Case { steps: steps.to_vec(), ..case.clone() }));
    while case.sites > 1 && tries > 0 {
        tries -= 1;
        let sites = case.sites / 2;
        let steps = case.steps.iter().filter(|step| step.action.site().is_none_or(|site| site < sites));
        let fewer = Case { sites, steps: steps.cloned().collect(), ..case.clone() };
        if !fails(&fewer) {
            break;
        }
        case = fewer;
    }
    while case.hosts > 1 && fails(&Case { hosts: case.hosts - 1, ..case.clone() }) {
        case.hosts -= 1;
    }
    let mut text = format!("the smallest case that fails so:\n{case}");
    let _ = write!(text, "{why}");
    text
}
