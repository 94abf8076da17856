//! `GET /status`: what the proxy would do with the next request, and why.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use protocol::snapshot::{BreakerState, EndpointStatus, OutlierStatus, ProxyStatus, ServiceStatus};
use serde::Serialize;

use super::Shared;
use super::metrics::Readings;
use crate::clock;
use crate::control::View;
use crate::observability::spans::SpanSender;
use crate::overload::Pressure;
use crate::table::{EndpointHandle, ServiceTable};
use crate::upstream::outlier::Tally;

/// What every proxy says, and beside it what only people ask for.
#[derive(Debug, Serialize)]
pub(super) struct Whole {
    #[serde(flatten)]
    status: ProxyStatus,
    build: Build,
    listeners: Listeners,
    connections: Connections,
    overload: Pressure,
    reloads: ReloadStatus,
    telemetry: Telemetry,
}

/// Where this proxy listens; port 0 is long resolved.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Listeners {
    /// For traffic.
    pub main: SocketAddr,
    /// For operators.
    pub admin: SocketAddr,
}

/// Which build.
#[derive(Debug, Serialize)]
struct Build {
    pid: u32,
    version: &'static str,
    profile: &'static str,
    target: String,
}

/// Of clients.
#[derive(Debug, Serialize)]
struct Connections {
    open: u64,
    total: u64,
    max: usize,
}

/// Since the start.
#[derive(Debug, Serialize)]
struct ReloadStatus {
    taken: u64,
    refused: u64,
    last_was_taken: bool,
    last_refusal: Option<String>,
    in_force_since: Timestamp,
}

/// What is told, and lost; `null` where it is not configured.
#[derive(Debug, Serialize)]
struct Telemetry {
    windows_dropped: u64,
    access_log_dropped: Option<u64>,
    spans_waiting: Option<usize>,
    spans_dropped: Option<u64>,
    spans_failed: Option<u64>,
}

pub(super) async fn status(State(admin): State<Shared>) -> Json<Whole> {
    let (view, readings) = (admin.control.view(), (admin.readings)());
    let traffic = &readings.traffic;
    let max = view.table.live.settings.server.max_connections;
    Json(Whole {
        build: Build {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION"),
            profile: if cfg!(debug_assertions) { "debug" } else { "release" },
            target: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        },
        listeners: admin.listeners,
        connections: Connections { open: traffic.active_connections, total: traffic.total_connections, max },
        overload: readings.pressure,
        reloads: reloads(&admin),
        telemetry: telemetry(&readings),
        status: proxy_status(&admin, view),
    })
}

fn reloads(admin: &Shared) -> ReloadStatus {
    let seen = admin.control.reloads.seen();
    let since =
        i64::try_from(seen.in_force_since_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    ReloadStatus {
        taken: seen.taken,
        refused: seen.refused,
        last_was_taken: seen.last_was_taken,
        last_refusal: seen.last_refusal,
        in_force_since: since.unwrap_or(Timestamp::UNIX_EPOCH),
    }
}

fn telemetry(readings: &Readings) -> Telemetry {
    let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let spans = readings.sinks.spans.as_ref();
    Telemetry {
        windows_dropped: readings.windows_dropped,
        access_log_dropped: readings.sinks.log.as_ref().map(|log| read(&log.counts().dropped)),
        spans_waiting: spans.map(SpanSender::waiting),
        spans_dropped: spans.map(|spans| read(&spans.counts().dropped)),
        spans_failed: spans.map(|spans| read(&spans.counts().failed)),
    }
}

fn proxy_status(admin: &Shared, view: View) -> ProxyStatus {
    ProxyStatus {
        proxy: admin.control.proxy.clone(),
        boot: admin.control.boot.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        protocol: protocol::PROTOCOL_VERSION,
        uptime_s: view.uptime.as_secs(),
        config_hash: view.table.live.settings.hash.clone(),
        live_state_hash: view.table.live.hash.clone(),
        epoch: view.persisted.epoch,
        frozen: view.persisted.frozen,
        draining: admin.drain.is_cancelled(),
        services: view.table.services.values().map(|s| service(s)).collect(),
        promotions: {
            let promoted = view.persisted.promotions.into_iter();
            promoted.map(|(service, promotion)| (service, promotion.version)).collect()
        },
        leases: view.leases,
    }
}

fn service(service: &ServiceTable) -> ServiceStatus {
    let settings = &service.live.settings;
    ServiceStatus {
        service: settings.name.clone(),
        algorithm: service.live.tuning.algorithm.name().to_owned(),
        endpoints: service.endpoints.iter().map(endpoint).collect(),
    }
}

fn endpoint(handle: &EndpointHandle) -> EndpointStatus {
    let settings = &handle.live.settings;
    EndpointStatus {
        endpoint: settings.id.clone(),
        version: settings.version.clone(),
        health: handle.state.health(),
        weight_configured: settings.weight,
        weight: handle.live.weight,
        ejected: handle.live.ejected,
        breaker: breaker(handle),
        outlier: outlier(&handle.state.outlier),
        in_flight: u64::from(handle.state.in_flight.load(Ordering::Relaxed)),
    }
}

/// What holds for the next request: a lease's word before the breaker's own.
pub(super) fn breaker(handle: &EndpointHandle) -> BreakerState {
    handle.state.breaker.state(handle.live.breaker)
}

fn outlier(tally: &Tally) -> Option<OutlierStatus> {
    let cause = tally.cause()?.name().to_owned();
    let remaining_ms = tally.until_ms().saturating_sub(clock::now_ms());
    Some(OutlierStatus { cause, remaining_ms, times: u64::from(tally.times.load(Ordering::Relaxed)) })
}
