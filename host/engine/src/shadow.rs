//! Asking a generation that only shadows what the serving one was asked, and comparing
//! what both would do. It has one call at a time, which runs only while a core is free,
//! and a short queue: what does not fit is dropped and counted. Nothing here can write.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use trimtab_core::{
    answer::Answer,
    difference::{Difference, Kind, Side, What, differences, unified},
    id::{Key, Place},
    object::Object,
    plan::{self, ChildSpec, Plan},
};
use trimtab_wasm::{
    CallError, Cost, Ending, Event, KindRef, Level, LookUp, Lookup, Record, Refusal, Replayed, Request, Response,
};

use crate::{
    ask::Recorded,
    gather::Job,
    lookups::StoreLookup,
    memory::Remembered,
    metrics::Who,
    observed::Fared,
    reconcile::Run,
    shadowed::{Compared, ShadowReport},
    trouble::Trouble,
    workshop::Workshop,
};

/// Calls that wait: a few for each of the usual number of workers, and what they may hold:
/// small ones share their texts with the cache and the latest calls.
const WAITING_MAX: usize = 32;
const WAITING_BYTES_MAX: usize = 64 << 20;

/// Calls whose answers are shown: all of one is searched for the values of secrets, beside
/// what serves. Of what is larger, only the names of what differs are told.
const SHOWN_BYTES_MAX: usize = 256 << 10;

/// The calls that are to be made again.
#[derive(Default)]
pub struct Shadows {
    waiting: Mutex<VecDeque<Offer>>,
    came: Notify,
}

/// A call of the serving generation that came to an answer, and what the shadow is given
/// in its place, gathered at the same moment.
struct Offer {
    key: Key,
    serving: Job,
    shadow: Job,
    recorded: Recorded,
    memory: Remembered,
}

/// The look-ups of a shadow: what the serving one was told, and for more than that the cache.
struct Told {
    before: BTreeMap<LookUp, Option<Vec<Arc<Object>>>>,
    now: Arc<StoreLookup>,
}

impl Lookup for Told {
    fn find(&self, asked: &LookUp) -> Result<Vec<Arc<Object>>, Refusal> {
        // What the cache would not tell it, it is not told from elsewhere.
        let now = self.now.find(asked)?;
        Ok(self.before.get(asked).cloned().flatten().unwrap_or(now))
    }

    fn in_namespaces(&self, of: &KindRef) -> bool {
        self.now.in_namespaces(of)
    }
}

impl Shadows {
    /// Whether one more would be taken.
    pub fn has_room(&self) -> bool {
        has_room(&self.waiting())
    }

    fn put(&self, offer: Offer) -> Result<(), Box<Offer>> {
        let mut waiting = self.waiting();
        if !has_room(&waiting) {
            return Err(offer.into());
        }
        waiting.push_back(offer);
        self.came.notify_one();
        Ok(())
    }

    async fn next(&self) -> Offer {
        loop {
            let next = self.waiting().pop_front();
            match next {
                Some(offer) => return offer,
                None => self.came.notified().await,
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Offer>> {
        // Each change is complete before the guard goes, so a panic elsewhere leaves nothing half done.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn has_room(waiting: &VecDeque<Offer>) -> bool {
    let bytes = || waiting.iter().map(|offer| offer.recorded.record.bytes()).sum::<usize>();
    waiting.len() < WAITING_MAX && bytes() < WAITING_BYTES_MAX
}

impl Run<'_> {
    /// Lets the shadow be asked what was just answered.
    pub fn offer(&self, shadow: Job, recorded: Recorded) {
        let (key, serving, memory) = (self.key.clone(), self.job.clone(), self.memory.for_a_plan());
        if let Err(offer) = self.shop.shadows.put(Offer { key, serving, shadow, recorded, memory }) {
            self.shop.dropped(&offer);
        }
    }
}

/// What came of asking the shadow.
struct Comparison {
    differences: Vec<Difference>,
    failing: Option<String>,
    diff: Option<String>,
    cost: Option<Cost>,
}

impl Comparison {
    fn of(kind: Kind) -> Self {
        Self { differences: vec![Difference::of_object(kind)], failing: None, diff: None, cost: None }
    }
}

impl Workshop {
    /// Asks those that shadow until `stop`.
    pub async fn shadow(&self, stop: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = async { self.try_beside(self.shadows.next().await).await } => {}
            }
        }
    }

    /// What is known of the shadow of a slot: `site`, `canary/site@v2`.
    pub fn shadow_report(
        &self,
        slot: &str,
        object: Option<(&str, Option<&str>, &str)>,
    ) -> Result<ShadowReport, String> {
        let (shadowed, serving) = (self.published.shadowed.load(), self.published.serving.load());
        let found = shadowed.iter().find(|(id, _)| id.to_string() == slot);
        let (id, shadowed) =
            found.ok_or_else(|| format!("nothing shadows in {slot:?}, or did since the host started"))?;
        let over = serving.shadows.get(id).is_none_or(|now| !Arc::ptr_eq(&now.loaded.shadowed, shadowed));
        let place = object.map(|(kind, namespace, name)| self.place(kind, namespace, name)).transpose()?;
        let objects = shadowed.objects(place.as_ref());
        match place.filter(|_| objects.is_empty()) {
            Some(place) => Err(format!("{place} has not been compared")),
            None => Ok(ShadowReport { shadow: shadowed.view(), over, objects }),
        }
    }

    fn dropped(&self, offer: &Offer) {
        offer.shadow.generation.loaded.shadowed.dropped();
        self.metrics.shadowed(&Who::new(&offer.serving.instance, &offer.key.lineage), "dropped");
    }

    async fn try_beside(&self, mut offer: Offer) {
        let loaded = offer.shadow.generation.loaded.clone();
        let Some(terms) = &loaded.policy.rollout.shadow else { return };
        if !self.is_current(&offer) {
            return self.dropped(&offer);
        }
        let compared = self.compare(&mut offer).await;
        let Some(Comparison { differences, failing, diff, cost }) = compared else { return self.dropped(&offer) };
        let result = match differences.first() {
            None => "same",
            Some(Difference { kind: Kind::Failed, .. }) => "fails",
            Some(Difference { kind: Kind::Waits, .. }) => "waits",
            Some(_) => "differs",
        };
        self.metrics.shadowed(&Who::new(&offer.serving.instance, &offer.key.lineage), result);
        let compared = Compared { diff, ..Compared::new(&differences, failing, terms, self.env.elapsed()) };
        let costs = cost.as_ref().map(|cost| (&offer.recorded.cost, cost));
        loaded.shadowed.note(&offer.key.place, compared, costs);
    }

    /// Whether the one still shadows the other: what it is compared with may have been rolled back.
    fn is_current(&self, Offer { serving, shadow, .. }: &Offer) -> bool {
        let now = self.published.serving.load();
        let shadows = now.shadows.get(&shadow.generation.loaded.slot);
        shadows.is_some_and(|it| it.number == shadow.generation.number)
            && now.generations.contains_key(&serving.generation.number)
    }

    /// Asks the shadow and compares; none where it could not be asked for reasons that are
    /// not its own.
    async fn compare(&self, offer: &mut Offer) -> Option<Comparison> {
        let Offer { key, serving, shadow, recorded, memory } = offer;
        if !shadow.is_selected() {
            return Some(Comparison::of(Kind::Deselects));
        }
        let Ending::Answered(before) = &recorded.record.ending else { return None };
        let began = Duration::ZERO;
        let wanted = Run { shop: self, key, job: serving, shadow: None, memory, began }.check(before.clone()).ok()?;

        let run = Run { shop: self, key, job: shadow, shadow: None, memory, began };
        let (request, Replayed { mut called, differences: asked }) = run.ask_beside(recorded).await;
        let cost = Some(called.cost);
        let answer = called.outcome.clone().map_err(Trouble::from).and_then(|answer| run.check(answer));
        let mut said = Record::new("", String::new(), request, &mut called);
        said.log = asked.iter().map(|asked| (Level::Info, without_paths(asked))).collect();
        let mut found = Vec::from_iter((!asked.is_empty()).then(|| Difference::of_object(Kind::Asks)));
        let answer = match answer {
            Ok(answer) => answer,
            Err(trouble) => {
                let shown = self.shown(&said, shadow);
                let (kind, failing) = failed_beside(&trouble, shown.as_ref(), shadow)?;
                found.insert(0, Difference::of_object(kind));
                let diff = shown.and_then(|shown| none_if_empty(told(&shown)));
                return Some(Comparison { differences: found, failing, diff, cost });
            }
        };
        let plans = self.plans(key, [(serving, &wanted), (shadow, &answer)], memory);
        let side = |answer, plan| Side { answer, plan };
        found.extend(differences(side(&wanted, &plans[0]), side(&answer, &plans[1])));
        let finalizes = |job: &Job| job.generation.loaded.description.finalizes;
        if finalizes(serving) != finalizes(shadow) {
            found.push(Difference::of_object(Kind::Finalizers));
        }
        let is_kept = !found.is_empty() && shadow.generation.loaded.shadowed.keeps_diff(&key.place);
        let shown = is_kept.then(|| Some([self.shown(&recorded.record, serving)?, self.shown(&said, shadow)?]));
        let text = shown.flatten().map(|shown| told(&shown[1]) + &diff(&found, [&wanted, &answer], &shown));
        Some(Comparison { differences: found, failing: None, diff: text.and_then(none_if_empty), cost })
    }

    /// A call without the values of secrets; none where that is too much to be searched for
    /// these.
    fn shown(&self, record: &Record, job: &Job) -> Option<Record> {
        let is_small = record.bytes() <= SHOWN_BYTES_MAX;
        is_small.then(|| self.calls.redacted(record, job.generation.loaded.has_secret_config()))
    }

    /// The plans of both answers, made of the same state.
    fn plans(&self, key: &Key, sides: [(&Job, &Answer); 2], memory: &mut Remembered) -> [Plan; 2] {
        let seen = RefCell::new(BTreeMap::new());
        let unseen = mem::take(&mut memory.unseen);
        sides.map(|(job, answer)| {
            let run = Run { shop: self, key, job, shadow: None, memory, began: Duration::ZERO };
            let at = |spec: &ChildSpec, place: &Place| {
                let asked = (spec.version.clone(), place.clone());
                let mut seen = seen.borrow_mut();
                seen.entry(asked).or_insert_with(|| run.at(&spec.version, place, &unseen)).clone()
            };
            plan::plan(&plan::Input {
                owner: &run.owner(),
                kinds: &job.generation.needs.children,
                desired: &answer.children,
                children: &job.children,
                at: &at,
                inherit: job.inherit(),
                fixed: &run.memory.fixed,
                ending: false,
                // Whose turn it is in a rollout is not what is compared.
                rollout: None,
            })
        })
    }
}

impl Run<'_> {
    /// Asks a generation that shadows what the serving one was asked, in its own words.
    async fn ask_beside(&self, recorded: &Recorded) -> (Request, Replayed) {
        let loaded = &self.job.generation.loaded;
        let request = self.request(self.job.object.text.clone(), recorded.record.request.now.clone());
        let lookup = Arc::new(Told { before: recorded.looked_up.clone(), now: self.lookup() });
        let asked = request.clone();
        (asked, loaded.plugin.shadow(request, &recorded.record.tape, lookup, &loaded.policy.limits).await)
    }
}

/// How the shadow came to no answer, and how in words where that is its own fault; none
/// where the host could not ask it.
fn failed_beside(trouble: &Trouble, shown: Option<&Record>, shadow: &Job) -> Option<(Kind, Option<String>)> {
    if matches!(trouble, Trouble::Call(CallError::Host(_))) {
        return None;
    }
    let Fared::Badly { why, .. } = trouble.fared(shadow.generation.rests_on_inputs()) else {
        return Some((Kind::Waits, None));
    };
    // What it says may quote what it was given.
    let why = match shown.map(|record| &record.ending) {
        Some(Ending::Failed(failure)) => failure.message.clone(),
        Some(Ending::Stopped { message, .. }) => message.clone(),
        Some(Ending::Answered(_)) => why,
        None => trouble.reason().to_owned(),
    };
    Some((Kind::Failed, Some(why)))
}

/// What was asked over the network and is not known, a line for each.
fn told(shown: &Record) -> String {
    shown.log.iter().map(|(_, asked)| format!("! {asked}\n")).collect()
}

/// A line whose URLs are told by their origins: what follows may be a secret.
fn without_paths(line: &str) -> String {
    let word = |word: &str| match word.split_once("://") {
        Some((scheme, rest)) => {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            format!("{scheme}://{}/…", authority.rsplit('@').next().unwrap_or_default())
        }
        None => word.to_owned(),
    };
    line.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

fn none_if_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// All differences that are of fields, or of whole children, as people read them.
fn diff(found: &[Difference], answers: [&Answer; 2], shown: &[Record; 2]) -> String {
    let said = |side: usize| match &shown[side].ending {
        Ending::Answered(response) => Some(response),
        Ending::Failed(_) | Ending::Stopped { .. } => None,
    };
    let read = |text: &str| serde_json::from_str::<Value>(text).ok();
    let child = |side: usize, place: &Place| {
        let at = answers[side].children.iter().position(|child| child.place == *place)?;
        read(said(side)?.children.get(at)?)
    };
    let keys = |keys: &[(String, Option<String>)]| keys.iter().cloned().collect::<BTreeMap<_, _>>();
    let part = |side: usize, kind: Kind| match kind {
        Kind::Status => Some(json!({ "status": read(said(side)?.status.as_deref()?)? })),
        Kind::Marks => {
            let Response { labels, annotations, .. } = said(side)?;
            Some(json!({ "metadata": { "labels": keys(labels), "annotations": keys(annotations) } }))
        }
        Kind::Events => {
            let event =
                |event: &Event| json!({ "warning": event.warning, "reason": event.reason, "message": event.message });
            Some(json!({ "events": said(side)?.events.iter().map(event).collect::<Vec<_>>() }))
        }
        Kind::Requeues => Some(json!({ "requeueAfterMs": said(side)?.requeue_after_ms })),
        _ => None,
    };
    let unified = |difference: &Difference| match &difference.what {
        What::Child(place) => unified(&place.to_string(), child(0, place).as_ref(), child(1, place).as_ref()),
        What::Object => unified("object", part(0, difference.kind).as_ref(), part(1, difference.kind).as_ref()),
    };
    found.iter().map(unified).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_url_only_the_origin_is_told() {
        let told = without_paths("asked POST https://user:password@hooks.example:8443/TOKEN?key=1 with other headers");
        assert_eq!(told, "asked POST https://hooks.example:8443/… with other headers");
    }
}
