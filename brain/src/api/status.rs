//! `GET /v1/status` and `/v1/proxies`: the brain itself, and who reports to it.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use protocol::action::Items;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::server::Api;
use crate::domain::{ActionPhase, IncidentState, Mode, ProposalState, ProxyView};

/// The brain, now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// The build.
    pub version: String,
    /// The protocol version it speaks.
    pub protocol: u32,
    /// The upper bound of autonomy.
    pub mode: Mode,
    /// Whether a person has stopped everything.
    pub frozen: bool,
    /// Its epoch.
    pub epoch: u64,
    /// Seconds since it started.
    pub uptime_s: u64,
    /// The audit log.
    pub audit: AuditStatus,
    /// How much there is of what.
    pub counts: Counts,
    /// Who reports.
    pub proxies: Vec<ProxyView>,
}

/// The audit log, now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditStatus {
    /// Whether it can be written; without it no action is taken.
    pub ok: bool,
    /// Its last record.
    pub seq: u64,
}

/// How much there is of what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Services with traffic.
    pub services: usize,
    /// Proxies known.
    pub proxies: usize,
    /// Incidents open.
    pub incidents_open: usize,
    /// Proposals that wait for a person.
    pub proposals_pending: usize,
    /// Actions live.
    pub actions_live: usize,
}

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/v1/status", get(status)).route("/v1/proxies", get(proxies))
}

async fn status(State(api): State<Api>) -> Json<Status> {
    Json(status_of(&api))
}

/// The brain, now.
pub(super) fn status_of(api: &Api) -> Status {
    let live = api.live.load();
    let view = &live.view;
    let ended = [ActionPhase::Ended, ActionPhase::Failed];
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        protocol: protocol::PROTOCOL_VERSION,
        mode: view.mode,
        frozen: view.frozen,
        epoch: view.epoch,
        uptime_s: api.started.elapsed().as_secs(),
        audit: AuditStatus { ok: live.audit_ok, seq: live.audit_seq },
        counts: Counts {
            services: view.services.len(),
            proxies: view.proxies.len(),
            incidents_open: view.incidents.iter().filter(|i| i.state == IncidentState::Open).count(),
            proposals_pending: view.proposals.iter().filter(|p| p.state == ProposalState::Pending).count(),
            actions_live: view.actions.iter().filter(|a| !ended.contains(&a.phase)).count(),
        },
        proxies: view.proxies.clone(),
    }
}

async fn proxies(State(api): State<Api>) -> Json<Items<ProxyView>> {
    Json(Items::all(api.live.load().view.proxies.clone()))
}
