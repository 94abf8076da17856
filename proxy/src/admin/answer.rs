//! How the admin listener says no: RFC 9457, always.

use std::time::Duration;

use axum::Json;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use protocol::action::{PROBLEM_JSON, Problem};

use crate::leases::Refusal;

/// The longest that a request may take, its body included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// A refusal on its way out.
pub(super) struct Refused(pub(super) Problem);

/// A refusal's reason, left on the response for whoever notes it.
#[derive(Clone)]
pub(super) struct Why(pub(super) String);

impl Refused {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("refused").to_lowercase();
        Self(Problem { status: status.as_u16(), title, detail: detail.into() })
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self(refusal.problem())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::BAD_REQUEST);
        let why = self.0.detail.clone();
        let mut response = (status, Json(self.0)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        response.extensions_mut().insert(Why(why));
        response
    }
}

pub(super) async fn no_such_path(uri: Uri) -> Refused {
    let path: String = uri.path().chars().take(200).collect();
    Refused::new(StatusCode::NOT_FOUND, format!("there is nothing at {path}"))
}

pub(super) async fn no_such_method(request: Request) -> Refused {
    let detail = format!("{} is not a method of this path", request.method());
    Refused::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}

/// A client that sends its body drop by drop does not hold a connection for ever.
pub(super) async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Refused::new(StatusCode::REQUEST_TIMEOUT, "the request took too long").into_response(),
    }
}
