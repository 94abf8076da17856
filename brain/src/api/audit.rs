//! `GET /v1/audit` and `/v1/audit/verify`.

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use protocol::action::Items;

use super::problem::Refusal;
use super::server::Api;
use crate::audit::{AuditFilter, Proof, Record, StoreError};

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/v1/audit", get(page)).route("/v1/audit/verify", get(verify))
}

async fn page(
    State(api): State<Api>,
    Query(filter): Query<AuditFilter>,
) -> Result<Json<Items<Record>>, Refusal> {
    api.audit.page(&filter).await.map(Json).map_err(unreadable)
}

async fn verify(State(api): State<Api>) -> Result<Json<Proof>, Refusal> {
    api.audit.verify().await.map(Json).map_err(unreadable)
}

fn unreadable(why: StoreError) -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, why.to_string())
}
