//! The wire between one host process and the API: a tower service around the
//! API that takes its time, writes each request down, holds each write to the
//! rules ([`crate::oracle`]), and lets happen to it what is to go wrong
//! ([`crate::fault`]).
//!
//! What is sent goes on although who sent it has gone: a request on its way
//! when its process dies still reaches the API.

mod answers;
mod asked;
mod pending;
mod stream;
mod traffic;

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, sleep_until},
};
use tower::{BoxError, Service};
use trimtab_cluster::fanout::Fanout;

use self::asked::Asked;
use self::traffic::FromApi;
pub(crate) use self::traffic::{Happening, Traffic};
use crate::{
    env::SplitMix,
    fault::What,
    refusal::{self, Instead},
};

/// The longest that a request or an answer takes.
const LATENCY_MAX: Duration = Duration::from_millis(4);
/// How late a late write is: who made it has long given up, and its Lease is over.
pub const LATE: Duration = Duration::from_secs(20);

/// The wire of one process. Clones are the same wire.
#[derive(Clone)]
pub(crate) struct Wire {
    traffic: Arc<Traffic>,
    process: u32,
    random: Arc<SplitMix>,
    /// Counts how often the connection broke.
    broken: Arc<Fanout<u64>>,
    /// Nothing passes before this.
    frozen: Arc<Mutex<Instant>>,
    /// The process is dead: it sends nothing more and hears nothing more.
    dead: Arc<AtomicBool>,
}

/// How far a request gets.
enum Way {
    /// To the API, as this.
    On(Request<Bytes>),
    /// Something else answers it.
    Answered(FromApi),
    /// Nowhere, and the connection breaks.
    Lost,
    /// Nowhere, and the process dies.
    Dead,
}

type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

impl Wire {
    pub fn new(traffic: Arc<Traffic>, process: u32, seed: u64) -> Self {
        // The process draws from its own stream, and its wire from another.
        let random = Arc::new(SplitMix::new(!seed, process.into()));
        let frozen = Arc::new(Mutex::new(Instant::now()));
        Self { traffic, process, random, broken: Arc::default(), frozen, dead: Arc::default() }
    }

    /// Carries a request to the API and the answer back; none where the
    /// process is dead and no one is left to hear it, or will never hear of it.
    async fn carry(self, request: Request<Bytes>) -> Option<Result<Answer, io::Error>> {
        let asked = Asked::of(&request);
        let sent = self.traffic.sent(&asked);
        sleep(self.random.below(LATENCY_MAX)).await;
        self.thaw().await;
        if let Some(instead) = self.traffic.refusals.instead(&asked.method, &asked.path) {
            let answer = match instead {
                Instead::Answer { code, retry_after_s, body } => Some(refusal::answer(code, retry_after_s, &body)),
                Instead::Silence => None,
            };
            self.note(&request, answer.as_ref().map(|answer| answer.status().as_u16()));
            return self.bring_back(&asked, answer?).await;
        }
        let fault = self.traffic.meet(&asked);
        let request = match self.way_there(request, fault.as_ref()).await {
            Way::On(request) => request,
            Way::Answered(answer) => return self.bring_back(&asked, answer).await,
            Way::Lost => return Some(Err(self.break_down())),
            Way::Dead => {
                self.die();
                return None;
            }
        };
        let answer = self.traffic.decide(self.process, &asked, request.clone(), sent).await;
        self.note(&request, Some(answer.status().as_u16()));
        match fault {
            Some(What::CrashAfter) => {
                self.die();
                None
            }
            Some(What::AnswerLost) => Some(Err(self.break_down())),
            _ => self.bring_back(&asked, answer).await,
        }
    }

    /// What happens to a request before the API sees it.
    async fn way_there(&self, request: Request<Bytes>, fault: Option<&What>) -> Way {
        let way = match fault {
            Some(What::CrashBefore) => Way::Dead,
            Some(What::RequestLost) => Way::Lost,
            Some(What::Refused { by, .. }) => Way::Answered(answers::refused(*by)),
            Some(What::Conflict) => Way::Answered(answers::conflict()),
            Some(What::StaleList { changes }) => return Way::On(self.traffic.older(request, *changes)),
            Some(What::Late) => {
                sleep(LATE).await;
                return Way::On(request);
            }
            Some(What::Frozen(time)) => {
                *self.frozen() = Instant::now() + *time;
                self.thaw().await;
                return Way::On(request);
            }
            _ => return Way::On(request),
        };
        let status = if let Way::Answered(answer) = &way { Some(answer.status().as_u16()) } else { None };
        self.note(&request, status);
        way
    }

    async fn bring_back(&self, asked: &Asked, answer: FromApi) -> Option<Result<Answer, io::Error>> {
        sleep(self.random.below(LATENCY_MAX)).await;
        self.thaw().await;
        (!self.is_dead()).then(|| Ok(stream::slowed(self, asked, answer)))
    }

    fn note(&self, request: &Request<Bytes>, status: Option<u16>) {
        self.traffic.note(self.process, request, status);
    }

    /// Waits while nothing passes.
    async fn thaw(&self) {
        loop {
            let until = *self.frozen();
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }

    fn frozen(&self) -> MutexGuard<'_, Instant> {
        // A moment is never half set.
        self.frozen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    fn die(&self) {
        if !self.dead.swap(true, Ordering::Relaxed) {
            self.traffic.happens(Happening::Died(self.process));
        }
    }

    fn break_down(&self) -> io::Error {
        self.broken.modify(|count| *count += 1);
        reset()
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
mod tests;
