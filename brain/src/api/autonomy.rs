//! `GET /v1/autonomy` and `/v1/budgets`: what each kind of action has shown, and what the guard allows in all.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use protocol::action::Items;

use super::server::Api;
use crate::domain::{AutonomyRow, Budgets};

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/v1/autonomy", get(list)).route("/v1/budgets", get(budgets))
}

async fn list(State(api): State<Api>) -> Json<Items<AutonomyRow>> {
    Json(Items::all(api.live.load().view.autonomy.clone()))
}

async fn budgets(State(api): State<Api>) -> Json<Budgets> {
    Json(api.live.load().view.budgets.clone())
}
