//! Whose turn it is on a core, and what each has used of it.
//!
//! As many calls run as there are permits, which is as many as there are cores.
//! A call that is interrupted by a tick goes to the end of the line: ten endless
//! guests delay a short one by a few ticks, not by their whole budgets. A call that
//! nobody waits for stands in no line: it takes what is free, if one core more is.

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
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Sleep,
};
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

/// Who waits for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rank {
    /// An object.
    Serves,
    /// Nobody: what it says is only compared.
    Shadows,
}

/// Between two looks for a free core: as short as timers are.
const AGAIN: Duration = Duration::from_millis(1);

/// Where a call waits for a turn.
pub(crate) struct Line {
    permits: Arc<Semaphore>,
    kind: LineKind,
}

enum LineKind {
    /// Behind those who came before.
    Queue(PollSemaphore),
    /// Until so many permits are free, looked for again and again.
    Spare { free: usize, again: Option<Pin<Box<Sleep>>> },
}

impl Line {
    /// A line for permits, of which there are `all`.
    pub fn new(permits: Arc<Semaphore>, all: usize, rank: Rank) -> Self {
        let kind = match rank {
            Rank::Serves => LineKind::Queue(PollSemaphore::new(permits.clone())),
            // One to take and one to leave, where there are two.
            Rank::Shadows => LineKind::Spare { free: all.min(2), again: None },
        };
        Self { permits, kind }
    }

    /// The permit for the next turn.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<OwnedSemaphorePermit> {
        match &mut self.kind {
            LineKind::Queue(queue) => queue.poll_acquire(cx).map(|permit| permit.expect("nobody closes it")),
            LineKind::Spare { free, again } => loop {
                if self.permits.available_permits() >= *free
                    && let Ok(permit) = self.permits.clone().try_acquire_owned()
                {
                    *again = None;
                    return Poll::Ready(permit);
                }
                ready!(again.get_or_insert_with(|| Box::pin(tokio::time::sleep(AGAIN))).as_mut().poll(cx));
                *again = None;
            },
        }
    }
}

/// A call that runs only while it holds a permit.
pub(crate) struct Turns<F> {
    call: Pin<Box<F>>,
    line: Line,
    permit: Option<OwnedSemaphorePermit>,
    meter: Arc<Meter>,
}

impl<F: Future> Turns<F> {
    /// A call whose first turn has come: `permit` is one of `permits`. It was
    /// waited for elsewhere, as a new call that had to be polled by the guests'
    /// own threads to get in line would lose a tick before it stands there.
    pub fn new(call: F, line: Line, permit: OwnedSemaphorePermit, meter: Arc<Meter>) -> Self {
        Self { call: Box::pin(call), line, permit: Some(permit), meter }
    }
}

impl<F: Future> Future for Turns<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        if this.permit.is_none() {
            this.permit = Some(ready!(this.line.poll(cx)));
        }
        this.meter.begin_turn();
        let polled = this.call.as_mut().poll(cx);
        let ticked = this.meter.end_turn();
        if polled.is_pending() {
            this.permit = None;
            // Ticked, it wants to go on and gets in line now: by the time it is
            // polled again, calls that came later would stand before it.
            // Otherwise it waits for something else and lets others run.
            if ticked && let Poll::Ready(permit) = this.line.poll(cx) {
                this.permit = Some(permit);
            }
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, sync::Mutex};

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
        let mut line = Line::new(permits.clone(), permits.available_permits(), Rank::Serves);
        let permit = poll_fn(|cx| line.poll(cx)).await;
        Turns::new(call, line, permit, meter).await
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_waits_for_takes_a_turn_only_while_another_is_free_and_gives_way_at_each_tick() {
        let permits = Arc::new(Semaphore::new(2));
        let seen = Arc::new(Mutex::new(String::new()));
        let serves = permits.clone().acquire_owned().await.unwrap();
        let (meter, mut line) = (Arc::new(Meter::default()), Line::new(permits.clone(), 2, Rank::Shadows));
        let shadow = async {
            let permit = poll_fn(|cx| line.poll(cx)).await;
            Turns::new(endless('s', 3, meter.clone(), seen.clone()), line, permit, meter).await;
        };
        let mut shadow = Box::pin(shadow);
        let a_while = 10 * AGAIN;
        assert!(tokio::time::timeout(a_while, &mut shadow).await.is_err() && seen.lock().unwrap().is_empty());
        assert_eq!(permits.available_permits(), 1, "it holds nothing while it waits");
        drop(serves);
        let comes = async {
            while seen.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
            // It has the permit for its second turn already, and none is left besides.
            let serves = permits.clone().acquire_owned().await.unwrap();
            tokio::time::sleep(a_while).await;
            assert_eq!(*seen.lock().unwrap(), "ss", "its third turn does not come while others serve");
            drop(serves);
        };
        tokio::join!(biased; &mut shadow, comes);
        assert_eq!(*seen.lock().unwrap(), "sss");
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
