//! The queue: which key is looked at next, and when.
//!
//! It holds keys, not events, with controller-runtime's semantics: each key
//! once, never given out twice at the same time, in the order of arrival within
//! a priority, again after it was added while out. What controller-runtime
//! lacks: keys of low priority do not starve (`lane`), and plugins have each
//! the same share of the workers, and may be bounded each by itself (`state`).
//!
//! It needs no bound of its own: what it holds is at most one entry for each
//! object and lineage, both of which are in memory anyhow. How many looks are
//! made at once is bounded by the number of workers that ask for keys.

#[cfg(test)]
mod fairness;
mod lane;
mod share;
mod state;

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use trimtab_core::id::{Key, Lineage};

use self::state::State;
pub use self::{lane::Bounds, state::Stats};

/// Which keys go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// What may be all the cluster at once: initial lists, swaps, resyncs.
    Low,
    /// What somebody has just changed.
    Normal,
}

/// When a key that was given out is given out again, unless it was added
/// meanwhile: then it is at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// When it is added.
    Forget,
    /// After this time, or when it is added.
    After(Duration),
    /// As if it had not been given out: in its place, as soon as its lane may go on.
    Not,
}

impl Done {
    /// The same, or sooner where something else is to be tried again.
    pub fn no_later_than(self, again: Option<Duration>) -> Self {
        match (self, again) {
            (Self::After(delay), Some(again)) => Self::After(delay.min(again)),
            (Self::Forget, Some(again)) => Self::After(again),
            (done, None) | (done @ Self::Not, _) => done,
        }
    }
}

/// What a queue tells while it works; [`Queue::stats`] tells what it holds.
pub trait Observe: Send + Sync + 'static {
    /// A key was added that was not waiting already.
    fn added(&self);
    /// A key was given out, having been ready for so long.
    fn waited(&self, ready: Duration);
    /// A key came back, having been out for so long.
    fn worked(&self, out: Duration);
}

/// A key that is one of many of the same plugin.
pub trait InLane: Clone + Eq + Hash {
    /// What the keys of one plugin have in common.
    type Lane: Clone + Eq + Hash;

    /// Its lane.
    fn lane(&self) -> Self::Lane;
}

impl InLane for Key {
    type Lane = Lineage;

    fn lane(&self) -> Lineage {
        self.lineage.clone()
    }
}

/// A queue of keys, shared by those who add them and the workers.
pub struct Queue<K: InLane = Key> {
    state: Mutex<State<K>>,
    /// Wakes one waiting worker. Whoever takes a key wakes the next one, so
    /// that one is always waiting for the earliest delayed key.
    wake: Notify,
    /// The state counts time from here.
    start: Instant,
    observer: Arc<dyn Observe>,
}

impl<K: InLane> Queue<K> {
    /// An empty queue.
    pub fn new(observer: Arc<dyn Observe>) -> Self {
        Self { state: Mutex::new(State::default()), wake: Notify::new(), start: Instant::now(), observer }
    }

    /// Adds a key that is ready now. One that waits already keeps its place and
    /// takes the higher of the two priorities; one that is delayed is so no more.
    pub fn add(&self, key: K, priority: Priority) {
        let added = self.lock().add(key, priority, self.now());
        if added {
            self.observer.added();
        }
        self.wake.notify_one();
    }

    /// The next key, as soon as there is one; none once the queue is shut down.
    /// The caller is the only one who has it, until it calls [`Queue::done`].
    /// Dropping the future loses no key.
    pub async fn next(&self) -> Option<K> {
        loop {
            let woken = self.wake.notified();
            let due = {
                let mut state = self.lock();
                if state.is_shut_down() {
                    return None;
                }
                if let Some((key, ready)) = state.take(self.now()) {
                    drop(state);
                    self.observer.waited(ready);
                    self.wake.notify_one();
                    return Some(key);
                }
                state.next_due()
            };
            match due {
                Some(due) => tokio::select! {
                    biased;
                    () = woken => {}
                    () = sleep_until(self.start + due) => {}
                },
                None => woken.await,
            }
        }
    }

    /// Gives a key back.
    pub fn done(&self, key: &K, done: Done) {
        let out = self.lock().done(key, done, self.now());
        if let Some(out) = out {
            self.observer.worked(out);
        }
        self.wake.notify_one();
    }

    /// How fast lanes may go, from now on; as fast as they can where they are not named.
    pub fn bound(&self, bounds: HashMap<K::Lane, Bounds>) {
        self.lock().bound(bounds);
        self.wake.notify_one();
    }

    /// Whether a call may be made now for a key that is out; if so, it counts as made.
    /// If not, the key is to be given back as [`Done::Not`].
    pub fn call(&self, key: &K) -> bool {
        self.lock().call(key, self.now())
    }

    /// A call for a key that is out has used so much processor time, which its lane may
    /// have to wait for.
    pub fn spend(&self, key: &K, used: Duration) {
        self.lock().spend(key, used, self.now());
    }

    /// Ends all waiting for keys. What is out may still be given back.
    pub fn shutdown(&self) {
        self.lock().shut_down();
        self.wake.notify_waiters();
    }

    /// What it holds at this moment.
    pub fn stats(&self) -> Stats {
        self.lock().stats(self.now())
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        // No caller's code runs under the lock, so a panic cannot leave half a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::{task::JoinSet, time::sleep};

    use super::*;

    #[derive(Default)]
    pub struct Counts {
        added: AtomicUsize,
        waited_ms: Mutex<Vec<u128>>,
        worked_ms: Mutex<Vec<u128>>,
    }

    impl Observe for Counts {
        fn added(&self) {
            self.added.fetch_add(1, Ordering::Relaxed);
        }

        fn waited(&self, ready: Duration) {
            self.waited_ms.lock().unwrap().push(ready.as_millis());
        }

        fn worked(&self, out: Duration) {
            self.worked_ms.lock().unwrap().push(out.as_millis());
        }
    }

    fn queue() -> Arc<Queue<u32>> {
        Arc::new(Queue::new(Arc::new(Counts::default())))
    }

    impl InLane for u32 {
        type Lane = u32;

        fn lane(&self) -> u32 {
            self / PER_LANE
        }
    }

    /// The keys of the tests are of one lane as far as this.
    pub const PER_LANE: u32 = 1_000_000;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_waiting_worker_is_woken_by_an_added_key() {
        let queue = queue();
        let worker = tokio::spawn({
            let queue = queue.clone();
            async move { queue.next().await }
        });
        sleep(SECOND).await;
        queue.add(1, Priority::Normal);
        assert_eq!(worker.await.unwrap(), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_never_out_twice_and_is_given_out_again_if_added_meanwhile() {
        let queue = queue();
        queue.add(1, Priority::Normal);
        assert_eq!(queue.next().await, Some(1));
        queue.add(1, Priority::Normal);
        queue.add(2, Priority::Normal);
        assert_eq!(queue.next().await, Some(2), "1 is out");
        queue.done(&1, Done::After(SECOND));
        assert_eq!(queue.next().await, Some(1));
        queue.done(&1, Done::Forget);
        queue.done(&2, Done::Forget);
        assert_eq!(queue.stats(), Stats::default());
    }

    #[tokio::test(start_paused = true)]
    async fn a_delayed_key_is_given_out_when_its_time_has_come() {
        let queue = queue();
        queue.add(1, Priority::Normal);
        assert_eq!(queue.next().await, Some(1));
        queue.done(&1, Done::After(5 * SECOND));
        let began = Instant::now();
        assert_eq!(queue.next().await, Some(1));
        // Tokio's timers are a millisecond coarse.
        assert_eq!(began.elapsed().as_millis() / 10, 500);
    }

    #[tokio::test(start_paused = true)]
    async fn an_earlier_delayed_key_is_not_overslept_when_its_watcher_takes_another_one() {
        let queue = queue();
        for key in [1, 2] {
            queue.add(key, Priority::Normal);
            assert_eq!(queue.next().await, Some(key));
        }
        queue.done(&1, Done::After(100 * SECOND));
        let mut workers = JoinSet::new();
        let taken = Arc::new(Mutex::new(Vec::new()));
        for _ in 0..2 {
            let (queue, taken, began) = (queue.clone(), taken.clone(), Instant::now());
            workers.spawn(async move {
                let key = queue.next().await;
                taken.lock().unwrap().push((key, began.elapsed().as_secs()));
                std::future::pending::<()>().await;
            });
        }
        sleep(SECOND).await; // both now wait for key 1
        queue.done(&2, Done::After(4 * SECOND));
        queue.add(3, Priority::Normal);
        sleep(10 * SECOND).await;
        assert_eq!(*taken.lock().unwrap(), [(Some(3), 1), (Some(2), 5)]);
    }

    #[tokio::test(start_paused = true)]
    async fn shutting_down_ends_all_waiting_although_keys_are_left() {
        let queue = queue();
        let mut workers = JoinSet::new();
        for _ in 0..3 {
            let queue = queue.clone();
            workers.spawn(async move { queue.next().await });
        }
        sleep(SECOND).await;
        queue.shutdown();
        queue.add(1, Priority::Normal);
        assert_eq!(workers.join_all().await, [None, None, None]);
        assert_eq!(queue.next().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_wait_loses_no_key() {
        let queue = queue();
        {
            let waiting = queue.next();
            tokio::pin!(waiting);
            assert!(tokio::time::timeout(SECOND, &mut waiting).await.is_err());
            queue.add(1, Priority::Normal);
        }
        assert_eq!(queue.next().await, Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_gets_a_key_of_a_full_lane_when_one_comes_back_or_the_limit_is_raised() {
        let queue = queue();
        queue.bound([(0, Bounds { running_max: 1, ..Bounds::default() })].into());
        for key in 1..=3 {
            queue.add(key, Priority::Normal);
        }
        assert_eq!(queue.next().await, Some(1));
        let next = || {
            let queue = queue.clone();
            tokio::spawn(async move { queue.next().await })
        };
        let (second, began) = (next(), Instant::now());
        sleep(SECOND).await;
        queue.done(&1, Done::Forget);
        assert_eq!((second.await.unwrap(), began.elapsed().as_secs()), (Some(2), 1));
        let third = next();
        sleep(SECOND).await;
        queue.bound(HashMap::new());
        assert_eq!((third.await.unwrap(), began.elapsed().as_secs()), (Some(3), 2));
    }

    #[tokio::test(start_paused = true)]
    async fn calls_are_evenly_apart_and_what_was_not_used_is_not_saved_up() {
        let queue = queue();
        queue.bound([(0, Bounds { interval: 2 * SECOND, ..Bounds::default() })].into());
        let began = Instant::now();
        let mut calls = Vec::new();
        for pause in [0, 0, 9, 0] {
            sleep(pause * SECOND).await;
            queue.add(1, Priority::Normal);
            assert_eq!(queue.next().await, Some(1));
            assert!(queue.call(&1));
            calls.push(began.elapsed().as_secs());
            queue.done(&1, Done::Forget);
        }
        assert_eq!(calls, [0, 2, 11, 13]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lane_rests_for_the_processor_time_that_its_calls_take_beyond_its_own() {
        let queue = queue();
        let quarter = Bounds { cpu_per_second: Some(SECOND / 4), ..Bounds::default() };
        queue.bound([(0, quarter)].into());
        let began = Instant::now();
        let mut calls = Vec::new();
        // So long each call takes, of which it uses all.
        for (used, pause) in [(1, 0), (2, 0), (0, 0), (0, 0), (1, 20), (0, 0)] {
            sleep(pause * SECOND).await;
            queue.add(1, Priority::Normal);
            assert_eq!(queue.next().await, Some(1));
            assert!(queue.call(&1));
            calls.push(began.elapsed().as_secs());
            sleep(used * SECOND).await;
            queue.spend(&1, used * SECOND);
            queue.done(&1, Done::Forget);
        }
        assert_eq!(calls, [0, 4, 12, 12, 32, 36], "what was not used is not saved up");
        for (bounds, why) in [(Bounds { build: 1, ..quarter }, "another build"), (Bounds::default(), "no limit")] {
            queue.add(1, Priority::Normal);
            assert_eq!((queue.next().await, queue.call(&1)), (Some(1), true), "{why}");
            queue.spend(&1, 100 * SECOND);
            queue.done(&1, Done::Forget);
            queue.add(1, Priority::Normal);
            queue.bound([(0, bounds)].into());
            assert_eq!((queue.next().await, began.elapsed().as_secs()), (Some(1), 36), "{why} waits for nothing");
            queue.done(&1, Done::Forget);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_workers_that_have_keys_one_calls_and_the_other_gives_its_back_in_its_place() {
        let queue = queue();
        queue.bound([(0, Bounds { interval: SECOND, ..Bounds::default() })].into());
        for key in [1, 2, 3] {
            queue.add(key, Priority::Normal);
        }
        assert_eq!((queue.next().await, queue.next().await), (Some(1), Some(2)));
        assert_eq!((queue.call(&1), queue.call(&2)), (true, false));
        queue.done(&2, Done::Not);
        queue.done(&1, Done::Forget);
        let began = Instant::now();
        assert_eq!((queue.next().await, began.elapsed().as_secs()), (Some(2), 1));
    }

    #[tokio::test(start_paused = true)]
    async fn an_edit_goes_before_a_list_that_waits_for_its_turns_and_a_raised_rate_acts_at_once() {
        let queue = queue();
        queue.bound([(0, Bounds { interval: 100 * SECOND, ..Bounds::default() })].into());
        for key in 1..=3 {
            queue.add(key, Priority::Low);
        }
        assert_eq!((queue.next().await, queue.call(&1)), (Some(1), true));
        queue.done(&1, Done::Forget);
        let next = tokio::spawn({
            let queue = queue.clone();
            async move { queue.next().await }
        });
        sleep(SECOND).await;
        queue.add(9, Priority::Normal);
        let began = Instant::now();
        queue.bound([(0, Bounds { interval: 3 * SECOND, ..Bounds::default() })].into());
        assert_eq!((next.await.unwrap(), began.elapsed().as_secs()), (Some(9), 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lane_that_waits_for_its_turn_holds_up_no_other() {
        let queue = queue();
        queue.bound([(0, Bounds { interval: 100 * SECOND, ..Bounds::default() })].into());
        for key in [1, 2, PER_LANE] {
            queue.add(key, Priority::Normal);
        }
        assert_eq!((queue.next().await, queue.call(&1)), (Some(1), true));
        assert_eq!((queue.next().await, queue.call(&PER_LANE)), (Some(PER_LANE), true));
    }

    #[tokio::test(start_paused = true)]
    async fn the_observer_learns_how_long_keys_waited_and_were_out() {
        let counts = Arc::new(Counts::default());
        let queue = Queue::new(counts.clone());
        queue.add(1, Priority::Low);
        queue.add(1, Priority::Low);
        sleep(2 * SECOND).await;
        assert_eq!(queue.next().await, Some(1));
        sleep(3 * SECOND).await;
        let running = queue.stats();
        assert_eq!((running.running, running.longest, running.unfinished), (1, 3 * SECOND, 3 * SECOND));
        queue.done(&1, Done::Forget);
        assert_eq!(counts.added.load(Ordering::Relaxed), 1);
        assert_eq!(*counts.waited_ms.lock().unwrap(), [2000]);
        assert_eq!(*counts.worked_ms.lock().unwrap(), [3000]);
    }

    #[tokio::test]
    async fn many_workers_on_threads_look_at_every_key_and_never_two_at_one() {
        let queue = queue();
        let out = Arc::new([const { AtomicUsize::new(0) }; 10]);
        let looks = Arc::new(AtomicUsize::new(0));
        let mut threads = Vec::new();
        for _ in 0..4 {
            let (queue, out, looks) = (queue.clone(), out.clone(), looks.clone());
            threads.push(std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
                runtime.block_on(async {
                    while let Some(key) = queue.next().await {
                        assert_eq!(out[key as usize].fetch_add(1, Ordering::SeqCst), 0, "{key} is out twice");
                        tokio::task::yield_now().await;
                        out[key as usize].fetch_sub(1, Ordering::SeqCst);
                        queue.done(&key, Done::Forget);
                        if looks.fetch_add(1, Ordering::SeqCst) + 1 >= 2_000 {
                            queue.shutdown();
                        }
                        queue.add((key + 1) % 10, Priority::Normal);
                        queue.add((key + 3) % 10, Priority::Low);
                    }
                });
            }));
        }
        queue.add(0, Priority::Normal);
        threads.into_iter().for_each(|thread| thread.join().expect("no worker met another one"));
    }
}
