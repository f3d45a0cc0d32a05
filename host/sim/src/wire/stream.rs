//! The body of an answer on its way: each piece is as late as it happens to be,
//! and none comes before the one that went before it. What happens to a watch
//! happens here.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::Response;
use http_body::Frame;
use http_body_util::{BodyExt, BodyStream, StreamBody, combinators::UnsyncBoxBody};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use trimtab_cluster::fanout::Fanout;

use super::{Answer, Wire, answers, asked::Asked, reset, traffic::FromApi};
use crate::fault::Stream;

/// The longest that a piece of a watch takes: more than a request, so that a
/// host meets its own writes in answers first and in the watch later.
const LATENCY_MAX: Duration = Duration::from_millis(30);

/// Something that happens to watches.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    /// To those of this resource; none: to all.
    of: Option<Arc<str>>,
    stream: Stream,
    at: Instant,
}

impl Order {
    /// Happens now.
    pub fn now(of: Option<Arc<str>>, stream: Stream) -> Self {
        Self { of, stream, at: Instant::now() }
    }

    fn held_until(&self) -> Option<Instant> {
        match self.stream {
            Stream::Held(time) => Some(self.at + time),
            _ => None,
        }
    }
}

/// All orders of a world so far. There are as many as faults.
pub(crate) type Orders = Fanout<Vec<Order>>;

/// A part of a body, as the API sends it: of a watch, all events that there are.
type Piece = Frame<Bytes>;

/// How a bookmark begins.
const BOOKMARK: &[u8] = br#"{"type":"BOOKMARK""#;

/// One answer on its way.
struct Pieces {
    body: BodyStream<UnsyncBoxBody<Bytes, Infallible>>,
    wire: Wire,
    broken: watch::Receiver<u64>,
    asked: Asked,
    orders: watch::Receiver<Vec<Order>>,
    obeyed: usize,
    held_until: Option<Instant>,
    /// When it is held no longer, it expires.
    hides: bool,
    silent: bool,
    repeats: bool,
    /// What is shown once more.
    again: Option<Bytes>,
    /// What was about to be shown when something happened.
    kept: Option<Piece>,
    over: bool,
}

/// The answer, as it comes out of the wire.
pub(super) fn slowed(wire: &Wire, asked: &Asked, answer: FromApi) -> Answer {
    let (head, body) = answer.into_parts();
    let pieces = Pieces::new(wire, BodyStream::new(body), asked.clone());
    let pieces = stream::unfold(pieces, |mut pieces| async move { Some((pieces.next().await?, pieces)) });
    Response::from_parts(head, StreamBody::new(pieces).boxed_unsync())
}

impl Pieces {
    fn new(wire: &Wire, body: BodyStream<UnsyncBoxBody<Bytes, Infallible>>, asked: Asked) -> Self {
        let mut orders = wire.traffic.orders.subscribe();
        let before = orders.borrow_and_update().clone();
        let mut pieces = Self {
            body,
            wire: wire.clone(),
            broken: wire.broken.subscribe(),
            asked,
            orders,
            obeyed: before.len(),
            held_until: None,
            hides: false,
            silent: false,
            repeats: false,
            again: None,
            kept: None,
            over: false,
        };
        // A watch that begins while its kind is held is held, too.
        let holds = before.iter().filter(|order| pieces.is_meant(order)).filter_map(Order::held_until);
        pieces.held_until = holds.filter(|until| *until > Instant::now()).max();
        pieces
    }

    fn is_meant(&self, order: &Order) -> bool {
        self.asked.is_watch() && order.of.as_deref().is_none_or(|of| of == self.asked.resource())
    }

    async fn next(&mut self) -> Option<Result<Frame<Bytes>, io::Error>> {
        loop {
            self.obey();
            if self.over {
                return None;
            }
            if let Some(again) = self.again.take() {
                return Some(Ok(Frame::data(again)));
            }
            tokio::select! {
                biased;
                _ = self.broken.changed() => {
                    self.over = true;
                    return Some(Err(reset()));
                }
                Ok(()) = self.orders.changed() => {}
                () = until(self.held_until), if self.held_until.is_some() => {
                    self.held_until = None;
                    if self.hides {
                        self.over = true;
                        return Some(Ok(Frame::data(answers::expired())));
                    }
                }
                (piece, is_new) = next_of(&mut self.kept, &mut self.body), if self.held_until.is_none() && !self.silent => {
                    if self.wire.traffic.refusals.silences(&self.asked.path) {
                        return std::future::pending().await;
                    }
                    let piece = piece?;
                    if is_new && self.is_event(&piece) && self.wire.traffic.shown(self.asked.resource()) {
                        self.kept = Some(piece);
                        continue;
                    }
                    return self.carried(piece).await;
                }
            }
        }
    }

    /// A bookmark tells of no object.
    fn is_event(&self, piece: &Piece) -> bool {
        self.asked.is_watch() && piece.data_ref().is_some_and(|text| !text.starts_with(BOOKMARK))
    }

    async fn carried(&mut self, piece: Piece) -> Option<Result<Frame<Bytes>, io::Error>> {
        sleep(self.wire.random.below(LATENCY_MAX)).await;
        self.wire.thaw().await;
        if self.repeats {
            self.repeats = false;
            self.again = piece.data_ref().cloned();
        }
        Some(Ok(piece))
    }

    /// Takes up what happens to this watch.
    fn obey(&mut self) {
        let orders = self.orders.borrow_and_update()[self.obeyed..].to_vec();
        self.obeyed += orders.len();
        for order in orders.into_iter().filter(|order| self.is_meant(order)).collect::<Vec<_>>() {
            match order.stream {
                Stream::Ended => self.over = true,
                Stream::Expired => self.expire_after(order.at),
                Stream::Held(time) => self.held_until = self.held_until.max(Some(order.at + time)),
                Stream::Hidden(time) => self.expire_after(order.at + time),
                Stream::Silent => self.silent = true,
                Stream::Repeated => self.repeats = true,
            }
        }
    }

    fn expire_after(&mut self, end: Instant) {
        self.held_until = self.held_until.max(Some(end));
        self.hides = true;
    }
}

/// What was kept, or else what comes next, which is new.
async fn next_of(
    kept: &mut Option<Piece>,
    body: &mut BodyStream<UnsyncBoxBody<Bytes, Infallible>>,
) -> (Option<Piece>, bool) {
    match kept.take() {
        Some(piece) => (Some(piece), false),
        None => (body.next().await.map(|Ok(piece)| piece), true),
    }
}

/// The end of a hold; never, where there is none.
async fn until(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end).await,
        None => std::future::pending().await,
    }
}
