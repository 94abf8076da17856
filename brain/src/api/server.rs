//! The router: every path once, and what lies around all of them.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::Uri;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Response;
use tokio::sync::{Semaphore, broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::auth;
use super::problem::{Refusal, as_problems};
use super::{
    actions, audit, autonomy, backtests, canaries, events, forecasts, health, incidents, live, mode, openapi,
    proposals, security_headers, series, services, session, status,
};
use crate::access::Access;
use crate::audit::{AuditReader, Record};
use crate::backtest::Backtests;
use crate::console;
use crate::forecast::task::Told;
use crate::history::History;
use crate::metrics::Metrics;
use crate::runtime::{Ask, Live};

/// The largest request body.
const MAX_BODY_BYTES: usize = 64 << 10;
/// Event streams open at once.
const MAX_STREAMS: usize = 64;

/// What the handlers hold; cheap to clone.
#[derive(Debug, Clone)]
pub struct Api {
    /// The picture after the last turn.
    pub live: Arc<ArcSwap<Live>>,
    /// Where people's requests go.
    pub asks: mpsc::Sender<Ask>,
    /// Each audit record once it is durable.
    pub events: broadcast::Sender<Arc<Record>>,
    /// The log.
    pub audit: AuditReader,
    /// Who may do what.
    pub access: Access,
    /// For `/metrics`.
    pub metrics: Metrics,
    /// When the brain started.
    pub started: Instant,
    /// The load to come.
    pub forecasts: Told,
    /// Open event streams, bounded.
    pub streams: Arc<Semaphore>,
    /// The last hour.
    pub history: History,
    /// Policies on trial.
    pub backtests: Backtests,
    /// The newest picture, for pages that look.
    pub(super) picture: Arc<watch::Sender<live::Picture>>,
    /// The OpenAPI document.
    pub document: Arc<serde_json::Value>,
    /// Ends event streams.
    pub stop: CancellationToken,
}

impl Api {
    /// Everything a handler needs.
    #[must_use]
    pub fn new(
        live: Arc<ArcSwap<Live>>,
        asks: mpsc::Sender<Ask>,
        events: broadcast::Sender<Arc<Record>>,
        audit: AuditReader,
        access: Access,
        metrics: Metrics,
        stop: CancellationToken,
    ) -> Self {
        Self {
            live,
            asks,
            events,
            audit,
            access,
            metrics,
            started: Instant::now(),
            forecasts: Told::default(),
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            history: History::default(),
            backtests: Backtests::default(),
            picture: Arc::new(live::place()),
            document: Arc::new(openapi::document()),
            stop,
        }
    }
}

/// All routes.
pub fn router(api: Api) -> Router {
    Router::new()
        .merge(console::routes())
        .merge(health::routes())
        .merge(status::routes())
        .merge(services::routes())
        .merge(forecasts::routes())
        .merge(series::routes())
        .merge(incidents::routes())
        .merge(proposals::routes())
        .merge(actions::routes())
        .merge(mode::routes())
        .merge(audit::routes())
        .merge(autonomy::routes())
        .merge(backtests::routes())
        .merge(canaries::routes())
        .merge(events::routes())
        .merge(openapi::routes())
        .merge(session::routes())
        .route_layer(from_fn_with_state(api.clone(), auth::may))
        .fallback(unknown)
        .layer(from_fn(as_problems))
        .layer(from_fn_with_state(api.clone(), auth::meant_for_here))
        .layer(from_fn_with_state(api.clone(), security_headers::add))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(api)
}

async fn unknown(uri: Uri) -> Response {
    let path: String = uri.path().chars().take(200).collect();
    Refusal::not_found(format!("there is nothing at {path}; /openapi.json lists what there is")).into()
}
