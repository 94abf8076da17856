//! `GET /v1/forecasts`: the load to come, by service, for the next quarter of an hour.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use protocol::action::Items;

use super::server::Api;
use crate::forecast::Forecast;

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/v1/forecasts", get(forecasts))
}

async fn forecasts(State(api): State<Api>) -> Json<Items<Forecast>> {
    Json(Items::all(api.forecasts.load().to_vec()))
}
