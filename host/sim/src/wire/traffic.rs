//! What all wires of a world share: the API at their other end, the log, what
//! is still to go wrong, and the rules.

use std::{collections::BTreeSet, convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use serde_json::Value;
use tokio::sync::mpsc;
use tower::ServiceExt;
use trimtab_apiserver::ApiServer;
use trimtab_cluster::fanout::Fanout;
use trimtab_core::{hash::Hash, id::GroupKind, policy::Policy};
use trimtab_engine::folder::Folder;

use super::{
    asked::Asked,
    pending::Pending,
    stream::{Order, Orders},
};
use crate::{
    clock::Clock,
    fault::{Fault, What},
    log::{Entry, Log},
    oracle::audit::{Accepted, Audit, Leases},
    refusal::Refusals,
};

/// What the API answers, or what stands in its place.
pub(crate) type FromApi = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// What happens to the world and not to a request. At most one for each fault.
#[derive(Debug)]
pub(crate) enum Happening {
    /// A process has died.
    Died(u32),
    /// A fault's time has come.
    Fault(What),
}

/// What all wires of a world share.
pub(crate) struct Traffic {
    pub api: ApiServer,
    pub clock: Clock,
    pub log: Log,
    pub pending: Pending,
    pub audit: Audit,
    pub refusals: Refusals,
    pub orders: Orders,
    /// The plugins folder.
    pub folder: Fanout<Arc<Folder>>,
    happenings: mpsc::UnboundedSender<Happening>,
}

/// A write as it was when it left its process.
pub(super) struct Sent {
    at: Duration,
    leases: Leases,
}

impl Traffic {
    /// With the end where it is heard what happens to the world.
    pub fn new(
        api: ApiServer,
        clock: Clock,
        faults: impl IntoIterator<Item = Fault>,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Happening>) {
        let (happenings, heard) = mpsc::unbounded_channel();
        let traffic = Self {
            api,
            clock,
            log: Log::default(),
            pending: Pending::new(faults),
            audit: Audit::default(),
            refusals: Refusals::default(),
            orders: Orders::default(),
            folder: Fanout::default(),
            happenings,
        };
        (Arc::new(traffic), heard)
    }

    /// Tells the world.
    pub fn happens(&self, what: Happening) {
        // A world that has gone needs no telling.
        let _ = self.happenings.send(what);
    }

    /// Lets happen what is due by time.
    pub fn tick(&self) {
        let due = self.pending.due(self.clock.elapsed());
        due.into_iter().for_each(|what| self.befall(what));
    }

    /// Something happens to the world: at once, or else as soon as the world hears of it.
    fn befall(&self, what: What) {
        tracing::info!(%what, "disturbed");
        match what {
            What::Watches { of, stream } => self.orders.modify(|orders| orders.push(Order::now(of, stream))),
            What::Compacted => self.api.compact(),
            What::Swapped(folder) => self.folder.set(folder),
            what => self.happens(Happening::Fault(what)),
        }
    }

    pub(super) fn sent(&self, asked: &Asked) -> Option<Sent> {
        asked.writes().then(|| Sent { at: self.clock.elapsed(), leases: self.audit.leases() })
    }

    /// What happens to a request.
    pub(super) fn meet(&self, asked: &Asked) -> Option<What> {
        let (fault, world) = self.pending.meet(asked, self.clock.elapsed());
        world.into_iter().for_each(|what| self.befall(what));
        if let Some(what) = &fault {
            tracing::info!(%what, method = %asked.method, path = asked.path, "disturbed");
        }
        fault
    }

    /// A watch is about to show an event; whether something happens at it.
    pub(super) fn shown(&self, resource: &str) -> bool {
        let world = self.pending.shown(resource, self.clock.elapsed());
        let disturbed = !world.is_empty();
        world.into_iter().for_each(|what| self.befall(what));
        disturbed
    }

    pub(super) fn note(&self, process: u32, request: &Request<Bytes>, status: Option<u16>) {
        self.log.add(Entry {
            at: self.clock.elapsed(),
            process,
            method: request.method().clone(),
            path: request.uri().to_string(),
            body: Hash::of([&request.body()[..]]),
            status,
        });
    }

    /// The same list, asked for as it was so many changes ago.
    pub(super) fn older(&self, request: Request<Bytes>, changes: u64) -> Request<Bytes> {
        // No state is older than version 1.
        let version = self.api.resource_version().saturating_sub(changes).max(1);
        let (mut head, body) = request.into_parts();
        let path = format!("{}&resourceVersion={version}&resourceVersionMatch=Exact", head.uri);
        head.uri = path.parse().expect("two parameters more are a path, too");
        Request::from_parts(head, body)
    }

    /// Lets the API decide, and holds what it accepts to the rules.
    pub(super) async fn decide(
        &self,
        process: u32,
        asked: &Asked,
        request: Request<Bytes>,
        sent: Option<Sent>,
    ) -> FromApi {
        let Some(sent) = sent else { return self.ask(request).await };
        let body = serde_json::from_slice::<Value>(request.body()).unwrap_or_default();
        let before = if asked.is_audited() { self.read(asked.place()).await } else { None };
        let answer = self.ask(request).await;
        if !answer.status().is_success() {
            return answer;
        }
        if asked.is_about_a_lease() {
            self.audit.lease_written(process, &body, self.clock.elapsed());
        } else if asked.is_audited() {
            let after = self.read(asked.place()).await;
            let object = before.as_ref().unwrap_or(&body);
            self.audit.accepted(&Accepted {
                process,
                place: asked.place(),
                sent: sent.at,
                leases: &sent.leases,
                body: &body,
                adopted: self.takes_over(object, |policy| &policy.adopt),
                inherited: self.takes_over(object, |policy| &policy.inherit.children),
                before: before.as_ref(),
                after: after.as_ref(),
            });
        }
        answer
    }

    /// Whether a policy in the folder takes over what is of an object's kind.
    fn takes_over(&self, object: &Value, kinds: fn(&Policy) -> &BTreeSet<GroupKind>) -> bool {
        let text = |field: &str| object[field].as_str().unwrap_or_default();
        let kind = GroupKind::new(text("apiVersion"), text("kind"));
        let folder = self.folder.get();
        let mut policies = folder.slots.values().filter_map(|source| Policy::parse(source.policy.as_deref()?).ok());
        policies.any(|policy| kinds(&policy).contains(&kind))
    }

    /// What is there now; nothing is awaited meanwhile.
    async fn read(&self, place: &str) -> Option<Value> {
        let path = place.strip_suffix("/status").unwrap_or(place);
        let request = Request::get(path).body(Bytes::new()).expect("it was the path of a request");
        let answer = self.ask(request).await;
        if !answer.status().is_success() {
            return None;
        }
        let Ok(body) = answer.into_body().collect().await;
        serde_json::from_slice(&body.to_bytes()).ok()
    }

    async fn ask(&self, request: Request<Bytes>) -> FromApi {
        let Ok(answer) = self.api.clone().oneshot(request.map(Full::new)).await;
        answer
    }
}
