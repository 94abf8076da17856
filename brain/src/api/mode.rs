//! How far the brain may go: mode, freeze, unfreeze.

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::auth::Writer;
use super::problem::Refusal;
use super::request::ask;
use super::server::Api;
use crate::domain::{Mode, PersonRequest};

/// `POST /v1/mode`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModeBody {
    /// The upper bound of autonomy from now on.
    pub mode: Mode,
    /// For this kind of action only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// `POST /v1/freeze`; the body may be left out.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FreezeBody {
    /// Also take back what is live.
    #[serde(default)]
    pub revert_all: bool,
}

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/v1/mode", post(mode))
        .route("/v1/freeze", post(freeze))
        .route("/v1/unfreeze", post(unfreeze))
}

async fn mode(
    State(api): State<Api>,
    Writer(actor): Writer,
    Json(body): Json<ModeBody>,
) -> Result<Json<Value>, Refusal> {
    ask(&api, actor, PersonRequest::SetMode { mode: body.mode, kind: body.kind }).await
}

async fn freeze(
    State(api): State<Api>,
    Writer(actor): Writer,
    body: Option<Json<FreezeBody>>,
) -> Result<Json<Value>, Refusal> {
    let revert_all = body.is_some_and(|Json(body)| body.revert_all);
    ask(&api, actor, PersonRequest::Freeze { revert_all }).await
}

async fn unfreeze(State(api): State<Api>, Writer(actor): Writer) -> Result<Json<Value>, Refusal> {
    ask(&api, actor, PersonRequest::Unfreeze).await
}
