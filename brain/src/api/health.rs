//! `GET /health`, `/ready`, `/metrics`: for whatever watches the watcher.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::problem::Refusal;
use super::server::Api;
use crate::clock::wall_clock_ms;

/// A picture older than this comes from a loop that is stuck.
const MAX_SILENCE_MS: i64 = 5_000;

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/health", get(health)).route("/ready", get(ready)).route("/metrics", get(metrics))
}

async fn health() -> &'static str {
    "ok\n"
}

async fn ready(State(api): State<Api>) -> Result<&'static str, Refusal> {
    let live = api.live.load();
    if !live.audit_ok {
        return Err(Refusal::unavailable("the audit log cannot be written: no action is taken"));
    }
    if wall_clock_ms().saturating_sub(live.view.at_ms) > MAX_SILENCE_MS {
        return Err(Refusal::unavailable("the control loop does not turn"));
    }
    Ok("ready\n")
}

async fn metrics(State(api): State<Api>) -> Result<Response, Refusal> {
    let text =
        api.metrics.text().map_err(|why| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, why.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}
