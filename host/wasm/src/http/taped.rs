//! Requests and answers on their way past the tape, and answers from it.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use wasmtime_wasi_http::{
    Error, FieldMap, Result, WasiBody,
    p2::{
        bindings::http::types::{Method, Scheme},
        types::HostOutgoingRequest,
    },
};

use crate::{
    replay::Player,
    tape::{Came, End, Exchange, Fault, Head, SharedTape},
};

/// What a request asks, as the guest has made it.
pub fn head(request: &HostOutgoingRequest) -> Head {
    let method = match &request.method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
        Method::Other(method) => method,
    };
    let scheme = match &request.scheme {
        Some(Scheme::Http) => "http",
        Some(Scheme::Https) | None => "https",
        Some(Scheme::Other(scheme)) => scheme,
    };
    let (authority, path) = (request.authority.as_deref(), request.path_with_query.as_deref());
    Head {
        method: method.to_owned(),
        url: format!("{scheme}://{}{}", authority.unwrap_or_default(), path.unwrap_or_default()),
        headers: fields(&request.headers),
    }
}

fn fields(fields: &FieldMap) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

/// Each byte one character, so that any value can be read and none is lost.
fn text(value: &HeaderValue) -> String {
    value.as_bytes().iter().copied().map(char::from).collect()
}

fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|char| u8::try_from(char).unwrap_or(b'?')).collect()
}

/// An error as the tape has it; the guest is told of it in the tape's words.
pub fn fault(error: Error) -> Fault {
    match error {
        Error::ConnectionReadTimeout => Fault::Timeout,
        Error::HttpRequestBodySize(size) => Fault::RequestBody(size),
        Error::HttpResponseBodySize(limit) => Fault::AnswerBody(limit),
        Error::InternalError(Some(why)) => Fault::Other(why),
        other => Fault::Other(other.to_string()),
    }
}

pub fn error(fault: Fault) -> Error {
    match fault {
        Fault::Timeout => Error::ConnectionReadTimeout,
        Fault::RequestBody(size) => Error::HttpRequestBodySize(size),
        Fault::AnswerBody(limit) => Error::HttpResponseBodySize(limit),
        Fault::Other(why) => Error::InternalError(Some(why)),
    }
}

/// What an answer begins with.
pub fn answer<B>(response: &Response<B>) -> Came {
    let headers = response.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value)));
    Came::Answer {
        status: response.status().as_u16(),
        headers: headers.collect(),
        body: Default::default(),
        end: End::Open,
    }
}

/// A request's body on its way out.
pub struct Sent {
    pub inner: WasiBody,
    pub tape: SharedTape,
    pub place: usize,
}

impl Body for Sent {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if let Some(Some(piece)) = frame.as_ref().and_then(|frame| frame.as_ref().ok()).map(Frame::data_ref) {
            self.tape.lock().expect("no holder panics").sent(self.place, piece);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// An answer's body on its way in.
pub struct Received<B> {
    pub inner: B,
    pub tape: SharedTape,
    pub place: usize,
}

impl<B: Body<Data = Bytes, Error = Error> + Unpin> Body for Received<B> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        let mut tape = self.tape.lock().expect("no holder panics");
        let frame = match frame {
            Some(Ok(frame)) => {
                if let Some(piece) = frame.data_ref() {
                    tape.received(self.place, piece);
                }
                if self.inner.is_end_stream() {
                    tape.ended(self.place, End::Whole);
                }
                Some(Ok(frame))
            }
            Some(Err(failed)) => {
                let fault = fault(failed);
                tape.ended(self.place, End::Failed(fault.clone()));
                Some(Err(error(fault)))
            }
            None => {
                tape.ended(self.place, End::Whole);
                None
            }
        };
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// What the tape has of an answer, if anything came. The request's body is compared
/// beside that: it may be written only when the answer has come.
pub fn play(player: &Arc<Player>, exchange: Exchange, request: Request<WasiBody>) -> Option<Answer> {
    let Exchange { asked, sent, came, .. } = exchange;
    let compared = player.clone();
    player.compares(tokio::spawn(async move {
        // Where the guest has not written all, neither had it when it was recorded.
        let body = request.into_body().collect().await;
        if body.is_ok_and(|body| body.to_bytes() != sent.whole()) {
            compared.differs(format_args!("sent another body with {asked} than the record has"));
        }
    }));
    match came {
        Came::Answer { status, headers, body, end } => {
            Some(played(status, &headers, Played { pieces: body.0.into(), end }))
        }
        Came::Failed(fault) => Some(Err(error(fault))),
        Came::Denied(why) => Some(Err(Error::InternalError(Some(why)))),
        Came::Nothing => None,
    }
}

/// An answer from the tape.
pub type Answer = Result<Response<WasiBody>>;

fn played(status: u16, headers: &[(String, String)], body: Played) -> Answer {
    let unreadable = |what: &str| Error::InternalError(Some(format!("the record's answer has a {what} that is none")));
    let status = StatusCode::from_u16(status).map_err(|_| unreadable("status"))?;
    let headers = headers.iter().map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unreadable("header"))?;
        Ok((name, HeaderValue::from_bytes(&bytes(value)).map_err(|_| unreadable("header"))?))
    });
    let headers = headers.collect::<Result<Vec<_>>>()?;
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = status;
    let mut fields = HeaderMap::new();
    headers.into_iter().for_each(|(name, value)| _ = fields.append(name, value));
    *response.headers_mut() = fields;
    Ok(response)
}

/// A body from the tape.
struct Played {
    pieces: VecDeque<Bytes>,
    end: End,
}

impl Body for Played {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        if let Some(piece) = self.pieces.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match &self.end {
            End::Whole => Poll::Ready(None),
            End::Failed(fault) => Poll::Ready(Some(Err(error(fault.clone())))),
            // No more of it came before the call was over.
            End::Open => Poll::Pending,
        }
    }
}
