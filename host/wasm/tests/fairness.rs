//! Busy guests delay neither each other nor the rest of the process.
//!
//! Delays are measured in what this process used of the cores meanwhile, which
//! is what the busy guests took: the machine may be as busy with other things as
//! it likes. The tests are a program of their own and run one after another.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

mod common;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use common::{Absent, Guests, misbehave};
use rustix::time::{ClockId, clock_gettime};
use tokio::{sync::Mutex, task::JoinSet};
use trimtab_core::limits::Limits;
use trimtab_wasm::Plugin;

/// What two cores do in 50 ms: the delay that others may suffer.
const DELAY_MAX: Duration = Duration::from_millis(2 * 50);

/// Endless for the length of a test.
const LIMITS: Limits = Limits { cpu: Duration::from_secs(600), wall: Duration::from_secs(600), ..Limits::DEFAULT };

static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

fn process_cpu() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec as u64, used.tv_nsec as u32)
}

/// Calls that go on until the set is dropped; they run when this returns.
async fn endless(plugin: &Arc<Plugin>, count: usize) -> JoinSet<()> {
    let mut calls = JoinSet::new();
    for _ in 0..count {
        let plugin = plugin.clone();
        calls.spawn(async move {
            let ended = plugin.reconcile(misbehave("loop"), Arc::new(Absent), &LIMITS).await;
            panic!("an endless call ended: {:?}", ended.outcome);
        });
    }
    let began = process_cpu();
    while process_cpu() - began < Duration::from_millis(100) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    calls
}

/// The 99th percentile of what the guests took while `what` was done, 200 times.
async fn p99_delay(name: &str, what: impl AsyncFn()) -> Duration {
    let (mut taken, mut passed) = (Vec::new(), Vec::new());
    for _ in 0..200 {
        let (cpu, wall) = (process_cpu(), Instant::now());
        what().await;
        taken.push(process_cpu() - cpu);
        passed.push(wall.elapsed());
    }
    taken.sort();
    passed.sort();
    println!(
        "{name}: others used {:?} of the cores at the median and {:?} at p99 ({:?} and {:?} on the wall)",
        taken[100], taken[197], passed[100], passed[197]
    );
    taken[197]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_endless_plugins_do_not_delay_others() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let guests = Guests::new(2);
    let plugin = guests.plugin("misbehave").await;
    let _endless = endless(&plugin, 2).await;
    let call = async || {
        plugin.reconcile(misbehave(""), Arc::new(Absent), &LIMITS).await.outcome.unwrap();
    };
    let p99 = p99_delay("a call beside two endless ones", call).await;
    assert!(p99 < DELAY_MAX, "{p99:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_busy_plugins_do_not_delay_the_timers_of_another_runtime() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let guests = Guests::new(2);
    let plugin = guests.plugin("misbehave").await;
    let _endless = endless(&plugin, 100).await;
    let sleep = async || tokio::time::sleep(Duration::from_millis(1)).await;
    let p99 = p99_delay("a timer of 1 ms beside a hundred busy calls", sleep).await;
    assert!(p99 < DELAY_MAX, "{p99:?}");
}
