//! `GET /v1/actions`, a person's own proposal, and undo.

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use protocol::action::{ActionKind, Items};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::auth::Writer;
use super::problem::Refusal;
use super::request::{ask, checked_reason};
use super::server::Api;
use crate::domain::{Action, PersonRequest, ProposedAction};

/// `POST /v1/actions`: a proposed action; the guard still judges it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProposeBody {
    /// The service.
    pub service: String,
    /// The change.
    pub kind: ActionKind,
    /// How long each lease would live.
    pub lease_ms: u64,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// `POST /v1/actions/{id}/undo`; the body may be left out.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UndoBody {
    /// Why.
    #[serde(default)]
    pub reason: String,
}

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/v1/actions", get(list).post(propose)).route("/v1/actions/{id}/undo", post(undo))
}

async fn list(State(api): State<Api>) -> Json<Items<Action>> {
    Json(Items::all(api.live.load().view.actions.clone()))
}

async fn propose(
    State(api): State<Api>,
    Writer(actor): Writer,
    Json(body): Json<ProposeBody>,
) -> Result<Json<Value>, Refusal> {
    let reason = checked_reason(body.reason)?;
    let action = ProposedAction { service: body.service, kind: body.kind, lease_ms: body.lease_ms };
    ask(&api, actor, PersonRequest::Propose { action, reason }).await
}

async fn undo(
    State(api): State<Api>,
    Path(action): Path<String>,
    Writer(actor): Writer,
    body: Option<Json<UndoBody>>,
) -> Result<Json<Value>, Refusal> {
    let reason = checked_reason(body.map(|Json(body)| body.reason).unwrap_or_default())?;
    ask(&api, actor, PersonRequest::Undo { action, reason }).await
}
