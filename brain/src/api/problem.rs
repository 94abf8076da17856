//! RFC 9457 problem details: every refusal of the API, its own and its framework's, looks the same.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt as _, Limited};
use protocol::action::{PROBLEM_JSON, Problem};
use serde_json::Value;

/// A request that is not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    status: StatusCode,
    detail: String,
    told: Option<(HeaderName, HeaderValue)>,
    /// A member of the problem beside the standard's.
    member: Option<Box<(&'static str, Value)>>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), told: None, member: None }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// With a header that says how to do better.
    pub(super) fn telling(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.told = Some((name, value));
        self
    }

    /// With a member of its own: what stands in the place of what was asked for.
    pub(super) fn with(mut self, name: &'static str, value: Value) -> Self {
        self.member = Some(Box::new((name, value)));
        self
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    pub(super) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let problem = Problem {
            status: self.status.as_u16(),
            title: self.status.canonical_reason().unwrap_or("Refused").to_owned(),
            detail: self.detail,
        };
        let mut body = serde_json::to_value(&problem).unwrap_or_default();
        if let Some(member) = self.member {
            body[member.0] = member.1;
        }
        let body = body.to_string();
        let mut response = (self.status, body).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        response.headers_mut().extend(self.told);
        response
    }
}

impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Self {
        refusal.into_response()
    }
}

/// Turns refusals that the framework wrote in plain text (a body that does not parse, a method that is
/// not there) into problems.
pub(super) async fn as_problems(request: Request, next: Next) -> Response {
    const MAX_WORDS: usize = 4 << 10;
    let response = next.run(request).await;
    let status = response.status();
    let is_problem =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|t| t.as_bytes() == PROBLEM_JSON.as_bytes());
    if !(status.is_client_error() || status.is_server_error()) || is_problem {
        return response;
    }
    let allow = response.headers().get(header::ALLOW).cloned();
    let words = Limited::new(response.into_body(), MAX_WORDS).collect().await;
    let words = words.map(|w| String::from_utf8_lossy(&w.to_bytes()).into_owned()).unwrap_or_default();
    let detail = if words.is_empty() { "the request cannot be carried out".to_owned() } else { words };
    let mut problem: Response<Body> = Refusal::new(status, detail).into();
    if let Some(allow) = allow {
        problem.headers_mut().insert(header::ALLOW, allow);
    }
    problem
}
