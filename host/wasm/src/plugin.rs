//! A loaded plugin: its code, mapped and checked, and the two things that can
//! be asked of it.

use std::{collections::BTreeSet, fmt, future::poll_fn, io, path::Path, sync::Arc, time::Instant};

use tokio_util::task::AbortOnDropHandle;
use trimtab_core::{limits::Limits, origin::Origin};
use wasmtime::{
    Engine,
    component::{Component, ComponentExportIndex, ComponentNamedList, InstancePre, Lift, Lower, types::ComponentItem},
};

use crate::{
    call::{Bounds, Call, World},
    called::{CallError, Called},
    componentize::CONTROLLER,
    config::Mode,
    contract::{Failure, Outcome, Request, Response},
    engine::Ticker,
    host::State,
    http::{Network, Outbound},
    load::Wasm,
    lookup::{Lookup, NoLookups},
    record::Record,
    replay::{Player, Replayed},
    tape::{Seed, Tape},
    turn::{Line, Rank},
};

/// The time for a plugin that describes itself: the same for ever, as its
/// description has to be.
const DESCRIBE_NOW: &str = "2000-01-01T00:00:00Z";
const DESCRIBE_SEED: u64 = 0;

type DescribeParams = (Arc<str>,);
type Described = Result<String, String>;
type ReconcileParams = (Request,);
type Reconciled = Result<Response, Failure>;

/// A loaded plugin. Whoever holds it can call it: code that is replaced serves
/// the calls in flight to their end.
#[derive(Clone)]
pub struct Plugin {
    wasm: Arc<Wasm>,
    name: Arc<str>,
    imports: Vec<String>,
    pre: InstancePre<State>,
    describe: ComponentExportIndex,
    reconcile: ComponentExportIndex,
    network: Network,
}

impl Plugin {
    /// Checks a component against the contract.
    pub(crate) fn new(wasm: &Arc<Wasm>, file: &str, component: &Component) -> Result<Arc<Self>, String> {
        let [describe, reconcile] = check_types(component)?;
        let pre = wasm.linker.instantiate_pre(component);
        let pre = pre.map_err(|error| format!("it imports what this host does not have: {error:#}"))?;
        let imports = component.component_type().imports(&wasm.engine).map(|(name, _)| name.to_owned()).collect();
        let name = Path::new(file).file_stem().unwrap_or_default().to_string_lossy().as_ref().into();
        Ok(Arc::new(Self { wasm: wasm.clone(), name, imports, pre, describe, reconcile, network: Network::None }))
    }

    /// The same plugin, which may send HTTP requests to these and only these,
    /// when it reconciles; the error says why no server could be trusted.
    pub fn with_http(&self, granted: &BTreeSet<Origin>) -> io::Result<Arc<Self>> {
        let network = match &self.wasm.mode {
            _ if granted.is_empty() => Network::None,
            Mode::Simulate => Network::Simulated,
            Mode::Serve(_) => Network::Granted(Arc::new(Outbound::new(granted)?)),
        };
        Ok(Arc::new(Self { network, ..self.clone() }))
    }

    /// The file's name without its ending.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The interfaces that it imports.
    pub fn imports(&self) -> &[String] {
        &self.imports
    }

    /// What it says of itself under a config: JSON that nobody has checked yet.
    pub async fn describe(&self, config: Arc<str>, limits: &Limits) -> Called<String> {
        let world = World {
            lookup: Arc::new(NoLookups),
            network: Network::None,
            now: DESCRIBE_NOW.into(),
            seed: self.seed(|| DESCRIBE_SEED),
        };
        let called = self.call::<_, Described>(self.describe, (config,), world, limits, Rank::Serves).await;
        let terminal = |message| Failure { outcome: Outcome::Terminal, message, retry_after_ms: None };
        called.and_then(|described| described.map_err(terminal))
    }

    /// From what is observed to what should be. Nothing of the answer has been
    /// checked yet but its size.
    pub async fn reconcile(&self, request: Request, lookup: Arc<dyn Lookup>, limits: &Limits) -> Called<Response> {
        let (now, seed) = (request.now.clone(), self.seed(|| request.seed()));
        let world = World { lookup, network: self.network.clone(), now, seed };
        self.ask(request, world, limits, Rank::Serves).await
    }

    /// Makes a recorded call again: all that it is told comes from the record.
    pub async fn replay(&self, record: &Record, limits: &Limits) -> Replayed {
        let player = Arc::new(Player::new(&record.tape));
        let world = World {
            lookup: player.clone(),
            network: Network::Played(player.clone()),
            now: record.request.now.clone(),
            seed: record.tape.seed,
        };
        let called = self.ask(record.request.clone(), world, limits, Rank::Serves).await;
        Replayed { called, differences: player.finish().await }
    }

    /// Asks what another generation was asked, and tells it the same: of chance, of time
    /// and of the network, from which nothing is asked again. It runs only while at least
    /// one core is left for who serves, and waits otherwise.
    pub async fn shadow(&self, request: Request, tape: &Tape, lookup: Arc<dyn Lookup>, limits: &Limits) -> Replayed {
        let player = Arc::new(Player::new(tape));
        let network = match &self.network {
            Network::None => Network::None,
            _ => Network::Played(player.clone()),
        };
        let world = World { lookup, network, now: request.now.clone(), seed: tape.seed };
        let called = self.ask(request, world, limits, Rank::Shadows).await;
        Replayed { called, differences: player.finish().await }
    }

    async fn ask(&self, request: Request, world: World, limits: &Limits, rank: Rank) -> Called<Response> {
        let (bytes, limit_bytes) = (request.bytes(), limits.request_bytes);
        if bytes > limit_bytes {
            return Called::never(CallError::RequestTooLarge { bytes, limit_bytes });
        }
        let called = self.call::<_, Reconciled>(self.reconcile, (request,), world, limits, rank).await;
        called.and_then(|answer| answer)
    }

    /// A simulated call has no chance in it, or a run could not be repeated.
    fn seed(&self, seed: impl FnOnce() -> u64) -> Seed {
        match &self.wasm.mode {
            Mode::Simulate => Seed::of(seed()),
            Mode::Serve(_) => Seed::random(),
        }
    }

    async fn call<P, R>(
        &self,
        export: ComponentExportIndex,
        params: P,
        world: World,
        limits: &Limits,
        rank: Rank,
    ) -> Called<R>
    where
        P: ComponentNamedList + Lower + Send + Sync + 'static,
        R: Send + Sync + 'static,
        (R,): ComponentNamedList + Lift,
    {
        let wished = Instant::now();
        let room = self.wasm.in_flight.clone().acquire_owned().await.expect("nobody closes it");
        let call = Call {
            engine: self.wasm.engine.clone(),
            pre: self.pre.clone(),
            export,
            params,
            limits: *limits,
            name: self.name.clone(),
            world,
        };
        let Mode::Serve(serve) = &self.wasm.mode else { return call.run(Bounds::Fuel).await };

        let mut line = Line::new(self.wasm.running.clone(), serve.running, rank);
        let first = poll_fn(|cx| line.poll(cx)).await;
        let (queued, ticked) = (wished.elapsed(), self.wasm.ticker.as_ref().map(Ticker::call));
        let run = async move {
            let called = call.run(Bounds::Clocks { line, first }).await;
            drop((room, ticked));
            called
        };
        // Whoever gives up waiting gives up the call too.
        let run = AbortOnDropHandle::new(serve.guests.spawn(run));
        let mut called = run.await.unwrap_or_else(|error| Called::never(CallError::Host(error.to_string())));
        called.cost.queued = queued;
        called
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Maps compiled code, which then runs as it is. The error is that it was compiled
/// for another engine, or is no code at all.
#[allow(unsafe_code)]
pub(crate) fn map(engine: &Engine, path: &Path) -> wasmtime::Result<Component> {
    // SAFETY: the file must be what `Engine::precompile_component` gave, and
    // stay so while it is mapped. `Cache` gives files of its own folder only,
    // which this user alone may enter, and has just compared their content with
    // the checksum that was taken when this crate had them written. No file of
    // the cache is written a second time: it is replaced or unlinked, and what
    // is mapped stays. That it was made for this engine, the engine checks.
    unsafe { Component::deserialize_file(engine, path) }
}

/// That the two functions are there and have the contract's types. Checked now
/// and not at the first call, when the last good generation would be gone.
fn check_types(component: &Component) -> Result<[ComponentExportIndex; 2], String> {
    let controller = component.get_export_index(None, CONTROLLER);
    let controller = controller.ok_or_else(|| format!("it does not export {CONTROLLER}"))?;
    let types = component.component_type();
    let types = types.instance_type();
    let function = |name| match component.get_export(Some(&controller), name) {
        Some((ComponentItem::ComponentFunc(function), index)) => Ok((function, index)),
        _ => Err(format!("its {CONTROLLER} has no function {name}")),
    };
    let (describe, describe_index) = function("describe")?;
    let (reconcile, reconcile_index) = function("reconcile")?;
    let describe = describe.typecheck::<DescribeParams, (Described,)>(&types).map_err(|error| ("describe", error));
    let reconcile = reconcile.typecheck::<ReconcileParams, (Reconciled,)>(&types).map_err(|error| ("reconcile", error));
    describe.and(reconcile).map_err(|(name, error)| {
        format!("{name} of its {CONTROLLER} has other types than the contract gives it: {error:#}")
    })?;
    Ok([describe_index, reconcile_index])
}
