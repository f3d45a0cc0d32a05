//! One watch: lists, then follows, and begins again where it must, until it is
//! dropped. It feeds the store through its intake and decides nothing else.
//!
//! kube's own `watcher` is not used because it hides two things that the store
//! orders write-backs by: the resource version of a list and the bookmarks.
//! Here, too, the text of an object is taken as it comes, never as a tree.

mod backoff;
mod failure;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, convert::Infallible, sync::Arc, time::Duration};

use futures::StreamExt;
use kube::{
    Client,
    api::{ListParams, WatchEvent, WatchParams},
    core::Request as Path,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::{
    sync::watch,
    time::{Instant, timeout, timeout_at},
};
use trimtab_core::{env::Env, kind::Kind};

use self::{backoff::Backoff, failure::Failure};
use crate::{
    fanout::Fanout,
    request,
    spec::{Health, WatchSpec},
    store::Intake,
};

/// Objects in one answer of a list: client-go's number. With etcd's limit of
/// 1.5 MiB for an object it bounds what one answer can take.
const PAGE_OBJECTS: u32 = 500;

/// How long one page, or the head of a watch's answer, may take: the API server
/// itself gives up on a request after 60 s, and a list of 500 takes below 1 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the server keeps a watch open. A link that dies silently is found
/// when it ends, so this and the grace bound for how long a store can be stale
/// unnoticed: 45 s, as client-go's health check of a connection does (30 s idle,
/// 15 s for the answer). The price is one request per watch in that time; it
/// goes on from where it was, so no event is sent twice.
const WATCH_SECONDS_MIN: u32 = 30;
/// Watches that start together should not all end together.
const WATCH_SECONDS_SPREAD: u32 = 10;
/// How long after that the end of the answer may take to arrive.
const WATCH_GRACE: Duration = Duration::from_secs(5);

/// A watch that ends sooner than this with nothing shown has failed, whatever
/// it says: to ask again at once would be a busy loop.
const WATCH_SHORTEST: Duration = Duration::from_secs(1);

/// The two ends of [`crate::watches::Watches::relist`].
#[derive(Clone)]
pub(crate) struct Relists {
    /// Counts the requests for a list.
    pub(crate) wanted: watch::Receiver<u64>,
    /// The newest request that a finished list began after.
    pub(crate) done: Arc<Fanout<u64>>,
}

/// What of each object is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Whole,
    /// A PartialObjectMetadata, with which the server sends no more than it says.
    Metadata,
}

/// One running watch.
pub(crate) struct Watch {
    client: Client,
    env: Arc<dyn Env>,
    content: Content,
    intake: Arc<Intake>,
    path: Path,
    relists: Relists,
    backoff: Backoff,
    /// The resource version that it has got to.
    reached: u64,
}

/// What a watch does next.
enum Next {
    List,
    Follow,
}

impl Watch {
    pub(crate) fn new(
        client: Client,
        env: Arc<dyn Env>,
        content: Content,
        kind: &Kind,
        intake: Arc<Intake>,
        relists: Relists,
    ) -> Self {
        let WatchSpec { version, namespace, .. } = intake.spec();
        let path = Path::new(request::collection(kind, version, namespace.as_deref().unwrap_or_default()));
        Self { client, env, content, intake, path, relists, backoff: Backoff::default(), reached: 0 }
    }

    /// Runs for ever: it is stopped by being dropped, which it can be at each
    /// await.
    pub(crate) async fn run(mut self) -> Infallible {
        let mut next = Next::List;
        loop {
            let outcome = match next {
                Next::List => self.list().await,
                Next::Follow => self.follow().await,
            };
            match outcome {
                Ok(then) => next = then,
                Err(failure) => {
                    if matches!(failure, Failure::Expired) {
                        next = Next::List;
                    }
                    self.report(&failure);
                    let delay = self.backoff.next(&failure, self.env.random());
                    // Who asks for a list now wants to know now.
                    tokio::select! {
                        biased;
                        Ok(()) = self.relists.wanted.changed() => next = Next::List,
                        () = tokio::time::sleep(delay) => {}
                    }
                }
            }
        }
    }

    /// Takes in all there is, page by page.
    async fn list(&mut self) -> Result<Next, Failure> {
        let wanted = *self.relists.wanted.borrow_and_update();
        self.intake.begin();
        let mut params = ListParams { limit: Some(PAGE_OBJECTS), ..self.selecting() };
        loop {
            let request = match self.content {
                Content::Whole => self.path.list(&params),
                Content::Metadata => self.path.list_metadata(&params),
            };
            let request = request.map_err(Failure::request)?;
            let text = in_time(self.client.request_text(request)).await?;
            let page: Page<'_> = serde_json::from_str(&text).map_err(Failure::answer)?;
            if params.continue_token.is_none() {
                self.reached = version(&page.metadata.resource_version)?;
                self.intake.dated(self.reached)?;
            }
            page.items.unwrap_or_default().iter().for_each(|item| self.intake.listed(item.get()));
            match page.metadata.next.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token.into_owned()),
                None => break,
            }
        }
        self.intake.finish();
        self.relists.done.set(wanted);
        tracing::debug!(watch = %self.intake.spec(), resource_version = self.reached, "listed");
        Ok(Next::Follow)
    }

    /// Takes in what changes after what was reached, until the server ends the
    /// answer, a list is wanted, or something fails.
    async fn follow(&mut self) -> Result<Next, Failure> {
        let seconds = WATCH_SECONDS_MIN + (self.env.random() % u64::from(WATCH_SECONDS_SPREAD)) as u32;
        let selecting = self.selecting();
        let params = WatchParams {
            label_selector: selecting.label_selector,
            field_selector: selecting.field_selector,
            timeout: Some(seconds),
            bookmarks: true,
            ..WatchParams::default()
        };
        let reached = self.reached.to_string();
        let request = match self.content {
            Content::Whole => self.path.watch(&params, &reached),
            Content::Metadata => self.path.watch_metadata(&params, &reached),
        };
        let request = request.map_err(Failure::request)?;
        let started = Instant::now();
        let end = started + Duration::from_secs(seconds.into()) + WATCH_GRACE;
        let events = in_time(self.client.request_events::<Box<RawValue>>(request)).await?;
        let mut events = std::pin::pin!(events);
        if !self.relists.wanted.has_changed().unwrap_or(true) {
            self.intake.health(Health::Synced);
        }
        let mut shown = false;
        loop {
            let event = tokio::select! {
                biased;
                wanted = self.relists.wanted.changed() => match wanted {
                    Ok(()) => return Ok(Next::List),
                    // No one can ask any more: this watch is about to be dropped.
                    Err(_) => std::future::pending().await,
                },
                event = timeout_at(end, events.next()) => event,
            };
            match event {
                Ok(Some(Ok(event))) => {
                    self.take(event)?;
                    self.backoff.reset();
                    shown = true;
                }
                Ok(Some(Err(error))) => return Err(error.into()),
                Ok(None) if !shown && started.elapsed() < WATCH_SHORTEST => return Err(Failure::Cut),
                Ok(None) => break,
                Err(_) => {
                    tracing::warn!(watch = %self.intake.spec(), seconds, "the connection went silent; asking again");
                    break;
                }
            }
        }
        self.backoff.reset();
        Ok(Next::Follow)
    }

    /// Takes in one event. One whose object cannot be read does not count as
    /// reached: it is shown again when the watch goes on.
    fn take(&mut self, event: WatchEvent<Box<RawValue>>) -> Result<(), Failure> {
        let reached = match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => self.intake.shown(object.get()),
            WatchEvent::Deleted(object) => self.intake.unshown(object.get()),
            WatchEvent::Bookmark(bookmark) => {
                let version = version(&bookmark.metadata.resource_version)?;
                self.intake.advance(version);
                Some(version)
            }
            WatchEvent::Error(status) => return Err(Failure::from(*status)),
        };
        self.reached = self.reached.max(reached.unwrap_or_default());
        Ok(())
    }

    fn selecting(&self) -> ListParams {
        let WatchSpec { labels, name, .. } = self.intake.spec();
        // With this selector, a right to one object by its name is enough.
        let field_selector = name.as_ref().map(|name| format!("metadata.name={name}"));
        ListParams { label_selector: labels.as_deref().map(Into::into), field_selector, ..ListParams::default() }
    }

    fn report(&self, failure: &Failure) {
        let spec = self.intake.spec();
        match failure.health() {
            Some(health) => {
                tracing::warn!(watch = %spec, %failure, "the watch fails; it is tried again");
                self.intake.health(health);
            }
            None => tracing::debug!(watch = %spec, %failure, "the watch begins again"),
        }
    }
}

/// One answer of a list, its items unread.
#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    metadata: PageMeta<'a>,
    /// `null` where a server written in Go has an empty list.
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageMeta<'a> {
    #[serde(borrow, default)]
    resource_version: Cow<'a, str>,
    #[serde(borrow, rename = "continue")]
    next: Option<Cow<'a, str>>,
}

fn version(text: &str) -> Result<u64, Failure> {
    text.parse().map_err(|_| Failure::Version(text.to_owned()))
}

/// The answer to a request, if it comes in time.
async fn in_time<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
    Ok(timeout(ANSWER_TIMEOUT, request).await.map_err(|_| Failure::Silent)??)
}
