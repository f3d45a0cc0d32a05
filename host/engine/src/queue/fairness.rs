//! What a plugin with very many keys, or with slow ones, costs another one that has few:
//! the wait of the few, with and without the many, in paused time.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    task::JoinSet,
    time::{Duration, Instant, sleep},
};

use super::*;
use crate::queue::tests::{Counts, PER_LANE};

const NOISY: u32 = 100_000;
const FEW: u32 = 10;
/// How long a worker has a key of the few.
const RUN: Duration = Duration::from_millis(10);
const SLOW: Duration = Duration::from_secs(1);

/// The longest that any of the few took from its addition to its end, while so many keys
/// of another plugin are ready, of this priority, which a worker has for so long.
async fn longest(workers: usize, many: u32, priority: Priority, run: Duration) -> Duration {
    let queue = Arc::new(Queue::new(Arc::new(Counts::default())));
    let added = Arc::new(Mutex::new(HashMap::new()));
    let took = Arc::new(Mutex::new(Duration::ZERO));
    let left = Arc::new(AtomicUsize::new(0));
    (0..many).for_each(|key| queue.add(key, priority));
    let mut working = JoinSet::new();
    for _ in 0..workers {
        let (queue, added, took, left) = (queue.clone(), added.clone(), took.clone(), left.clone());
        working.spawn(async move {
            while let Some(key) = queue.next().await {
                sleep(if key >= PER_LANE { RUN } else { run }).await;
                queue.done(&key, Done::Forget);
                if key >= PER_LANE {
                    let since: Instant = added.lock().unwrap().remove(&key).unwrap();
                    let mut took = took.lock().unwrap();
                    *took = since.elapsed().max(*took);
                } else {
                    left.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
    for _ in 0..100 {
        // All workers are in the midst of something.
        sleep(run * 10 + RUN / 2).await;
        for key in PER_LANE..PER_LANE + FEW {
            added.lock().unwrap().insert(key, Instant::now());
            queue.add(key, Priority::Normal);
        }
    }
    sleep(run * 10).await;
    assert!(added.lock().unwrap().is_empty(), "all of the few have been worked on");
    assert!(many == 0 || left.load(Ordering::Relaxed) < many as usize, "and some of the many are left");
    *took.lock().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_keys_of_one_plugin_delay_anothers_ten_by_two_runs_at_most() {
    let alone = longest(16, 0, Priority::Normal, RUN).await;
    for priority in [Priority::Low, Priority::Normal] {
        let beside = longest(16, NOISY, priority, RUN).await;
        println!("ten keys: {alone:?} alone, {beside:?} beside {NOISY} of another plugin ({priority:?})");
        // Of sixteen workers ten are free within one run if none of the many is taken
        // before them, and within two where the lanes take turns.
        assert!(beside <= alone + 2 * RUN, "{beside:?} beside {NOISY} keys, {alone:?} alone");
    }
}

#[tokio::test(start_paused = true)]
async fn slow_keys_of_one_plugin_delay_anothers_ten_by_one_slow_run_at_most() {
    let alone = longest(2, 0, Priority::Normal, RUN).await;
    let beside = longest(2, NOISY, Priority::Normal, SLOW).await;
    println!("ten keys: {alone:?} alone, {beside:?} beside slow ones of another plugin");
    // The first worker that is free has all of the ten, and the slow ones wait for it.
    assert!(beside <= 2 * alone + SLOW, "{beside:?} beside slow ones, {alone:?} alone");
}

#[tokio::test(start_paused = true)]
async fn of_two_plugins_that_never_rest_each_has_half_of_the_workers_time_however_slow_its_keys_are() {
    let queue = Arc::new(Queue::new(Arc::new(Counts::default())));
    let had = Arc::new(Mutex::new([Duration::ZERO; 2]));
    (0..FEW).for_each(|key| queue.add(key, Priority::Normal));
    (0..FEW).for_each(|key| queue.add(PER_LANE + key, Priority::Normal));
    let mut working = JoinSet::new();
    for _ in 0..4 {
        let (queue, had) = (queue.clone(), had.clone());
        working.spawn(async move {
            while let Some(key) = queue.next().await {
                let (side, run) = if key >= PER_LANE { (1, RUN) } else { (0, SLOW) };
                sleep(run).await;
                had.lock().unwrap()[side] += run;
                queue.add(key, Priority::Normal);
                queue.done(&key, Done::Forget);
            }
        });
    }
    sleep(200 * SLOW).await;
    let [slow, quick] = *had.lock().unwrap();
    assert!(slow.abs_diff(quick) <= 8 * SLOW, "{slow:?} for the slow ones, {quick:?} for the quick");
}
