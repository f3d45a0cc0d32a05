//! Whose turn it is on a core, and what each has used of it.
//!
//! As many calls run as there are permits, which is as many as there are cores.
//! A call that is interrupted by a tick goes to the end of the line: ten endless
//! guests delay a short one by a few ticks, not by their whole budgets.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::PollSemaphore;

/// What one call has used of a core, by the thread's own clock: time that the
/// machine took away from the thread is not the guest's.
///
/// Only the thread that polls the call reads and writes it; the atomics are
/// there because that is another thread each time.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    used_ns: AtomicU64,
    turn_began_ns: AtomicU64,
    ticked: AtomicBool,
}

impl Meter {
    /// A tick has interrupted the guest, which is on this thread.
    /// Returns what the call has used, this turn included.
    pub fn tick(&self) -> Duration {
        self.ticked.store(true, Relaxed);
        Duration::from_nanos(self.used_ns.load(Relaxed) + self.turn_ns())
    }

    /// What all turns so far have used.
    pub fn used(&self) -> Duration {
        Duration::from_nanos(self.used_ns.load(Relaxed))
    }

    fn begin_turn(&self) {
        self.turn_began_ns.store(thread_cpu_ns(), Relaxed);
    }

    /// Returns whether a tick ended the turn.
    fn end_turn(&self) -> bool {
        self.used_ns.fetch_add(self.turn_ns(), Relaxed);
        self.ticked.swap(false, Relaxed)
    }

    fn turn_ns(&self) -> u64 {
        thread_cpu_ns().saturating_sub(self.turn_began_ns.load(Relaxed))
    }
}

fn thread_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// A call that runs only while it holds a permit.
pub(crate) struct Turns<F> {
    call: Pin<Box<F>>,
    line: PollSemaphore,
    permit: Option<OwnedSemaphorePermit>,
    meter: Arc<Meter>,
}

impl<F: Future> Turns<F> {
    /// A call whose first turn has come: `permit` is one of `permits`. It was
    /// waited for elsewhere, as a new call that had to be polled by the guests'
    /// own threads to get in line would lose a tick before it stands there.
    pub fn new(call: F, permits: Arc<Semaphore>, permit: OwnedSemaphorePermit, meter: Arc<Meter>) -> Self {
        Self { call: Box::pin(call), line: PollSemaphore::new(permits), permit: Some(permit), meter }
    }
}

impl<F: Future> Future for Turns<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        if this.permit.is_none() {
            this.permit = ready!(this.line.poll_acquire(cx));
        }
        this.meter.begin_turn();
        let polled = this.call.as_mut().poll(cx);
        let ticked = this.meter.end_turn();
        if polled.is_pending() {
            this.permit = None;
            // Ticked, it wants to go on and gets in line now: by the time it is
            // polled again, calls that came later would stand before it.
            // Otherwise it waits for something else and lets others run.
            if ticked && let Poll::Ready(permit) = this.line.poll_acquire(cx) {
                this.permit = permit;
            }
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Runs for some turns, each ended by a tick, and writes down each.
    async fn endless(name: char, turns: usize, meter: Arc<Meter>, seen: Arc<Mutex<String>>) {
        for _ in 0..turns {
            seen.lock().unwrap().push(name);
            meter.tick();
            tokio::task::yield_now().await;
        }
    }

    /// Waits for its first turn, then runs.
    async fn in_turn<F: Future>(call: F, permits: &Arc<Semaphore>, meter: Arc<Meter>) -> F::Output {
        let permit = permits.clone().acquire_owned().await.unwrap();
        Turns::new(call, permits.clone(), permit, meter).await
    }

    #[tokio::test]
    async fn calls_that_are_interrupted_take_turns_in_order() {
        let permits = Arc::new(Semaphore::new(1));
        let seen = Arc::new(Mutex::new(String::new()));
        let [a, b, c] = ['a', 'b', 'c'].map(|name| {
            let meter = Arc::new(Meter::default());
            in_turn(endless(name, 3, meter.clone(), seen.clone()), &permits, meter)
        });
        tokio::join!(biased; a, b, c);
        // At the first tick of `a` nobody is in line, so it goes on; from then
        // on each goes to the end of the line until it is done.
        assert_eq!(*seen.lock().unwrap(), "aabcabcbc");
    }

    #[tokio::test]
    async fn a_call_that_waits_for_something_else_holds_no_permit() {
        let permits = Arc::new(Semaphore::new(1));
        let (send, receive) = tokio::sync::oneshot::channel::<()>();
        let waits = in_turn(receive, &permits, Arc::default());
        let sends = in_turn(async { send.send(()) }, &permits, Arc::default());
        let (received, sent) = tokio::join!(biased; waits, sends);
        assert!(received.is_ok() && sent.is_ok());
        assert_eq!(permits.available_permits(), 1);
    }

    #[test]
    fn a_meter_counts_what_the_thread_used_and_not_what_it_waited() {
        let meter = Meter::default();
        meter.begin_turn();
        while meter.tick() < Duration::from_millis(5) {
            std::hint::spin_loop();
        }
        assert!(meter.end_turn());
        assert!(meter.used() >= Duration::from_millis(5));
        let used = meter.used();
        meter.begin_turn();
        std::thread::park_timeout(Duration::from_millis(20));
        assert!(!meter.end_turn(), "no tick has ended this turn");
        assert!(meter.used() - used < Duration::from_millis(20), "waiting is not using");
    }
}
