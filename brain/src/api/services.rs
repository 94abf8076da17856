//! `GET /v1/services` and `/v1/topology`: what the mesh does, and who calls whom.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use protocol::action::Items;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::server::Api;
use crate::domain::{ServiceView, View};

/// The call graph as seen over the last ten seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Topology {
    /// Services and callers, sorted.
    pub nodes: Vec<String>,
    /// Who calls whom.
    pub edges: Vec<Edge>,
}

/// One caller and one callee.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Edge {
    /// Who calls.
    pub caller: String,
    /// Who is called.
    pub service: String,
}

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/v1/services", get(services)).route("/v1/topology", get(topology))
}

async fn services(State(api): State<Api>) -> Json<Items<ServiceView>> {
    Json(Items::all(api.live.load().view.services.clone()))
}

async fn topology(State(api): State<Api>) -> Json<Topology> {
    Json(graph(&api.live.load().view))
}

fn graph(view: &View) -> Topology {
    let edge = |service: &ServiceView, caller: &String| Edge {
        caller: caller.clone(),
        service: service.service.clone(),
    };
    let mut edges: Vec<Edge> =
        view.services.iter().flat_map(|s| s.callers.iter().map(|caller| edge(s, caller))).collect();
    edges.sort();
    edges.dedup();
    let mut nodes: Vec<String> = view.services.iter().map(|s| s.service.clone()).collect();
    nodes.extend(edges.iter().map(|edge| edge.caller.clone()));
    nodes.sort();
    nodes.dedup();
    Topology { nodes, edges }
}
