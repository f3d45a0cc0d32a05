//! The workers: each takes a key, looks at its object, and tells the queue when
//! to give the key out again.

use std::{sync::Arc, time::Duration};

use trimtab_cluster::{
    discovery::Discovery,
    events::{Events, Note},
    gate::{Gate, WriteError},
    store::Store,
};
use trimtab_core::{
    answer, backoff,
    env::Env,
    hash::Hash,
    id::{InstanceId, Key},
    object::Object,
    quarantine::{Change, Ran},
    status,
    write::Write,
};
use trimtab_wasm::{Called, Response};

use crate::{
    calls::Calls,
    gather::{Idle, Job, Sources},
    generation::{Generation, Loaded},
    holders::Holders,
    leading::Leading,
    lookups::{self, LookedUp},
    memory::{Failed, Memory, Remembered},
    metrics::{Metrics, Who},
    observed::Fared,
    published::Published,
    queue::{Done, Priority, Queue},
    reconcile::{Ended, Run},
    serving::Serving,
    settings::Settings,
    shadow::Shadows,
    trouble::{Again, Trouble},
};

/// What a plugin does not log in this time, it may log at once.
const LOG_OVER: Duration = Duration::from_secs(10);

/// What all workers share.
pub struct Workshop {
    pub settings: Arc<Settings>,
    pub env: Arc<dyn Env>,
    pub store: Arc<Store>,
    pub discovery: Arc<Discovery>,
    pub queue: Arc<Queue>,
    pub memory: Arc<Memory>,
    pub published: Arc<Published>,
    pub leading: Arc<Leading>,
    pub gate: Arc<Gate>,
    pub events: Arc<Events>,
    pub metrics: Arc<Metrics>,
    pub holders: Holders,
    pub calls: Calls,
    pub shadows: Shadows,
}

impl Workshop {
    /// One worker, until the queue is shut down.
    pub async fn work(self: Arc<Self>) {
        while let Some(key) = self.queue.next().await {
            let again = self.collect(&key).await;
            let done = self.look(&key).await;
            self.queue.done(&key, done.no_later_than(again));
        }
    }

    /// One look at one object.
    async fn look(&self, key: &Key) -> Done {
        let began = self.env.elapsed();
        let mut memory = self.memory.take(key);
        let serving = self.published.serving.load_full();
        let sources = Sources { store: &self.store, leading: &self.leading, serving: &serving };
        let job = match sources.gather(key) {
            Ok(job) => job,
            Err(idle) => return self.idle(key, memory, &idle, &serving).await,
        };
        let who = Who::new(&job.instance, &key.lineage);
        let due = memory.due.is_some_and(|due| due <= began);
        let looks = lookups::now(&self.store, &memory.looked_up);
        let fingerprint = job.fingerprint(&looks);
        let settled = memory.settled == Some(fingerprint);
        // Where the fingerprint leaves it out, the status may have changed, and nothing else.
        let status_changed = memory.object.replace(job.object.content) != Some(job.object.content);
        let skips = settled && (status_changed || job.generation.rests_on_inputs());
        let shadow = sources.shadow(&job);
        let wants = |shadow: &&Arc<Generation>| shadow.loaded.shadowed.wants(&job.object.meta.place, began);
        // Where there is no room, it is wanted again in the next round.
        let is_wanted = shadow.filter(wants).is_some() && self.shadows.has_room();
        if !due && job.mark.is_none() && skips && !is_wanted {
            self.metrics.skipped(&who, "settled");
            return self.rest(key, memory, began);
        }
        // A second version waits for the mark, which rests on none of what has failed.
        let held_back = |failed: &Failed| failed.holds_back(job.cause(&looks), began);
        if let Some(wait) = memory.failed.as_ref().filter(|_| job.mark.is_none()).and_then(held_back) {
            self.metrics.skipped(&who, "backing-off");
            return self.put(key, memory, wait.map_or(Done::Forget, Done::After));
        }
        if !self.queue.call(key) {
            self.metrics.skipped(&who, "paced");
            return self.put(key, memory, Done::Not);
        }
        let edited = memory.failed.as_ref().is_some_and(|failed| failed.cause != job.cause(&looks));
        if !job.leaving
            && !job.object.meta.deleting
            && let Err(wait) = job.generation.quarantine().ask(&key.place, edited, began)
        {
            self.metrics.skipped(&who, "quarantined");
            return self.put(key, memory, Done::After(wait));
        }

        // What a run that does not come to its call rests on is no look-up.
        memory.looked_up = LookedUp::new();
        let shadow = shadow.and_then(|shadow| sources.beside(&job, shadow));
        let ended = Run { shop: self, key, job: &job, shadow, memory: &mut memory, began }.run().await;
        let took = self.env.elapsed().saturating_sub(began);
        self.judge(&job, &mut memory, &ended);
        memory.settled = None;
        let looked_up = memory.looked_up.clone();
        let done = match ended {
            Ok(ended) => {
                memory.failed = None;
                let wish = self.succeeded(&job, &mut memory, ended);
                self.metrics.ran(&who, if wish { "requeue_after" } else { "success" }, took);
                let now = self.env.elapsed();
                self.rest(key, memory, now)
            }
            Err(trouble) => {
                self.metrics.ran(&who, trouble.word(), took);
                self.failed(key, &job, memory, &trouble)
            }
        };
        if lookups::moved(&self.store, &looked_up) {
            self.queue.add(key.clone(), Priority::Normal);
        }
        done
    }

    /// Notes what came of a run: as how the object is used to fare, and, while its
    /// generation is on probation, as what that is judged by. Who failed before, who wishes
    /// something else by now, and who goes blames nobody.
    fn judge(&self, job: &Job, memory: &mut Remembered, ended: &Result<Ended, Trouble>) {
        let rests_on_inputs = job.generation.rests_on_inputs();
        let fared = ended.as_ref().map_or_else(|trouble| trouble.fared(rests_on_inputs), |_| Fared::Well);
        let (observed, meta) = (&job.generation.loaded.observed, &job.object.meta);
        let wish = match meta.generation {
            0 => job.object.body,
            generation => Hash::of([&generation.to_be_bytes()[..]]),
        };
        let is_watched = observed.is_watched();
        self.quarantine(job, &fared, ended);
        if is_watched && !meta.deleting && !job.leaving {
            // Where another process has looked after it before, the object may say how it fared;
            // of a new one nothing is known, and it tells nothing.
            memory.well = memory.well.or_else(|| Some((status::says_reconciled(&job.object)?, wish)));
            if memory.well == Some((true, wish)) {
                observed.note(&meta.place, &fared, self.env.elapsed());
            }
        }
        if let Some(well) = fared.is_well().filter(|well| *well || !is_watched) {
            memory.well = Some((well, wish));
        }
    }

    /// Takes note of a run in its generation's quarantine, unless the gate judges that. What
    /// no retry mends is the plugin's own answer; and where something was written, it may
    /// not have been called.
    fn quarantine(&self, job: &Job, fared: &Fared, ended: &Result<Ended, Trouble>) {
        if job.leaving || job.object.meta.deleting {
            return;
        }
        let generation = &job.generation;
        let ran = match (fared, ended) {
            (Fared::Badly { for_good: true, .. }, _) | (Fared::Well, Ok(Ended::Settled { .. })) => Ran::Well,
            (Fared::Badly { why, .. }, _) if !generation.loaded.observed.is_watched() => Ran::Badly(why),
            (Fared::Well, _) => Ran::OnTheWay,
            _ => Ran::Unknown,
        };
        let slot = &generation.loaded.slot;
        let change = generation.quarantine().ran(&job.object.meta.place, ran, self.env.elapsed());
        match change {
            Some(Change::Entered) => {
                let why = generation.quarantine().held().unwrap_or_default();
                tracing::error!(%slot, why, "quarantined");
            }
            Some(Change::Left) => {
                tracing::info!(%slot, "it has served an object, and is called for all again");
                generation.keys(&self.store).for_each(|key| self.queue.add(key, Priority::Low));
            }
            None => return,
        }
        self.published.changed.notify_one();
    }

    /// Remembers a success, and says whether the plugin asked to look again.
    fn succeeded(&self, job: &Job, memory: &mut Remembered, ended: Ended) -> bool {
        let (settled, wish) = match ended {
            Ended::Settled { requeue_after } => (true, requeue_after),
            Ended::Wrote { requeue_after } => (false, requeue_after),
        };
        memory.settled = settled.then(|| job.fingerprint(&lookups::told(&memory.looked_up)));
        let loaded = &job.generation.loaded;
        let resync = loaded.policy.work.resync.or(loaded.description.resync);
        let next = [wish, resync].into_iter().flatten().min();
        memory.due = next.map(|after| self.env.elapsed() + after);
        wish.is_some()
    }

    /// Nothing to do before something changes, or before the time that was asked for.
    fn rest(&self, key: &Key, memory: Remembered, now: Duration) -> Done {
        let due = memory.due.map(|due| due.saturating_sub(now));
        self.put(key, memory, due.map_or(Done::Forget, Done::After))
    }

    /// Puts a key's memory back, and says when the key is to be given out again.
    fn put(&self, key: &Key, memory: Remembered, done: Done) -> Done {
        if self.memory.put(key, memory) { Done::After(Duration::ZERO) } else { done }
    }

    async fn idle(&self, key: &Key, memory: Remembered, idle: &Idle, serving: &Serving) -> Done {
        self.metrics.skipped(&Who::of_lineage(&key.lineage), idle.word());
        tracing::debug!(%key, ?idle, "not called");
        match idle {
            Idle::Gone => {
                for generation in serving.of_lineage(&key.lineage) {
                    generation.loaded.observed.forget(&key.place);
                }
                serving.shadows.values().for_each(|shadow| shadow.loaded.shadowed.forget(&key.place));
                self.memory.forget(key);
            }
            Idle::Unsynced(_) => {
                _ = self.put(key, memory, Done::Forget);
                self.published.turn_away(key.clone());
            }
            _ => _ = self.put(key, memory, Done::Forget),
        }
        // Each of these ends by something that wakes the key.
        match idle {
            Idle::Unserved(_) | Idle::NotSelected | Idle::Standby => self.let_go(key, serving).await,
            _ => Done::Forget,
        }
    }

    fn failed(&self, key: &Key, job: &Job, mut memory: Remembered, trouble: &Trouble) -> Done {
        let cause = job.cause(&lookups::told(&memory.looked_up));
        let before = memory.failed.take().filter(|failed| failed.cause == cause);
        let before = before.map_or(0, |failed| failed.count);
        let again = trouble.again();
        let work = &job.generation.loaded.policy.work;
        let count = if matches!(again, Again::After(_)) { before } else { before.saturating_add(1) };
        let delay = match again {
            Again::Backoff(pause) => Some(backoff::delay(work.backoff, pause, count, self.env.random())),
            Again::After(delay) => Some(delay),
            Again::OnChange => None,
        };
        if trouble.is_waiting() || trouble.is_quiet() {
            tracing::info!(%key, %trouble, "waiting");
        } else {
            tracing::warn!(%key, %trouble, retry_in = ?delay, "failed");
        }
        if !trouble.is_quiet() && !self.settings.dry_run {
            self.note(key, job, !trouble.is_waiting(), trouble.reason(), &trouble.to_string());
        }
        let (until, waiting) = (delay.map(|delay| self.env.elapsed() + delay), trouble.is_waiting());
        memory.failed = Some(Failed { cause, count, until, waiting, why: trouble.to_string().into() });
        self.put(key, memory, delay.map_or(Done::Forget, Done::After))
    }

    /// RFC 3339 with whole seconds, as Kubernetes writes times.
    pub fn now_text(&self) -> String {
        let now = i64::try_from(self.env.wall().as_secs()).unwrap_or(i64::MAX);
        jiff::Timestamp::from_second(now).unwrap_or(jiff::Timestamp::MAX).to_string()
    }

    /// A call came back: its log and its cost.
    pub fn called(&self, key: &Key, job: &Job, called: &Called<Response>) {
        let who = Who::new(&job.instance, &key.lineage);
        self.metrics.called(&who, called);
        self.queue.spend(key, called.cost.cpu);
        let Loaded { logged, policy, .. } = &*job.generation.loaded;
        let lines = called.log.lines().len();
        let (rate, now) = (policy.work.log_lines_per_second, self.env.elapsed());
        let told = logged.lock().expect("no holder panics").take(lines, rate, LOG_OVER, now);
        let dropped = called.log.dropped() + (lines - told) as u64;
        if dropped > 0 {
            self.metrics.unlogged(&who, dropped);
            tracing::debug!(%key, dropped, "the plugin logs more than is told");
        }
        // The last ones tell most.
        for line in called.log.lines().skip(lines - told) {
            tracing::info!(%key, level = %line.level, line = %line.text, "plugin");
        }
    }

    /// A write came back; what came of it in a word.
    pub fn wrote(
        &self,
        key: &Key,
        instance: &InstanceId,
        write: &Write,
        answer: &Result<Option<Arc<Object>>, WriteError>,
    ) -> &'static str {
        let result = answer.as_ref().map_or_else(|error| error.class().word(), |_| "Written");
        self.metrics.wrote(&Who::new(instance, &key.lineage), result);
        match answer {
            Ok(_) => tracing::debug!(%key, place = %write.place, "wrote"),
            Err(error) => tracing::debug!(%key, place = %write.place, %error, "not written"),
        }
        result
    }

    /// The events of an answer.
    pub fn tell(&self, key: &Key, job: &Job, events: Vec<answer::Event>) {
        for event in events {
            self.note(key, job, event.warning, &event.reason, &event.message);
        }
    }

    fn note(&self, key: &Key, job: &Job, warning: bool, reason: &str, message: &str) {
        let note = Note::new(&job.object.meta, &key.lineage, &job.instance, warning, reason, message);
        self.events.publish(note);
    }
}
