//! `GET /v1/proposals`, and a person's yes or no.

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use protocol::action::Items;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::auth::Writer;
use super::problem::Refusal;
use super::request::{ask, checked_reason};
use super::server::Api;
use crate::domain::{PersonRequest, Proposal};

/// `POST /v1/proposals/{id}/approve`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApproveBody {
    /// The digest of what was read: who approves, approves exactly that.
    pub digest: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// `POST /v1/proposals/{id}/reject`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RejectBody {
    /// Why not.
    pub reason: String,
}

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/v1/proposals", get(list))
        .route("/v1/proposals/{id}", get(one))
        .route("/v1/proposals/{id}/approve", post(approve))
        .route("/v1/proposals/{id}/reject", post(reject))
}

async fn list(State(api): State<Api>) -> Json<Items<Proposal>> {
    Json(Items::all(api.live.load().view.proposals.clone()))
}

async fn one(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<Proposal>, Refusal> {
    let live = api.live.load();
    let found = live.view.proposals.iter().find(|proposal| proposal.id == id);
    found.cloned().map(Json).ok_or_else(|| Refusal::not_found("there is no such proposal"))
}

async fn approve(
    State(api): State<Api>,
    Path(proposal): Path<String>,
    Writer(actor): Writer,
    Json(body): Json<ApproveBody>,
) -> Result<Json<Value>, Refusal> {
    let reason = checked_reason(body.reason)?;
    ask(&api, actor, PersonRequest::Approve { proposal, digest: body.digest, reason }).await
}

async fn reject(
    State(api): State<Api>,
    Path(proposal): Path<String>,
    Writer(actor): Writer,
    Json(body): Json<RejectBody>,
) -> Result<Json<Value>, Refusal> {
    let reason = checked_reason(body.reason)?;
    ask(&api, actor, PersonRequest::Reject { proposal, reason }).await
}
