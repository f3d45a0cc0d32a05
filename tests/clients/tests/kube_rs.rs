//! kube-rs against both servers: its watcher, with paged and with streamed lists,
//! and its Controller.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource, ResourceExt};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use trimtab_clients::{Servers, Side};

const SOON: Duration = Duration::from_secs(30);
const NAMESPACE: &str = "default";

async fn client(side: &Side) -> Client {
    let kubeconfig = Kubeconfig::read_from(&side.kubeconfig).unwrap();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

fn config_map(name: &str, value: &str) -> ConfigMap {
    let labels = BTreeMap::from([("app".to_owned(), "kube-rs".to_owned())]);
    ConfigMap {
        metadata: ObjectMeta { name: Some(name.to_owned()), labels: Some(labels), ..ObjectMeta::default() },
        data: Some(BTreeMap::from([("v".to_owned(), value.to_owned())])),
        ..ConfigMap::default()
    }
}

fn brief(event: &Event<ConfigMap>) -> String {
    match event {
        Event::Init => "init".to_owned(),
        Event::InitApply(object) => format!("init {}", object.name_any()),
        Event::InitDone => "done".to_owned(),
        Event::Apply(object) => format!("apply {} {:?}", object.name_any(), object.data),
        Event::Delete(object) => format!("delete {}", object.name_any()),
    }
}

async fn next(events: &mut (impl Stream<Item = watcher::Result<Event<ConfigMap>>> + Unpin)) -> String {
    let event = tokio::time::timeout(SOON, events.try_next()).await.expect("an event comes in time");
    brief(&event.unwrap().expect("the watcher goes on"))
}

/// What a watcher tells of one story.
async fn watched(side: &Side, streaming: bool) -> Vec<String> {
    let maps = Api::<ConfigMap>::namespaced(client(side).await, NAMESPACE);
    for name in ["a", "b", "c"] {
        maps.create(&PostParams::default(), &config_map(name, "1")).await.unwrap();
    }
    let config = watcher::Config::default().labels("app=kube-rs");
    let config = if streaming { config.streaming_lists() } else { config.page_size(2) };
    let mut events = Box::pin(watcher::watcher(maps.clone(), config));
    let mut told = Vec::new();
    while told.last().is_none_or(|last| last != "done") {
        told.push(next(&mut events).await);
    }
    // A streamed list comes in no order.
    told.sort();
    let patch = Patch::Merge(serde_json::json!({ "data": { "v": "2" } }));
    maps.patch("a", &PatchParams::default(), &patch).await.unwrap();
    told.push(next(&mut events).await);
    maps.patch("b", &PatchParams::default(), &Patch::Merge(serde_json::json!({ "metadata": { "labels": null } })))
        .await
        .unwrap();
    told.push(next(&mut events).await);
    maps.delete("c", &DeleteParams::default()).await.unwrap();
    told.push(next(&mut events).await);
    for name in ["a", "b"] {
        maps.delete(name, &DeleteParams::default()).await.unwrap();
    }
    told
}

/// What a Controller does: each labelled ConfigMap gets a Secret that it owns.
async fn controlled(side: &Side) -> Vec<String> {
    let client = client(side).await;
    let maps = Api::<ConfigMap>::namespaced(client.clone(), NAMESPACE);
    let secrets = Api::<Secret>::namespaced(client.clone(), NAMESPACE);
    let (done, mut told) = unbounded_channel();
    let labelled = watcher::Config::default().labels("app=kube-rs");
    let controller = Controller::new(maps.clone(), labelled)
        .owns(secrets.clone(), watcher::Config::default())
        .run(reconcile, |_, error, _| panic!("{error}"), Arc::new((client, done)))
        .for_each(|_| std::future::ready(()));
    let controller = tokio::spawn(controller);
    let mut lines = Vec::new();
    let mut wait = async || {
        let line = tokio::time::timeout(SOON, told.recv()).await.expect("a reconcile comes in time").unwrap();
        lines.push(line);
    };
    let owner = maps.create(&PostParams::default(), &config_map("owner", "1")).await.unwrap();
    wait().await;
    let patch = Patch::Merge(serde_json::json!({ "data": { "v": "2" } }));
    maps.patch("owner", &PatchParams::default(), &patch).await.unwrap();
    wait().await;
    secrets.delete("owner", &DeleteParams::default()).await.unwrap();
    wait().await;
    controller.abort();
    let owned = secrets.get("owner").await.unwrap();
    assert_eq!(owned.owner_references()[0].uid, owner.uid().unwrap());
    maps.delete("owner", &DeleteParams::default()).await.unwrap();
    lines
}

type Context = (Client, UnboundedSender<String>);

async fn reconcile(owner: Arc<ConfigMap>, context: Arc<Context>) -> Result<Action, kube::Error> {
    let secrets = Api::<Secret>::namespaced(context.0.clone(), NAMESPACE);
    let value = owner.data.clone().unwrap_or_default().remove("v").unwrap_or_default();
    let existing = secrets.get_opt("owner").await?;
    let has = existing.and_then(|secret| secret.data?.remove("v")).map(|bytes| bytes.0);
    if has.as_deref() == Some(value.as_bytes()) {
        return Ok(Action::await_change());
    }
    let child = Secret {
        metadata: ObjectMeta {
            name: Some("owner".to_owned()),
            owner_references: Some(vec![owner.controller_owner_ref(&()).expect("it was read")]),
            ..ObjectMeta::default()
        },
        string_data: Some(BTreeMap::from([("v".to_owned(), value.clone())])),
        ..Secret::default()
    };
    secrets.patch("owner", &PatchParams::apply("kube-rs").force(), &Patch::Apply(&child)).await?;
    context.1.send(format!("applied {value}")).expect("the test listens to the end");
    Ok(Action::await_change())
}

#[tokio::test(flavor = "multi_thread")]
async fn kube_rs_sees_the_same_of_both_servers() {
    let Servers { memory, real, .. } = &Servers::start().await;
    for streaming in [false, true] {
        let (memory, real) = tokio::join!(watched(memory, streaming), watched(real, streaming));
        assert_eq!(memory, real, "streaming: {streaming}");
        assert_eq!(memory.len(), 8, "{memory:?}");
    }
    let (memory, real) = tokio::join!(controlled(memory), controlled(real));
    assert_eq!(memory, real);
    assert_eq!(memory, ["applied 1", "applied 2", "applied 2"]);
}
