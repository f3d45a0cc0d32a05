//! The two engines: one that compiles, in the child, and one that serves. What
//! they share decides whether the code of the one runs in the other.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use trimtab_core::limits::{CORE_INSTANCES_MAX, Limits, MEMORIES_MAX, TABLES_MAX};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails};

use crate::limits::TABLE_ELEMENTS_MAX;

/// How often a guest is interrupted to let others run: short against the 50 ms
/// that others may have to wait behind two endless guests, long against the
/// microsecond that an interruption costs.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// How much of a linear memory and of a table stays mapped between two calls.
/// What a small guest touches fits; a larger one pays for the rest only.
const KEEP_RESIDENT_BYTES: usize = 1 << 20;

/// How deep a guest may call: four times what wasmtime gives, so that an endless
/// recursion in Go or Python meets the language's own limit first, which tells of
/// it in its own words.
const WASM_STACK_BYTES: usize = 2 << 20;
/// What the host's functions need below a guest: as much as wasmtime leaves them.
const HOST_STACK_BYTES: usize = 3 << 19;

/// What bounds the code of an engine. It is compiled in, so code for one does
/// not run under the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Metering {
    /// A counter that a thread raises each [`TICK`].
    Epochs,
    /// A counter that each instruction lowers.
    Fuel,
}

fn config(metering: Metering) -> Config {
    let mut config = Config::new();
    config
        // Switched on, it costs each call 12 to 20 µs, and no plugin needs it.
        .concurrency_support(false)
        // So that a trap is told with the lines of a module that has them.
        .wasm_backtrace_details(WasmBacktraceDetails::Enable)
        .max_wasm_stack(WASM_STACK_BYTES)
        .async_stack_size(WASM_STACK_BYTES + HOST_STACK_BYTES)
        .epoch_interruption(metering == Metering::Epochs)
        .consume_fuel(metering == Metering::Fuel);
    config
}

/// An engine that compiles and runs nothing: without a pool, which reserves a
/// terabyte of addresses.
pub(crate) fn compiling(metering: Metering) -> wasmtime::Result<Engine> {
    Engine::new(&config(metering))
}

/// An engine for `in_flight` calls at once, all made of one pool.
pub(crate) fn serving(metering: Metering, in_flight: u32) -> wasmtime::Result<Engine> {
    let mut pooled = config(metering);
    pooled.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(in_flight)));
    Engine::new(&pooled).or_else(|error| {
        tracing::warn!(
            error = format!("{error:#}"),
            "the address space for pooled plugin memory is not to be had (see ulimit -v); \
             memory is allocated for each call, which is slower",
        );
        Engine::new(&config(metering))
    })
}

/// A place for each call in flight, each as large as one component may be.
fn pool(in_flight: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(in_flight)
        .total_stacks(in_flight)
        .total_core_instances(in_flight * CORE_INSTANCES_MAX)
        .total_memories(in_flight * MEMORIES_MAX)
        .total_tables(in_flight * TABLES_MAX)
        .max_core_instances_per_component(CORE_INSTANCES_MAX)
        .max_memories_per_component(MEMORIES_MAX)
        .max_tables_per_component(TABLES_MAX)
        .max_memories_per_module(MEMORIES_MAX)
        .max_tables_per_module(TABLES_MAX)
        .max_memory_size(Limits::CEILING.memory_bytes as usize)
        .table_elements(TABLE_ELEMENTS_MAX);
    // Unmapping after each call makes two threads slower than one. Resetting in
    // place is cheap only where the kernel tells which pages were written.
    if PoolingAllocationConfig::is_pagemap_scan_available() {
        pool.pagemap_scan(Enabled::Yes)
            .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
            .table_keep_resident(KEEP_RESIDENT_BYTES);
    }
    pool
}

/// Raises the engine's epoch each [`TICK`] while calls are under way, until it is
/// dropped. A thread and no task: it must run when all runtimes are busy.
pub(crate) struct Ticker {
    thread: Option<JoinHandle<()>>,
    calls: Arc<Calls>,
}

/// How many calls there are, and the bell for the thread that sleeps while there
/// are none.
#[derive(Default)]
struct Calls {
    state: Mutex<CallState>,
    changed: Condvar,
}

#[derive(Default)]
struct CallState {
    under_way: usize,
    stopped: bool,
}

/// A call, for as long as it needs ticks.
pub(crate) struct Ticked(Arc<Calls>);

impl Ticker {
    pub fn start(tick: impl Fn() + Send + 'static) -> std::io::Result<Self> {
        let calls = Arc::<Calls>::default();
        let followed = calls.clone();
        let run = move || followed.follow(&tick);
        let thread = std::thread::Builder::new().name("trimtab-epoch".to_owned()).spawn(run)?;
        Ok(Self { thread: Some(thread), calls })
    }

    /// A call begins.
    pub fn call(&self) -> Ticked {
        let mut state = self.calls.lock();
        state.under_way += 1;
        if state.under_way == 1 {
            self.calls.changed.notify_one();
        }
        Ticked(self.calls.clone())
    }
}

impl Drop for Ticked {
    fn drop(&mut self) {
        self.0.lock().under_way -= 1;
    }
}

impl Calls {
    fn follow(&self, tick: &impl Fn()) {
        let mut state = self.lock();
        while !state.stopped {
            if state.under_way == 0 {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let waited;
            (state, waited) = self.changed.wait_timeout(state, TICK).unwrap_or_else(PoisonError::into_inner);
            // The last call may be over since.
            if waited.timed_out() && state.under_way > 0 {
                tick();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, CallState> {
        // Each change is a single store, so a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.calls.lock().stopped = true;
        self.calls.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the ticker does not panic");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, RecvTimeoutError};

    use super::*;

    #[test]
    fn there_are_ticks_while_a_call_is_under_way_and_none_in_an_idle_host() {
        let (ticks, ticked) = mpsc::channel();
        // Nobody listens any more once the test is over.
        let ticker = Ticker::start(move || ticks.send(()).unwrap_or_default()).unwrap();
        for _ in 0..2 {
            assert_eq!(ticked.recv_timeout(3 * TICK), Err(RecvTimeoutError::Timeout));
            let (first, second) = (ticker.call(), ticker.call());
            drop(first);
            ticked.recv().unwrap();
            ticked.recv().unwrap();
            drop(second);
            // Those that came before the last call was over.
            while ticked.try_recv().is_ok() {}
        }
        drop(ticker);
        assert!(ticked.recv().is_err(), "the thread has ended");
    }
}
