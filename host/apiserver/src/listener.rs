//! The listener: connections over HTTP/1.1 and HTTP/2, what each may take
//! before it is cut, and how all of them end.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};
use tower::{BoxError, Service};

use crate::server::ApiServer;

/// How long a connection may take to send its first request's head, so that
/// half-open ones do not pile up.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may take from one answer to the next request's head:
/// as long as Go's server gives, so that clients' pools find theirs open.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
/// How many connections may be open that have never sent a request; beyond
/// that the oldest is cut. A hundred clients that start together stay below it,
/// and of the 1,024 files that a process may have by default most are left to
/// the others.
const SILENT_MAX: usize = 256;
/// How often a silent HTTP/2 connection is asked whether it is still there, and
/// how long it may take to answer: what Go's server does.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(15);
/// How long watches and slow answers may go on once the server shuts down.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);
/// How long to wait when a connection cannot be accepted, which is mostly for
/// want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

impl ApiServer {
    /// Serves on a socket until `shutdown` resolves; then idle connections are
    /// closed, and running ones, watches among them, after a short grace.
    ///
    /// # Errors
    /// None at present; a connection's failure ends that connection alone.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let builder = builder();
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let mut silent = Silent::default();
        tokio::pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut shutdown => break,
                accepted = listener.accept() => accepted,
                Some(_) = connections.join_next() => continue,
            };
            let Ok((socket, _)) = accepted else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            // Watches write small events that must not wait for each other.
            if let Err(error) = socket.set_nodelay(true) {
                tracing::debug!(%error, "a connection keeps its delay");
            }
            let spoke = Arc::new(AtomicBool::new(false));
            let connection = graceful.watch(connect(&builder, self.clone(), TokioIo::new(socket), &spoke));
            silent.add(connections.spawn(run(connection, Arc::clone(&spoke))), spoke);
        }
        drop(listener);
        if tokio::time::timeout(SHUTDOWN_GRACE, graceful.shutdown()).await.is_err() {
            tracing::debug!("connections were cut at the end of the grace");
        }
        connections.shutdown().await;
        Ok(())
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(IDLE_TIMEOUT);
    let mut http2 = builder.http2();
    http2.timer(TokioTimer::new()).keep_alive_interval(PING_INTERVAL).keep_alive_timeout(PING_TIMEOUT);
    builder
}

/// A connection; `spoke` is set by its first request.
fn connect<I>(
    builder: &auto::Builder<TokioExecutor>,
    server: ApiServer,
    io: I,
    spoke: &Arc<AtomicBool>,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = BoxError> + Send + use<I>
where
    I: Read + Write + Unpin + Send + 'static,
{
    let spoke = Arc::clone(spoke);
    let service = service_fn(move |request: http::Request<Incoming>| {
        spoke.store(true, Ordering::Relaxed);
        server.clone().call(request)
    });
    builder.serve_connection(io, service).into_owned()
}

/// Serves a connection to its end, which comes soon for one that says nothing.
async fn run(connection: impl Future<Output = Result<(), BoxError>>, spoke: Arc<AtomicBool>) {
    tokio::pin!(connection);
    let ended = match tokio::time::timeout(HEAD_TIMEOUT, &mut connection).await {
        Ok(ended) => ended,
        Err(_) if spoke.load(Ordering::Relaxed) => connection.await,
        Err(_) => return tracing::debug!("a connection that sent no request was cut"),
    };
    if let Err(error) = ended {
        tracing::debug!(error, "a connection ended early");
    }
}

/// The connections that have not sent a request, oldest first.
#[derive(Default)]
struct Silent(VecDeque<(AbortHandle, Arc<AtomicBool>)>);

impl Silent {
    fn add(&mut self, connection: AbortHandle, spoke: Arc<AtomicBool>) {
        self.0.push_back((connection, spoke));
        self.0.retain(|(connection, spoke)| !connection.is_finished() && !spoke.load(Ordering::Relaxed));
        if self.0.len() > SILENT_MAX
            && let Some((oldest, _)) = self.0.pop_front()
        {
            tracing::debug!("too many connections are silent: the oldest was cut");
            oldest.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio::time::Instant;

    use super::*;
    use crate::server::Config;

    /// A connection to a server of its own, in simulated time.
    fn open() -> DuplexStream {
        let (client, server) = tokio::io::duplex(64 * 1024);
        let spoke = Arc::new(AtomicBool::new(false));
        let api = ApiServer::new(Config::default());
        let connection = connect(&builder(), api, TokioIo::new(server), &spoke);
        tokio::spawn(run(connection, spoke));
        client
    }

    /// What the server says until it closes, and when that is.
    async fn rest(mut client: DuplexStream) -> (String, u64) {
        let started = Instant::now();
        let mut said = Vec::new();
        client.read_to_end(&mut said).await.unwrap();
        (String::from_utf8_lossy(&said).into_owned(), started.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_says_nothing_is_cut() {
        assert_eq!(rest(open()).await, (String::new(), HEAD_TIMEOUT.as_secs()));
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_head_is_not_waited_for() {
        for begun in ["G", "GET /version HTTP/1.1\r\nhost: x\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
            let mut client = open();
            client.write_all(begun.as_bytes()).await.unwrap();
            let (_, seconds) = rest(client).await;
            assert_eq!(seconds, HEAD_TIMEOUT.as_secs(), "{begun}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_body_is_answered_with_a_time_out() {
        let mut client = open();
        let head = "POST /api/v1/namespaces HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 100\r\n\r\n{";
        client.write_all(head.as_bytes()).await.unwrap();
        let (said, seconds) = rest(client).await;
        assert!(said.starts_with("HTTP/1.1 504 "), "{said}");
        assert!(said.contains("request did not complete within the allotted timeout"), "{said}");
        assert_eq!(seconds, crate::wire::BODY_TIMEOUT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_outlives_the_time_for_a_head() {
        let mut client = open();
        let head = "GET /api/v1/pods?watch=1&timeoutSeconds=90 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        client.write_all(head.as_bytes()).await.unwrap();
        let (said, seconds) = rest(client).await;
        assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
        assert_eq!(seconds, 90);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_kept_for_the_next_request() {
        let mut client = open();
        client.write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let (said, seconds) = rest(client).await;
        assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
        assert_eq!(seconds, IDLE_TIMEOUT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn garbage_is_refused() {
        let mut client = open();
        client.write_all(b"\x16\x03\x01\x02\x00\x01\x00 this is no HTTP\r\n\r\n").await.unwrap();
        let (said, seconds) = rest(client).await;
        assert!(said.starts_with("HTTP/1.1 400 "), "{said}");
        assert_eq!(seconds, 0);
    }
}
