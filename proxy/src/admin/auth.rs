//! Who may write: whoever shows the token.

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Shared;
use super::answer::Refused;

pub(super) async fn require_token(State(admin): State<Shared>, request: Request, next: Next) -> Response {
    let shown = request.headers().get(header::AUTHORIZATION);
    if shown.is_some_and(|shown| admin.token.is_shown_by(shown.as_bytes())) {
        return next.run(request).await;
    }
    let detail = "show the token of admin.token_path: Authorization: Bearer TOKEN";
    let mut response = Refused::new(StatusCode::UNAUTHORIZED, detail).into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}
