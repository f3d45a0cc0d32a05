//! What a call of a plugin costs beside the same logic as a native function: a
//! Site of 1.5 kB and its two children in, the answer out and parsed, a fresh
//! instance each time, all limits on.
//!
//!     cargo bench --package trimtab-bench --bench dispatch
#![forbid(unsafe_code)]

use std::{
    fs,
    hint::black_box,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::ExitCode,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::runtime::Runtime;
use trimtab_bench::{
    guests::{self, Nothing},
    native,
    process::own_cpu,
    report::{Samples, Table, figure, micros},
};
use trimtab_core::limits::Limits;
use trimtab_wasm::{Called, Plugin, Request, Response};

/// Rounds in which each side is measured once: A B A B.
const ROUNDS: usize = 9;
/// Calls of each side in a round: tenths of a second.
const CALLS: usize = 3_000;
const NATIVE_CALLS: usize = 50_000;
/// Callers for each thread: a caller that waits for its thread to take up the
/// call leaves it another to run.
const CALLERS: usize = 4;
/// More than all callers.
const IN_FLIGHT: u32 = 16;

fn main() -> ExitCode {
    guests::main("dispatch", measure)
}

fn measure() -> anyhow::Result<()> {
    let private = fs::Permissions::from_mode(0o700);
    let cache = tempfile::Builder::new().permissions(private).tempdir()?;
    let request = guests::request();
    let [one, two] = [Guests::start(1, cache.path())?, Guests::start(2, cache.path())?];

    let mut sequence = Sequence::default();
    let [mut native_1, mut native_2, mut guest_1, mut guest_2]: [Rate; 4] = Default::default();
    for _ in 0..ROUNDS {
        sequence.measure(&one, &request)?;
        native_1.add(native_calls(1, &request.object));
        guest_1.add(one.calls(&request)?);
        native_2.add(native_calls(2, &request.object));
        guest_2.add(two.calls(&request)?);
    }

    sequence.table().print();
    let mut table = Table::new(
        format!("calls, in {ROUNDS} rounds; CPU is that of all threads for each call"),
        &["", "CPU µs, least", "CPU µs, median", "calls/s, most", "calls/s, median"],
    );
    for (name, rate) in [
        ("native, 1 thread", &native_1),
        ("plugin, 1 thread", &guest_1),
        ("native, 2 threads", &native_2),
        ("plugin, 2 threads", &guest_2),
    ] {
        table.row(name, rate.cells());
    }
    table.print();
    println!(
        "\na plugin costs {} µs of CPU more than the native function (median {}); two threads make {} times the calls of one",
        figure(guest_1.cpu_us.least() - native_1.cpu_us.least()),
        figure(guest_1.cpu_us.median() - native_1.cpu_us.median()),
        figure(guest_2.per_second.most() / guest_1.per_second.most()),
    );
    Ok(())
}

/// Calls one after the other, by a caller on a thread of its own as the host's
/// workers are: what one call takes, and of what it is made.
#[derive(Default)]
struct Sequence {
    /// Store, instantiate, call, drop, the way there and back, all.
    parts: [Samples; 6],
}

impl Sequence {
    fn measure(&mut self, guests: &Guests, request: &Request) -> anyhow::Result<()> {
        let mut parts: [Samples; 6] = Default::default();
        // The first calls find cold caches and a pool that was never touched.
        for call in 0..CALLS {
            let began = Instant::now();
            let called = guests.call(request);
            let took = began.elapsed();
            let cost = called.cost;
            let within = cost.store + cost.instantiate + cost.call + cost.drop;
            parse(called)?;
            if call >= CALLS / 10 {
                let given = [cost.store, cost.instantiate, cost.call, cost.drop, took.saturating_sub(within), took];
                parts.iter_mut().zip(given).for_each(|(samples, part)| samples.add(micros(part)));
            }
        }
        self.parts.iter_mut().zip(parts).for_each(|(rounds, round)| rounds.add(round.median()));
        Ok(())
    }

    fn table(&self) -> Table {
        let head = ["", "store", "instantiate", "call", "drop", "to the guests' threads and back", "all"];
        let mut table = Table::new(
            format!("one call after the other, µs: medians of {CALLS} calls in each of {ROUNDS} rounds"),
            &head,
        );
        table.row("least round", self.parts.iter().map(|part| figure(part.least())));
        table.row("median round", self.parts.iter().map(|part| figure(part.median())));
        table
    }
}

/// Calls in bulk on so many threads.
#[derive(Default)]
struct Rate {
    cpu_us: Samples,
    per_second: Samples,
}

impl Rate {
    fn add(&mut self, (calls, cpu, wall): (usize, Duration, Duration)) {
        self.cpu_us.add(micros(cpu) / calls as f64);
        self.per_second.add(calls as f64 / wall.as_secs_f64());
    }

    fn cells(&self) -> [String; 4] {
        let (cpu, rate) = (&self.cpu_us, &self.per_second);
        [cpu.least(), cpu.median(), rate.most(), rate.median()].map(figure)
    }
}

fn native_calls(threads: usize, site: &str) -> (usize, Duration, Duration) {
    let (cpu, wall) = (own_cpu(), Instant::now());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| (0..NATIVE_CALLS).for_each(|_| native_call(site)));
        }
    });
    (threads * NATIVE_CALLS, own_cpu() - cpu, wall.elapsed())
}

fn native_call(site: &str) {
    let answer = native::reconcile(black_box(site)).expect("the Site is our own");
    for text in answer.children.iter().chain([&answer.status]) {
        black_box(serde_json::from_str::<Value>(text).expect("it has just been written"));
    }
}

/// A plugin, and so many threads for its calls.
struct Guests {
    threads: usize,
    guests: Runtime,
    host: Runtime,
    plugin: Arc<Plugin>,
}

impl Guests {
    fn start(threads: usize, cache: &Path) -> anyhow::Result<Self> {
        let host = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (guests, plugin) = guests::load(threads, IN_FLIGHT, cache, &host)?;
        Ok(Self { threads, guests, host, plugin })
    }

    /// One call, made from a thread that is none of the guests'.
    fn call(&self, request: &Request) -> Called<Response> {
        self.host.block_on(self.plugin.reconcile(request.clone(), Arc::new(Nothing), &Limits::DEFAULT))
    }

    /// Many calls, their callers on the guests' threads too, so that nothing
    /// else has work.
    fn calls(&self, request: &Request) -> anyhow::Result<(usize, Duration, Duration)> {
        let callers = self.threads * CALLERS;
        let (cpu, wall) = (own_cpu(), Instant::now());
        let running: Vec<_> = (0..callers)
            .map(|_| {
                let (plugin, request) = (self.plugin.clone(), request.clone());
                self.guests.spawn(async move {
                    for _ in 0..CALLS {
                        parse(plugin.reconcile(request.clone(), Arc::new(Nothing), &Limits::DEFAULT).await)?;
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        for caller in running {
            self.host.block_on(caller)??;
        }
        Ok((callers * CALLS, own_cpu() - cpu, wall.elapsed()))
    }
}

/// What the host does with every answer before it checks it.
fn parse(called: Called<Response>) -> anyhow::Result<()> {
    let answer = called.outcome?;
    for text in answer.children.iter().chain(&answer.status) {
        black_box(serde_json::from_str::<Value>(text)?);
    }
    Ok(())
}
