//! What a shadow costs those who wait for the serving generation: calls at a steady pace,
//! each made again by a shadow, beside the same calls without one.
//!
//!     cargo bench --package trimtab-bench --bench shadow
#![forbid(unsafe_code)]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::ExitCode,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::{runtime::Runtime, sync::mpsc};
use trimtab_bench::{
    guests::{self, Nothing},
    report::{Samples, Table, figure, micros},
};
use trimtab_core::limits::Limits;
use trimtab_wasm::{Plugin, Request, Tape};

/// Rounds in which each side is measured once: A B A B.
const ROUNDS: usize = 9;
const CALLS: usize = 1_500;
/// Cores for guests.
const RUNNING: usize = 2;
/// More than call at a time.
const IN_FLIGHT: u32 = 4;
/// A call begins each time this many times what one takes has passed: with its shadow, two
/// cores are busy for half of the time.
const PACE: u32 = 2;
/// As many as the host lets wait.
const WAITING: usize = 32;

fn main() -> ExitCode {
    guests::main("shadow", measure)
}

fn measure() -> anyhow::Result<()> {
    let private = fs::Permissions::from_mode(0o700);
    let cache = tempfile::Builder::new().permissions(private).tempdir()?;
    let bench = Bench::start(cache.path())?;
    let pace = bench.alone()? * PACE;
    let mut sides: [[Samples; 2]; 2] = Default::default();
    let mut shadowed = 0;
    for _ in 0..ROUNDS {
        for (side, with_shadow) in sides.iter_mut().zip([false, true]) {
            let (mut took, calls) = bench.paced(pace, with_shadow)?;
            took.sort();
            side[0].add(micros(took[CALLS / 2]));
            side[1].add(micros(took[CALLS * 99 / 100]));
            shadowed += calls;
        }
    }
    let title = format!("a call each {} µs, in {ROUNDS} rounds of {CALLS}; µs for one, medians", figure(micros(pace)));
    let mut table = Table::new(title, &["", "half within", "99 % within"]);
    for (name, side) in ["without a shadow", "with one"].into_iter().zip(&sides) {
        table.row(name, side.iter().map(|samples| figure(samples.median())));
    }
    table.print();
    let more = |at: usize| 100.0 * (sides[1][at].median() / sides[0][at].median() - 1.0);
    let all = ROUNDS * CALLS;
    println!(
        "\na shadow of {shadowed} of {all} calls adds {} % to the median, {} % to the 99th",
        figure(more(0)),
        figure(more(1))
    );
    Ok(())
}

struct Bench {
    _guests: Runtime,
    host: Runtime,
    plugin: Arc<Plugin>,
    request: Request,
}

impl Bench {
    fn start(cache: &Path) -> anyhow::Result<Self> {
        let host = tokio::runtime::Builder::new_multi_thread().worker_threads(RUNNING).enable_all().build()?;
        let (guests, plugin) = guests::load(RUNNING, IN_FLIGHT, cache, &host)?;
        Ok(Self { _guests: guests, host, plugin, request: guests::request() })
    }

    /// How long a call takes with nothing beside it.
    fn alone(&self) -> anyhow::Result<Duration> {
        let mut took = (0..CALLS).map(|_| Ok(self.call()?.0)).collect::<anyhow::Result<Vec<_>>>()?;
        took.sort();
        Ok(took[CALLS / 2])
    }

    fn call(&self) -> anyhow::Result<(Duration, Tape)> {
        let began = Instant::now();
        let called =
            self.host.block_on(self.plugin.reconcile(self.request.clone(), Arc::new(Nothing), &Limits::DEFAULT));
        let took = began.elapsed();
        called.outcome?;
        Ok((took, called.tape))
    }

    /// Calls at a pace, and how many of them a shadow has made again.
    fn paced(&self, pace: Duration, with_shadow: bool) -> anyhow::Result<(Vec<Duration>, usize)> {
        let (send, mut waiting) = mpsc::channel::<Tape>(WAITING);
        let (plugin, request) = (self.plugin.clone(), self.request.clone());
        let shadow = self.host.spawn(async move {
            let mut calls = 0;
            while let Some(tape) = waiting.recv().await {
                plugin.shadow(request.clone(), &tape, Arc::new(Nothing), &Limits::DEFAULT).await.called.outcome?;
                calls += 1;
            }
            anyhow::Ok(calls)
        });
        let mut took = Vec::with_capacity(CALLS);
        let began = Instant::now();
        for call in 0..CALLS {
            thread::sleep((pace * u32::try_from(call)?).saturating_sub(began.elapsed()));
            let (one, tape) = self.call()?;
            took.push(one);
            if with_shadow {
                // What does not fit is dropped.
                _ = send.try_send(tape);
            }
        }
        drop(send);
        Ok((took, self.host.block_on(shadow)??))
    }
}
