//! The admin interface: health, readiness, slots and metrics over HTTP.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context;
use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use trimtab_engine::{Engine, SlotView};

/// The media type of OpenMetrics, which Prometheus asks for.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A bound interface.
pub struct Admin {
    listener: TcpListener,
}

impl Admin {
    /// Binds the address, so that one in use is told before anything is served.
    pub async fn bind(address: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await;
        let listener = listener
            .with_context(|| format!("--admin-address {address} cannot be listened on; port 0 takes a free one"))?;
        let address = listener.local_addr().context("asking for the bound address")?;
        tracing::info!(%address, "admin interface");
        Ok(Self { listener })
    }

    /// Serves until `stop`.
    pub async fn serve(self, engine: Arc<Engine>, stop: CancellationToken) -> anyhow::Result<()> {
        let router = Router::new()
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(ready))
            .route("/plugins", get(plugins))
            .route("/metrics", get(metrics))
            .with_state(engine);
        let served = axum::serve(self.listener, router).with_graceful_shutdown(stop.cancelled_owned());
        served.await.context("serving the admin interface")
    }
}

async fn ready(State(engine): State<Arc<Engine>>) -> (StatusCode, String) {
    match engine.ready() {
        Ok(()) => (StatusCode::OK, "ok\n".into()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

async fn plugins(State(engine): State<Arc<Engine>>) -> Json<Vec<SlotView>> {
    Json(engine.slots().to_vec())
}

async fn metrics(State(engine): State<Arc<Engine>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, OPEN_METRICS)], engine.metrics())
}
