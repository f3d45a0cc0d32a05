//! The wire between one host process and the API: a tower service around the
//! API that takes its time, writes each request down, disturbs one write, and
//! keeps from the API what is refused meanwhile (see [`Refusal`](crate::Refusal)).
//!
//! What is sent goes on although who sent it has gone: a request on its way
//! when its process dies still reaches the API.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Method, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, BodyStream, Full, StreamBody, combinators::UnsyncBoxBody};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::sleep,
};
use tower::{BoxError, Service, ServiceExt};
use trimtab_apiserver::ApiServer;
use trimtab_core::hash::Hash;

use crate::{
    clock::Clock,
    env::SplitMix,
    log::{self, Entry, Log},
    refusal::{self, Instead, Refusals},
};

/// The longest that a request or an answer takes.
const LATENCY_MAX: Duration = Duration::from_millis(4);
/// The longest that a piece of a watch takes: more than a request, so that a
/// host meets its own writes in answers first and in the watch later.
const WATCH_LATENCY_MAX: Duration = Duration::from_millis(30);
/// How late a late write is: who made it has long given up, and its Lease is over.
pub const LATE: Duration = Duration::from_secs(20);

/// A world has one disturbance, so that one process dies in it at most.
const DEATHS_MAX: usize = 1;

/// What is done to one write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The process dies with the write on its lips: the API never sees it.
    CrashBefore,
    /// The write takes effect, and the process dies before it hears of it.
    CrashAfter,
    /// The connection breaks, with all watches on it, before the API sees the write.
    RequestLost,
    /// The connection breaks, with all watches on it, after the write took effect.
    AnswerLost,
    /// The write reaches the API [`LATE`].
    Late,
}

/// One write and what is done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disturbance {
    /// Which write: counted from one over all hosts, in the order in which they
    /// reach the API, without those of Leases unless `of_lease`.
    pub write: usize,
    /// Whether only writes of Leases are counted.
    pub of_lease: bool,
    /// What happens to it.
    pub fault: Fault,
}

/// What all wires of a world share.
pub(crate) struct Traffic {
    pub api: ApiServer,
    pub clock: Clock,
    pub log: Log,
    pub refusals: Refusals,
    disturbance: Option<Disturbance>,
    counted: AtomicUsize,
    deaths: mpsc::Sender<u32>,
}

impl Traffic {
    /// With the end where the number of a process is heard when it dies.
    pub fn new(api: ApiServer, clock: Clock, disturbance: Option<Disturbance>) -> (Arc<Self>, mpsc::Receiver<u32>) {
        let (counted, (deaths, heard)) = (AtomicUsize::new(0), mpsc::channel(DEATHS_MAX));
        let (log, refusals) = (Log::default(), Refusals::default());
        (Arc::new(Self { api, clock, log, refusals, disturbance, counted, deaths }), heard)
    }

    /// Counts a write, and says what is done to it.
    fn fault(&self, method: &Method, path: &str) -> Option<Fault> {
        let disturbance = self.disturbance?;
        if !log::writes(method) || log::is_about_a_lease(path) != disturbance.of_lease {
            return None;
        }
        let count = self.counted.fetch_add(1, Ordering::Relaxed) + 1;
        (count == disturbance.write).then_some(disturbance.fault)
    }
}

/// The wire of one process. Clones are the same wire.
#[derive(Clone)]
pub(crate) struct Wire {
    traffic: Arc<Traffic>,
    process: u32,
    random: Arc<SplitMix>,
    /// Counts how often the connection broke.
    broken: watch::Sender<u64>,
    /// The process is dead: it sends nothing more and hears nothing more.
    dead: Arc<AtomicBool>,
}

type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

impl Wire {
    pub fn new(traffic: Arc<Traffic>, process: u32, seed: u64) -> Self {
        // The process draws from its own stream, and its wire from another.
        let random = Arc::new(SplitMix::new(!seed, process.into()));
        Self { traffic, process, random, broken: watch::Sender::new(0), dead: Arc::default() }
    }

    /// Carries a request to the API and the answer back; none where the
    /// process is dead and no one is left to hear it, or will never hear of it.
    async fn carry(self, request: Request<Bytes>) -> Option<Result<Answer, io::Error>> {
        sleep(self.random.below(LATENCY_MAX)).await;
        let (method, path) = (request.method().clone(), request.uri().to_string());
        match self.traffic.refusals.instead(&method, &path) {
            Some(Instead::Answer { code, retry_after_s, body }) => {
                self.note(&request, Some(code));
                return Some(Ok(self.slowed(path, refusal::answer(code, retry_after_s, &body))));
            }
            Some(Instead::Silence) => {
                self.note(&request, None);
                return None;
            }
            None => {}
        }
        let fault = self.traffic.fault(&method, &path);
        if let Some(fault) = fault {
            tracing::info!(?fault, %method, path, "disturbed");
        }
        match fault {
            Some(Fault::CrashBefore) => {
                self.note(&request, None);
                self.die();
                return None;
            }
            Some(Fault::RequestLost) => {
                self.note(&request, None);
                return Some(Err(self.break_down()));
            }
            Some(Fault::Late) => sleep(LATE).await,
            Some(Fault::CrashAfter | Fault::AnswerLost) | None => {}
        }
        let (head, body) = request.into_parts();
        let sent = Request::from_parts(head.clone(), Full::new(body.clone()));
        let Ok(answer) = self.traffic.api.clone().oneshot(sent).await;
        self.note(&Request::from_parts(head, body), Some(answer.status().as_u16()));
        match fault {
            Some(Fault::CrashAfter) => {
                self.die();
                return None;
            }
            Some(Fault::AnswerLost) => return Some(Err(self.break_down())),
            _ => {}
        }
        sleep(self.random.below(LATENCY_MAX)).await;
        (!self.is_dead()).then(|| Ok(self.slowed(path, answer)))
    }

    fn note(&self, request: &Request<Bytes>, status: Option<u16>) {
        self.traffic.log.add(Entry {
            at: self.traffic.clock.elapsed(),
            process: self.process,
            method: request.method().clone(),
            path: request.uri().to_string(),
            body: Hash::of([&request.body()[..]]),
            status,
        });
    }

    fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    fn die(&self) {
        self.dead.store(true, Ordering::Relaxed);
        self.traffic.deaths.try_send(self.process).expect("no process has died before");
    }

    fn break_down(&self) -> io::Error {
        self.broken.send_modify(|count| *count += 1);
        reset()
    }

    /// The pieces of an answer, each as late as it happens to be and none before
    /// the one that went before it.
    fn slowed(&self, path: String, answer: Response<UnsyncBoxBody<Bytes, std::convert::Infallible>>) -> Answer {
        let (head, body) = answer.into_parts();
        let way = Arc::new((path, self.traffic.clone(), self.random.clone()));
        let state = (BodyStream::new(body), self.broken.subscribe(), false);
        let pieces = stream::unfold(state, move |(mut pieces, mut broken, over)| {
            let way = way.clone();
            async move {
                let (path, traffic, random) = &*way;
                if over {
                    return None;
                }
                let piece = tokio::select! {
                    biased;
                    _ = broken.changed() => return Some((Err(reset()), (pieces, broken, true))),
                    piece = pieces.next() => piece,
                };
                if traffic.refusals.silences(path) {
                    return std::future::pending().await;
                }
                let piece = piece?;
                let piece: Result<Frame<Bytes>, io::Error> = piece.map_err(|never| match never {});
                sleep(random.below(WATCH_LATENCY_MAX)).await;
                Some((piece, (pieces, broken, false)))
            }
        });
        Response::from_parts(head, StreamBody::new(pieces).boxed_unsync())
    }
}

fn reset() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "the simulated connection broke")
}

impl<B> Service<Request<B>> for Wire
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Answer;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let wire = self.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map_err(Into::into)?.to_bytes();
            if wire.is_dead() {
                return std::future::pending().await;
            }
            let (tell, hear) = oneshot::channel();
            tokio::spawn(async move {
                if let Some(answer) = wire.carry(Request::from_parts(head, body)).await {
                    // Who asked may have given up.
                    let _ = tell.send(answer);
                }
            });
            match hear.await {
                Ok(answer) => Ok(answer?),
                // Nothing will be heard. If the process is dead, this ends as soon as it is buried.
                Err(_) => std::future::pending().await,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;
    use trimtab_apiserver::Config;

    use super::*;
    use crate::clock::simulate;

    const MAPS: &str = "/api/v1/namespaces/default/configmaps";
    const MINUTE: Duration = Duration::from_secs(60);

    fn wire(fault: Fault) -> (Wire, mpsc::Receiver<u32>) {
        let disturbance = Disturbance { write: 1, of_lease: false, fault };
        let (traffic, deaths) = Traffic::new(ApiServer::new(Config::default()), Clock::start(), Some(disturbance));
        (Wire::new(traffic, 7, 1), deaths)
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
            assert_eq!(write(&wire(Fault::RequestLost).0).await, (None, false));
            assert_eq!(write(&wire(Fault::AnswerLost).0).await, (None, true));
            assert_eq!(write(&wire(Fault::Late).0).await, (Some(201), true));
        });
    }

    #[test]
    fn a_process_dies_before_or_after_its_write_and_hears_nothing_more() {
        simulate(async {
            for (fault, written) in [(Fault::CrashBefore, false), (Fault::CrashAfter, true)] {
                let (wire, mut deaths) = wire(fault);
                assert_eq!(write(&wire).await, (None, written), "{fault:?}");
                assert_eq!(deaths.try_recv(), Ok(7));
                let asked = wire.clone().oneshot(request(Method::GET, MAPS, ""));
                assert!(timeout(MINUTE, asked).await.is_err(), "the dead hear nothing");
            }
        });
    }

    #[test]
    fn a_write_that_nobody_waits_for_any_more_reaches_the_api_all_the_same() {
        simulate(async {
            let (wire, _deaths) = wire(Fault::Late);
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
            let (wire, _deaths) = wire(Fault::AnswerLost);
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
}
