//! A watch against a server that says what the test has written down, on paused
//! time.

use std::{
    collections::VecDeque,
    future::pending,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinHandle};
use trimtab_core::{
    id::GroupKind,
    kind::{Kind, KindVersion},
};

use super::*;
use crate::store::{Change, Notify, Store};

/// One answer of the server.
enum Answer {
    /// Code and body; a watch's events one in a line.
    Body(u16, String),
    /// The request arrives and nothing comes back.
    Nothing,
    /// The head comes, these events, and then nothing more.
    Hanging(String),
}

/// What was asked, in order, and what is still to be answered.
struct Server {
    answers: Mutex<VecDeque<Answer>>,
    asked: mpsc::UnboundedSender<String>,
}

struct Scene {
    store: Arc<Store>,
    spec: WatchSpec,
    asked: mpsc::UnboundedReceiver<String>,
    health: mpsc::UnboundedReceiver<Health>,
    lists: watch::Sender<u64>,
    done: watch::Receiver<u64>,
    task: JoinHandle<Infallible>,
}

struct Listener(mpsc::UnboundedSender<Health>);

impl Notify for Listener {
    fn changed(&self, _: &Change<'_>) {}

    fn health(&self, _: &WatchSpec, health: &Health) {
        self.0.send(health.clone()).unwrap();
    }
}

struct TestEnv;

impl Env for TestEnv {
    fn wall(&self) -> Duration {
        Duration::ZERO
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    fn random(&self) -> u64 {
        999
    }
}

fn page(version: u64, next: Option<&str>, items: &[Value]) -> Answer {
    let body = json!({"metadata": {"resourceVersion": version.to_string(), "continue": next}, "items": items});
    Answer::Body(200, body.to_string())
}

fn refusal(code: u16) -> Answer {
    let reason = if code == 410 { "Expired" } else { "" };
    let body = json!({"status": "Failure", "message": "because", "reason": reason, "code": code});
    Answer::Body(code, body.to_string())
}

fn events(events: &[String]) -> String {
    events.concat()
}

/// One line, the type before the object as the server has it.
fn event(event: &str, object: Value) -> String {
    format!("{{\"type\":\"{event}\",\"object\":{object}}}\n")
}

fn object(name: &str, version: u64) -> Value {
    json!({"metadata": {"name": name, "namespace": "ns", "uid": name, "resourceVersion": version.to_string()}})
}

/// Starts a watch; the server hangs once its answers are used up.
fn start(answers: impl IntoIterator<Item = Answer>) -> Scene {
    let (asked_sender, asked) = mpsc::unbounded_channel();
    let (health_sender, health) = mpsc::unbounded_channel();
    let server = Arc::new(Server { answers: Mutex::new(answers.into_iter().collect()), asked: asked_sender });
    let service = tower::service_fn(move |request: Request<Body>| answer_to(server.clone(), request));
    let client = Client::new(service, "default");

    let store = Store::new(Arc::new(Listener(health_sender)));
    let id = GroupKind::new("apps/v1", "Deployment");
    let spec = WatchSpec {
        kind: id.clone(),
        version: "v1".into(),
        namespace: Some("ns".into()),
        labels: Some("a=b".into()),
        name: None,
    };
    let version = KindVersion { name: "v1".into(), status: true, verbs: vec![] };
    let kind = Kind { id, plural: "deployments".into(), namespaced: true, versions: vec![version], storage: None };
    let (lists, done) = (watch::Sender::new(0), Arc::new(Fanout::new(0)));
    let relists = Relists { wanted: lists.subscribe(), done: done.clone() };
    let watch = Watch::new(client, Arc::new(TestEnv), Content::Whole, &kind, Arc::new(store.open(&spec)), relists);
    let task = tokio::spawn(watch.run());
    Scene { store, spec, asked, health, lists, done: done.subscribe(), task }
}

async fn answer_to(server: Arc<Server>, request: Request<Body>) -> Result<Response<Chunks>, std::io::Error> {
    let answer = server.answers.lock().unwrap().pop_front().unwrap_or(Answer::Nothing);
    server.asked.send(request.uri().to_string()).unwrap();
    let (code, text, hangs) = match answer {
        Answer::Nothing => pending().await,
        Answer::Body(code, text) => (code, text, false),
        Answer::Hanging(text) => (200, text, true),
    };
    let chunks = Chunks { next: Some(text.into()).filter(|text: &bytes::Bytes| !text.is_empty()), hangs };
    Ok(Response::builder().status(code).body(chunks).unwrap())
}

/// A body of at most one chunk that ends or does not.
struct Chunks {
    next: Option<bytes::Bytes>,
    hangs: bool,
}

impl http_body::Body for Chunks {
    type Data = bytes::Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, std::io::Error>>> {
        match self.next.take() {
            Some(chunk) => Poll::Ready(Some(Ok(http_body::Frame::data(chunk)))),
            None if self.hangs => Poll::Pending,
            None => Poll::Ready(None),
        }
    }
}

impl Scene {
    async fn asked(&mut self) -> String {
        self.asked.recv().await.expect("the server lives as long as the watch")
    }

    async fn health(&mut self) -> Health {
        self.health.recv().await.expect("the store lives as long as the scene")
    }

    fn names(&self) -> Vec<String> {
        let objects = self.store.list(&self.spec);
        objects.iter().map(|o| format!("{}@{}", o.meta.place.name, o.meta.resource_version)).collect()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn all_pages_are_taken_in_before_the_watch_is_synced_and_follows_from_the_list() {
    let mut scene = start([
        page(7, Some("more"), &[object("a", 3)]),
        page(7, None, &[object("b", 4)]),
        Answer::Hanging(events(&[event("ADDED", object("c", 9)), event("DELETED", object("a", 10))])),
    ]);
    let list = scene.asked().await;
    assert_eq!(list, "/apis/apps/v1/namespaces/ns/deployments?&labelSelector=a%3Db&limit=500");
    assert!(scene.asked().await.ends_with("&continue=more"));
    assert_eq!(scene.health().await, Health::Synced);
    let follow = scene.asked().await;
    assert!(follow.contains("watch=true") && follow.contains("allowWatchBookmarks=true"), "{follow}");
    assert!(follow.contains("labelSelector=a%3Db") && follow.ends_with("resourceVersion=7"), "{follow}");
    scene.asked().await;
    assert_eq!(scene.names(), ["b@4", "c@9"]);
}

#[tokio::test(start_paused = true)]
async fn a_link_that_goes_silent_is_cut_and_the_watch_goes_on_from_its_last_bookmark() {
    let bookmark = json!({"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"resourceVersion": "20"}});
    let mut scene = start([page(7, None, &[]), Answer::Hanging(events(&[event("BOOKMARK", bookmark)]))]);
    scene.asked().await;
    scene.asked().await;
    let started = Instant::now();
    assert!(scene.asked().await.ends_with("resourceVersion=20"));
    assert!(started.elapsed() <= Duration::from_secs(45), "{:?}", started.elapsed());
    assert_eq!(scene.store.health(&scene.spec), Health::Synced);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_at_all_makes_the_store_fail_and_a_list_mends_it() {
    let mut scene = start([Answer::Nothing, page(7, None, &[])]);
    assert_eq!(scene.health().await, Health::Failing("no answer in time".into()));
    assert_eq!(scene.health().await, Health::Synced);
}

#[tokio::test(start_paused = true)]
async fn changes_that_are_no_longer_kept_cost_a_list_and_no_failure() {
    let expired = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                         "message": "too old", "reason": "Expired", "code": 410});
    for gone in [Answer::Body(200, events(&[event("ERROR", expired)])), refusal(410)] {
        let mut scene = start([page(7, None, &[object("a", 3)]), gone, page(9, None, &[object("b", 8)])]);
        scene.asked().await;
        scene.asked().await;
        assert!(scene.asked().await.contains("limit=500"));
        assert!(scene.asked().await.ends_with("resourceVersion=9"));
        assert_eq!(scene.names(), ["b@8"]);
        assert_eq!(scene.health().await, Health::Synced);
        assert!(scene.health.try_recv().is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn a_permission_is_noticed_within_30_s_however_long_it_was_refused() {
    let refusals = (0..50).map(|_| refusal(403));
    let mut scene = start(refusals.chain([page(7, None, &[])]));
    assert!(matches!(scene.health().await, Health::Forbidden(why) if why.contains("because")));
    for _ in 0..50 {
        let asked = Instant::now();
        scene.asked().await;
        assert!(asked.elapsed() < Duration::from_secs(30));
    }
    assert_eq!(scene.health().await, Health::Synced);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ends_each_watch_at_once_is_not_asked_in_a_busy_loop() {
    let cuts = (0..100).map(|_| Answer::Body(200, String::new()));
    let mut scene = start([page(7, None, &[])].into_iter().chain(cuts));
    tokio::time::sleep(Duration::from_secs(60)).await;
    let mut requests = 0;
    while scene.asked.try_recv().is_ok() {
        requests += 1;
    }
    assert!(requests <= 10, "{requests} in a minute");
}

#[tokio::test(start_paused = true)]
async fn a_wanted_list_begins_at_once_and_only_then_counts_as_done() {
    let mut scene =
        start([page(7, None, &[object("a", 3)]), Answer::Hanging(String::new()), page(9, None, &[object("b", 8)])]);
    scene.asked().await;
    scene.asked().await;
    assert_eq!(*scene.done.borrow(), 0);
    let asked = Instant::now();
    scene.lists.send_modify(|lists| *lists += 1);
    scene.done.wait_for(|done| *done == 1).await.unwrap();
    assert_eq!((asked.elapsed(), scene.names()), (Duration::ZERO, vec!["b@8".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn an_older_list_is_not_taken_in_and_asked_for_again() {
    let mut scene = start([
        page(7, None, &[]),
        Answer::Hanging(events(&[event("ADDED", object("a", 9))])),
        page(8, None, &[]),
        page(9, None, &[object("a", 9)]),
    ]);
    scene.asked().await;
    scene.asked().await;
    assert_eq!(scene.health().await, Health::Synced);
    scene.lists.send_modify(|lists| *lists += 1);
    assert!(matches!(scene.health().await, Health::Failing(why) if why.contains("older")));
    assert_eq!(scene.names(), ["a@9"]);
    assert_eq!(scene.health().await, Health::Synced);
}
