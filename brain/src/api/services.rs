//! `GET /v1/services` and `/v1/topology`: what the mesh does, and who calls whom, now or within the last hour.

use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use protocol::action::Items;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::server::Api;
use crate::domain::{CallView, ServiceView};

/// The call graph as seen over ten seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Topology {
    /// Services and callers, sorted.
    pub nodes: Vec<String>,
    /// Who calls whom.
    pub edges: Vec<Edge>,
}

/// One caller and one callee.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Edge {
    /// Who calls.
    pub caller: String,
    /// Who is called.
    pub service: String,
    /// Requests per second.
    pub rps: f64,
    /// Share of failures, 0 to 1.
    pub failure_share: f64,
}

/// Which instant.
#[derive(Debug, Clone, Copy, Deserialize)]
struct When {
    /// Milliseconds since the epoch, within the last hour; absent: now.
    at: Option<i64>,
}

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/v1/services", get(services)).route("/v1/topology", get(topology))
}

async fn services(State(api): State<Api>, Query(when): Query<When>) -> Json<Items<ServiceView>> {
    Json(Items::all(services_at(&api, when)))
}

async fn topology(State(api): State<Api>, Query(when): Query<When>) -> Json<Topology> {
    Json(graph(&services_at(&api, when)))
}

fn services_at(api: &Api, when: When) -> Vec<ServiceView> {
    match when.at {
        Some(at_ms) => api.history.services_at(at_ms),
        None => api.live.load().view.services.clone(),
    }
}

fn graph(services: &[ServiceView]) -> Topology {
    let edge = |service: &ServiceView, caller: &String| {
        let call: Option<&CallView> = service.calls.iter().find(|call| call.caller == *caller);
        Edge {
            caller: caller.clone(),
            service: service.service.clone(),
            rps: call.map_or(0.0, |call| call.rps),
            failure_share: call.map_or(0.0, |call| call.failure_share),
        }
    };
    let mut edges: Vec<Edge> =
        services.iter().flat_map(|s| s.callers.iter().map(|caller| edge(s, caller))).collect();
    edges.sort_by(|a, b| (&a.caller, &a.service).cmp(&(&b.caller, &b.service)));
    let mut nodes: Vec<String> = services.iter().map(|s| s.service.clone()).collect();
    nodes.extend(edges.iter().map(|edge| edge.caller.clone()));
    nodes.sort();
    nodes.dedup();
    Topology { nodes, edges }
}
