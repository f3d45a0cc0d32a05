//! A guest's time: virtual, so that an answer depends on nothing but the request.
//!
//! The wall clock starts at the request's `now`, the monotonic one at a second
//! (Go's runtime takes zero for "never" and dies). Each reading takes a
//! microsecond, or a guest that waits by reading would wait for ever. Sleeping
//! takes no time at all: when nothing else is left to wait for, the clock jumps
//! to the earliest deadline, so sleepers wake in the order of their deadlines.
//!
//! A guest that may talk to others gets real time instead: their answers take
//! theirs, and time-outs have to mean something. What it reads is recorded, and a
//! replay reads it from the tape.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard},
    task::Poll,
    time::{Duration, Instant, SystemTime},
};

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::{
    HostWallClock, WasiView, async_trait,
    p2::{DynPollable, Pollable, bindings::clocks::monotonic_clock, subscribe},
};

use crate::{replay::Player, tape::SharedTape};

/// Where the monotonic clock starts.
const START_NS: u64 = 1_000_000_000;
/// What a reading takes.
const READING_NS: u64 = 1_000;

/// The time of one call, shared by its clocks and sleepers.
#[derive(Clone)]
pub(crate) enum Time {
    /// It depends on nothing but the request.
    Virtual(Virtual),
    /// Since the call's begin; all readings go onto the tape.
    Real(Instant, SharedTape),
    /// As it was read before.
    Played(Virtual, Arc<Player>),
}

impl Time {
    /// Virtual time, from an RFC 3339 text on.
    pub fn at(now: &str) -> Self {
        Self::Virtual(Virtual::at(now))
    }

    /// Real time, from now on.
    pub fn real(tape: SharedTape) -> Self {
        Self::Real(Instant::now(), tape)
    }

    /// What the tape says.
    pub fn played(now: &str, player: Arc<Player>) -> Self {
        Self::Played(Virtual::at(now), player)
    }

    /// The monotonic clock, read by the guest.
    fn read(&self) -> u64 {
        match self {
            Self::Virtual(time) => time.read(),
            Self::Real(began, tape) => {
                let elapsed_ns = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
                let reading = START_NS.saturating_add(elapsed_ns);
                tape.lock().expect("no holder panics").read(|time| &mut time.monotonic_ns, reading);
                reading
            }
            Self::Played(time, player) => player.monotonic().map_or_else(|| time.read(), |reading| time.set(reading)),
        }
    }

    /// Comes back when the clock has reached the deadline.
    async fn until(&self, deadline_ns: u64) {
        match self {
            Self::Virtual(time) => time.until(deadline_ns).await,
            // All that came before it is there at once.
            Self::Played(time, _) => tokio::time::sleep(time.left(deadline_ns)).await,
            Self::Real(began, _) => {
                let after = Duration::from_nanos(deadline_ns.saturating_sub(START_NS));
                tokio::time::sleep(after.saturating_sub(began.elapsed())).await;
            }
        }
    }
}

impl HostWallClock for Time {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(READING_NS)
    }

    fn now(&self) -> Duration {
        match self {
            Self::Virtual(time) => time.wall(),
            Self::Real(_, tape) => {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                let reading = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
                tape.lock().expect("no holder panics").read(|time| &mut time.wall_ns, reading);
                Duration::from_nanos(reading)
            }
            Self::Played(time, player) => player.wall().map_or_else(|| time.wall(), Duration::from_nanos),
        }
    }
}

/// Time that moves only as far as the guest asks it to.
#[derive(Clone)]
pub(crate) struct Virtual {
    /// The wall clock's time when the monotonic one stood at zero.
    epoch: Duration,
    state: Arc<Mutex<State>>,
}

struct State {
    now_ns: u64,
    /// The deadlines that are waited for, and by how many.
    awaited: BTreeMap<u64, usize>,
}

impl Virtual {
    /// A text that is no time, or before 1970, is 1970: WASI
    /// knows no earlier.
    fn at(now: &str) -> Self {
        let now = now.parse::<jiff::Timestamp>().unwrap_or_default();
        let now = Duration::try_from(now.as_duration()).unwrap_or_default();
        let state = State { now_ns: START_NS, awaited: BTreeMap::new() };
        Self { epoch: now.saturating_sub(Duration::from_nanos(START_NS)), state: Arc::new(Mutex::new(state)) }
    }

    fn read(&self) -> u64 {
        let mut state = self.state();
        let now_ns = state.now_ns;
        state.now_ns += READING_NS;
        now_ns
    }

    fn left(&self, deadline_ns: u64) -> Duration {
        Duration::from_nanos(deadline_ns.saturating_sub(self.state().now_ns))
    }

    fn set(&self, now_ns: u64) -> u64 {
        self.state().now_ns = now_ns;
        now_ns
    }

    async fn until(&self, deadline_ns: u64) {
        if self.state().now_ns >= deadline_ns {
            return;
        }
        let _awaited = Awaited::new(self, deadline_ns);
        loop {
            // The others of the same poll are asked meanwhile: all deadlines
            // are known before the clock moves, and what is ready goes first.
            yield_once().await;
            let mut state = self.state();
            if state.awaited.first_key_value().is_some_and(|(earliest, _)| *earliest == deadline_ns) {
                state.now_ns = state.now_ns.max(deadline_ns);
            }
            if state.now_ns >= deadline_ns {
                return;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    fn wall(&self) -> Duration {
        self.epoch + Duration::from_nanos(self.read())
    }
}

/// A deadline among those that are waited for, until it is reached or given up.
struct Awaited<'a> {
    time: &'a Virtual,
    deadline_ns: u64,
}

impl<'a> Awaited<'a> {
    fn new(time: &'a Virtual, deadline_ns: u64) -> Self {
        *time.state().awaited.entry(deadline_ns).or_default() += 1;
        Self { time, deadline_ns }
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        let mut state = self.time.state();
        if let Some(count) = state.awaited.get_mut(&self.deadline_ns) {
            *count -= 1;
            if *count == 0 {
                state.awaited.remove(&self.deadline_ns);
            }
        }
    }
}

async fn yield_once() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// What the guest polls when it sleeps.
struct Sleep {
    time: Time,
    deadline_ns: u64,
}

#[async_trait]
impl Pollable for Sleep {
    async fn ready(&mut self) {
        self.time.until(self.deadline_ns).await;
    }
}

/// Puts virtual time in the place of wasmtime's monotonic clock, whose sleepers
/// wait for real. The wall clock is given with the rest of the context.
pub(crate) fn add_to_linker<T: WasiView>(
    linker: &mut Linker<T>,
    clock: fn(&mut T) -> MonotonicClock<'_>,
) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let added = monotonic_clock::add_to_linker::<T, MonotonicClock<'static>>(linker, clock);
    linker.allow_shadowing(false);
    added
}

/// The monotonic clock of one call.
pub(crate) struct MonotonicClock<'a> {
    pub time: &'a Time,
    pub table: &'a mut ResourceTable,
}

impl MonotonicClock<'_> {
    fn sleep_until(&mut self, deadline_ns: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let sleep = self.table.push(Sleep { time: self.time.clone(), deadline_ns })?;
        subscribe(self.table, sleep)
    }
}

impl HasData for MonotonicClock<'static> {
    type Data<'a> = MonotonicClock<'a>;
}

impl monotonic_clock::Host for MonotonicClock<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.time.read())
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(READING_NS)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.sleep_until(when)
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let deadline_ns = self.time.read().saturating_add(duration);
        self.sleep_until(deadline_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-01-02T03:04:05Z";

    fn wall(time: &Virtual) -> String {
        jiff::Timestamp::try_from(SystemTime::UNIX_EPOCH + time.wall()).unwrap().to_string()
    }

    #[test]
    fn the_wall_clock_starts_at_the_requests_now_and_each_reading_takes_a_microsecond() {
        let time = Virtual::at(NOW);
        assert_eq!(wall(&time), NOW);
        assert_eq!(wall(&time), "2026-01-02T03:04:05.000001Z");
        assert_eq!(time.read(), START_NS + 2 * READING_NS);
        assert_eq!(wall(&Virtual::at("no time")), "1970-01-01T00:00:01Z");
    }

    #[tokio::test(start_paused = true)]
    async fn sleepers_wake_in_the_order_of_their_deadlines_and_no_real_time_passes() {
        let (time, woken) = (Virtual::at(NOW), Mutex::new(Vec::new()));
        let sleep = async |ms: u64| {
            time.until(START_NS + ms * 1_000_000).await;
            woken.lock().unwrap().push((ms, time.state().now_ns - START_NS));
        };
        let began = tokio::time::Instant::now();
        tokio::join!(sleep(30), sleep(10), sleep(20), sleep(10));
        assert_eq!(*woken.lock().unwrap(), [(10, 10_000_000), (10, 10_000_000), (20, 20_000_000), (30, 30_000_000)]);
        assert!(time.state().awaited.is_empty());
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_sleeper_that_gives_up_holds_up_no_other() {
        let time = Virtual::at(NOW);
        tokio::select! { biased; () = time.until(START_NS + 5) => {}, () = yield_once() => {} }
        time.until(START_NS + 9).await;
        assert_eq!(time.state().now_ns, START_NS + 9);
    }
}
