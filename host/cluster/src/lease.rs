//! The Lease of one instance: reads, writes and watches it for the elector in
//! `core`, and publishes whether this process leads. The gate does not cover
//! this: an elector writes nothing but its own Lease.

mod object;
mod sightings;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::TryStreamExt;
use http::Method;
use kube::{Client, core::WatchEvent};
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use trimtab_core::{
    election::{Answer, Elector, Proposal, Record, Step, Timings},
    env::Env,
    hash::Hash,
    id::{GroupKind, InstanceId, Lineage, Stem},
    promotion::Rejected,
};

use self::object::Lease;
pub use self::{
    object::{LINEAGES, Recorded, name},
    sightings::Sightings,
};
use crate::request::{self, RequestError};

/// News that wait for the elector while a request of its own is under way. A
/// leader renews every 2 s and a request takes at most 5 s, so there are three;
/// where there are more, the watch waits.
const NEWS_MAX: usize = 4;
/// The longest sleep at once: a wait without end is for a change.
const SLEEP_MAX: Duration = Duration::from_secs(3600);

/// Whether this process leads an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseState {
    /// It does.
    Leading {
        /// Until this time of [`Env::elapsed`], unless it is renewed before.
        until: Duration,
    },
    /// It does not, and may when the holder goes.
    Standby {
        /// Who leads, as far as is known.
        holder: Option<String>,
    },
}

/// Where the Leases lie.
fn collection(namespace: &str) -> String {
    format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", request::encoded(namespace))
}

fn path(namespace: &str, name: &str) -> String {
    format!("{}/{name}", collection(namespace))
}

/// A candidate for the Lease of one instance.
pub struct Candidate {
    client: Client,
    env: Arc<dyn Env>,
    timings: Timings,
    namespace: String,
    name: String,
    instance: InstanceId,
    identity: String,
    state: watch::Sender<LeaseState>,
    /// What the Lease was seen or written as last; also after it was deleted.
    last: Mutex<Option<Lease>>,
    /// What the leader wants to be recorded in it.
    recorded: watch::Sender<Option<Recorded>>,
}

/// What a watch saw.
enum News {
    There(Lease),
    Gone(u64),
}

impl Candidate {
    /// A candidate under `identity`, which must be new for each start of a
    /// process, with the usual timings. It does nothing before [`Candidate::run`].
    pub fn new(
        client: Client,
        env: Arc<dyn Env>,
        namespace: &str,
        installation: &str,
        instance: &InstanceId,
        identity: &str,
    ) -> Arc<Self> {
        Self::with_timings(client, env, namespace, installation, instance, identity, Timings::default())
    }

    /// One with other timings. All candidates for one Lease need the same.
    pub fn with_timings(
        client: Client,
        env: Arc<dyn Env>,
        namespace: &str,
        installation: &str,
        instance: &InstanceId,
        identity: &str,
        timings: Timings,
    ) -> Arc<Self> {
        Arc::new(Self {
            client,
            env,
            timings,
            namespace: namespace.into(),
            name: name(installation, instance),
            instance: instance.clone(),
            identity: identity.into(),
            state: watch::Sender::new(LeaseState::Standby { holder: None }),
            last: Mutex::default(),
            recorded: watch::Sender::default(),
        })
    }

    /// Whether this process leads, now and whenever that changes.
    pub fn state(&self) -> watch::Receiver<LeaseState> {
        self.state.subscribe()
    }

    /// The name of the Lease.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which lineage has which kind, as the Lease says.
    pub fn incumbents(&self) -> BTreeMap<GroupKind, Lineage> {
        self.last().as_ref().map(Lease::incumbents).unwrap_or_default()
    }

    /// What was found bad in a slot, as the Lease says.
    pub fn rejected(&self, slot: &Stem) -> Vec<Rejected> {
        self.last().as_ref().map(|last| last.rejected(slot)).unwrap_or_default()
    }

    /// Which generation the leader lets serve in a slot whose builds shadow first.
    pub fn passed(&self, slot: &Stem) -> Option<Hash> {
        self.last().as_ref()?.passed(slot)
    }

    /// Says which lineages there are, and which has which kind: written at once into a
    /// Lease that is held. Taking one leaves what the last holder recorded, so that it can
    /// be read before it is replaced; lineages alone are added at once, since others go by
    /// them from the moment in which it is taken.
    pub fn record(&self, recorded: Recorded) {
        let new = Some(recorded);
        self.recorded.send_if_modified(|known| {
            *known != new && {
                *known = new;
                true
            }
        });
    }

    /// Stands for the Lease until `stop`, then releases it.
    pub async fn run(&self, stop: CancellationToken) {
        let (news, mut seen) = mpsc::channel(NEWS_MAX);
        let mut elector = Elector::new(self.identity.clone(), self.timings, self.env.random());
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = self.stand(&mut elector, &mut seen) => {}
            () = self.watch(news) => {}
            () = self.expire() => {}
        }
        self.release(&mut elector).await;
    }

    /// Does what the elector wants, for ever.
    async fn stand(&self, elector: &mut Elector, seen: &mut mpsc::Receiver<News>) {
        let mut recorded = self.recorded.subscribe();
        loop {
            self.publish(elector);
            match elector.step(self.env.elapsed()) {
                Step::Read => self.read(elector).await,
                Step::Write(proposal) => self.write(elector, &proposal).await,
                Step::Wait(until) => {
                    let pause = until.saturating_sub(self.env.elapsed()).min(SLEEP_MAX);
                    tokio::select! {
                        biased;
                        Some(news) = seen.recv() => self.heard(elector, news),
                        Ok(()) = recorded.changed() => elector.renew(),
                        () = tokio::time::sleep(pause) => {}
                    }
                }
            }
        }
    }

    fn publish(&self, elector: &Elector) {
        let now = self.env.elapsed();
        let state = match elector.leading_until() {
            Some(until) if now < until => LeaseState::Leading { until },
            _ => LeaseState::Standby { holder: elector.holder().map(str::to_owned) },
        };
        self.state.send_if_modified(|published| std::mem::replace(published, state.clone()) != state);
    }

    /// Publishes that a leader's time is over also while it waits for an answer.
    async fn expire(&self) {
        let mut state = self.state.subscribe();
        loop {
            let until = match *state.borrow_and_update() {
                LeaseState::Leading { until } => until,
                LeaseState::Standby { .. } => Duration::MAX,
            };
            let left = until.saturating_sub(self.env.elapsed());
            if left.is_zero() {
                tracing::warn!(lease = self.name, "not renewed in time, no longer leading");
                self.state.send_replace(LeaseState::Standby { holder: None });
                continue;
            }
            // Nothing is lost where the sender is gone: it is our own.
            let _ = tokio::time::timeout(left.min(SLEEP_MAX), state.changed()).await;
        }
    }

    fn heard(&self, elector: &mut Elector, news: News) {
        let now = self.env.elapsed();
        match news {
            News::There(lease) => self.saw(elector, now, lease),
            News::Gone(resource_version) => elector.seen_gone(now, Some(resource_version)),
        }
    }

    fn saw(&self, elector: &mut Elector, now: Duration, lease: Lease) {
        let record = lease.record();
        if record.is_newer && self.last().as_ref().is_none_or(|last| !last.record().is_newer) {
            tracing::warn!(
                lease = self.name,
                "a newer release has led here, whose marks this one cannot read: it stands by; \
                 to go back to this release for good, take the annotation trimtab.dev/format off the Lease",
            );
        }
        elector.seen(now, record);
        self.keep(lease);
    }

    /// Keeps the newest state: it is what a write changes.
    fn keep(&self, lease: Lease) -> Record {
        let record = lease.record();
        let mut last = self.last();
        if last.as_ref().is_none_or(|last| last.record().resource_version <= record.resource_version) {
            *last = Some(lease);
        }
        record
    }

    async fn read(&self, elector: &mut Elector) {
        let get = request::get(&self.path());
        let answer = request::send(&self.client, get, self.request_timeout()).await;
        let now = self.env.elapsed();
        match answer.map(|answer| Lease::parse(&answer)) {
            Ok(Some(lease)) => self.saw(elector, now, lease),
            Err(RequestError::Api(error)) if error.code == 404 => elector.seen_gone(now, None),
            Ok(None) => self.failed(elector, now, &"the server's answer is no Lease"),
            Err(error) => self.failed(elector, now, &error),
        }
    }

    fn failed(&self, elector: &mut Elector, now: Duration, error: &dyn std::fmt::Display) {
        tracing::warn!(lease = self.name, namespace = self.namespace, %error, "the Lease cannot be read");
        elector.failed(now);
    }

    async fn write(&self, elector: &mut Elector, proposal: &Proposal) {
        let answer = self.put(proposal).await;
        elector.answered(self.env.elapsed(), answer);
    }

    async fn put(&self, proposal: &Proposal) -> Answer {
        let Some(body) = self.body(proposal) else { return Answer::Conflict };
        let (method, path) = match proposal.on {
            Some(_) => (Method::PUT, self.path()),
            None => (Method::POST, self.collection()),
        };
        let request = request::build(method, &path, "application/json", &body);
        match request::send(&self.client, request, self.request_timeout()).await.map(|answer| Lease::parse(&answer)) {
            Ok(Some(lease)) => Answer::Stored(self.keep(lease)),
            Ok(None) => Answer::Unknown,
            // Without its namespace a Lease cannot be made: looking again at
            // once would not help.
            Err(error) if error.code() == Some(409) || (error.code() == Some(404) && proposal.on.is_some()) => {
                Answer::Conflict
            }
            Err(error) => {
                tracing::warn!(lease = self.name, namespace = self.namespace, %error, "the Lease cannot be written");
                Answer::Unknown
            }
        }
    }

    /// The Lease as it is to be; none where what it was is not at hand.
    fn body(&self, proposal: &Proposal) -> Option<Value> {
        let last = self.last();
        let last = match (proposal.on, &*last) {
            (Some(on), Some(last)) if last.record().resource_version == on => Some(last),
            (Some(_), _) => return None,
            (None, last) => last.as_ref(),
        };
        let recorded = self.recorded.borrow();
        let change = object::Change {
            name: &self.name,
            instance: &self.instance,
            proposal,
            lease: self.timings.lease,
            now: self.env.wall(),
            recorded: recorded.as_ref(),
        };
        Some(change.of(last))
    }

    /// Lets another take the Lease at once, if this process holds it.
    async fn release(&self, elector: &mut Elector) {
        // Twice: a renewal that was under way may come first.
        for _ in 0..2 {
            let proposal = elector.release();
            self.publish(elector);
            let Some(proposal) = proposal else { return };
            match self.put(&proposal).await {
                Answer::Stored(_) => return tracing::info!(lease = self.name, "released the Lease"),
                Answer::Conflict => self.read(elector).await,
                Answer::Unknown => return,
            }
        }
    }

    /// Tells of each change of the Lease, so that neither a release nor a
    /// deletion has to be polled for.
    async fn watch(&self, news: mpsc::Sender<News>) {
        loop {
            let began = self.env.elapsed();
            if let Err(error) = self.watch_once(&news).await {
                tracing::debug!(lease = self.name, %error, "the watch of the Lease broke");
            }
            // One that has lasted ends because servers end them: a release must not fall into a pause.
            let lasted = self.env.elapsed().saturating_sub(began);
            tokio::time::sleep(self.timings.retry.saturating_sub(lasted)).await;
        }
    }

    async fn watch_once(&self, news: &mpsc::Sender<News>) -> Result<(), kube::Error> {
        let selector = request::encoded(&format!("metadata.name={}", self.name));
        // With no resource version it begins with what is there now.
        let path = format!("{}?watch=true&fieldSelector={selector}", self.collection());
        let request = http::Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
        let begun = self.client.request_events::<Value>(request);
        let Ok(events) = tokio::time::timeout(self.request_timeout(), begun).await else { return Ok(()) };
        let mut events = std::pin::pin!(events?);
        // Whoever leads renews: a silence as long as a Lease is a dead
        // connection, or a Lease that nobody holds.
        while let Ok(event) = tokio::time::timeout(self.timings.lease, events.try_next()).await {
            let heard = match event? {
                Some(WatchEvent::Added(lease) | WatchEvent::Modified(lease)) => Lease::of(lease).map(News::There),
                Some(WatchEvent::Deleted(lease)) => {
                    Lease::of(lease).map(|lease| News::Gone(lease.record().resource_version))
                }
                Some(WatchEvent::Bookmark(_)) => None,
                Some(WatchEvent::Error(status)) => return Err(kube::Error::Api(status.boxed())),
                None => return Ok(()),
            };
            if let Some(heard) = heard
                && news.send(heard).await.is_err()
            {
                return Ok(());
            }
        }
        Ok(())
    }

    fn collection(&self) -> String {
        collection(&self.namespace)
    }

    fn path(&self) -> String {
        path(&self.namespace, &self.name)
    }

    /// A request that hangs must leave time for another within the deadline.
    fn request_timeout(&self) -> Duration {
        self.timings.renew_deadline / 2
    }

    fn last(&self) -> std::sync::MutexGuard<'_, Option<Lease>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
