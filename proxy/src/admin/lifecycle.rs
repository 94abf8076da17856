//! Alive, ready, reload, drain, and the kill switch.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use protocol::action::Problem;
use serde_json::{Value, json};

use super::answer::Refused;
use super::{Admin, Shared};
use crate::service_manager;

pub(super) async fn health() -> &'static str {
    "ok\n"
}

pub(super) async fn ready(State(admin): State<Shared>) -> Result<&'static str, Refused> {
    if admin.drain.is_cancelled() {
        return Err(Refused::new(StatusCode::SERVICE_UNAVAILABLE, "draining"));
    }
    Ok("ready\n")
}

/// 202 at once; the drain goes on by itself.
pub(super) async fn drain(State(admin): State<Shared>) -> (StatusCode, Json<Value>) {
    admin.drain.cancel();
    (StatusCode::ACCEPTED, Json(json!({"draining": true})))
}

pub(super) async fn freeze(State(admin): State<Shared>) -> Result<Json<Value>, Refused> {
    admin.control.freeze().await?;
    Ok(frozen(&admin))
}

pub(super) async fn unfreeze(State(admin): State<Shared>) -> Result<Json<Value>, Refused> {
    admin.control.unfreeze().await?;
    Ok(frozen(&admin))
}

fn frozen(admin: &Admin) -> Json<Value> {
    let view = admin.control.view();
    Json(json!({"frozen": view.persisted.frozen, "live_state_hash": view.table.live.hash}))
}

pub(super) async fn reload_now(State(admin): State<Shared>) -> Result<Json<Value>, Refused> {
    let reloaded = reload(&admin).await.map_err(Refused)?;
    Ok(Json(json!({"config_hash": reloaded})))
}

/// Reads the configuration again and puts it in force; the answer is its hash. A bad one changes nothing.
///
/// # Errors
/// 422 with the whole report, or with the parts that need a restart.
pub async fn reload(admin: &Arc<Admin>) -> Result<String, Problem> {
    let reloads = &admin.control.reloads;
    let _turn = reloads.turn.lock().await;
    // A manager that was told of the end must not be told of anything after.
    let told = !admin.drain.is_cancelled();
    told.then(service_manager::reloading);
    let reloaded = try_reload(admin).await;
    told.then(|| service_manager::reloaded(reloaded.is_ok()));
    reloads.note(reloaded.as_ref().err().map(|problem| problem.detail.as_str()));
    reloaded
}

async fn try_reload(admin: &Arc<Admin>) -> Result<String, Problem> {
    let (source, in_force) = (admin.source.clone(), Arc::clone(&admin.control.view().table.live.settings));
    let refused = |detail: String| {
        tracing::error!("the configuration was not reloaded, the last good one stays:\n{detail}");
        Problem { status: 422, title: "the configuration was not reloaded".to_owned(), detail }
    };
    // Looked at before they are read: what changes in between is a change that is yet to be read.
    let read = tokio::task::spawn_blocking(move || (source.fingerprint(&in_force), source.settings())).await;
    let (files, read) = read.map_err(|why| refused(why.to_string()))?;
    admin.control.reloads.will_read(files);
    let settings = read.map_err(|why| refused(why.to_string()))?;
    let hash = settings.hash.clone();
    admin.control.reload(settings).await.map_err(|why| refused(why.to_string()))?;
    Ok(hash)
}
