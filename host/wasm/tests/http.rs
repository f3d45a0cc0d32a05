//! Requests that guests send: only where the policy grants it, within the limits,
//! and without holding up others.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

mod common;

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use common::{Absent, Guests, assert_replays, misbehave, recorded, request};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Semaphore,
};
use tokio_util::task::AbortOnDropHandle;
use trimtab_core::{limits::Limits, origin::Origin};
use trimtab_wasm::{CallError, Called, Ending, Plugin, Record, Request, Response, Tape};

/// A server on this machine: what it answers is in the path.
async fn server() -> SocketAddr {
    server_where(Arc::default()).await
}

/// The same; each request that it lets wait is a permit of `waiting`.
async fn server_where(waiting: Arc<Waiting>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let waiting = waiting.clone();
            // Whoever goes away in the middle of an answer has his reasons.
            tokio::spawn(async move { _ = serve(connection, address, &waiting).await });
        }
    });
    address
}

struct Waiting(Semaphore);

impl Default for Waiting {
    fn default() -> Self {
        Self(Semaphore::new(0))
    }
}

async fn serve(connection: TcpStream, address: SocketAddr, waiting: &Waiting) -> std::io::Result<()> {
    let mut connection = BufReader::new(connection);
    loop {
        let (path, body) = read(&mut connection).await?;
        match path.as_str() {
            "/never" => {
                waiting.0.add_permits(1);
                std::future::pending().await
            }
            "/redirect" => {
                let to = format!("http://localhost:{}/echo", address.port());
                let head = format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n");
                connection.write_all(head.as_bytes()).await?;
            }
            "/large" => answer(&mut connection, 100 << 20, &[]).await?,
            "/unannounced" => {
                connection.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await?;
                loop {
                    connection.write_all(&[b'x'; 64 << 10]).await?;
                }
            }
            "/sync" => {
                let said = br#"{"status":{"seen":true},"children":[],"finalized":true}"#;
                answer(&mut connection, said.len(), said).await?;
            }
            "/closed" => return Ok(()),
            "/half" => answer(&mut connection, 100, b"half").await?,
            _ => answer(&mut connection, body.len(), &body).await?,
        }
    }
}

async fn read(connection: &mut BufReader<TcpStream>) -> std::io::Result<(String, Vec<u8>)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if connection.read_line(&mut head).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    connection.read_exact(&mut body).await?;
    Ok((head.split(' ').nth(1).unwrap_or_default().to_owned(), body))
}

async fn answer(connection: &mut BufReader<TcpStream>, length: usize, body: &[u8]) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
    connection.write_all(&[head.as_bytes(), body].concat()).await
}

fn origins(texts: &[String]) -> BTreeSet<Origin> {
    texts.iter().map(|text| Origin::parse(text).expect(text)).collect()
}

async fn fetcher(guests: &Guests, granted: &[String]) -> Arc<Plugin> {
    guests.plugin("fetch").await.with_http(&origins(granted)).unwrap()
}

async fn fetch(plugin: &Arc<Plugin>, urls: &[String], timeout_ms: u64) -> Called<Response> {
    plugin.reconcile(fetches(urls, timeout_ms), Arc::new(Absent), &Limits::DEFAULT).await
}

fn fetches(urls: &[String], timeout_ms: u64) -> Request {
    let spec = serde_json::json!({ "urls": urls, "body": "hello", "timeoutMs": timeout_ms });
    request("it", &spec.to_string())
}

fn answers(called: &Called<Response>) -> Vec<String> {
    let status = called.outcome.as_ref().expect("it answers").status.as_deref().unwrap();
    serde_json::from_value(serde_json::from_str::<serde_json::Value>(status).unwrap()["answers"].take()).unwrap()
}

const SOON_MS: u64 = 5_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_granted_origin_is_reached_and_every_other_is_denied_counted_and_told() {
    let (address, guests) = (server().await, Guests::new(1));
    let granted = format!("http://{address}");
    let plugin = fetcher(&guests, std::slice::from_ref(&granted)).await;
    let port = address.port();
    let urls = [
        format!("{granted}/echo"),
        format!("{granted}/redirect"),
        format!("http://localhost:{port}/echo"),
        format!("https://{address}/echo"),
        "http://127.0.0.1/echo".to_owned(),
    ];
    let called = fetch(&plugin, &urls, SOON_MS).await;
    let denied = |url: &str, origin: &str| {
        format!("{url}: {origin} is denied: add http = [\"{origin}\"] under [grants] in the plugin's policy")
    };
    let expected = [
        "200 hello".to_owned(),
        "307 ".to_owned(),
        denied(&urls[2], &format!("http://localhost:{port}")),
        denied(&urls[3], &format!("https://{address}")),
        denied(&urls[4], "http://127.0.0.1:80"),
    ];
    assert_eq!(answers(&called), expected);
    assert_eq!(called.connections_denied, 3);
    assert!(called.log.lines().all(|line| line.text.contains("is denied")), "{:?}", called.log);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_grant_and_in_a_simulation_nothing_is_reached() {
    let url = [format!("http://{}/echo", server().await)];
    let guests = Guests::new(1);
    let called = fetch(&fetcher(&guests, &[]).await, &url, SOON_MS).await;
    assert!(answers(&called)[0].contains("is denied"), "{called:?}");
    assert_eq!(called.connections_denied, 1);

    let simulated = Guests::simulated();
    let called =
        fetch(&fetcher(&simulated, &url.clone().map(|url| url.replace("/echo", ""))).await, &url, SOON_MS).await;
    let origin = url[0].replace("/echo", "");
    assert_eq!(answers(&called), [format!("{}: {origin} is not reached: a simulation has no network", url[0])]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_cut_at_what_a_call_may_receive_announced_or_not() {
    let (address, guests) = (server().await, Guests::new(1));
    let granted = format!("http://{address}");
    let plugin = fetcher(&guests, std::slice::from_ref(&granted)).await;
    for path in ["large", "unannounced"] {
        let url = format!("{granted}/{path}");
        let called = fetch(&plugin, std::slice::from_ref(&url), SOON_MS).await;
        let limit = Limits::DEFAULT.request_bytes;
        assert_eq!(answers(&called), [format!("{url}: HTTP response body size exceeds limit: {limit} bytes")]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_sends_so_many_requests_and_no_more() {
    let (address, guests) = (server().await, Guests::new(1));
    let granted = format!("http://{address}");
    let plugin = fetcher(&guests, std::slice::from_ref(&granted)).await;
    let called = fetch(&plugin, &vec![format!("{granted}/echo"); 17], SOON_MS).await;
    let answers = answers(&called);
    assert!(answers[..16].iter().all(|answer| answer == "200 hello"), "{answers:?}");
    assert_eq!(answers[16], format!("{granted}/echo: a call sends at most 16 requests"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_answer_is_given_up_by_the_guest_or_by_the_calls_wall_time() {
    let (address, guests) = (server().await, Guests::new(1));
    let granted = format!("http://{address}");
    let plugin = fetcher(&guests, std::slice::from_ref(&granted)).await;
    let called = fetch(&plugin, &[format!("{granted}/never"), format!("{granted}/half")], 50).await;
    assert_eq!(answers(&called), ["never", "half"].map(|path| format!("{granted}/{path}: no answer within 50 ms")));

    let limits = Limits { wall: Duration::from_millis(100), ..Limits::DEFAULT };
    let spec = serde_json::json!({ "urls": [format!("{granted}/never")], "body": "", "timeoutMs": 60_000 });
    let called = plugin.reconcile(request("it", &spec.to_string()), Arc::new(Absent), &limits).await;
    let Err(CallError::WallExceeded { limit, .. }) = called.outcome else { panic!("{called:?}") };
    assert_eq!(limit, limits.wall);
    assert!(called.cost.cpu < limits.cpu / 2, "waiting is not using: {:?}", called.cost);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_who_listens_is_told_in_words() {
    let guests = Guests::new(1);
    // Its port is taken, and nobody listens there.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let closed = socket.local_addr().unwrap();
    let plugin = fetcher(&guests, &[format!("http://{closed}")]).await;
    let called = fetch(&plugin, &[format!("http://{closed}/x")], SOON_MS).await;
    assert!(answers(&called)[0].contains("Connection refused"), "{:?}", answers(&called));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_of_requests_that_are_never_sent_is_bounded() {
    let guests = Guests::new(1);
    let plugin = fetcher(&guests, &[]).await;
    let hoard = async |hoard: serde_json::Value| {
        let spec = serde_json::json!({ "urls": [], "body": "", "timeoutMs": 0, "hoard": hoard });
        plugin.reconcile(request("it", &spec.to_string()), Arc::new(Absent), &Limits::DEFAULT).await
    };
    let hoards = async |requests: u32, text_bytes: usize| {
        hoard(serde_json::json!({ "requests": requests, "textBytes": text_bytes })).await
    };
    assert_eq!(answers(&hoards(64, 8 << 10).await), ["method", "authority", "path", "header"]);
    assert_eq!(answers(&hoards(1, (8 << 10) + 1).await), ["header"]);
    for (requests, text_bytes, said) in
        [(1, 33 << 10, "total size of fields exceeds limit"), (65, 1, "a call makes at most 64 HTTP requests")]
    {
        let error = hoards(requests, text_bytes).await.outcome.unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    let responses = hoard(serde_json::json!({ "requests": 1, "responses": 1, "textBytes": 1 })).await;
    let error = responses.outcome.unwrap_err().to_string();
    assert!(error.contains("a plugin serves no HTTP"), "{error}");
}

/// One guest may run at a time, and eight wait for answers.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_an_answer_holds_no_turn_on_a_core() {
    let waiting = Arc::<Waiting>::default();
    let (address, guests) = (server_where(waiting.clone()).await, Guests::new(1));
    let granted = format!("http://{address}");
    let plugin = fetcher(&guests, std::slice::from_ref(&granted)).await;
    let calls = (0..8).map(|_| {
        let (plugin, url) = (plugin.clone(), format!("{granted}/never"));
        AbortOnDropHandle::new(tokio::spawn(async move { fetch(&plugin, &[url], 60_000).await }))
    });
    let calls = calls.collect::<Vec<_>>();
    _ = waiting.0.acquire_many(8).await.unwrap();
    let other = guests.plugin("misbehave").await;
    other.reconcile(misbehave("echo"), Arc::new(Absent), &Limits::DEFAULT).await.outcome.unwrap();
    assert!(calls.iter().all(|call| !call.is_finished()));
}

/// The record of one call with an exchange of each kind: answered, redirected,
/// denied, out of time, broken off.
async fn exchanges(guests: &Guests) -> (Arc<Plugin>, Record) {
    let address = server().await;
    let granted = format!("http://{address}");
    let plugin = fetcher(guests, std::slice::from_ref(&granted)).await;
    let paths = ["echo", "redirect", "never", "half", "closed"];
    let mut urls = paths.map(|path| format!("{granted}/{path}")).to_vec();
    urls.push("http://elsewhere.example.dev/".to_owned());
    let called = fetch(&plugin, &urls, 100).await;
    assert_eq!(called.tape.http.len(), 6);
    let record = recorded(&plugin, fetches(&urls, 100), called);
    (plugin, record)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_is_answered_from_the_record_and_sends_nothing() {
    let guests = Guests::new(1);
    let (plugin, record) = exchanges(&guests).await;
    // Whoever it may reach, it asks nobody: this one may reach none.
    for network in [&plugin, &fetcher(&guests, &[]).await] {
        let began = std::time::Instant::now();
        assert_replays(network, &record, &Limits::DEFAULT, "served").await;
        assert!(began.elapsed() < Limits::DEFAULT.wall, "it waits for nobody");
    }
    assert_replays(&*Guests::simulated().plugin("fetch").await, &record, &Limits::DEFAULT, "simulated").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_asks_for_something_else_says_what() {
    let guests = Guests::new(1);
    let (plugin, record) = exchanges(&guests).await;
    let mut other = record.clone();
    let asked = record.tape.http[0].asked.clone();
    let object = record.request.object.replace("/echo", "/other").replace("/redirect", "/echo");
    other.request.object = object.into();
    let replayed = plugin.replay(&other, &Limits::DEFAULT).await;
    let url = asked.url.replace("/echo", "/other");
    let told = format!("asked POST {url} where the record has {asked}");
    assert_eq!(replayed.differences[0], told);
    assert!(answers(&replayed.called)[0].contains(&told), "the guest is told, too: {:?}", replayed.called);

    let mut other = record.clone();
    other.request.object = record.request.object.replace("hello", "hallo").into();
    let replayed = plugin.replay(&other, &Limits::DEFAULT).await;
    let told = format!("sent another body with {asked} than the record has");
    assert!(replayed.differences.contains(&told), "{:?}", replayed.differences);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_is_answered_from_the_tape_and_sends_nothing_that_is_not_on_it() {
    let guests = Guests::new(2);
    let (plugin, record) = exchanges(&guests).await;
    let shadow =
        async |tape: &Tape| plugin.shadow(record.request.clone(), tape, Arc::new(Absent), &Limits::DEFAULT).await;
    let same = shadow(&record.tape).await;
    assert_eq!((Ending::of(&same.called.outcome), &same.differences[..]), (record.ending.clone(), &[][..]));

    let mut empty = record.tape.clone();
    empty.http.clear();
    let other = shadow(&empty).await;
    let answers = answers(&other.called);
    assert!(
        answers[0].contains("where the record has no more requests"),
        "the server would have answered: {answers:?}"
    );
    assert_eq!(other.differences.len(), record.tape.http.len(), "{:?}", other.differences);
    let denied = fetcher(&guests, &[]).await;
    let denied = denied.shadow(record.request.clone(), &record.tape, Arc::new(Absent), &Limits::DEFAULT).await;
    assert!(denied.called.connections_denied > 0, "what its own policy does not grant it is not told");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waited_for_ever_does_so_in_a_replay() {
    let simulated = Guests::simulated().plugin("fetch").await;
    let urls = ["http://elsewhere.example.dev/".to_owned()];
    let called = fetch(&simulated, &urls, 60_000).await;
    let mut record = recorded(&simulated, fetches(&urls, 60_000), called);
    // Sent, and not answered before the call was over.
    record.tape.http[0].came = trimtab_wasm::Came::Nothing;
    record.tape.time.get_or_insert_default();
    let replayed = simulated.replay(&record, &Limits::DEFAULT).await;
    let Ending::Stopped { reason, .. } = Ending::of(&replayed.called.outcome) else { panic!("{replayed:?}") };
    assert_eq!(reason, "WallExceeded");
}

/// The bridge, and the hook that it calls.
#[tokio::test(flavor = "multi_thread")]
async fn the_bridge_replays_its_hooks_answer() {
    let guests = Guests::new(1);
    let granted = format!("http://{}", server().await);
    let plugin = guests.plugin("bridge").await.with_http(&origins(std::slice::from_ref(&granted))).unwrap();
    let mut asked = request("it", "{}");
    asked.config = serde_json::json!({
        "kinds": { "misbehaves.fixtures.trimtab.dev": "Misbehave", "configmaps": "ConfigMap" },
        "controller": {
            "apiVersion": "metacontroller.k8s.io/v1alpha1",
            "kind": "CompositeController",
            "metadata": { "name": "its" },
            "spec": {
                "parentResource": { "apiVersion": "fixtures.trimtab.dev/v1", "resource": "misbehaves" },
                "childResources": [{ "apiVersion": "v1", "resource": "configmaps" }],
                "hooks": {
                    "sync": { "webhook": { "url": format!("{granted}/sync") } },
                    "finalize": { "webhook": { "url": format!("{granted}/sync") } },
                },
            },
        },
    })
    .to_string()
    .into();
    let called = plugin.reconcile(asked.clone(), Arc::new(Absent), &Limits::DEFAULT).await;
    assert_eq!(called.tape.http.len(), 1, "{:?}", called.outcome);
    let answered = recorded(&plugin, asked, called);
    assert!(answered.ending.is_answer(), "{:?}", answered.ending);
    assert_replays(&plugin, &answered, &Limits::DEFAULT, "served").await;
    assert_replays(&*Guests::simulated().plugin("bridge").await, &answered, &Limits::DEFAULT, "simulated").await;
}
