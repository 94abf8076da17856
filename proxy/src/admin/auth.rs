//! Who may write: whoever shows the token. Who guesses is locked out, and who was led here by a stranger's DNS
//! is turned away.

use std::net::SocketAddr;
use std::time::Instant;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use trust::lockout::Turned;

use super::Shared;
use super::answer::Refused;

pub(super) async fn require_token(State(admin): State<Shared>, request: Request, next: Next) -> Response {
    let Some(shown) = request.headers().get(header::AUTHORIZATION) else {
        return turned_away(Turned::Wrong);
    };
    let found = admin.token.is_shown_by(shown.as_bytes()).then_some(());
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    match admin.lockout.judge(peer, Instant::now(), found) {
        Ok(()) => next.run(request).await,
        Err(turned) => turned_away(turned),
    }
}

fn turned_away(turned: Turned) -> Response {
    let (status, detail, name, value) = match turned {
        Turned::Wrong => {
            let detail = "show the token of admin.token_path: Authorization: Bearer TOKEN";
            let challenge = HeaderValue::from_static("Bearer");
            (StatusCode::UNAUTHORIZED, detail, header::WWW_AUTHENTICATE, challenge)
        }
        Turned::Locked(left) => {
            let detail = "too many wrong tokens came from this address; wait";
            let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
            (StatusCode::TOO_MANY_REQUESTS, detail, header::RETRY_AFTER, HeaderValue::from(seconds))
        }
    };
    let mut response = Refused::new(status, detail).into_response();
    response.headers_mut().insert(name, value);
    response
}

/// Nothing at all is told to a page of a stranger, whose name was made to lead here.
pub(super) async fn meant_for_here(State(admin): State<Shared>, request: Request, next: Next) -> Response {
    if admin.hosts.admit(request.uri(), request.headers()) {
        return next.run(request).await;
    }
    let detail = "this listener is not spoken to under that name; list it in admin.allowed_hosts";
    Refused::new(StatusCode::MISDIRECTED_REQUEST, detail).into_response()
}
