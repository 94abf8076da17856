//! Handing a person's request to the control loop, and its answer back.

use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use serde_json::Value;
use tokio::sync::oneshot;

use super::problem::Refusal;
use super::server::Api;
use crate::domain::{Actor, PersonAnswer, PersonRequest};
use crate::runtime::{Ask, Told};

/// A turn comes every quarter of a second; a loop that does not answer for so long is stuck.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest text a person may give as a reason, characters.
const MAX_REASON_CHARS: usize = 1_000;

/// Asks the control loop.
pub(super) async fn ask(api: &Api, actor: Actor, request: PersonRequest) -> Result<Json<Value>, Refusal> {
    let (answer, told) = oneshot::channel();
    api.asks
        .try_send(Ask { actor, request, answer })
        .map_err(|_| Refusal::unavailable("the control loop takes no more requests now; try again"))?;
    let told = tokio::time::timeout(PATIENCE, told)
        .await
        .map_err(|_| Refusal::unavailable("the control loop did not answer in time"))?
        .map_err(|_| Refusal::unavailable("the control loop is shutting down"))?;
    match told {
        Told::Answered(PersonAnswer::Done(value)) => Ok(Json(value)),
        Told::Answered(PersonAnswer::NotFound(why)) => Err(Refusal::not_found(why)),
        Told::Answered(PersonAnswer::Conflict(why)) => Err(Refusal::new(StatusCode::CONFLICT, why)),
        Told::Answered(PersonAnswer::Changed { why, fresh }) => {
            let fresh = serde_json::to_value(fresh).unwrap_or_default();
            Err(Refusal::new(StatusCode::CONFLICT, why).with("proposal", fresh))
        }
        Told::Answered(PersonAnswer::Invalid(why)) => {
            Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, why))
        }
        Told::Unavailable(why) => Err(Refusal::unavailable(why)),
    }
}

/// A reason as it may be kept.
pub(super) fn checked_reason(reason: String) -> Result<String, Refusal> {
    let count = reason.chars().count();
    if count > MAX_REASON_CHARS {
        let why = format!("a reason has at most {MAX_REASON_CHARS} characters, this one has {count}");
        return Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, why));
    }
    Ok(reason)
}
