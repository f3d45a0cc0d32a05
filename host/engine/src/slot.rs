//! One file's place, and the way of a generation through it: loading, finding
//! its kinds, syncing its watches, serving, draining. No step of it waits: what
//! takes time is done by tasks of the slots' owner.

mod back;

use std::{
    collections::BTreeSet,
    sync::{Arc, Weak},
};

use trimtab_cluster::{
    spec::{Health, WatchSpec},
    store::Store,
};
use trimtab_core::{
    description::ObjectKind,
    hash::Hash,
    id::{Lineage, SlotId},
    instance::InstanceKey,
    object::Object,
    policy::Policy,
    promotion::{File, Observation, Promotion},
};

pub use self::back::Back;
use crate::{
    configs::{Missing, Outside},
    first_use::FirstUses,
    folder::Source,
    generation::{Generation, Loaded},
    leading::Told,
    shadowed::{ShadowView, Shadowed},
    view::{SlotState, SlotView},
};

/// At most one generation serves, at most one is on its way, and those before
/// may still finish their calls.
pub struct Slot {
    /// What the folder holds.
    pub source: Source,
    /// The part of its config that lies in the cluster, where its policy names one.
    pub outside: Option<Outside>,
    /// The lineage that what lies there inherits from: known before it is loaded, as
    /// until then, what it is to take over must not be let go.
    pub inherits: Option<Lineage>,
    /// Where its policy says that objects name their instance: known as early, as what
    /// is marked for it must not be taken by another before.
    pub instance_key: Option<InstanceKey>,
    /// Serves, and stays until something better is ready.
    pub serving: Option<Arc<Generation>>,
    /// Whether this process led its instance when it was last judged.
    pub led: bool,
    /// While what serves is on probation: what it makes way for, with its watches.
    pub last_good: Option<Arc<Generation>>,
    /// Which of these serves, and why.
    pub promotion: Promotion,
    /// What was seen of the generation that shadows, or did last.
    pub shadowed: Option<Arc<Shadowed>>,
    /// Why the serving one's kinds were not found when the server was last asked.
    pub lacking: Option<String>,
    /// While something is put back that served before: what the folder holds waits.
    pub back: Option<Back>,
    /// What was to be put back could not be.
    pub back_in_vain: bool,
    /// Is on its way.
    pub candidate: Option<Candidate>,
    /// Why the source is not served, where it is not on its way any more.
    pub refused: Option<String>,
    /// The version that was alone for the lineage in this instance when this
    /// file came: unmarked objects are that one's, until they are marked.
    pub alone_before: Option<String>,
    draining: Vec<Weak<Generation>>,
    /// What its generations have looked up without having declared it.
    pub first_uses: Arc<FirstUses>,
}

/// A generation on its way.
pub struct Candidate {
    /// How far it is.
    pub stage: Stage,
    /// What it waits for, for people.
    pub waits_for: Wait,
}

/// What a candidate waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// Something is on its way, or may come by itself.
    For(String),
    /// Someone has to act: another slot has what it claims. It serves as soon
    /// as the other one goes.
    Refused(String),
}

/// How far a candidate is.
pub enum Stage {
    /// Read and hashed.
    Taken,
    /// Being compiled and asked for its description.
    Loading,
    /// Valid; its kinds are to be looked for.
    Loaded(Arc<Loaded>),
    /// Its kinds are being looked for.
    Finding(Arc<Loaded>),
    /// They were not found; looked for again when discovery changes.
    Lacking(Arc<Loaded>),
    /// Its watches are being synced and its objects marked.
    Syncing(Arc<Generation>),
}

impl Slot {
    /// A new file.
    pub fn new(source: Source, alone_before: Option<String>, mut promotion: Promotion) -> Self {
        promotion.observe(&Observation::Changed);
        let candidate = Some(Candidate::taken());
        let policy = policy_of(&source);
        Self {
            outside: Outside::of(&policy),
            inherits: policy.inherit.lineage,
            instance_key: policy.instance_key,
            source,
            serving: None,
            led: false,
            last_good: None,
            promotion,
            shadowed: None,
            lacking: None,
            back: None,
            back_in_vain: false,
            candidate,
            refused: None,
            alone_before,
            first_uses: Arc::default(),
            draining: Vec::new(),
        }
    }

    /// Takes up what the folder holds now. The same content again changes nothing.
    pub fn take(&mut self, source: &Source) {
        if let Some(back) = &mut self.back {
            back.file = source.clone();
            return;
        }
        if self.source == *source {
            return;
        }
        self.source = source.clone();
        let policy = policy_of(source);
        let outside = Outside::of(&policy);
        self.inherits = policy.inherit.lineage;
        self.instance_key = policy.instance_key;
        let before = self.outside.take();
        self.outside = outside.map(|now| before.filter(|before| before.is_from(&now)).unwrap_or(now));
        self.renew();
    }

    /// What its generation is made from has changed.
    pub fn renew(&mut self) {
        self.refused = None;
        self.promotion.observe(&Observation::Changed);
        self.candidate = Some(Candidate::taken());
    }

    /// What the part of its config that lies in the cluster is, for a load.
    pub fn config(&self) -> Option<&Arc<Object>> {
        self.outside.as_ref()?.seen.as_ref()
    }

    /// Why that is not known.
    pub fn lacks_config(&self) -> Option<&Missing> {
        self.outside.as_ref()?.missing.as_ref()
    }

    /// The source is not served; what serves goes on.
    pub fn refuse(&mut self, slot: &SlotId, why: String) {
        match &self.serving {
            Some(last_good) => {
                let serving = last_good.loaded.identity;
                tracing::error!(%slot, %serving, why, "refused, the last good generation goes on serving");
            }
            None => tracing::error!(%slot, why, "refused, nothing serves in this slot"),
        }
        self.refused = Some(why);
        self.promotion.observe(&Observation::Refused);
        self.candidate = None;
    }

    /// The syncing candidate.
    pub fn syncing(&self) -> Option<&Arc<Generation>> {
        match &self.candidate.as_ref()?.stage {
            Stage::Syncing(generation) => Some(generation),
            _ => None,
        }
    }

    /// The candidate, where it only shadows what serves.
    pub fn shadow(&self) -> Option<&Arc<Generation>> {
        let File::Shadows { generation, .. } = self.promotion.file() else { return None };
        self.syncing().filter(|syncing| syncing.loaded.unconfirmed == generation)
    }

    /// What the Lease tells others of it.
    pub fn told(&self) -> Told {
        let serving = self.serving.as_ref().map(|serving| &serving.loaded);
        let shadowed_first = serving.filter(|serving| serving.policy.rollout.shadow.is_some());
        Told {
            rejected: self.promotion.rejected().cloned().collect(),
            passed: shadowed_first.map(|serving| serving.unconfirmed),
        }
    }

    /// What shadowed cannot be asked any more, and begins anew when it can.
    pub fn interrupt_shadow(&mut self) {
        if matches!(self.promotion.file(), File::Shadows { .. }) {
            self.promotion.observe(&Observation::Changed);
        }
    }

    /// What is ready shadows what serves from now on, and what was seen before is forgotten.
    pub fn start_shadow(&mut self) -> Option<Hash> {
        let shadowed = self.syncing()?.loaded.shadowed.clone();
        shadowed.start();
        let generation = shadowed.generation;
        self.shadowed = Some(shadowed);
        Some(generation)
    }

    /// The candidate, once it is known what it claims.
    pub fn loaded(&self) -> Option<&Arc<Loaded>> {
        match &self.candidate.as_ref()?.stage {
            Stage::Taken | Stage::Loading => None,
            Stage::Loaded(loaded) | Stage::Finding(loaded) | Stage::Lacking(loaded) => Some(loaded),
            Stage::Syncing(generation) => Some(&generation.loaded),
        }
    }

    /// The watches that are wanted for it.
    pub fn watches(&self) -> impl Iterator<Item = WatchSpec> {
        self.serving.iter().chain(&self.last_good).chain(self.syncing()).flat_map(|generation| generation.watches())
    }

    /// The candidate serves from now on; what served last and was good is kept while it
    /// is on probation.
    pub fn swap(&mut self, on_probation: bool) -> Arc<Generation> {
        let next = self.syncing().expect("it was ready").clone();
        self.candidate = None;
        self.lacking = None;
        self.back_in_vain = false;
        self.alone_before = None;
        let before = self.serving.replace(next.clone());
        if on_probation {
            next.loaded.observed.start();
            let dropped =
                if self.last_good.is_none() { std::mem::replace(&mut self.last_good, before) } else { before };
            self.drain(dropped);
        } else {
            self.drain(before);
            self.drop_last_good();
        }
        next
    }

    /// What serves has proved good: nothing is kept for it any more.
    pub fn drop_last_good(&mut self) {
        let last_good = self.last_good.take();
        self.drain(last_good);
        if let Some(serving) = &self.serving {
            serving.loaded.observed.stop();
        }
    }

    /// The last good one serves again; what it takes the place of is returned.
    pub fn roll_back(&mut self) -> Arc<Generation> {
        let last_good = self.last_good.take();
        self.lacking = None;
        let bad = std::mem::replace(&mut self.serving, last_good).expect("it was on probation");
        self.drain(Some(bad.clone()));
        bad
    }

    /// Nothing serves any more.
    pub fn stop(&mut self) -> Option<Arc<Generation>> {
        let bad = self.serving.take();
        self.lacking = None;
        self.drain(bad.clone());
        bad
    }

    fn drain(&mut self, dropped: Option<Arc<Generation>>) {
        self.draining.extend(dropped.iter().map(Arc::downgrade));
    }

    /// Takes the candidate out, as far as it is loaded.
    pub fn take_candidate(&mut self) -> Option<Arc<Loaded>> {
        let loaded = self.loaded().cloned();
        self.candidate = None;
        loaded
    }

    /// Whether a person has said that a generation may serve whatever was found of it.
    pub fn accepts(&self, generation: Hash) -> bool {
        let serving = self.serving.as_ref().map(|serving| &serving.loaded);
        let its = |loaded: &&Arc<Loaded>| loaded.unconfirmed == generation;
        let mut all = serving.into_iter().chain(self.loaded()).filter(its);
        all.any(|loaded| loaded.policy.rollout.is_accepted(generation))
    }

    /// Says that a generation is not served, as it was found bad, and what can be done;
    /// `served`: here it was.
    pub fn reject(&mut self, slot: &SlotId, bad: &Loaded, served: bool) {
        let generation = bad.unconfirmed;
        let found = self.promotion.why_rejected(generation).unwrap_or_default();
        let (done, help) = match &self.serving {
            Some(_) if served => ("rolled back to the last good generation", "mend it"),
            Some(_) => ("not served, and the last good generation goes on", "mend it"),
            None => ("not served", "mend it, or put back what served before"),
        };
        let why = format!(
            "{done}: {found}; {help}, or, to have it served all the same, say in the policy: \
             rollout.accepted = \"{generation}\""
        );
        tracing::error!(%slot, identity = %bad.identity, why, "found bad");
        if self.promotion.file() == File::Rejected {
            self.refused = Some(why);
        }
    }

    /// Says what the candidate waits for, in the log only where that is new.
    pub fn waits(&mut self, slot: &SlotId, wait: Wait) {
        let Some(candidate) = &mut self.candidate else { return };
        if candidate.waits_for == wait {
            return;
        }
        match &wait {
            Wait::For(why) => tracing::info!(%slot, why, "pending"),
            Wait::Refused(why) => tracing::error!(%slot, why, "refused"),
        }
        candidate.waits_for = wait;
    }

    /// Whether the candidate waits for this process alone, or for a first list.
    pub fn is_starting(&self, store: &Store) -> bool {
        self.candidate.as_ref().is_some_and(|candidate| match &candidate.stage {
            Stage::Taken => self.lacks_config().is_none_or(|missing| missing.starting),
            Stage::Loading | Stage::Loaded(_) | Stage::Finding(_) => true,
            Stage::Lacking(_) => false,
            Stage::Syncing(generation) => {
                generation.needs.watches.iter().any(|spec| store.health(spec) == Health::Starting)
            }
        })
    }

    /// What people are shown; whether it is starting only matters while nothing serves.
    pub fn view(&mut self, slot: &SlotId, store: &Store, starting: bool) -> SlotView {
        self.draining.retain(|generation| generation.strong_count() > 0);
        let unhealthy = self.serving.as_ref().and_then(|serving| unhealthy(store, &serving.needs.watches));
        let blocked = self.lacking.clone().or(unhealthy);
        let shadow = self.shadow().map(|shadow| shadow.loaded.shadowed.view());
        let (pending, refused) = match self.candidate.as_ref().map(|candidate| candidate.waits_for.clone()) {
            Some(Wait::For(why)) => (Some(why), None),
            Some(Wait::Refused(why)) => (None, Some(why)),
            None => (self.lacks_config().map(|missing| missing.why.clone()), self.refused.clone()),
        };
        let pending = shadow.as_ref().map(ShadowView::summary).or(pending);
        let refuses = refused.is_some();
        let (state, reason) = match (&self.serving, blocked, pending) {
            (Some(_), Some(why), _) => (SlotState::Pending, Some(why)),
            (Some(serving), None, pending) => {
                let held = serving.deletions().held().map(ToString::to_string);
                let rolled_back = self.promotion.file() == File::Rejected;
                let quarantined = serving.quarantine().held();
                let state = match quarantined {
                    Some(_) => SlotState::Quarantined,
                    None if rolled_back => SlotState::RolledBack,
                    None => SlotState::Serving,
                };
                (state, quarantined.or(held).or(refused).or(pending))
            }
            (None, _, Some(why)) => (SlotState::Pending, Some(why)),
            (None, _, None) => (SlotState::Refused, refused),
        };
        SlotView {
            instance_id: slot.instance.to_string(),
            stem: slot.stem.to_string(),
            lineage: slot.stem.lineage().to_string(),
            state,
            reason,
            refused: refuses,
            generation: self.serving.as_ref().map(|serving| serving.number),
            identity: self.serving.as_ref().map(|serving| serving.loaded.identity.to_string()),
            kind: self.serving.as_ref().map(|serving| joined(serving, |object| object.kind.to_string())),
            version: self.serving.as_ref().map(|serving| joined(serving, |object| object.version.clone())),
            starting: self.serving.is_none() && starting,
            candidate: self.candidate.is_some(),
            shadow,
            probation: self.last_good.is_some(),
            draining: self.draining.len(),
        }
    }
}

impl Candidate {
    fn taken() -> Self {
        Self { stage: Stage::Taken, waits_for: Wait::For("waits to be loaded".into()) }
    }
}

/// Something of each kind that a generation reconciles, for people.
fn joined(serving: &Generation, of: impl Fn(&ObjectKind) -> String) -> String {
    serving.loaded.description.objects.iter().map(of).collect::<Vec<_>>().join(", ")
}

/// What is known of a policy before its file is loaded. One that is not valid is
/// refused then, and says nothing until that.
fn policy_of(source: &Source) -> Policy {
    source.policy.as_deref().and_then(|text| Policy::parse(text).ok()).unwrap_or_default()
}

/// The first watch that is not synced, and why; none where all are.
pub fn unhealthy(store: &Store, watches: &BTreeSet<WatchSpec>) -> Option<String> {
    watches.iter().find_map(|spec| {
        let health = store.health(spec);
        (!health.is_synced()).then(|| format!("the watch of {spec} is not ready: {health}"))
    })
}
