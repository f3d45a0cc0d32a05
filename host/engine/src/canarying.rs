//! Carries out what the canaries' machine says (`core::canary`). Whoever leads the
//! instance that the objects come from does that, and nobody else: he sees the objects of
//! both instances, writes the canary's status and, once it says so, moves them.

mod members;
mod seen;
mod stuck;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, future, stream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use trimtab_cluster::{
    canaries::{Canaries, Failed},
    gate::Ticket,
    lease::Sightings,
    spec::WatchSpec,
    store::Store,
    watches::Watches,
};
use trimtab_core::{
    canary::{self, Decision, Input, Member, Move, Mover, Phase, Spec, Watched},
    id::{Cluster, InstanceId, Key, Uid},
    object::Object,
};

use self::{
    members::Members,
    seen::{Canary, Seen},
    stuck::Stuck,
};
use crate::workshop::Workshop;

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);
/// The same while objects are on their way back.
const SOON: Duration = Duration::from_millis(100);
/// Moves between two looks: what they wake is no more than a few looks of every worker.
const MOVES_MAX: usize = 64;
/// Moves under way at once.
const AT_ONCE: usize = 8;
/// In one look, for a fresh list of what a decision rests on; it is waited for in the next
/// one if it takes longer.
const LIST: Duration = Duration::from_secs(1);
/// For so long it is good that somebody serves an instance.
const FRESH: Duration = Duration::from_secs(5);

/// Carries the canaries out.
pub struct Canarying {
    pub shop: Arc<Workshop>,
    pub api: Canaries,
    /// What the plugins are served from.
    pub served: Arc<Watches>,
    /// The canaries, and the objects that the server leaves out of what is served.
    pub store: Arc<Store>,
    pub watches: Arc<Watches>,
    pub leases: Sightings,
}

/// What is kept of one canary between two looks.
#[derive(Default)]
struct Known {
    watched: Watched,
    /// All was listed since this process took the canary up.
    taken_up: bool,
    /// All was listed since nothing was left to move.
    confirmed: bool,
    /// A fresh list that is under way.
    listing: Option<JoinHandle<bool>>,
    members: Members,
    /// When its numbers were written last.
    said_at: Duration,
    /// Whether somebody served the other instance, and when that was asked.
    served: Option<(Duration, bool)>,
    stuck: Stuck,
    /// Why the canary itself was not written, the last time.
    unwritten: Option<String>,
}

/// What is kept of all of them.
#[derive(Default)]
struct Kept {
    known: BTreeMap<Uid, Known>,
    watched: BTreeSet<WatchSpec>,
}

impl Canarying {
    /// Carries them out until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut kept = Kept::default();
        let mut pause = INTERVAL;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                soon = self.look(&mut kept) => pause = if soon { SOON } else { INTERVAL },
            }
        }
    }

    /// One look at all of them; whether the next one is to follow soon.
    async fn look(&self, kept: &mut Kept) -> bool {
        let shop = &self.shop;
        let defined = !shop.settings.dry_run && shop.discovery.known().get(&Canaries::kind()).is_some();
        let watch = Canaries::watch(&shop.settings.lease_namespace);
        let all = if defined { seen::canaries(&self.store, &watch, &shop.settings.installation) } else { Vec::new() };
        let led = all.iter().filter(|canary| shop.leading.leads(&canary.from)).collect::<Vec<_>>();
        let serving = shop.published.serving.load_full();
        let seen = led.iter().map(|canary| Seen::of(canary, &serving, &shop.settings)).collect::<Vec<_>>();
        let left_out = seen.iter().flatten().flat_map(|seen| seen.left_out.clone());
        let watched = left_out.chain(defined.then_some(watch)).collect::<BTreeSet<_>>();
        if kept.watched != watched {
            self.watches.set(watched.clone());
            kept.watched = watched;
        }
        kept.known.retain(|uid, _| led.iter().any(|canary| canary.object.meta.uid == *uid));
        let mut soon = false;
        for (canary, seen) in led.into_iter().zip(seen) {
            let known = kept.known.entry(canary.object.meta.uid.clone()).or_default();
            let looked = match seen {
                Ok(seen) => self.follow(canary, &seen, &all, known).await,
                Err(why) => {
                    known.watched.unsteady();
                    self.refuse(canary, &why).await.map(|()| false)
                }
            };
            let unwritten = looked.as_ref().err().map(ToString::to_string);
            if let Some(error) = unwritten.as_ref().filter(|_| unwritten != known.unwritten) {
                tracing::warn!(canary = %canary.object.meta.place, error, "not written, it is tried again");
            }
            known.unwritten = unwritten;
            soon |= looked.unwrap_or_default();
        }
        soon
    }

    /// What cannot even be begun says why.
    async fn refuse(&self, canary: &Canary, why: &str) -> Result<(), Failed> {
        let begun = canary.is_held();
        let status = canary::Status {
            phase: if begun { canary.status.phase } else { Phase::Pending },
            message: why.to_owned(),
            observed_generation: if begun { canary.status.observed_generation } else { canary.object.meta.generation },
            ..canary.status.clone()
        };
        self.say(canary, &status, None, None).await
    }

    async fn follow(
        &self,
        canary: &Canary,
        seen: &Seen<'_>,
        all: &[Canary],
        known: &mut Known,
    ) -> Result<bool, Failed> {
        let meta = &canary.object.meta;
        let held = canary.is_held();
        if canary.has_ended() {
            return Ok(false);
        }
        if !known.taken_up {
            known.taken_up = self.list(seen, &mut known.listing).await;
            return Ok(known.taken_up);
        }
        if !seen.is_synced(&self.shop.store, &self.store) || (meta.deleting && !held) {
            known.watched.unsteady();
            return Ok(false);
        }
        let may = match seen.may(canary, all) {
            Ok(()) => self.is_served(seen, known).await,
            Err(why) => Err(why),
        };
        let objects = seen.objects(&self.shop.store, &self.store);
        let members = known.members.of(canary, seen, &objects);
        let stable = seen.stable();
        let input = Input {
            spec: seen.spec,
            generation: meta.generation,
            deleting: meta.deleting,
            status: &canary.status,
            members: &members,
            stable: &stable,
            may: match &may {
                Ok(()) => Ok(()),
                Err(why) => Err(why),
            },
            now: self.shop.env.elapsed(),
        };
        let decision = canary::decide(&input, &mut known.watched);
        // That nothing is left anywhere is believed of a fresh list alone.
        let ends =
            decision.is_gone || (canary.status.phase.goes_back() && decision.status.phase != canary.status.phase);
        if ends && !known.confirmed {
            known.confirmed = self.list(seen, &mut known.listing).await;
            return Ok(known.confirmed);
        }
        (known.confirmed, known.listing) = (false, None);
        if decision.is_gone {
            return self.hold(canary, false).await;
        }
        if decision.status.phase != Phase::Pending && !held {
            return self.hold(canary, true).await;
        }
        self.carry_out(canary, seen, &objects, &members, decision, known).await
    }

    /// Says what was decided, and does what was said before.
    async fn carry_out(
        &self,
        canary: &Canary,
        seen: &Seen<'_>,
        objects: &[Arc<Object>],
        members: &[Member],
        decision: Decision,
        known: &mut Known,
    ) -> Result<bool, Failed> {
        let Decision { status, moves, .. } = decision;
        let now = self.shop.env.elapsed();
        let has_moved_on = status.stands() != canary.status.stands();
        let is_due = has_moved_on || now.saturating_sub(known.said_at) >= INTERVAL;
        let turns_back = status.phase.goes_back() && !canary.status.phase.goes_back();
        let made = turns_back.then(|| seen::made(&self.shop.store, members));
        known.stuck.retain(moves.iter().map(|(index, _)| &members[*index].uid));
        let said = if is_due {
            known.said_at = now;
            self.say(canary, &status, made, known.stuck.told()).await
        } else {
            Ok(())
        };
        // There are none where what they rest on was to be said: numbers hold up nothing.
        let moved = self.make(canary, seen, objects, moves, &mut known.stuck).await;
        said?;
        Ok(has_moved_on || (status.phase.goes_back() && moved > 0))
    }

    /// Makes moves, as many as may be at a time, and tells how many. What was refused before
    /// waits for what was not, and what only takes a mark off for the others.
    async fn make(
        &self,
        canary: &Canary,
        seen: &Seen<'_>,
        objects: &[Arc<Object>],
        mut moves: Vec<(usize, Move)>,
        stuck: &mut Stuck,
    ) -> usize {
        let now = self.shop.now_text();
        let mover = Mover {
            spec: seen.spec,
            canary: &canary.object.meta.uid,
            attempt: canary.status.attempt,
            kind: &seen.generation.needs.object(&seen.spec.kind).kind,
            key: &seen.generation.needs.instance_key,
            now: &now,
        };
        moves.sort_by_key(|(index, what)| (stuck.has(&objects[*index].meta.uid), *what == Move::Unmark));
        let elapsed = self.shop.env.elapsed();
        let due = moves.into_iter().map(|(index, what)| (&objects[index], what));
        let due = due.filter(|(object, _)| stuck.may_be_tried(&object.meta.uid, elapsed)).take(MOVES_MAX);
        let under_way = due.map(async |(object, what)| (object, self.move_one(seen, &mover, object, what).await));
        let ended = stream::iter(under_way.collect::<Vec<_>>()).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await;
        let moved = ended.iter().filter(|(_, refused)| refused.is_none()).count();
        for (object, refused) in ended {
            match refused {
                Some(why) => stuck.put(object, why, self.shop.env.elapsed()),
                None => stuck.free(&object.meta.uid),
            }
        }
        moved
    }

    /// Moves an object; the text is why not.
    async fn move_one(&self, seen: &Seen<'_>, mover: &Mover<'_>, object: &Arc<Object>, what: Move) -> Option<String> {
        let loaded = &seen.generation.loaded;
        let place = object.meta.place.clone();
        let key = Key { cluster: Cluster::local(), place, lineage: loaded.lineage.clone() };
        let write = mover.write(object, what);
        let ticket = Ticket {
            key: key.clone(),
            instance: seen.spec.from.clone(),
            uid: object.meta.uid.clone(),
            slot: loaded.slot.clone(),
            generation: seen.generation.number,
            account: loaded.policy.service_account.clone(),
        };
        let answer = self.shop.gate.write(&ticket, &write).await;
        self.shop.wrote(&key, &ticket.instance, &write, &answer);
        match answer {
            Ok(object) => {
                object.into_iter().for_each(|object| self.store.put(object));
                None
            }
            Err(error) => Some(error.to_string()),
        }
    }

    /// Writes the status where it differs.
    async fn say(
        &self,
        canary: &Canary,
        status: &canary::Status,
        made: Option<serde_json::Value>,
        stuck: Option<String>,
    ) -> Result<(), Failed> {
        let wanted = seen::said(canary, status, made, stuck, &self.shop.now_text());
        if wanted == canary.said {
            return Ok(());
        }
        if status.phase != canary.status.phase {
            let (place, phase, message) = (&canary.object.meta.place, status.phase, &status.message);
            tracing::info!(canary = %place, ?phase, message, "the canary");
        }
        let written = self.api.put_status(&canary.from, &canary.object, &wanted).await?;
        written.into_iter().for_each(|object| self.store.put(Arc::new(object)));
        Ok(())
    }

    async fn hold(&self, canary: &Canary, held: bool) -> Result<bool, Failed> {
        let written = self.api.hold(&canary.from, &canary.object, held).await?;
        written.into_iter().for_each(|object| self.store.put(Arc::new(object)));
        Ok(true)
    }

    /// Lists all that a decision rests on; whether that has come to an end.
    async fn list(&self, seen: &Seen<'_>, listing: &mut Option<JoinHandle<bool>>) -> bool {
        let under_way = listing.get_or_insert_with(|| {
            let own = Canaries::watch(&self.shop.settings.lease_namespace);
            let here = seen.watches().iter().map(|spec| (self.served.clone(), spec.clone()));
            let there = seen.left_out.iter().cloned().chain([own]).map(|spec| (self.watches.clone(), spec));
            let all = here.chain(there).map(async |(watches, spec)| watches.relist(&spec).await);
            let all = future::try_join_all(all.collect::<Vec<_>>());
            tokio::spawn(async { all.await.is_ok() })
        });
        let listed = tokio::time::timeout(LIST, under_way).await;
        if listed.is_ok() {
            *listing = None;
        }
        matches!(listed, Ok(Ok(true)))
    }

    /// Whether anybody serves the instance that is tried with a plugin of the lineage; what
    /// cannot be told is as it was.
    async fn is_served(&self, seen: &Seen<'_>, known: &mut Known) -> Result<(), String> {
        let Spec { lineage, kind, to, .. } = seen.spec;
        let now = self.shop.env.elapsed();
        if seen.is_served_here() {
            return Ok(());
        }
        if known.served.is_none_or(|(at, _)| now.saturating_sub(at) >= FRESH) {
            let asked = self.leases.incumbent(to, kind).await.map(|it| it.as_ref() == Some(lineage));
            let was = known.served.is_some_and(|(_, was)| was);
            known.served = Some((now, asked.unwrap_or(was)));
        }
        let is_served = known.served.is_some_and(|(_, is_served)| is_served);
        is_served.then_some(()).ok_or_else(|| {
            format!("no host serves {kind} in the instance {:?} with a plugin of the lineage {lineage}", to.as_str())
        })
    }
}

/// The instance whose leader looks after a canary; that of one that says none is the
/// default one's.
fn leader(spec: &serde_json::Value) -> InstanceId {
    let from = spec["from"].as_str().and_then(|from| InstanceId::new(from).ok());
    from.unwrap_or_else(InstanceId::default_instance)
}
