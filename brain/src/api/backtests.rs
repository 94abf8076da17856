//! `/v1/backtests`: an edited policy over a recording, beside the one in force; `/v1/policies` and
//! `/v1/recordings`: what there is to edit, and to try it on.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use protocol::action::Items;

use super::auth::Writer;
use super::problem::Refusal;
use super::server::Api;
use crate::backtest::{Backtest, BacktestError, BacktestOrder, RecordingFile};
use crate::clock::wall_clock_ms;
use crate::policies::PolicyText;

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/v1/policies", get(policies))
        .route("/v1/recordings", get(recordings))
        .route("/v1/backtests", get(list).post(begin))
        .route("/v1/backtests/{id}", get(one))
        .route("/v1/backtests/{id}/cancel", post(cancel))
}

impl From<BacktestError> for Refusal {
    fn from(why: BacktestError) -> Self {
        let status = match why {
            BacktestError::Busy(_) => StatusCode::CONFLICT,
            BacktestError::NoRecording => StatusCode::NOT_FOUND,
            BacktestError::Edited(_) => StatusCode::UNPROCESSABLE_ENTITY,
            BacktestError::Unreadable(_) | BacktestError::InForce(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, why.to_string())
    }
}

async fn policies(State(api): State<Api>) -> Result<Json<Items<PolicyText>>, Refusal> {
    Ok(Json(Items::all(api.backtests.policies()?)))
}

async fn recordings(State(api): State<Api>) -> Json<Items<RecordingFile>> {
    Json(Items::all(api.backtests.shelf.list()))
}

async fn list(State(api): State<Api>) -> Json<Items<Backtest>> {
    Json(Items::all(api.backtests.list()))
}

async fn begin(
    State(api): State<Api>,
    Writer(actor): Writer,
    Json(order): Json<BacktestOrder>,
) -> Result<(StatusCode, Json<Backtest>), Refusal> {
    let begun = api.backtests.begin(order, &actor.id, wall_clock_ms())?;
    Ok((StatusCode::ACCEPTED, Json(begun)))
}

async fn one(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<Backtest>, Refusal> {
    api.backtests.one(&id).map(Json).ok_or_else(unknown)
}

async fn cancel(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<Backtest>, Refusal> {
    api.backtests.cancel(&id).map(Json).ok_or_else(unknown)
}

fn unknown() -> Refusal {
    Refusal::not_found("there is no such backtest, or it is long forgotten")
}
