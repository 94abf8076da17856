//! `/v1/canaries`: start, look at, steer.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use protocol::action::Items;
use protocol::document::Document;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::auth::{Known, Writer};
use super::problem::Refusal;
use super::request::{ask, checked_reason};
use super::server::Api;
use crate::access::{Principal, Role};
use crate::canary::{CanaryDetail, CanarySpec, CanaryView, Order, report};
use crate::domain::PersonRequest;

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
        .route("/v1/canaries/{id}/report", get(page))
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
    let found = found.ok_or_else(|| Refusal::not_found(format!("there is no canary {id}")))?;
    Ok(Json(CanaryDetail::clone(&found)))
}

/// Which page is wanted.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PageQuery {
    format: PageFormat,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PageFormat {
    #[default]
    Html,
    Markdown,
}

/// The page runs nothing and loads nothing; its style stands in it.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

async fn page(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Response, Refusal> {
    let Json(detail) = one(State(api), Path(id)).await?;
    let (media, text) = match query.format {
        PageFormat::Html => ("text/html; charset=utf-8", report::html(&detail)),
        PageFormat::Markdown => ("text/markdown; charset=utf-8", report::markdown(&detail)),
    };
    Ok(([(header::CONTENT_TYPE, media), (header::CONTENT_SECURITY_POLICY, PAGE_POLICY)], text)
        .into_response())
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
    Known(who): Known,
    body: Option<Json<OrderBody>>,
) -> Result<Json<Value>, Refusal> {
    order(&api, who, id, Order::Pause, body).await
}

async fn resume(
    State(api): State<Api>,
    Path(id): Path<String>,
    Known(who): Known,
    body: Option<Json<OrderBody>>,
) -> Result<Json<Value>, Refusal> {
    order(&api, who, id, Order::Resume, body).await
}

async fn promote(
    State(api): State<Api>,
    Path(id): Path<String>,
    Known(who): Known,
    body: Option<Json<OrderBody>>,
) -> Result<Json<Value>, Refusal> {
    order(&api, who, id, Order::Promote, body).await
}

async fn rollback(
    State(api): State<Api>,
    Path(id): Path<String>,
    Known(who): Known,
    body: Option<Json<OrderBody>>,
) -> Result<Json<Value>, Refusal> {
    order(&api, who, id, Order::Rollback, body).await
}

async fn order(
    api: &Api,
    who: Principal,
    canary: String,
    order: Order,
    body: Option<Json<OrderBody>>,
) -> Result<Json<Value>, Refusal> {
    let reason = checked_reason(body.map(|Json(body)| body.reason).unwrap_or_default())?;
    let answers_only = who.role == Role::Approver;
    ask(api, who.actor, PersonRequest::OrderCanary { canary, order, reason, answers_only }).await
}
