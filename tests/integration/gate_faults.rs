//! The gate against the API in memory, on paused time, over a wire that hangs,
//! breaks or says that it is busy.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

mod support;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, atomic::AtomicBool},
    time::Duration,
};

use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use kube::client::Body;
use serde_json::json;
use support::{Deaf, Open, Permits, TestEnv, place};
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::{BoxError, ServiceExt, service_fn};
use trimtab_apiserver::ApiServer;
use trimtab_cluster::{
    connect,
    discovery::Discovery,
    gate::{Gate, Ticket, WriteError},
    store::Store,
};
use trimtab_core::{
    api_error::Class,
    id::{Cluster, InstanceId, Key, Lineage, SlotId, Stem, Uid},
    write::{Action, Write},
};

/// What happens to a write on its way. A write that no fault is left for passes.
#[derive(Clone, Copy)]
enum Fault {
    /// It is never answered.
    Hangs,
    /// It is stored, but the connection breaks before the answer.
    LosesTheAnswer,
    /// The server wants no requests for so many seconds.
    Busy(u32),
}

struct Scene {
    faults: Arc<Mutex<VecDeque<Fault>>>,
    writes: Arc<Mutex<usize>>,
    gate: Arc<Gate>,
    ticket: Ticket,
    _stop: DropGuard,
}

type Answer = Response<UnsyncBoxBody<bytes::Bytes, BoxError>>;

async fn serve(server: ApiServer, fault: Option<Fault>, request: Request<Body>) -> Result<Answer, BoxError> {
    match fault {
        Some(Fault::Hangs) => std::future::pending().await,
        Some(Fault::Busy(seconds)) => {
            let body = Full::from("busy").map_err(BoxError::from).boxed_unsync();
            Ok(Response::builder().status(429).header("Retry-After", seconds).body(body)?)
        }
        Some(Fault::LosesTheAnswer) => {
            server.oneshot(request).await?;
            Err("connection reset".into())
        }
        None => Ok(server.oneshot(request).await?.map(|body| body.map_err(BoxError::from).boxed_unsync())),
    }
}

impl Scene {
    async fn new(faults: &[Fault]) -> Self {
        let server = ApiServer::new(trimtab_apiserver::Config::default());
        let faults = Arc::new(Mutex::new(faults.iter().copied().collect::<VecDeque<_>>()));
        let writes = Arc::new(Mutex::new(0));
        let service = service_fn({
            let (faults, writes) = (faults.clone(), writes.clone());
            move |request: Request<Body>| {
                let is_write = request.method() == Method::PATCH;
                *writes.lock().unwrap() += usize::from(is_write);
                let fault = is_write.then(|| faults.lock().unwrap().pop_front()).flatten();
                serve(server.clone(), fault, request)
            }
        });
        let client = connect::service(service).client;
        let stop = CancellationToken::new();
        let discovery = Discovery::new(client.clone());
        tokio::spawn({
            let (discovery, stop) = (discovery.clone(), stop.clone());
            async move { discovery.run(stop).await }
        });
        let mut kinds = discovery.kinds();
        kinds.wait_for(|kinds| kinds.is_known()).await.unwrap();
        let lock = Arc::new(Open(AtomicBool::new(true)));
        let store = Store::new(Arc::new(Deaf));
        let gate = Gate::new(client, kinds, store, lock, Arc::new(Permits::default()), TestEnv::new());
        let instance = InstanceId::default_instance();
        let ticket = Ticket {
            key: Key {
                cluster: Cluster::local(),
                place: place("v1", "ConfigMap", "default", "owner"),
                lineage: Lineage::new("site").unwrap(),
            },
            instance: instance.clone(),
            uid: Uid::new("owner-uid"),
            slot: SlotId { instance, stem: Stem::new("site").unwrap() },
            generation: 1,
            account: None,
        };
        Self { faults, writes, gate, ticket, _stop: stop.drop_guard() }
    }

    async fn create(&self, name: &str) -> Result<(), WriteError> {
        let mark = json!({"cluster": "", "group": "", "kind": "ConfigMap", "namespace": "default", "name": "owner",
            "uid": "owner-uid", "lineage": "site"});
        let metadata = json!({"name": name, "namespace": "default", "labels": {"trimtab.dev/plugin": "site"},
            "annotations": {"trimtab.dev/owner": mark.to_string()}});
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata});
        let write = Write {
            place: place("v1", "ConfigMap", "default", name),
            version: "v1".into(),
            manager: "trimtab/site".into(),
            action: Action::Create { body },
        };
        self.gate.write(&self.ticket, &write).await.map(|_| ())
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_not_answered_is_given_up_before_another_may_lead() {
    let scene = Scene::new(&[Fault::Hangs]).await;
    let begun = tokio::time::Instant::now();
    let error = scene.create("a").await.unwrap_err();
    assert_eq!(error.class(), Class::Retry, "{error}");
    assert_eq!(begun.elapsed().as_secs(), 5, "the Lease's 15 s less the leader's 10 s");
    scene.create("a").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_create_whose_answer_was_lost_is_found_to_be_ours() {
    let scene = Scene::new(&[Fault::LosesTheAnswer]).await;
    assert_eq!(scene.create("a").await.unwrap_err().class(), Class::Retry);
    assert_eq!(scene.create("a").await.unwrap_err().class(), Class::Stale, "it is there, and it is ours");
}

#[tokio::test(start_paused = true)]
async fn a_busy_server_is_asked_nothing_by_anyone_until_it_wants_to_be() {
    let scene = Scene::new(&[Fault::Busy(7)]).await;
    assert_eq!(scene.create("a").await.unwrap_err().class(), Class::Busy(Duration::from_secs(7)));
    tokio::time::advance(Duration::from_secs(5)).await;
    let held = scene.create("b").await.unwrap_err();
    assert!(matches!(held.class(), Class::Busy(rest) if rest <= Duration::from_secs(2)), "{held}");
    assert_eq!(*scene.writes.lock().unwrap(), 1, "the second was not sent");
    tokio::time::advance(Duration::from_secs(2)).await;
    scene.create("b").await.unwrap();
    assert!(scene.faults.lock().unwrap().is_empty());
}
