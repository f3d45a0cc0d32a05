//! The latest calls: `/calls` lists them, `/calls/ID` is the record of one, for
//! `trimtab replay`. The values of secrets leave the process on loopback alone, and
//! only where they are asked for.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use serde::Deserialize;
use trimtab_engine::{CallView, Engine};

/// How much of a record is asked for.
#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    unredacted: bool,
}

/// The routes, of an interface that only this machine reaches or of another.
pub fn router(is_local: bool) -> Router<Arc<Engine>> {
    let one = async move |State(engine): State<Arc<Engine>>, Path(id): Path<u64>, Query(asked): Query<Asked>| {
        if asked.unredacted && !is_local {
            let why = "the values of secrets are told on loopback alone: see --admin-address\n";
            return Err((StatusCode::FORBIDDEN, why.to_owned()));
        }
        let record = aside(move || engine.call(id, asked.unredacted)).await;
        let record = record.ok_or_else(|| (StatusCode::NOT_FOUND, format!("call {id} is not kept: see /calls\n")))?;
        Ok(([(header::CONTENT_TYPE, "application/json")], record).into_response())
    };
    Router::new().route("/calls", get(list)).route("/calls/{id}", get(one))
}

async fn list(State(engine): State<Arc<Engine>>) -> Json<Vec<CallView>> {
    Json(aside(move || engine.calls()).await)
}

/// Megabytes are searched for the values of secrets: not where Leases are renewed.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("it does not panic, and is not aborted")
}
