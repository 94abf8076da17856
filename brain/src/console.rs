//! Serves the console at `/`: one embedded page that reads the API like any other client.
//!
//! The files are those of `console/dist`, each beside its gzip form, taken in by `build.rs`. Names carry a hash
//! of what is in them, so that browsers may keep them; the page itself is asked for anew each time. Absent:
//! reading files while running, and any script or style that stands in the page itself.

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::api::Api;

include!(concat!(env!("OUT_DIR"), "/console_assets.rs"));

/// What is shown where the program was built without the page.
const ABSENT: &str = include_str!("../../console/absent.html");
/// Scripts and styles from where the page came from, and nothing that stands in it; text is never made markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data:; \
     connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; \
     require-trusted-types-for 'script'";
const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::VARY, "accept-encoding"),
];
const FOR_GOOD: &str = "public, max-age=31536000, immutable";

/// The console's routes.
pub(crate) fn routes() -> Router<Api> {
    Router::new().route("/", get(page)).route("/console/{file}", get(file))
}

async fn page(headers: HeaderMap) -> Response {
    let page = asset("index.html", &headers, "no-cache");
    page.unwrap_or_else(|| {
        let media = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
        (HEADERS, media, ABSENT).into_response()
    })
}

async fn file(Path(file): Path<String>, headers: HeaderMap) -> Response {
    asset(&file, &headers, FOR_GOOD).unwrap_or_else(|| StatusCode::NOT_FOUND.into_response())
}

/// A file in the form that the browser takes.
fn asset(name: &str, headers: &HeaderMap, keep: &'static str) -> Option<Response> {
    let bytes = |name: &str| {
        let found = ASSETS.iter().find(|(known, _)| *known == name);
        found.map(|(_, bytes)| Bytes::from_static(bytes))
    };
    let media = [(header::CONTENT_TYPE, media_of(name)), (header::CACHE_CONTROL, keep)];
    let accepts = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    let zipped = bytes(&format!("{name}.gz")).filter(|_| accepts.is_some_and(|value| value.contains("gzip")));
    if let Some(zipped) = zipped {
        let mut response = (HEADERS, media, zipped).into_response();
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        return Some(response);
    }
    Some((HEADERS, media, bytes(name)?).into_response())
}

fn media_of(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}
