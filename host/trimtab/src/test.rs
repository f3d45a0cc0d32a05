//! `trimtab test`: plays scenarios, which need no cluster, and says what is not
//! as they expect.

mod explore;
mod files;
mod junit;
mod report;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use trimtab_sim::scenario::{self, Ran, Scenario, Stage, Unusable};

use self::explore::Explored;
pub use self::report::failure;
use crate::{cli::TestArgs, wiring};

/// Some scenario failed.
const FAILED: u8 = 1;
/// Some scenario could not be played.
const UNUSABLE: u8 = 2;

/// One scenario that was to be played.
pub struct Tested {
    /// The file, as it was named.
    pub file: PathBuf,
    /// What came of it.
    pub outcome: Result<Played, Unusable>,
    /// How long it took, compiling included.
    pub took: Duration,
}

/// A scenario that was played.
pub struct Played {
    /// What was played.
    pub scenario: Scenario,
    /// What came of it.
    pub ran: Ran,
    /// How long the run itself took.
    pub took: Duration,
    /// What exploring has found; none where it was not asked for, or the
    /// undisturbed run failed.
    pub explored: Option<Explored>,
}

impl Played {
    /// Neither failed nor found wrong.
    pub fn passed(&self) -> bool {
        self.ran.failure.is_none() && self.explored.as_ref().is_none_or(|explored| explored.found.is_empty())
    }
}

/// Plays all that was asked for. Zero: all passed; one: some failed; two: some
/// could not be played.
pub fn main(args: &TestArgs) -> ExitCode {
    match test(args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("trimtab: {error:#}");
            ExitCode::from(UNUSABLE)
        }
    }
}

fn test(args: &TestArgs) -> anyhow::Result<ExitCode> {
    let compiled = args.cache.clone().map_or_else(wiring::default_cache, Ok)?;
    let files = files::find(&args.paths)?;
    let began = Instant::now();
    let tested = if args.explore {
        // One after the other: the runs of each take all cores.
        files.iter().filter_map(|file| play(file, args, &compiled)).collect()
    } else {
        let tested = on_all_cores(&files, || (), |(), file| play(file, args, &compiled));
        tested.into_iter().flatten().collect::<Vec<_>>()
    };
    if tested.is_empty() {
        anyhow::bail!("no scenario is named like {:?}", args.filter.as_deref().unwrap_or_default());
    }
    if args.update {
        update(&tested)?;
    }
    report::print(&tested, args, began.elapsed());
    if let Some(file) = &args.junit {
        junit::write(file, &tested, args.seed)?;
    }
    let unusable = tested.iter().any(|tested| tested.outcome.is_err());
    let failed = |tested: &Tested| tested.outcome.as_ref().is_ok_and(|played| !played.passed());
    Ok(ExitCode::from(match (unusable, tested.iter().any(failed)) {
        (true, _) => UNUSABLE,
        (false, true) => FAILED,
        (false, false) => 0,
    }))
}

/// Plays the scenario of a file, if its name fits the filter.
fn play(file: &Path, args: &TestArgs, compiled: &Path) -> Option<Tested> {
    let began = Instant::now();
    let scenario = match Scenario::read(file) {
        Ok(scenario) => scenario,
        Err(unusable) => return Some(Tested { file: file.to_owned(), outcome: Err(unusable), took: began.elapsed() }),
    };
    if args.filter.as_ref().is_some_and(|filter| !scenario.name.contains(filter.as_str())) {
        return None;
    }
    let played = Stage::set(&scenario, compiled).and_then(|stage| {
        let wasm = stage.wasm()?;
        let began = Instant::now();
        let ran = scenario::run(&scenario, &stage, wasm, args.seed, args.update);
        let took = began.elapsed();
        let explored = match args.explore && ran.failure.is_none() {
            true => Some(explore::explore(&scenario, &stage, args.seed, &args.only)?),
            false => None,
        };
        Ok(Played { ran, took, explored, scenario })
    });
    Some(Tested { file: file.to_owned(), outcome: played, took: began.elapsed() })
}

/// Writes what was found into the scenarios of which something is recorded.
fn update(tested: &[Tested]) -> anyhow::Result<()> {
    for played in tested.iter().filter_map(|tested| tested.outcome.as_ref().ok()) {
        let Scenario { file, text, .. } = &played.scenario;
        let updated = scenario::updated(text, &played.ran.edits);
        if updated != **text {
            fs::write(&**file, updated).map_err(|error| anyhow::anyhow!("{file} cannot be written: {error}"))?;
        }
    }
    Ok(())
}

/// Does the work for each item, on as many threads as there are cores, each with
/// something of its own, and gives the results in the order of the items.
fn on_all_cores<T: Sync, S, R: Send>(
    items: &[T],
    own: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, &T) -> R + Sync,
) -> Vec<R> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(items.len())));
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores.min(items.len()) {
            scope.spawn(|| {
                let mut own = own();
                while let Some((index, item)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    items.get(index).map(|item| (index, item))
                } {
                    let result = work(&mut own, item);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}
