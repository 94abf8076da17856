//! `/v1/canaries`: start, look at, steer.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use protocol::action::Items;
use protocol::document::Document;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::auth::Writer;
use super::problem::Refusal;
use super::request::{ask, checked_reason};
use super::server::Api;
use crate::canary::{CanaryDetail, CanarySpec, CanaryView, Order};
use crate::domain::{Actor, PersonRequest};

/// An order to a canary; the body may be left out.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderBody {
    /// Why.
    #[serde(default)]
    pub reason: String,
}

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/v1/canaries", get(list).post(start))
        .route("/v1/canaries/{id}", get(one))
        .route("/v1/canaries/{id}/pause", post(pause))
        .route("/v1/canaries/{id}/resume", post(resume))
        .route("/v1/canaries/{id}/promote", post(promote))
        .route("/v1/canaries/{id}/rollback", post(rollback))
}

async fn list(State(api): State<Api>) -> Json<Items<CanaryView>> {
    let canaries = &api.live.load().view.canaries;
    Json(Items::all(canaries.iter().map(|detail| detail.view.clone()).collect()))
}

async fn one(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<CanaryDetail>, Refusal> {
    let live = api.live.load();
    let found = live.view.canaries.iter().find(|detail| detail.view.id == id).map(Arc::clone);
    let found = found.ok_or_else(|| Refusal::not_found("there is no such canary".to_owned()))?;
    Ok(Json(CanaryDetail::clone(&found)))
}

/// Takes the document as YAML or JSON: the same text that a file holds.
async fn start(
    State(api): State<Api>,
    Writer(actor): Writer,
    text: String,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let invalid = |why: String| Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, why);
    let document = Document::parse("canary", &text).map_err(|why| invalid(why.to_string()))?;
    let spec: CanarySpec = document.read().map_err(|why| invalid(why.to_string()))?;
    let findings = spec.findings();
    if !findings.is_empty() {
        return Err(invalid(document.report(findings).to_string()));
    }
    let answer = ask(&api, actor, PersonRequest::StartCanary { spec: Box::new(spec) }).await?;
    Ok((StatusCode::CREATED, answer))
}

async fn pause(
    State(api): State<Api>,
    Path(id): Path<String>,
    Writer(actor): Writer,
    body: Option<Json<OrderBody>>,
) -> Result<Json<Value>, Refusal> {
    order(&api, actor, id, Order::Pause, body).await
}

async fn resume(
    State(api): State<Api>,
    Path(id): Path<String>,
    Writer(actor): Writer,
    body: Option<Json<OrderBody>>,
) -> Result<Json<Value>, Refusal> {
    order(&api, actor, id, Order::Resume, body).await
}

async fn promote(
    State(api): State<Api>,
    Path(id): Path<String>,
    Writer(actor): Writer,
    body: Option<Json<OrderBody>>,
) -> Result<Json<Value>, Refusal> {
    order(&api, actor, id, Order::Promote, body).await
}

async fn rollback(
    State(api): State<Api>,
    Path(id): Path<String>,
    Writer(actor): Writer,
    body: Option<Json<OrderBody>>,
) -> Result<Json<Value>, Refusal> {
    order(&api, actor, id, Order::Rollback, body).await
}

async fn order(
    api: &Api,
    actor: Actor,
    canary: String,
    order: Order,
    body: Option<Json<OrderBody>>,
) -> Result<Json<Value>, Refusal> {
    let reason = checked_reason(body.map(|Json(body)| body.reason).unwrap_or_default())?;
    ask(api, actor, PersonRequest::OrderCanary { canary, order, reason }).await
}
