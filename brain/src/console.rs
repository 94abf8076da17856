//! Serves the console at `/`: one embedded page that reads the API like any other client.

use axum::Router;
use axum::http::{HeaderName, header};
use axum::response::{Html, IntoResponse};
use axum::routing::get;

use crate::api::Api;

const PAGE: &str = include_str!("../../console/index.html");
/// The page runs its own script and style and talks to where it came from; nothing else.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; \
     frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
const HEADERS: [(HeaderName, &str); 3] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
];

/// The console's one route.
pub(crate) fn routes() -> Router<Api> {
    Router::new().route("/", get(|| async { (HEADERS, Html(PAGE)).into_response() }))
}
