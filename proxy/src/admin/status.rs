//! `GET /status`: what the proxy would do with the next request, and why.

use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State;
use protocol::snapshot::{BreakerState, EndpointStatus, OutlierStatus, ProxyStatus, ServiceStatus};

use super::Shared;
use crate::clock;
use crate::table::{EndpointHandle, ServiceTable};
use crate::upstream::outlier::Tally;

pub(super) async fn status(State(admin): State<Shared>) -> Json<ProxyStatus> {
    let view = admin.control.view();
    Json(ProxyStatus {
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
        leases: view.leases,
    })
}

fn service(service: &ServiceTable) -> ServiceStatus {
    let settings = &service.live.settings;
    ServiceStatus {
        service: settings.name.clone(),
        algorithm: service.live.algorithm.name().to_owned(),
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
