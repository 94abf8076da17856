//! What every answer tells browsers: nothing is framed, sniffed, embedded elsewhere or left in a cache.

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

use super::server::Api;

const ALWAYS: [(HeaderName, &str); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
];
/// Unless the route says itself: what is no page runs and loads nothing.
const UNLESS_SAID: [(HeaderName, &str); 2] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    (header::CACHE_CONTROL, "no-store"),
];

/// Over TLS: browsers come by https alone from now on, for a year.
const SECURED: &str = "max-age=31536000";

pub(super) async fn add(State(api): State<Api>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let fields = response.headers_mut();
    for (name, value) in ALWAYS {
        fields.insert(name, HeaderValue::from_static(value));
    }
    if api.access.doors().secured {
        fields.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(SECURED));
    }
    for (name, value) in UNLESS_SAID {
        fields.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}
