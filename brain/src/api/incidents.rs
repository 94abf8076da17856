//! `GET /v1/incidents` and one of them.

use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use protocol::action::Items;

use super::problem::Refusal;
use super::server::Api;
use crate::domain::Incident;

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/v1/incidents", get(list)).route("/v1/incidents/{id}", get(one))
}

async fn list(State(api): State<Api>) -> Json<Items<Incident>> {
    Json(Items::all(api.live.load().view.incidents.clone()))
}

async fn one(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<Incident>, Refusal> {
    let live = api.live.load();
    let found = live.view.incidents.iter().find(|incident| incident.id == id);
    found.cloned().map(Json).ok_or_else(|| {
        Refusal::not_found("no such incident is kept in memory; the audit log holds all there ever were")
    })
}
