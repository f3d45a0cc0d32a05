//! One call: a fresh instance, under limits, and what is left of it.
//!
//! No state survives a call, so none leaks from one object to the next. An
//! instance costs less than one request to the API in every language tried: from
//! 10 µs (Rust) to 3 ms (Go with all Kubernetes types).

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Instant,
};

use tokio::sync::OwnedSemaphorePermit;
use trimtab_core::limits::Limits;
use wasmtime::{
    Engine, FrameInfo, Store, Trap, UpdateDeadline, WasmBacktrace,
    component::{ComponentExportIndex, ComponentNamedList, InstancePre, Lift, Lower},
};

use crate::{
    called::{CallError, Called, Cost},
    host::{LookUps, State},
    http::{Http, Network},
    limits::Limiter,
    log::Log,
    lookup::Lookup,
    stop::Stop,
    tape::{Seed, SharedTape, Tape},
    time::Time,
    turn::{Line, Meter, Turns},
    wasi::{SharedLog, Wasi},
};

/// Fuel for a microsecond of CPU time. An instruction costs one, and a core
/// does about a thousand of those in a microsecond.
const FUEL_PER_MICROSECOND: u64 = 1000;

/// What the engine says when an answer or a message is larger than its fuel for
/// copying. It has no public type for that.
const TOO_MUCH_COPIED: &str = "fuel allocated for hostcalls has been exhausted";

/// How many of a guest's functions are told of with a trap: an endless recursion
/// has thousands.
const PLACES_MAX: usize = 4;

/// One call to be made: whom, with what, under which limits.
pub(crate) struct Call<P> {
    pub engine: Engine,
    pub pre: InstancePre<State>,
    pub export: ComponentExportIndex,
    pub params: P,
    pub limits: Limits,
    pub name: Arc<str>,
    pub world: World,
}

/// What a call may ask for while it runs.
pub(crate) struct World {
    pub lookup: Arc<dyn Lookup>,
    pub network: Network,
    pub now: Arc<str>,
    /// What stands for chance.
    pub seed: Seed,
}

/// Who bounds the call.
pub(crate) enum Bounds {
    /// Clocks. The guests take turns by permits, and hold one for their first.
    Clocks { line: Line, first: OwnedSemaphorePermit },
    /// Fuel, and no clock at all.
    Fuel,
}

impl<P> Call<P>
where
    P: ComponentNamedList + Lower + Send + Sync + 'static,
{
    /// Makes the call. Everything that it held is gone when this returns.
    pub async fn run<R>(self, bounds: Bounds) -> Called<R>
    where
        R: Send + Sync + 'static,
        (R,): ComponentNamedList + Lift,
    {
        let began = Instant::now();
        let meter = Arc::new(Meter::default());
        let log: SharedLog = Arc::new(Mutex::new(Log::new(self.limits.log_lines as usize)));
        let real_time = match &self.world.network {
            Network::Granted(_) => true,
            Network::Played(player) => player.has_real_time(),
            Network::None | Network::Simulated => false,
        };
        let tape: SharedTape = Arc::new(Mutex::new(Tape::new(self.world.seed, real_time)));
        let made = self.store(&log, &tape, &meter, &bounds);
        let Call { pre, export, params, limits, .. } = self;
        let (mut store, mut cost) = match made {
            Ok(store) => (store, Cost { store: began.elapsed(), ..Cost::default() }),
            Err(error) => return Called::never(CallError::Host(format!("{error:#}"))),
        };

        let began = Instant::now();
        let mut instantiated = began;
        let work = async {
            let instance = pre.instantiate_async(&mut store).await?;
            instantiated = Instant::now();
            let function = instance.get_typed_func::<P, (R,)>(&mut store, export)?;
            let (answer,) = function.call_async(&mut store, params).await?;
            Ok(answer)
        };
        let ended = match bounds {
            Bounds::Clocks { line, first } => {
                let turns = Turns::new(work, line, first, meter.clone());
                tokio::time::timeout(limits.wall, turns).await.map_err(|_| Ended::WallExceeded)
            }
            // Only a replay waits for what never comes.
            Bounds::Fuel => tokio::time::timeout(limits.wall, work).await.map_err(|_| Ended::WallExceeded),
        };
        let ended = ended.and_then(|result| result.map_err(Ended::Error));
        cost.instantiate = instantiated - began;
        cost.call = instantiated.elapsed();
        cost.cpu = meter.used();

        let began = Instant::now();
        let state = store.into_data();
        cost.drop = began.elapsed();
        cost.memory_peak_bytes = state.limiter.peak_bytes();
        state.wasi.finish();
        let connections_denied = state.wasi.denied() + state.http.denied();
        let looked_up = state.look_ups.answers;
        let log = std::mem::take(&mut *log.lock().expect("no holder panics"));
        let outcome = ended.map_err(|ended| ended.explain(&limits, &log));
        let tape = std::mem::take(&mut *tape.lock().expect("no holder panics")).finished();
        Called { outcome, looked_up, tape, log, connections_denied, cost }
    }

    fn store(
        &self,
        log: &SharedLog,
        tape: &SharedTape,
        meter: &Arc<Meter>,
        bounds: &Bounds,
    ) -> wasmtime::Result<Store<State>> {
        let World { lookup, network, now, seed } = &self.world;
        let time = match network {
            Network::Granted(_) => Time::real(tape.clone()),
            Network::Played(player) if player.has_real_time() => Time::played(now, player.clone()),
            Network::None | Network::Simulated | Network::Played(_) => Time::at(now),
        };
        let state = State {
            limiter: Limiter::new(self.limits.memory_bytes),
            log: log.clone(),
            wasi: Wasi::new(self.name.clone(), time, *seed, log),
            http: Http::new(network.clone(), self.limits.request_bytes, log, tape),
            look_ups: LookUps::new(lookup.clone(), tape.clone()),
        };
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(self.limits.answer_bytes as usize);
        match bounds {
            Bounds::Fuel => store.set_fuel(self.limits.cpu.as_micros() as u64 * FUEL_PER_MICROSECOND)?,
            Bounds::Clocks { .. } => {
                let (meter, limit) = (meter.clone(), self.limits.cpu);
                store.set_epoch_deadline(1);
                store.epoch_deadline_callback(move |_| {
                    if meter.tick() >= limit { Err(Stop::Cpu.into()) } else { Ok(UpdateDeadline::Yield(1)) }
                });
            }
        }
        Ok(store)
    }
}

/// How a call came to an end without an answer.
enum Ended {
    WallExceeded,
    Error(wasmtime::Error),
}

impl Ended {
    fn explain(self, limits: &Limits, log: &Log) -> CallError {
        let log_tail = log.tail();
        let error = match self {
            Self::WallExceeded => return CallError::WallExceeded { limit: limits.wall, log_tail },
            Self::Error(error) => error,
        };
        match error.downcast_ref::<Stop>() {
            Some(Stop::Cpu) => return CallError::CpuExceeded { limit: limits.cpu, log_tail },
            Some(Stop::Memory) => return CallError::MemoryExceeded { limit_bytes: limits.memory_bytes, log_tail },
            Some(Stop::LookUps) => return CallError::TooManyLookUps { limit: crate::LOOK_UPS_MAX },
            Some(Stop::Waiting(why)) => return CallError::Waiting { why: why.clone() },
            None => {}
        }
        if let Some(Trap::OutOfFuel) = error.downcast_ref::<Trap>() {
            return CallError::CpuExceeded { limit: limits.cpu, log_tail };
        }
        let message = error.root_cause().to_string();
        if message.contains(TOO_MUCH_COPIED) {
            return CallError::AnswerTooLarge { limit_bytes: limits.answer_bytes };
        }
        CallError::Trap { message: message + &places(&error), log_tail }
    }
}

/// Where a guest was, as far as its module has names and lines for it.
fn places(error: &wasmtime::Error) -> String {
    let frames = error.downcast_ref::<WasmBacktrace>().map_or(&[][..], WasmBacktrace::frames);
    frames.iter().filter_map(place).take(PLACES_MAX).map(|place| format!("\n    at {place}")).collect()
}

fn place(frame: &FrameInfo) -> Option<String> {
    let symbol = frame.symbols().first();
    let name = symbol.and_then(|symbol| symbol.name()).or(frame.func_name())?;
    let line = symbol.and_then(|symbol| Some((Path::new(symbol.file()?).file_name()?.display(), symbol.line()?)));
    Some(line.map_or_else(|| name.to_owned(), |(file, line)| format!("{name} ({file}:{line})")))
}
