//! The action API: leases put, renewed, undone and listed.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use protocol::action::{ActionRequest, Items, LeaseRow, Receipt, RenewRequest};
use protocol::id::{ActionId, Epoch};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Shared;
use super::answer::Refused;
use crate::control::Control;
use crate::leases::Refusal;

type Id = Result<Path<String>, PathRejection>;
type Body = Result<Bytes, BytesRejection>;

/// `?epoch=N` of an undo.
#[derive(Deserialize)]
pub(super) struct EpochQuery {
    epoch: Epoch,
}

pub(super) async fn list(State(admin): State<Shared>) -> Json<Items<LeaseRow>> {
    Json(Items::all(admin.control.view().leases))
}

pub(super) async fn put(State(admin): State<Shared>, id: Id, body: Body) -> Result<Json<Receipt>, Refused> {
    let id = action_id(id)?;
    let request: ActionRequest = json(body)?;
    to_the_end(&admin, async move |control| control.put(id, request).await).await
}

pub(super) async fn renew(State(admin): State<Shared>, id: Id, body: Body) -> Result<Json<Receipt>, Refused> {
    let id = action_id(id)?;
    let request: RenewRequest = json(body)?;
    to_the_end(&admin, async move |control| control.renew(&id, request).await).await
}

pub(super) async fn undo(
    State(admin): State<Shared>,
    id: Id,
    query: Result<Query<EpochQuery>, QueryRejection>,
) -> Result<Json<Receipt>, Refused> {
    let id = action_id(id)?;
    let bad = |why: QueryRejection| Refused::new(StatusCode::BAD_REQUEST, why.body_text());
    let Query(EpochQuery { epoch }) = query.map_err(bad)?;
    to_the_end(&admin, async move |control| control.undo(&id, epoch).await).await
}

/// Carries a change through even when the one who asked for it hangs up in the middle.
async fn to_the_end<F, R>(admin: &Shared, change: F) -> Result<Json<Receipt>, Refused>
where
    F: FnOnce(Arc<Control>) -> R + Send + 'static,
    R: Future<Output = Result<Receipt, Refusal>> + Send + 'static,
{
    let change = tokio::spawn(change(Arc::clone(&admin.control)));
    let done = change.await.map_err(|why| Refusal::Storage(format!("the change was cut short: {why}")));
    Ok(Json(done??))
}

fn action_id(id: Id) -> Result<ActionId, Refused> {
    let Path(id) = id.map_err(|why| Refused::new(StatusCode::BAD_REQUEST, why.body_text()))?;
    let unfit = |why| Refused::new(StatusCode::UNPROCESSABLE_ENTITY, format!("the action's id: {why}"));
    ActionId::new(id).map_err(unfit)
}

/// 400 for what is no JSON, 422 for JSON that is no such request. An object is asked for by itself, because
/// the derived reader would take an array of the values in their order as well.
fn json<T: DeserializeOwned>(body: Body) -> Result<T, Refused> {
    let body = body.map_err(|why| Refused::new(why.status(), why.body_text()))?;
    let value: Value = serde_json::from_slice(&body).map_err(|why| unfit(StatusCode::BAD_REQUEST, &why))?;
    if !value.is_object() {
        return Err(Refused::new(StatusCode::UNPROCESSABLE_ENTITY, "the body is one JSON object"));
    }
    // From the text once more and not from the value, which has forgotten keys given twice.
    serde_json::from_slice(&body).map_err(|why| unfit(StatusCode::UNPROCESSABLE_ENTITY, &why))
}

fn unfit(status: StatusCode, why: &serde_json::Error) -> Refused {
    let detail: String = why.to_string().chars().filter(|c| !c.is_control()).take(500).collect();
    Refused::new(status, detail)
}
