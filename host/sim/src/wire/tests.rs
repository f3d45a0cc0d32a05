use futures::StreamExt;
use http::Method;
use http_body_util::{BodyStream, Full};
use tokio::{sync::mpsc, time::timeout};
use tower::ServiceExt;
use trimtab_apiserver::{ApiServer, Config};

use super::*;
use crate::{
    clock::{Clock, simulate},
    fault::{Fault, Outage, Stream, When},
};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const MINUTE: Duration = Duration::from_secs(60);

fn wire(what: What) -> (Wire, mpsc::UnboundedReceiver<Happening>) {
    wire_with(Fault { when: When::Write(1), what })
}

fn wire_with(fault: Fault) -> (Wire, mpsc::UnboundedReceiver<Happening>) {
    let (traffic, happenings) = Traffic::new(ApiServer::new(Config::default()), Clock::start(), [fault]);
    (Wire::new(traffic, 7, 1), happenings)
}

fn request(method: Method, path: &str, body: &str) -> Request<Full<Bytes>> {
    Request::builder().method(method).uri(path).body(Full::new(Bytes::from(body.to_owned()))).unwrap()
}

/// The status of the answer to the first write, or none where the
/// connection broke or nothing was heard within a minute; and whether the
/// API has what was written then.
async fn write(wire: &Wire) -> (Option<u16>, bool) {
    let asked = wire.clone().oneshot(request(Method::POST, MAPS, r#"{"metadata":{"name":"a"}}"#));
    let heard = timeout(MINUTE, asked).await.ok().and_then(Result::ok).map(|answer| answer.status().as_u16());
    let api = wire.traffic.api.clone();
    let Ok(found) = api.oneshot(request(Method::GET, &format!("{MAPS}/a"), "")).await;
    (heard, found.status() == 200)
}

#[test]
fn what_is_lost_is_the_request_or_the_answer() {
    simulate(async {
        assert_eq!(write(&wire(What::RequestLost).0).await, (None, false));
        assert_eq!(write(&wire(What::AnswerLost).0).await, (None, true));
        assert_eq!(write(&wire(What::Late).0).await, (Some(201), true));
    });
}

#[test]
fn a_process_dies_before_or_after_its_write_and_hears_nothing_more() {
    simulate(async {
        for (fault, written) in [(What::CrashBefore, false), (What::CrashAfter, true)] {
            let (wire, mut happenings) = wire(fault.clone());
            assert_eq!(write(&wire).await, (None, written), "{fault:?}");
            assert!(matches!(happenings.try_recv(), Ok(Happening::Died(7))));
            let asked = wire.clone().oneshot(request(Method::GET, MAPS, ""));
            assert!(timeout(MINUTE, asked).await.is_err(), "the dead hear nothing");
        }
    });
}

#[test]
fn a_write_that_nobody_waits_for_any_more_reaches_the_api_all_the_same() {
    simulate(async {
        let (wire, _deaths) = wire(What::Late);
        let asked = wire.clone().oneshot(request(Method::POST, MAPS, r#"{"metadata":{"name":"a"}}"#));
        assert!(timeout(LATE / 2, asked).await.is_err());
        sleep(LATE).await;
        let statuses = wire.traffic.log.entries().iter().map(|entry| entry.status).collect::<Vec<_>>();
        assert_eq!(statuses, [Some(201)]);
    });
}

#[test]
fn watches_end_with_the_connection() {
    simulate(async {
        let (wire, _deaths) = wire(What::AnswerLost);
        let watch = wire.clone().oneshot(request(Method::GET, &format!("{MAPS}?watch=true&resourceVersion=0"), ""));
        let mut pieces = BodyStream::new(watch.await.unwrap().into_body());
        write(&wire).await;
        while let Some(piece) = timeout(MINUTE, pieces.next()).await.unwrap() {
            if let Err(error) = piece {
                assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
                return;
            }
        }
        panic!("it ended as if it had been over");
    });
}

#[test]
fn a_refused_request_never_reaches_the_api_and_says_when_to_come_back() {
    simulate(async {
        let what = What::Refused { by: Outage::Busy(3), requests: 1 };
        let (wire, _happenings) = wire(what);
        let asked = request(Method::POST, MAPS, r#"{"metadata":{"name":"a"}}"#);
        let answer = wire.clone().oneshot(asked).await.unwrap();
        assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (429, &"3".parse().unwrap()));
        assert_eq!(write(&wire).await, (Some(201), true), "the next one does");
    });
}

#[test]
fn nothing_of_a_frozen_process_passes_and_then_all_of_it() {
    simulate(async {
        let (wire, _happenings) = wire(What::Frozen(MINUTE / 2));
        let began = Instant::now();
        assert_eq!(write(&wire).await, (Some(201), true));
        assert_eq!(began.elapsed().as_secs(), 30);
    });
}

#[test]
fn a_stale_list_shows_what_was_there_before() {
    simulate(async {
        let (wire, _happenings) = wire(What::StaleList { changes: 1 });
        write(&wire).await;
        for (items, which) in [(0, "the first list is stale"), (1, "the second is not")] {
            let list = wire.clone().oneshot(request(Method::GET, &format!("{MAPS}?limit=500"), "")).await;
            let text = list.unwrap().into_body().collect().await.unwrap().to_bytes();
            let list = serde_json::from_slice::<serde_json::Value>(&text).unwrap();
            assert_eq!(list["items"].as_array().map(Vec::len), Some(items), "{which}");
        }
    });
}

/// What a watch shows of a write that is made a second after something happens
/// to it: whether the watch ended, and after how many seconds it showed what.
async fn watched(of: Option<&'static str>, stream: Stream) -> (bool, Vec<(u64, String)>) {
    watched_from(When::Write(1), of, stream).await
}

async fn watched_from(when: When, of: Option<&'static str>, stream: Stream) -> (bool, Vec<(u64, String)>) {
    let (wire, _happenings) = wire_with(Fault { when, what: What::Watches { of: of.map(Into::into), stream } });
    let watch = wire.clone().oneshot(request(Method::GET, &format!("{MAPS}?watch=true&resourceVersion=0"), ""));
    let mut pieces = BodyStream::new(watch.await.unwrap().into_body());
    let began = Instant::now();
    let mut shown = Vec::new();
    write(&wire).await;
    while let Ok(next) = timeout(MINUTE, pieces.next()).await {
        let Some(piece) = next else { return (true, shown) };
        let text = String::from_utf8(piece.unwrap().into_data().unwrap().to_vec()).unwrap();
        let kind = serde_json::from_str::<serde_json::Value>(&text).unwrap()["type"].to_string();
        shown.push((began.elapsed().as_secs(), kind));
    }
    (false, shown)
}

#[test]
fn a_watch_is_held_hidden_ended_silenced_or_repeated() {
    simulate(async {
        let added = |at_s| (at_s, "\"ADDED\"".to_owned());
        let expired = |at_s| (at_s, "\"ERROR\"".to_owned());
        let time = Duration::from_secs(9);
        assert_eq!(watched(Some("secrets"), Stream::Ended).await, (false, vec![added(0)]), "another kind's");
        assert_eq!(watched(None, Stream::Held(time)).await, (false, vec![added(9)]));
        assert_eq!(watched(Some("configmaps"), Stream::Hidden(time)).await, (true, vec![expired(9)]));
        assert_eq!(watched(None, Stream::Expired).await, (true, vec![expired(0)]));
        assert_eq!(watched(None, Stream::Ended).await, (true, vec![]));
        assert_eq!(watched(None, Stream::Silent).await, (false, vec![]));
        assert_eq!(watched(None, Stream::Repeated).await, (false, vec![added(0), added(0)]));
    });
}

#[test]
fn what_happens_to_a_watch_at_an_event_happens_before_it_is_shown() {
    simulate(async {
        let at = |number, stream| watched_from(When::Event(number), Some("configmaps"), stream);
        let shown = |at_s, kind: &str| (at_s, format!("\"{kind}\""));
        let time = Duration::from_secs(9);
        assert_eq!(at(1, Stream::Hidden(time)).await, (true, vec![shown(9, "ERROR")]));
        assert_eq!(at(1, Stream::Held(time)).await, (false, vec![shown(9, "ADDED")]));
        assert_eq!(at(1, Stream::Ended).await, (true, vec![]));
        assert_eq!(at(2, Stream::Ended).await, (false, vec![shown(0, "ADDED")]), "there is only one");
    });
}
