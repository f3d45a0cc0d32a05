//! The admin interface: health, readiness and metrics for whoever can reach it, and
//! what the host knows of plugins and objects, on loopback or for who has the token.

mod calls;

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use axum::{
    Json, Router,
    extract::{Query, Request, State},
    http::{HeaderMap, StatusCode, header, uri::Authority},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use trimtab_engine::{Engine, PluginView, ShadowReport, Why};

/// The media type of OpenMetrics, which Prometheus asks for.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A bound interface.
pub struct Admin {
    listener: TcpListener,
    access: Access,
}

/// Who may see what is not for everybody.
#[derive(Debug, Clone)]
enum Access {
    /// Whoever gets here: only this machine does.
    Open,
    /// Who has the token in this file, which is read for each request, as a mounted
    /// Secret may come late and change; without a file, nobody.
    Token(Option<PathBuf>),
}

impl Admin {
    /// Binds the address, so that one in use is told before anything is served.
    pub async fn bind(address: SocketAddr, token_file: Option<&Path>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await;
        let listener = listener
            .with_context(|| format!("--admin-address {address} cannot be listened on; port 0 takes a free one"))?;
        let address = listener.local_addr().context("asking for the bound address")?;
        tracing::info!(%address, "admin interface");
        let is_open = address.ip().is_loopback() && token_file.is_none();
        let access = if is_open { Access::Open } else { Access::Token(token_file.map(Path::to_owned)) };
        if let Access::Token(Some(file)) = &access
            && let Err(error) = token(file)
        {
            tracing::warn!("--admin-token-file: {error:#}; until it can be, nobody is told of plugins and objects");
        }
        Ok(Self { listener, access })
    }

    /// Serves until `stop`.
    pub async fn serve(self, engine: Arc<Engine>, stop: CancellationToken) -> anyhow::Result<()> {
        let is_local = self.listener.local_addr().is_ok_and(|address| address.ip().is_loopback());
        let guarded = Router::new()
            .route("/plugins", get(plugins))
            .route("/why", get(why))
            .route("/rollback", post(roll_back))
            .route("/shadow", get(shadow))
            .merge(calls::router(is_local))
            .route_layer(middleware::from_fn_with_state(self.access, guard));
        let router = Router::new()
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics))
            .merge(guarded)
            .with_state(engine);
        let served = axum::serve(self.listener, router).with_graceful_shutdown(stop.cancelled_owned());
        served.await.context("serving the admin interface")
    }
}

/// The token in a file, without the line's end.
pub fn token(file: &Path) -> anyhow::Result<String> {
    let text = fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let token = text.trim_end().to_owned();
    anyhow::ensure!(!token.is_empty(), "{} is empty: it must hold the token", file.display());
    Ok(token)
}

async fn guard(State(access): State<Access>, request: Request, next: Next) -> Response {
    let refused = |status, why: &str| (status, format!("{why}\n")).into_response();
    let file = match access {
        Access::Open if is_for_loopback(&request) => return next.run(request).await,
        Access::Open => {
            // A page of any site may have its own name lead here, and its reader's browser ask.
            return refused(StatusCode::FORBIDDEN, "ask for localhost, or for an address of this machine's own");
        }
        Access::Token(Some(file)) => file,
        Access::Token(None) => {
            let why = "this is only told on loopback, or to who has a token: start the host with --admin-token-file";
            return refused(StatusCode::FORBIDDEN, why);
        }
    };
    let Ok(token) = token(&file) else {
        return refused(StatusCode::FORBIDDEN, "the file of --admin-token-file cannot be read, and so nobody is told");
    };
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    if bool::from(given.as_bytes().ct_eq(token.as_bytes())) {
        next.run(request).await
    } else {
        refused(StatusCode::UNAUTHORIZED, "the header Authorization must be Bearer and the token of --admin-token-file")
    }
}

/// Whether the header Host names what only this machine is called.
fn is_for_loopback(request: &Request) -> bool {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let authority = host.parse::<Authority>();
    authority.is_ok_and(|authority| {
        let name = authority.host().trim_matches(['[', ']']);
        name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    })
}

async fn ready(State(engine): State<Arc<Engine>>) -> (StatusCode, String) {
    match engine.ready() {
        Ok(()) => (StatusCode::OK, "ok\n".into()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

async fn plugins(State(engine): State<Arc<Engine>>) -> Json<Vec<PluginView>> {
    Json(engine.plugins())
}

/// Which object is asked about.
#[derive(Deserialize)]
struct Asked {
    kind: String,
    namespace: Option<String>,
    name: String,
}

async fn why(State(engine): State<Arc<Engine>>, Query(asked): Query<Asked>) -> Result<Json<Why>, (StatusCode, String)> {
    let why = engine.why(&asked.kind, asked.namespace.as_deref(), &asked.name);
    why.map(Json).map_err(|error| (StatusCode::NOT_FOUND, format!("{error}\n")))
}

/// Which slot is to be rolled back.
#[derive(Deserialize)]
struct Slot {
    slot: String,
}

async fn roll_back(
    State(engine): State<Arc<Engine>>,
    Query(Slot { slot }): Query<Slot>,
    headers: HeaderMap,
) -> Result<String, (StatusCode, String)> {
    // A browser says so where a page of another site asks, which needs no name of its own for that.
    if headers.contains_key(header::ORIGIN) {
        return Err((StatusCode::FORBIDDEN, "no page may ask for this\n".into()));
    }
    let begun = engine.roll_back(&slot).await;
    begun.map(|said| format!("{said}\n")).map_err(|why| (StatusCode::CONFLICT, format!("{slot}: {why}\n")))
}

/// Which slot's shadow is asked about, and for which object, if for one.
#[derive(Deserialize)]
struct Shadowed {
    slot: String,
    kind: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
}

async fn shadow(
    State(engine): State<Arc<Engine>>,
    Query(asked): Query<Shadowed>,
) -> Result<Json<ShadowReport>, (StatusCode, String)> {
    let object = asked.kind.as_deref().zip(asked.name.as_deref());
    let object = object.map(|(kind, name)| (kind, asked.namespace.as_deref(), name));
    engine.shadow(&asked.slot, object).map(Json).map_err(|error| (StatusCode::NOT_FOUND, format!("{error}\n")))
}

async fn metrics(State(engine): State<Arc<Engine>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, OPEN_METRICS)], engine.metrics())
}
