//! What the engine counts, under the names that controller-runtime's users
//! already have dashboards for, with `instance_id` and `lineage` as labels,
//! and the plugin life cycle's own.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Metric, Registry},
};
use trimtab_core::id::{GroupKind, InstanceId, Lineage, SlotId};
use trimtab_wasm::{CallError, Called};

use crate::{
    queue::{Observe, Stats},
    view::SlotView,
};

/// Whose work is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Who {
    instance_id: String,
    lineage: String,
}

impl Who {
    /// The labels of a lineage in an instance.
    pub fn new(instance: &InstanceId, lineage: &Lineage) -> Self {
        Self { instance_id: instance.to_string(), lineage: lineage.to_string() }
    }

    /// Where the object's instance is not known, or nothing serves it.
    pub fn of_lineage(lineage: &Lineage) -> Self {
        Self { instance_id: String::new(), lineage: lineage.to_string() }
    }

    fn of_slot(slot: &SlotId) -> Self {
        Self::new(&slot.instance, &slot.stem.lineage())
    }

    fn with(&self, result: &str) -> Result {
        Result { instance_id: self.instance_id.clone(), lineage: self.lineage.clone(), result: result.into() }
    }
}

/// Whose work, and what became of it; each metric's help names the words.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Result {
    instance_id: String,
    lineage: String,
    result: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, EncodeLabelSet)]
struct Marked {
    instance_id: String,
    kind: String,
}

/// 0.5 ms to some 16 s, doubling: under it nothing is worth telling apart,
/// over it lies the longest call.
fn seconds() -> Histogram {
    Histogram::new(std::iter::successors(Some(0.0005), |at| Some(at * 2.0)).take(16))
}

type Count = Family<Who, Counter>;
type CountBy = Family<Result, Counter>;
type Seconds = Family<Who, Histogram, fn() -> Histogram>;

/// All metrics of one engine.
pub struct Metrics {
    registry: Registry,
    reconciles: CountBy,
    errors: Count,
    terminal_errors: Count,
    panics: Count,
    timeouts: Count,
    seconds: Seconds,
    workers: Gauge,
    active_workers: Gauge,
    adds: Counter,
    depth: Gauge,
    unfinished_seconds: Gauge<f64, AtomicU64>,
    longest_seconds: Gauge<f64, AtomicU64>,
    queue_seconds: Histogram,
    work_seconds: Histogram,
    skipped: CountBy,
    call_seconds: Seconds,
    call_failures: CountBy,
    connections_denied: Count,
    unlogged: Count,
    writes: CountBy,
    loads: CountBy,
    shadows: CountBy,
    swaps: Count,
    rollbacks: Count,
    slots: Family<State, Gauge>,
    unserved: Family<Marked, Gauge>,
    cached: Gauge,
    unreadable: Gauge,
    events_dropped: Counter,
}

impl Metrics {
    /// All of them, at zero.
    pub fn new(workers: usize) -> Arc<Self> {
        let mut registry = Registry::default();
        let r = &mut registry;
        let by = |r: &mut Registry, name: &str, help: &str| add(r, name, help, CountBy::default());
        let count = |r: &mut Registry, name: &str, help: &str| add(r, name, help, Count::default());
        let timed = |r: &mut Registry, name: &str, help: &str| {
            add(r, name, help, Seconds::new_with_constructor(seconds as fn() -> Histogram))
        };
        let metrics = Self {
            reconciles: by(
                r,
                "controller_runtime_reconcile",
                "Runs by result: success, requeue_after, error, waiting, terminal, held",
            ),
            errors: count(r, "controller_runtime_reconcile_errors", "Runs that ended in an error"),
            terminal_errors: count(
                r,
                "controller_runtime_terminal_reconcile_errors",
                "Runs that ended in an error which only a change can mend",
            ),
            panics: count(r, "controller_runtime_reconcile_panics", "Calls that trapped"),
            timeouts: count(r, "controller_runtime_reconcile_timeouts", "Calls that used up their CPU or wall time"),
            seconds: timed(r, "controller_runtime_reconcile_time_seconds", "How long a run takes, writes included"),
            workers: add(r, "controller_runtime_max_concurrent_reconciles", "Workers", Gauge::default()),
            active_workers: add(r, "controller_runtime_active_workers", "Workers that hold a key", Gauge::default()),
            adds: add(r, "workqueue_adds", "Keys added", Counter::default()),
            depth: add(r, "workqueue_depth", "Keys that are ready and wait for a worker", Gauge::default()),
            unfinished_seconds: add(
                r,
                "workqueue_unfinished_work_seconds",
                "How long the keys that are out have been out, all together",
                Gauge::default(),
            ),
            longest_seconds: add(
                r,
                "workqueue_longest_running_processor_seconds",
                "How long the key that is out the longest has been out",
                Gauge::default(),
            ),
            queue_seconds: add(
                r,
                "workqueue_queue_duration_seconds",
                "How long a ready key waits for a worker",
                seconds(),
            ),
            work_seconds: add(r, "workqueue_work_duration_seconds", "How long a worker holds a key", seconds()),
            skipped: by(
                r,
                "trimtab_skipped",
                "Looks that called no plugin: settled, backing-off, paced, paused, standby, unserved, unsynced, behind, deleting, gone",
            ),
            call_seconds: timed(
                r,
                "trimtab_call_seconds",
                "How long a plugin's call takes, its turns on a core included",
            ),
            call_failures: by(r, "trimtab_call_failures", "Calls without an answer, by reason; limits among them"),
            connections_denied: count(r, "trimtab_connections_denied", "Connections that plugins tried to make"),
            unlogged: count(r, "trimtab_log_lines_dropped", "Lines that plugins logged and nobody was told"),
            writes: by(r, "trimtab_writes", "What the gate was asked to write: Written, or the class of why not"),
            loads: by(r, "trimtab_plugin_loads", "Files that were loaded: accepted or refused"),
            shadows: by(
                r,
                "trimtab_shadow_calls",
                "Calls of generations that only shadow: same, differs, fails, waits, or dropped as the host was busy",
            ),
            swaps: count(r, "trimtab_plugin_swaps", "Generations that began to serve"),
            rollbacks: count(
                r,
                "trimtab_plugin_rollbacks",
                "Generations that made way for the one before, which did better",
            ),
            slots: add(
                r,
                "trimtab_plugin_slots",
                "Slots by state: Serving, RolledBack, Quarantined, Pending, Refused",
                Family::default(),
            ),
            unserved: add(
                r,
                "trimtab_unserved_objects",
                "Objects that are marked for an instance which no host serves",
                Family::default(),
            ),
            cached: add(r, "trimtab_cached_objects", "Objects in the store", Gauge::default()),
            unreadable: add(r, "trimtab_unreadable_objects", "Objects that exist and cannot be read", Gauge::default()),
            events_dropped: add(
                r,
                "trimtab_events_dropped",
                "Events that were not written, as too many were waiting",
                Counter::default(),
            ),
            registry,
        };
        metrics.workers.set(i64::try_from(workers).unwrap_or(i64::MAX));
        Arc::new(metrics)
    }

    /// All of them in the text format of OpenMetrics.
    pub fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a string does not fail");
        text
    }

    /// What the queue holds now; it is asked for only when somebody reads the metrics.
    pub fn queue(&self, stats: &Stats) {
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.depth.set(gauge(stats.ready));
        self.unfinished_seconds.set(stats.unfinished.as_secs_f64());
        self.longest_seconds.set(stats.longest.as_secs_f64());
    }

    /// What the store holds and the Events have lost; asked for like the queue.
    pub fn held(&self, cached: usize, unreadable: usize, events_dropped: u64) {
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.cached.set(gauge(cached));
        self.unreadable.set(gauge(unreadable));
        let told = self.events_dropped.get();
        self.events_dropped.inc_by(events_dropped.saturating_sub(told));
    }

    /// A run ended.
    pub fn ran(&self, who: &Who, result: &str, took: Duration) {
        self.reconciles.get_or_create(&who.with(result)).inc();
        self.seconds.get_or_create(who).observe(took.as_secs_f64());
        match result {
            "error" => self.errors.get_or_create(who).inc(),
            "terminal" => self.terminal_errors.get_or_create(who).inc(),
            _ => 0,
        };
    }

    /// A look ended without a call.
    pub fn skipped(&self, who: &Who, why: &str) {
        self.skipped.get_or_create(&who.with(why)).inc();
    }

    /// A plugin logged more than is told.
    pub fn unlogged(&self, who: &Who, lines: u64) {
        self.unlogged.get_or_create(who).inc_by(lines);
    }

    /// A call came back.
    pub fn called<T>(&self, who: &Who, called: &Called<T>) {
        self.call_seconds.get_or_create(who).observe((called.cost.instantiate + called.cost.call).as_secs_f64());
        self.connections_denied.get_or_create(who).inc_by(called.connections_denied);
        let Err(error) = &called.outcome else { return };
        self.call_failures.get_or_create(&who.with(error.reason())).inc();
        match error {
            CallError::Trap { .. } => self.panics.get_or_create(who).inc(),
            CallError::CpuExceeded { .. } | CallError::WallExceeded { .. } => self.timeouts.get_or_create(who).inc(),
            _ => 0,
        };
    }

    /// A generation that only shadows was asked, or was not.
    pub fn shadowed(&self, who: &Who, result: &str) {
        self.shadows.get_or_create(&who.with(result)).inc();
    }

    /// A write came back.
    pub fn wrote(&self, who: &Who, result: &str) {
        self.writes.get_or_create(&who.with(result)).inc();
    }

    /// A file was loaded, or refused.
    pub fn loaded(&self, slot: &SlotId, accepted: bool) {
        let result = if accepted { "accepted" } else { "refused" };
        self.loads.get_or_create(&Who::of_slot(slot).with(result)).inc();
    }

    /// A generation began to serve.
    pub fn swapped(&self, slot: &SlotId) {
        self.swaps.get_or_create(&Who::of_slot(slot)).inc();
    }

    /// A generation made way for the one before it.
    pub fn rolled_back(&self, slot: &SlotId) {
        self.rollbacks.get_or_create(&Who::of_slot(slot)).inc();
    }

    /// The objects that nobody serves as they are now, by instance and kind.
    pub fn unserved<'a>(&self, objects: impl Iterator<Item = (&'a str, &'a GroupKind)>) {
        let mut counts = BTreeMap::<Marked, i64>::new();
        for (instance, kind) in objects {
            *counts.entry(Marked { instance_id: instance.into(), kind: kind.to_string() }).or_default() += 1;
        }
        self.unserved.clear();
        for (marked, count) in counts {
            self.unserved.get_or_create(&marked).set(count);
        }
    }

    /// The slots as they are now.
    pub fn slots(&self, slots: &[SlotView]) {
        let states = ["Serving", "RolledBack", "Quarantined", "Pending", "Refused"];
        let mut counts = states.map(|state| (state.to_owned(), 0)).into_iter().collect::<BTreeMap<_, _>>();
        for slot in slots {
            *counts.entry(format!("{:?}", slot.state)).or_default() += 1;
        }
        for (state, count) in counts {
            self.slots.get_or_create(&State { state }).set(count);
        }
    }
}

impl Observe for Metrics {
    fn added(&self) {
        self.adds.inc();
    }

    fn waited(&self, ready: Duration) {
        self.active_workers.inc();
        self.queue_seconds.observe(ready.as_secs_f64());
    }

    fn worked(&self, out: Duration) {
        self.active_workers.dec();
        self.work_seconds.observe(out.as_secs_f64());
    }
}

fn add<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}
