//! Watches CustomResourceDefinitions, where that is allowed, only to have the
//! documents asked for sooner. Nothing is concluded from what it shows.

use std::time::Duration;

use futures::StreamExt;
use kube::{
    Client,
    api::{ListParams, WatchEvent, WatchParams},
    core::Request,
};
use serde::{Deserialize, de::IgnoredAny};
use tokio::{sync::Notify, time::timeout};

const PATH: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// Without this watch a change is found by the next poll, so there is no hurry
/// to have it back, nor to notice at once that it is allowed.
const RETRY: Duration = Duration::from_secs(30);

/// How long a request may take; for a watch the server's own limit is on top.
const TIMEOUT: Duration = Duration::from_secs(10);
const WATCH_SECONDS: u32 = 240;

#[derive(Deserialize)]
struct List {
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    resource_version: String,
}

/// Gives a hint for each change, for ever.
pub(super) async fn watch(client: &Client, hint: &Notify) {
    loop {
        if let Err(error) = follow(client, hint).await {
            tracing::debug!(%error, "definitions cannot be watched; changes are found by polling");
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// From the newest resource version on, until the server ends the watch.
async fn follow(client: &Client, hint: &Notify) -> Result<(), kube::Error> {
    let silent = |_| kube::Error::Service("no answer in time".into());
    let path = Request::new(PATH);
    let params = ListParams { limit: Some(1), ..ListParams::default() };
    let request = path.list_metadata(&params).map_err(kube::Error::BuildRequest)?;
    let list: List = timeout(TIMEOUT, client.request(request)).await.map_err(silent)??;
    hint.notify_one();

    let params = WatchParams { timeout: Some(WATCH_SECONDS), ..WatchParams::default() };
    let request = path.watch_metadata(&params, &list.metadata.resource_version);
    let request = request.map_err(kube::Error::BuildRequest)?;
    let events = timeout(TIMEOUT, client.request_events::<IgnoredAny>(request)).await.map_err(silent)??;
    let mut events = std::pin::pin!(events);
    let end = tokio::time::Instant::now() + Duration::from_secs(WATCH_SECONDS.into()) + TIMEOUT;
    while let Some(event) = tokio::time::timeout_at(end, events.next()).await.map_err(silent)? {
        match event? {
            WatchEvent::Error(status) => return Err(kube::Error::Api(status)),
            WatchEvent::Bookmark(_) => {}
            _ => hint.notify_one(),
        }
    }
    Ok(())
}
