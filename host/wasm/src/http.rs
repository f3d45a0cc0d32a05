//! Outgoing HTTP, for plugins whose policy grants it, and only where it says.
//!
//! A request elsewhere is denied and counted, and the call's log says what the
//! policy lacks. Nothing is followed or repeated for the guest: a redirect is an
//! answer like any other. Connections are kept for each loaded plugin, and are
//! its own; what waits for an answer holds no turn on a core. All of it goes onto
//! the call's tape, and a replay is answered from there.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error as _,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, uri::Authority};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tokio::time::{Instant, Sleep};
use trimtab_core::origin::Origin;
use wasmtime::{
    StoreContextMut,
    component::{Linker, Resource, ResourceTable},
};
use wasmtime_wasi_http::{
    Error, RequestOptions, Result, WasiBody, WasiHttp, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
    p2::{
        bindings::{
            LinkOptions,
            http::{
                outgoing_handler,
                types::{self as http_types, ErrorCode, Scheme},
            },
        },
        types::{HostFutureIncomingResponse, HostIncomingResponse, HostOutgoingRequest},
    },
};

use crate::{
    contract::Level,
    host::State,
    replay::Player,
    tape::{Came, Exchange, Head, SharedTape},
    wasi::SharedLog,
};

use taped::{Received, Sent};

mod taped;
mod unsent;

/// The requests that one call may send: a hook or two, each with a few redirects.
const REQUESTS_MAX: u32 = 16;

/// How long a connection that nobody uses is kept: longer than most resyncs of a
/// busy kind are apart, shorter than the 60 s after which proxies cut it.
const IDLE: Duration = Duration::from_secs(50);

type Client = legacy::Client<HttpsConnector<HttpConnector>, WasiBody>;

/// Where one plugin may connect to, and the connections that it has.
#[derive(Debug)]
pub(crate) struct Outbound {
    granted: BTreeSet<Origin>,
    client: Client,
}

impl Outbound {
    /// The roots that servers are trusted by are the system's, or those that the
    /// variables SSL_CERT_FILE and SSL_CERT_DIR name. They are read only where
    /// something encrypted is granted.
    pub fn new(granted: &BTreeSet<Origin>) -> io::Result<Self> {
        let tls = rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let tls = match granted.iter().any(Origin::is_https) {
            true => hyper_rustls::ConfigBuilderExt::with_native_roots(tls)?,
            false => tls.with_root_certificates(rustls::RootCertStore::empty()),
        };
        let tls = tls.with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        let mut client = legacy::Client::builder(TokioExecutor::new());
        client.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE);
        Ok(Self { granted: granted.clone(), client: client.build(connector) })
    }
}

/// What a call may do with the network.
#[derive(Debug, Clone)]
pub(crate) enum Network {
    /// Nothing: its policy grants nothing, or it is only asked to describe itself.
    None,
    /// Nothing, whatever is granted: in a simulation nothing depends on others.
    Simulated,
    /// What is granted.
    Granted(Arc<Outbound>),
    /// Nothing: what was asked and answered before.
    Played(Arc<Player>),
}

/// The HTTP of one call.
pub(crate) struct Http {
    ctx: WasiHttpCtx,
    hooks: Hooks,
    /// Requests that were made, whether sent or not.
    made: u32,
    /// Those whose answers are waited for, and their places on the tape.
    awaited: BTreeMap<u32, usize>,
}

impl Http {
    /// Answers may have so many bytes together.
    pub fn new(network: Network, answers_bytes: u64, log: &SharedLog, tape: &SharedTape) -> Self {
        let answers = Arc::new(Allowance { limit: answers_bytes, left: AtomicU64::new(answers_bytes) });
        let (log, tape) = (log.clone(), tape.clone());
        let hooks = Hooks { network, answers, sent: 0, denied: 0, log, tape, next: None, sending: None, played: None };
        let mut ctx = WasiHttpCtx::new();
        ctx.set_field_size_limit(unsent::FIELDS_BYTES_MAX);
        Self { ctx, hooks, made: 0, awaited: BTreeMap::new() }
    }

    /// Requests that were denied.
    pub fn denied(&self) -> u64 {
        self.hooks.denied
    }

    /// What wasmtime's own part of the interface needs.
    pub fn view<'a>(&'a mut self, table: &'a mut ResourceTable) -> WasiHttpCtxView<'a> {
        WasiHttpCtxView { hooks: &mut self.hooks, table, ctx: &mut self.ctx }
    }
}

/// The way out. Any patch release of it links.
const OUTGOING: &str = "wasi:http/outgoing-handler@0.2.0";

/// What `handle` answers.
type Handled = Result<Resource<HostFutureIncomingResponse>, ErrorCode>;

/// Links all of `wasi:http` that a plugin may import. Requests are wasmtime's; the
/// way out is not, so that what is denied is denied at once. As an answer that is
/// waited for, it would come when the guest's clock has jumped past its time-out.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let options = LinkOptions::default();
    http_types::add_to_linker::<State, WasiHttp>(linker, &options.into(), WasiHttpView::http)?;
    unsent::add_to_linker(linker)?;
    linker.allow_shadowing(true);
    linker.instance(unsent::TYPES)?.func_wrap("[method]future-incoming-response.get", get)?;
    linker.allow_shadowing(false);
    linker.instance(OUTGOING)?.func_wrap("handle", handle)
}

fn handle(
    mut store: StoreContextMut<'_, State>,
    (request, options): (Resource<HostOutgoingRequest>, Option<Resource<RequestOptions>>),
) -> wasmtime::Result<(Handled,)> {
    let state = store.data_mut();
    let asked = state.wasi.table().get(&request)?;
    let (origin, head) = (origin(asked), taped::head(asked));
    if let Err(denied) = state.http.hooks.admit(origin, head) {
        state.wasi.table().delete(request)?;
        return Ok((Err(denied),));
    }
    let answer = match outgoing_handler::Host::handle(&mut state.http(), request, options) {
        Ok(answer) => answer,
        Err(error) => return Ok((Err(error.downcast()?),)),
    };
    if let Some(played) = state.http.hooks.played.take() {
        let nothing_left = wasmtime_wasi::runtime::spawn(async {});
        let played = played.map(|response| (response, nothing_left));
        *state.wasi.table().get_mut(&answer)? = HostFutureIncomingResponse::Ready(played);
    } else if let Some(place) = state.http.hooks.sending.take() {
        state.http.awaited.insert(answer.rep(), place);
    }
    Ok((Ok(answer),))
}

/// What a guest gets when it asks for an answer.
type Got = Option<Result<Result<Resource<HostIncomingResponse>, ErrorCode>, ()>>;

/// The guest learns what came of a request, if anything has.
fn get(
    mut store: StoreContextMut<'_, State>,
    (answer,): (Resource<HostFutureIncomingResponse>,),
) -> wasmtime::Result<(Got,)> {
    let state = store.data_mut();
    let place = state.http.awaited.get(&answer.rep()).copied();
    let got = http_types::HostFutureIncomingResponse::get(&mut state.http(), answer)?;
    if let (Some(Ok(_)), Some(place)) = (&got, place) {
        state.http.hooks.tape.lock().expect("no holder panics").taken(place);
    }
    Ok((got,))
}

/// Where a request goes, as a policy would name it.
fn origin(request: &HostOutgoingRequest) -> Option<Origin> {
    let scheme = match &request.scheme {
        Some(Scheme::Http) => "http",
        Some(Scheme::Https) | None => "https",
        Some(Scheme::Other(_)) => return None,
    };
    let authority = request.authority.as_deref()?.parse::<Authority>().ok()?;
    let port = authority.port().map(|port| format!(":{port}")).unwrap_or_default();
    Origin::parse(&format!("{scheme}://{}{port}", authority.host()))
}

/// Decides on each request of one call, and sends it.
pub(crate) struct Hooks {
    network: Network,
    answers: Arc<Allowance>,
    sent: u32,
    denied: u64,
    log: SharedLog,
    tape: SharedTape,
    /// How the request that has been admitted is answered.
    next: Option<Way>,
    /// The place on the tape of the request that is being sent.
    sending: Option<usize>,
    /// The recorded answer to the request that would be sent.
    played: Option<taped::Answer>,
}

/// Where the answer to a request comes from.
enum Way {
    /// From whom it is sent to; it has this place on the tape.
    Out(Arc<Outbound>, usize),
    /// From the record.
    Played(Arc<Player>, Box<Exchange>),
}

impl Hooks {
    fn admit(&mut self, origin: Option<Origin>, asked: Head) -> Result<(), ErrorCode> {
        if let Network::Played(player) = &self.network {
            let exchange = player.exchange(&asked).map_err(|why| ErrorCode::InternalError(Some(why)))?;
            if let Came::Denied(why) = exchange.came {
                return Err(origin.map_or(ErrorCode::HttpRequestUriInvalid, |_| self.deny(why)));
            }
            self.next = Some(Way::Played(player.clone(), Box::new(exchange)));
            return Ok(());
        }
        let place = self.tape.lock().expect("no holder panics").request(asked);
        match self.permit(origin.as_ref()) {
            Ok(outbound) => {
                self.next = Some(Way::Out(outbound, place));
                Ok(())
            }
            Err(why) => {
                self.tape.lock().expect("no holder panics").came(place, Came::Denied(why.clone()));
                Err(origin.map_or(ErrorCode::HttpRequestUriInvalid, |_| self.deny(why)))
            }
        }
    }

    /// Who sends it, or why nobody does.
    fn permit(&mut self, origin: Option<&Origin>) -> Result<Arc<Outbound>, String> {
        let origin = origin.ok_or("it is no URL of http or https")?;
        match &self.network {
            Network::Granted(outbound) if outbound.granted.contains(origin) => {
                if self.sent == REQUESTS_MAX {
                    return Err(format!("a call sends at most {REQUESTS_MAX} requests"));
                }
                self.sent += 1;
                Ok(outbound.clone())
            }
            Network::Simulated => Err(format!("{origin} is not reached: a simulation has no network")),
            _ => Err(format!("{origin} is denied: add http = [\"{origin}\"] under [grants] in the plugin's policy")),
        }
    }

    fn deny(&mut self, why: String) -> ErrorCode {
        self.denied += 1;
        self.log.lock().expect("no holder panics").push(Level::Warn, &why);
        ErrorCode::InternalError(Some(why))
    }
}

impl WasiHttpHooks for Hooks {
    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        unsent::BODY_CHUNK_BYTES
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _sent: Box<dyn Future<Output = Result<()>> + Send>,
    ) -> Box<dyn Future<Output = Result<Answered>> + Send> {
        let nothing_left: Left = Box::new(async { Ok(()) });
        match self.next.take() {
            Some(Way::Played(player, exchange)) => {
                self.played = taped::play(&player, *exchange, request);
                Box::new(std::future::pending())
            }
            Some(Way::Out(outbound, place)) => {
                self.sending = Some(place);
                let (answers, tape) = (self.answers.clone(), self.tape.clone());
                let options = options.unwrap_or_default();
                Box::new(async move {
                    let request = request.map(|inner| Sent { inner, tape: tape.clone(), place }.boxed_unsync());
                    match send(outbound.client.clone(), request, options, answers).await {
                        Ok(answer) => {
                            tape.lock().expect("no holder panics").came(place, taped::answer(&answer));
                            let answer = answer.map(|inner| Received { inner, tape, place }.boxed_unsync());
                            Ok((answer, nothing_left))
                        }
                        Err(error) => {
                            let fault = taped::fault(error);
                            tape.lock().expect("no holder panics").came(place, Came::Failed(fault.clone()));
                            Err(taped::error(fault))
                        }
                    }
                })
            }
            None => Box::new(async { Err(Error::HttpRequestDenied) }),
        }
    }
}

/// What remains to be done for an answer's connection.
type Left = Box<dyn Future<Output = Result<()>> + Send>;

/// An answer, and what remains to be done for its connection: nothing here, since
/// the client sees to that itself.
type Answered = (Response<WasiBody>, Left);

async fn send(
    client: Client,
    request: Request<WasiBody>,
    options: RequestOptions,
    allowance: Arc<Allowance>,
) -> Result<Response<Incoming>> {
    let answer = async { client.request(request).await.map_err(explain) };
    let answer = match time_to_answer(&options) {
        Some(limit) => tokio::time::timeout(limit, answer).await.map_err(|_| Error::ConnectionReadTimeout)?,
        None => answer.await,
    }?;
    let between = options.between_bytes_timeout;
    Ok(answer.map(|inner| {
        let timer = between.map(|limit| (limit, Box::pin(tokio::time::sleep(limit))));
        Incoming { inner, timer, allowance }
    }))
}

/// Connections are mostly there already, so connecting and waiting for the answer
/// are one time.
fn time_to_answer(options: &RequestOptions) -> Option<Duration> {
    options.first_byte_timeout.map(|first| first.saturating_add(options.connect_timeout.unwrap_or_default()))
}

/// With its causes: the text alone says that it could not connect, and not why.
fn explain(error: legacy::Error) -> Error {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        if let Some(Error::HttpRequestBodySize(size)) = deeper.downcast_ref() {
            return Error::HttpRequestBodySize(*size);
        }
        message = format!("{message}: {deeper}");
        cause = deeper.source();
    }
    Error::InternalError(Some(message))
}

/// What answers may still hold of the bytes that they may hold together.
struct Allowance {
    limit: u64,
    left: AtomicU64,
}

impl Allowance {
    fn take(&self, bytes: u64) -> Result<()> {
        let taken = self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(bytes));
        taken.map(|_| ()).map_err(|_| self.exceeded())
    }

    fn exceeded(&self) -> Error {
        Error::HttpResponseBodySize(Some(self.limit))
    }
}

/// An answer's body, charged to what the call may receive. Dropped before its end
/// it takes its connection along, so what is too large is not read on.
struct Incoming {
    inner: hyper::body::Incoming,
    timer: Option<(Duration, Pin<Box<Sleep>>)>,
    allowance: Arc<Allowance>,
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        let this = &mut *self;
        // An announced size is refused before anything of it is read.
        if this.inner.size_hint().lower() > this.allowance.left.load(Relaxed) {
            return Poll::Ready(Some(Err(this.allowance.exceeded())));
        }
        let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) else {
            let Some((_, timer)) = &mut this.timer else { return Poll::Pending };
            ready!(timer.as_mut().poll(cx));
            return Poll::Ready(Some(Err(Error::ConnectionReadTimeout)));
        };
        if let Some((limit, timer)) = &mut this.timer {
            timer.as_mut().reset(Instant::now() + *limit);
        }
        let charged = |frame: Frame<Bytes>| {
            this.allowance.take(frame.data_ref().map_or(0, |data| data.len() as u64)).map(|()| frame)
        };
        Poll::Ready(frame.map(|frame| frame.map_err(Error::from).and_then(charged)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
