//! `GET /v1/audit`, `/v1/audit/verify`, `/v1/audit/export` and `/v1/audit/{id}/explain`.

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures_util::stream;
use protocol::action::Items;

use super::problem::Refusal;
use super::server::Api;
use crate::audit::{AuditFilter, AuditReader, Proof, Record, StoreError};
use crate::explain::{Explanation, explain};

/// Records that are read at once for an export.
const EXPORT_PAGE: u32 = 500;

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/v1/audit", get(page))
        .route("/v1/audit/verify", get(verify))
        .route("/v1/audit/export", get(export))
        .route("/v1/audit/{id}/explain", get(explained))
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

/// The whole log as JSON lines, page by page as it is taken; a log that cannot be read further breaks off.
async fn export(State(api): State<Api>) -> Response {
    let pages = stream::try_unfold((api.audit, Some(0)), |(audit, cursor)| async move {
        let Some(cursor) = cursor else { return Ok::<_, StoreError>(None) };
        let (lines, next) = lines_after(&audit, cursor).await?;
        Ok(Some((lines, (audit, next))))
    });
    let name = "attachment; filename=\"lightsout-audit.jsonl\"";
    let headers = [(header::CONTENT_TYPE, "application/jsonl"), (header::CONTENT_DISPOSITION, name)];
    (headers, Body::from_stream(pages)).into_response()
}

/// A page of records after `cursor` as lines, and where the next one begins.
async fn lines_after(audit: &AuditReader, cursor: u64) -> Result<(Bytes, Option<u64>), StoreError> {
    let filter = AuditFilter { cursor: Some(cursor), limit: Some(EXPORT_PAGE), ..AuditFilter::default() };
    let page = audit.page(&filter).await?;
    let mut lines = String::new();
    for record in &page.items {
        lines.push_str(&serde_json::to_string(record).unwrap_or_default());
        lines.push('\n');
    }
    Ok((lines.into(), page.next.and_then(|next| next.parse().ok())))
}

/// `id`: the seq of a record, a proposal, an action or an incident.
async fn explained(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<Items<Explanation>>, Refusal> {
    let verdicts = api.audit.verdicts(&id).await.map_err(unreadable)?;
    let found: Vec<Explanation> = verdicts.iter().filter_map(explain).collect();
    if found.is_empty() {
        return Err(Refusal::not_found("no decision of the log has to do with it"));
    }
    Ok(Json(Items::all(found)))
}

fn unreadable(why: StoreError) -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, why.to_string())
}
