//! `GET /v1/autonomy`: what each kind of action has shown, and what that lets it do.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use protocol::action::Items;

use super::server::Api;
use crate::domain::AutonomyRow;

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/v1/autonomy", get(list))
}

async fn list(State(api): State<Api>) -> Json<Items<AutonomyRow>> {
    Json(Items::all(api.live.load().view.autonomy.clone()))
}
