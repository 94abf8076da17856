//! The admin listener: health, metrics, status, lifecycle and the action API, over HTTP and JSON.
//!
//! Every write needs an operator: the bearer token, or the certificate of a workload that is named. What is read
//! under `/v1` needs at least a viewer, and so do status and metrics where they are not open. Every refusal is
//! problem+json.

mod actions;
mod answer;
mod auth;
mod lifecycle;
pub mod metrics;
mod refusals;
mod status;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post, put};
use tokio_util::sync::CancellationToken;

use trust::hosts::Hosts;
use trust::lockout::Lockout;
use trust::serving::{self, Manners};

use crate::control::Control;
use crate::source::Source;

pub use auth::Tokens;
pub use lifecycle::reload;
pub use refusals::Refusals;
pub use status::Listeners;

/// Connections at once.
const MAX_CONNECTIONS: usize = 128;

/// The largest body that is read, bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// What the admin listener speaks for.
pub struct Admin {
    /// The owner of leases and table.
    pub control: Arc<Control>,
    /// What may be shown.
    pub tokens: Tokens,
    /// Who has shown wrong ones.
    pub lockout: Lockout,
    /// Under which names the listener is spoken to.
    pub hosts: Hosts,
    /// Cancelled when a drain begins, by whomever.
    pub drain: CancellationToken,
    /// Where the proxy listens.
    pub listeners: Listeners,
    /// Where a reload reads from.
    pub source: Source,
    /// What was refused of what was asked behind the token.
    pub refusals: Refusals,
    /// What the workers have counted.
    pub readings: Box<dyn Fn() -> metrics::Readings + Send + Sync>,
}

/// Shared by all handlers.
pub type Shared = Arc<Admin>;

/// All routes.
pub fn router(admin: Shared) -> Router {
    let open = Router::new().route("/health", get(lifecycle::health)).route("/ready", get(lifecycle::ready));
    let reads = Router::new()
        .route("/status", get(status::status))
        .route("/metrics", get(metrics::metrics))
        .route_layer(from_fn_with_state(Arc::clone(&admin), auth::may_read));
    let lists = Router::new()
        .route("/v1/actions", get(actions::list))
        .route_layer(from_fn_with_state(Arc::clone(&admin), auth::may_list));
    let writes = Router::new()
        .route("/reload", post(lifecycle::reload_now))
        .route("/drain", post(lifecycle::drain))
        .route("/freeze", post(lifecycle::freeze))
        .route("/unfreeze", post(lifecycle::unfreeze))
        .route("/v1/actions/{id}", put(actions::put).delete(actions::undo))
        .route("/v1/actions/{id}/renew", post(actions::renew))
        .route_layer(from_fn_with_state(Arc::clone(&admin), auth::may_write));
    let guarded = lists.merge(writes).route_layer(from_fn_with_state(Arc::clone(&admin), refusals::note));
    open.merge(reads)
        .merge(guarded)
        .fallback(answer::no_such_path)
        .method_not_allowed_fallback(answer::no_such_method)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn(answer::in_time))
        .layer(from_fn_with_state(Arc::clone(&admin), auth::meant_for_here))
        .with_state(admin)
}

/// Serves the listener until `stop`; a certificate that a reload has put in force is shown from then on.
///
/// # Errors
/// When the listener cannot be used.
pub async fn serve(
    listener: std::net::TcpListener,
    admin: Shared,
    stop: CancellationToken,
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let routes = router(Arc::clone(&admin));
    let tls = move || admin.control.settings().admin.tls.clone();
    let manners = Manners { name: "admin listener", max_connections: MAX_CONNECTIONS, tls: Box::new(tls) };
    serving::serve(listener, routes, manners, stop).await;
    Ok(())
}
