//! What an API tells of one collection: a list, then what follows, and again a
//! list where the history is gone.

use std::{future::ready, pin::Pin, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};
use http::StatusCode;
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::time::sleep;
use trimtab_cluster::Client;

use crate::requests::Requests;

/// Before a list or a watch that failed is tried again, and before a watch that
/// ended is opened again: not so short that a server which is down is flooded.
const AGAIN: Duration = Duration::from_millis(500);
/// How long one watch is asked to last. What a dead link costs a simulation is
/// no concern here, so it is long: an idle hour is six requests for each kind.
const WATCH_SECONDS: u32 = 600;

/// One thing that was told.
pub enum Told {
    /// All objects, at a resource version.
    Listed(Vec<Value>, u64),
    /// An object is there, or has changed.
    Is(Value),
    /// An object is gone.
    Gone(Value),
}

/// Where a feed is.
enum At {
    List,
    Open(u64),
    Reading(Box<Reading>),
}

/// A watch that is being read.
struct Reading {
    pieces: Pin<Box<dyn Stream<Item = Bytes> + Send>>,
    text: BytesMut,
    version: u64,
}

/// Everything that is told of the collection at a path, such as
/// `/apis/apps/v1/deployments`, for ever. Its items are as they come: those of a
/// list do not say what they are.
pub fn follow(client: Client, path: impl Into<String>) -> impl Stream<Item = Told> + Send {
    let (requests, path) = (Requests::new(client), path.into());
    stream::unfold(At::List, move |mut at| {
        let (requests, path) = (requests.clone(), path.clone());
        async move {
            loop {
                let told;
                (told, at) = match at {
                    At::List => list(&requests, &path).await,
                    At::Open(version) => (None, open(&requests, &path, version).await),
                    At::Reading(reading) => read(reading).await,
                };
                if let Some(told) = told {
                    return Some((told, at));
                }
            }
        }
    })
}

async fn list(requests: &Requests, path: &str) -> (Option<Told>, At) {
    let mut list = match requests.get(path).await {
        Ok(list) => list,
        Err(error) => {
            tracing::debug!(%error, "no list");
            sleep(AGAIN).await;
            return (None, At::List);
        }
    };
    let version = resource_version(&list);
    let Value::Array(items) = list["items"].take() else {
        sleep(AGAIN).await;
        return (None, At::List);
    };
    (Some(Told::Listed(items, version)), At::Open(version))
}

async fn open(requests: &Requests, path: &str, version: u64) -> At {
    let path =
        format!("{path}?watch=true&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}&resourceVersion={version}");
    match requests.watch(&path).await {
        Ok((status, body)) if status.is_success() => {
            // A broken connection ends the watch, which is opened again.
            let pieces = body.into_data_stream().take_while(|piece| ready(piece.is_ok()));
            let pieces = pieces.filter_map(|piece| ready(piece.ok()));
            At::Reading(Box::new(Reading { pieces: Box::pin(pieces), text: BytesMut::new(), version }))
        }
        Ok((StatusCode::GONE, _)) => At::List,
        Ok(_) | Err(_) => {
            sleep(AGAIN).await;
            At::Open(version)
        }
    }
}

async fn read(mut reading: Box<Reading>) -> (Option<Told>, At) {
    loop {
        if let Some(end) = reading.text.iter().position(|byte| *byte == b'\n') {
            let line = reading.text.split_to(end);
            reading.text.advance(1);
            let Ok(mut event) = serde_json::from_slice::<Value>(&line) else { return (None, At::List) };
            let object = event["object"].take();
            reading.version = reading.version.max(resource_version(&object));
            let told = match event["type"].as_str() {
                Some("ADDED" | "MODIFIED") => Told::Is(object),
                Some("DELETED") => Told::Gone(object),
                Some("BOOKMARK") => continue,
                // The history is gone, most likely.
                _ => return (None, At::List),
            };
            return (Some(told), At::Reading(reading));
        }
        match reading.pieces.next().await {
            Some(piece) => reading.text.extend_from_slice(&piece),
            None => {
                sleep(AGAIN).await;
                return (None, At::Open(reading.version));
            }
        }
    }
}

fn resource_version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok()).unwrap_or_default()
}
