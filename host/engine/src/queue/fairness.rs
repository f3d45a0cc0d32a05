//! What a plugin with very many keys costs another one that has few: the wait of the
//! few, with and without the many, in paused time.

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
/// How long a worker has a key.
const RUN: Duration = Duration::from_millis(10);
const WORKERS: usize = 16;

/// The longest that any of the few took from its addition to its end, while so many keys
/// of another plugin are ready, of this priority.
async fn longest(many: u32, priority: Priority) -> Duration {
    let queue = Arc::new(Queue::new(Arc::new(Counts::default())));
    let added = Arc::new(Mutex::new(HashMap::new()));
    let took = Arc::new(Mutex::new(Duration::ZERO));
    let left = Arc::new(AtomicUsize::new(0));
    (0..many).for_each(|key| queue.add(key, priority));
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let (queue, added, took, left) = (queue.clone(), added.clone(), took.clone(), left.clone());
        workers.spawn(async move {
            while let Some(key) = queue.next().await {
                sleep(RUN).await;
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
        sleep(RUN * 10 + RUN / 2).await;
        for key in PER_LANE..PER_LANE + FEW {
            added.lock().unwrap().insert(key, Instant::now());
            queue.add(key, Priority::Normal);
        }
    }
    sleep(RUN * 10).await;
    assert!(added.lock().unwrap().is_empty(), "all of the few have been worked on");
    assert!(many == 0 || left.load(Ordering::Relaxed) < many as usize, "and some of the many are left");
    *took.lock().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_keys_of_one_plugin_delay_anothers_ten_by_two_runs_at_most() {
    let alone = longest(0, Priority::Normal).await;
    for priority in [Priority::Low, Priority::Normal] {
        let beside = longest(NOISY, priority).await;
        println!("ten keys: {alone:?} alone, {beside:?} beside {NOISY} of another plugin ({priority:?})");
        // Of sixteen workers ten are free within one run if none of the many is taken
        // before them, and within two where the lanes take turns.
        assert!(beside <= alone + 2 * RUN, "{beside:?} beside {NOISY} keys, {alone:?} alone");
    }
}
