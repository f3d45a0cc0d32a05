//! One run for one object: call the plugin, check its answer, plan, write, and
//! say in the status how it went. What is decided is decided in `core`; what is
//! written passes the gate.

use std::{mem, sync::Arc, time::Duration};

use serde_json::{Map, json};
use trimtab_cluster::gate::{Ticket, WriteError};
use trimtab_core::{
    answer::{self, Answer, StatusIntent},
    api_error::Class,
    canary::mark,
    decorate,
    deletions::Held,
    description::Role,
    finalizer,
    id::{Key, Lineage, Place},
    marks,
    object::Object,
    ownership::{Owner, is_free},
    plan::{self, Conflict, Plan},
    retire::Retire,
    rollout::Rollout,
    status::{self, Verdict, reason},
    write::{Action, Seen, Write},
};

use crate::{
    gather::Job,
    memory::{Remembered, Unseen},
    needs::ObjectNeeds,
    queue::Priority,
    trouble::{Again, Trouble},
    workshop::Workshop,
};

/// How a run without trouble ended.
pub enum Ended {
    /// Nothing was written and nothing is in the way.
    Settled {
        /// The plugin's own wish.
        requeue_after: Option<Duration>,
    },
    /// Something was written: its answer wakes the key, and the next look sees it.
    Wrote {
        /// The plugin's own wish.
        requeue_after: Option<Duration>,
    },
}

/// One run.
pub struct Run<'a> {
    pub shop: &'a Workshop,
    pub key: &'a Key,
    pub job: &'a Job,
    /// What a generation that shadows is given in its place.
    pub shadow: Option<Job>,
    pub memory: &'a mut Remembered,
    /// When it began (`Env::elapsed`).
    pub began: Duration,
}

impl Run<'_> {
    /// From the call to the status.
    pub async fn run(mut self) -> Result<Ended, Trouble> {
        match self.hold().await {
            Ok(true) => return Ok(Ended::Wrote { requeue_after: None }),
            Ok(false) => {}
            Err(trouble) => return Err(self.unanswered(trouble).await),
        }
        let retire = self.job.generation.loaded.policy.retire;
        if self.job.leaving && !self.job.object.meta.deleting && retire == Some(Retire::Orphan) {
            return self.orphan().await;
        }
        for write in self.first() {
            match self.write(&write).await {
                Ok(true) => return Ok(Ended::Wrote { requeue_after: None }),
                // A dry run tells what would follow, too.
                Ok(false) => {}
                // A former's last word that nobody takes holds up no heir.
                Err(trouble) if matches!(write.action, Action::Status { .. }) && trouble.again() == Again::OnChange => {
                    self.shop.tell(self.key, self.job, vec![unheard(&trouble)]);
                }
                Err(trouble) => return Err(self.unanswered(trouble).await),
            }
        }
        match self.claim().await {
            Ok(true) => return Ok(Ended::Wrote { requeue_after: None }),
            Ok(false) => {}
            Err(trouble) => return Err(self.unanswered(trouble).await),
        }
        match self.answer().await {
            Ok(mut answer) => {
                let rollout = self.roll(&mut answer).await;
                self.act(answer, rollout).await
            }
            Err(trouble) => Err(self.unanswered(trouble).await),
        }
    }

    /// What is wanted: by the plugin, or, where it is not asked before its object
    /// goes, by the host.
    async fn answer(&mut self) -> Result<Answer, Trouble> {
        let ending = self.is_ending();
        let mut answer = if ending && !self.job.finalizing {
            Answer::finalized()
        } else {
            let (answer, recorded) = self.ask(self.job.object.text.clone()).await?;
            if let Some(shadow) = self.shadow.take() {
                self.offer(shadow, recorded);
            }
            answer
        };
        if ending && answer.finalized {
            // The finalizer holds what the host collects, too: that goes first.
            let owner = &self.job.object.meta.place;
            answer.children.retain(|child| owner.may_be_named_by(&child.place));
        }
        Ok(answer)
    }

    /// A run without an answer writes nothing but why there is none.
    async fn unanswered(&mut self, trouble: Trouble) -> Trouble {
        if trouble.is_quiet() {
            return trouble;
        }
        let verdict = trouble.verdict(self.job.generation.rests_on_inputs());
        match self.status(&StatusIntent::Keep, &verdict).await {
            Ok(_) => trouble,
            Err(unreported) => unreported.beside(Some(trouble)),
        }
    }

    /// What must be on the object before anything is made for it: its version
    /// mark, what makes it visible as held, and our finalizer, each in a look of
    /// its own; then what must be off it.
    fn first(&self) -> Vec<Write> {
        if self.job.leaving {
            return Vec::new();
        }
        let meta = &self.job.object.meta;
        let needs = self.needs();
        let lineage = &self.key.lineage;
        let mark = self.job.mark.as_ref().map(|version| Write {
            place: meta.place.clone(),
            version: needs.kind.metadata_version().into(),
            manager: lineage.metadata_manager(),
            action: Action::Metadata {
                seen: Seen::of(meta),
                patch: Map::from_iter([("annotations".to_owned(), json!({ marks::VERSION: version }))]),
            },
        });
        let hold = needs.filtered.then(|| decorate::hold(meta, &needs.kind, lineage)).flatten();
        let needed = self.job.generation.loaded.description.finalizes || self.has_to_collect();
        let finalizer = needed.then(|| self.finalizer(true)).flatten();
        let former = self.job.inherit().lineage.as_ref().filter(|_| !meta.deleting);
        let former = former.into_iter().flat_map(|former| self.supersede(former));
        mark.into_iter().chain(hold).chain(finalizer).chain(former).collect()
    }

    /// What takes away that which another lineage, which had the object before, says
    /// in its status and has set in its metadata.
    fn supersede(&self, former: &Lineage) -> impl Iterator<Item = Write> {
        let object = &self.job.object;
        let status = status::withdraw(object, former);
        status.into_iter().chain(decorate::take_back(object, &self.needs().kind, &self.key.lineage, former))
    }

    /// Whether there are children that only the host collects.
    fn has_to_collect(&self) -> bool {
        let owner = self.owner();
        self.job.children.iter().any(|child| owner.collects(&child.meta))
    }

    fn finalizer(&self, needed: bool) -> Option<Write> {
        let meta = &self.job.object.meta;
        finalizer::decide(meta, &self.needs().kind, &self.key.lineage, self.job.inherit(), needed)
    }

    /// Plans and writes: deletes, creates and updates, the object's labels and
    /// annotations, and the status last. One failed write stops neither the others
    /// nor the status.
    async fn act(mut self, mut answer: Answer, rollout: Option<Rollout>) -> Result<Ended, Trouble> {
        let owner = &self.job.object.meta.place;
        let elsewhere = answer.children.iter().any(|child| !owner.may_be_named_by(&child.place));
        if let Some(write) = elsewhere.then(|| self.finalizer(true)).flatten()
            && self.write(&write).await?
        {
            return Ok(Ended::Wrote { requeue_after: None });
        }
        let unseen = mem::take(&mut self.memory.unseen);
        let plan = self.plan(&answer, &unseen, rollout.as_ref());
        if let Err(held) = self.may_delete(&plan) {
            return Err(self.unanswered(held.into()).await);
        }
        let mut troubles = Vec::new();
        for write in &plan.writes {
            if let Err(trouble) = self.write(write).await {
                troubles.push(self.not_adopted(write, &unseen, trouble));
            }
        }
        troubles.extend(plan.conflicts.iter().cloned().map(Trouble::Conflict));
        let decorated = self.decorate(&mut answer).await.unwrap_or_else(|trouble| {
            troubles.push(trouble);
            false
        });
        let worst = Trouble::worst(troubles);
        if worst.as_ref().is_some_and(Trouble::is_quiet) {
            // The object or a child has moved on: its next state is looked at, not this one reported.
            return Err(worst.expect("it was looked at just now"));
        }
        let requeue_after = answer.requeue_after;
        if decorated {
            // The status goes onto the state that this has made, in the next look.
            return worst.map_or(Ok(Ended::Wrote { requeue_after }), Err);
        }
        let of_plan = || Verdict { unready: self.unready(&answer), ..Verdict::of_plan(&plan) };
        let rests_on_inputs = self.job.generation.rests_on_inputs();
        let verdict = worst.as_ref().map_or_else(of_plan, |worst| worst.verdict(rests_on_inputs));
        let let_go = self.job.leaving && answer.finalized && plan.is_settled() && worst.is_none();
        let written = if let_go { self.withdraw().await } else { self.status(&answer.status, &verdict).await };
        let wrote_status = match written {
            Ok(wrote) => wrote,
            // A last word that nobody takes holds no object for ever.
            Err(trouble) if self.is_ending() && trouble.again() == Again::OnChange => {
                answer.events.push(unheard(&trouble));
                false
            }
            Err(unreported) => return Err(unreported.beside(worst)),
        };
        self.shop.tell(self.key, self.job, answer.events);
        if let Some(trouble) = worst {
            return Err(trouble);
        }
        let needed = elsewhere || self.has_to_collect();
        let done = plan.is_settled() && !wrote_status;
        if let Some(write) = done.then(|| self.last(answer.finalized, needed)).flatten() {
            self.write(&write).await?;
            return Ok(Ended::Wrote { requeue_after });
        }
        if plan.is_settled() && !wrote_status {
            Ok(Ended::Settled { requeue_after })
        } else {
            Ok(Ended::Wrote { requeue_after })
        }
    }

    /// Whether what the plan deletes may go, or the generation is held. What goes with
    /// its object, because a policy says so, or on the way back from a canary, goes by a
    /// person's wish.
    fn may_delete(&self, plan: &Plan) -> Result<(), Held> {
        let Job { generation, instance, object, leaving, .. } = self.job;
        let retires = *leaving && generation.loaded.policy.retire.is_some();
        let by_wish = object.meta.deleting || retires || mark::is_returning(&object.meta, instance);
        if by_wish || self.shop.settings.dry_run {
            return Ok(());
        }
        let mut deletions = generation.deletions();
        let was_held = deletions.held().is_some();
        let asked = deletions.ask(self.shop.env.elapsed(), &plan.lost(&generation.loaded.grants), || {
            generation.children(&self.shop.store)
        });
        if let Err(held) = &asked
            && !was_held
        {
            tracing::error!(slot = %generation.loaded.slot, "{held}");
            self.shop.published.changed.notify_one();
        }
        asked
    }

    /// Writes the labels and annotations that differ, in one write; whether there
    /// was one. What is somebody else's by now is told as an Event. An object that
    /// is let go keeps what it has until all else is done.
    async fn decorate(&mut self, answer: &mut Answer) -> Result<bool, Trouble> {
        if self.role() != Role::Decorator || self.job.leaving {
            return Ok(false);
        }
        let Job { object, .. } = self.job;
        let decorated = decorate::decide(object, &self.needs().kind, &self.key.lineage, &answer.decoration);
        if !decorated.yielded.is_empty() {
            let message = format!("changed by somebody else, and left as it is: {}", decorated.yielded.join(", "));
            answer.events.push(answer::Event { warning: true, reason: reason::CONFLICT.into(), message });
        }
        match decorated.write {
            Some(write) => self.write(&write).await,
            None => Ok(false),
        }
    }

    /// What lets the object go, or takes the finalizer from one that needs it no
    /// more, once all else is done.
    fn last(&self, finalized: bool, needed: bool) -> Option<Write> {
        let Job { object, generation, leaving, .. } = self.job;
        if *leaving {
            let release = || decorate::release(object, &self.needs().kind, &self.key.lineage, self.job.inherit());
            return finalized.then(release).flatten();
        }
        let done = if object.meta.deleting { finalized } else { !needed && !generation.loaded.description.finalizes };
        done.then(|| self.finalizer(false)).flatten()
    }

    fn plan(&self, answer: &Answer, unseen: &Unseen, rollout: Option<&Rollout>) -> Plan {
        let at = |spec: &plan::ChildSpec, place: &Place| self.at(&spec.version, place, unseen);
        plan::plan(&plan::Input {
            owner: &self.owner(),
            kinds: &self.job.generation.needs.children,
            desired: &answer.children,
            children: &self.job.children,
            at: &at,
            inherit: self.job.inherit(),
            fixed: &self.memory.fixed,
            ending: self.is_ending(),
            rollout,
        })
    }

    /// What lies at a place, as a watch shows it or, where none does, as the last
    /// run met it.
    pub fn at(&self, version: &str, place: &Place, unseen: &Unseen) -> Option<Arc<Object>> {
        let shown = self.shop.store.get(&place.kind, version, &place.namespace, &place.name);
        shown.or_else(|| unseen.get(place).cloned())
    }

    /// Writes the status where it differs, and says whether it did.
    async fn status(&mut self, answer: &StatusIntent, verdict: &Verdict) -> Result<bool, Trouble> {
        let needs = self.needs();
        let build = self.job.generation.loaded.unconfirmed;
        let sign = mark::sign(&self.job.object.meta, build, !verdict.unblamed);
        let write = status::decide(&status::Input {
            object: &self.job.object,
            kind: &needs.kind,
            lineage: &self.key.lineage,
            role: self.role(),
            schema: &needs.schema,
            answer,
            verdict,
            sign: sign.as_deref(),
            now: &self.shop.now_text(),
            fixed: &self.memory.fixed,
        });
        match write.map_err(Trouble::Status)? {
            Some(write) => self.write(&write).await,
            None => Ok(false),
        }
    }

    /// Takes back what it has said in the status; whether there was anything.
    pub async fn withdraw(&mut self) -> Result<bool, Trouble> {
        match status::withdraw(&self.job.object, &self.key.lineage) {
            Some(write) => self.write(&write).await,
            None => Ok(false),
        }
    }

    /// One write through the gate; whether it changed anything.
    pub async fn write(&mut self, write: &Write) -> Result<bool, Trouble> {
        let Job { generation, instance, object, .. } = self.job;
        if let Some(verb) = write.action.verb().filter(|_| write.place != object.meta.place) {
            let granted = generation.loaded.grants.may(verb, &write.place.kind);
            granted.map_err(|denied| Trouble::Denied(write.place.clone(), denied))?;
        }
        if self.shop.settings.dry_run {
            println!("{}: would {write}", self.key);
            return Ok(false);
        }
        let ticket = Ticket {
            key: self.key.clone(),
            instance: instance.clone(),
            uid: object.meta.uid.clone(),
            slot: generation.loaded.slot.clone(),
            generation: generation.number,
            account: generation.loaded.policy.service_account.clone(),
        };
        let mut answer = self.shop.gate.write(&ticket, write).await;
        if let Some(cleared) = status::cleared(write, object).filter(|_| is_invalid(&answer)) {
            answer = self.shop.gate.write(&ticket, &cleared).await;
        }
        let answer = answer.map_err(|error| self.unseen_if_adopted(write, error));
        let result = self.shop.wrote(self.key, instance, write, &answer);
        self.memory.wrote.push(self.began, write, result);
        if let Err(WriteError::Unseen(live)) = &answer {
            self.memory.unseen.insert(write.place.clone(), live.clone());
        }
        let answer = answer.map_err(|error| Trouble::Write { place: write.place.clone(), error: Box::new(error) })?;
        if let (Action::Create { .. }, Some(made)) = (&write.action, &answer) {
            generation.loaded.observed.made(&made.meta.uid);
        }
        if self.memory.fixed.learn(write, answer.as_deref()) {
            // No change wakes the key for the look that finds nothing to write any more.
            self.shop.queue.add(self.key.clone(), Priority::Normal);
        }
        Ok(true)
    }

    /// What is in the way and belongs to nobody is no conflict where the policy
    /// says that it is taken over: the next plan does that.
    fn unseen_if_adopted(&self, write: &Write, error: WriteError) -> WriteError {
        let kinds = &self.job.generation.needs.children;
        let adopted = kinds.iter().any(|spec| spec.adopt && spec.kind.id == write.place.kind);
        match error {
            WriteError::Conflict { live, .. } if adopted && is_free(&live.meta) => WriteError::Unseen(live),
            error => error,
        }
    }

    /// What belongs to nobody and cannot be taken over is in the way like any
    /// other's: no watch may show when that ends, so it is tried again.
    fn not_adopted(&self, write: &Write, unseen: &Unseen, trouble: Trouble) -> Trouble {
        let live = self.at(&write.version, &write.place, unseen);
        match trouble {
            Trouble::Write { place, error }
                if error.class().is_terminal() && live.is_some_and(|it| is_free(&it.meta)) =>
            {
                Trouble::Conflict(Conflict {
                    place,
                    whose: format!("it belongs to nobody and cannot be taken over: {error}"),
                })
            }
            trouble => trouble,
        }
    }

    /// The object's kind.
    pub fn needs(&self) -> &ObjectNeeds {
        self.job.generation.needs.object(&self.key.place.kind)
    }

    /// Whether the object goes, or is let go.
    pub fn is_ending(&self) -> bool {
        self.job.object.meta.deleting || self.job.leaving
    }

    pub fn role(&self) -> Role {
        self.job.generation.loaded.description.role
    }

    pub fn owner(&self) -> Owner<'_> {
        Owner {
            cluster: &self.key.cluster,
            kind: &self.needs().kind,
            meta: &self.job.object.meta,
            lineage: &self.key.lineage,
            instance: &self.job.instance,
            instance_key: &self.job.generation.needs.instance_key,
        }
    }
}

fn is_invalid<T>(answer: &Result<T, WriteError>) -> bool {
    answer.as_ref().is_err_and(|error| error.class() == Class::Invalid)
}

/// That a last status is refused until something changes.
pub fn unheard(trouble: &Trouble) -> answer::Event {
    let message = format!("its last status is not written: {trouble}");
    answer::Event { warning: true, reason: trouble.reason().into(), message }
}
