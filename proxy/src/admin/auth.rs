//! Who may do what: whoever shows a token, or the certificate of a workload that is named. Who guesses is locked out,
//! and who was led here by a stranger's DNS is turned away.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use trust::lockout::Turned;

use super::answer::Refused;
use super::{Admin, Shared};
use crate::identity::PeerIdentity;
use crate::settings;
use crate::token::Token;

/// What somebody may do; the greater may all that the lesser may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Viewer,
    Operator,
}

/// What may be shown.
pub struct Tokens {
    /// Opens everything.
    pub operator: Token,
    /// Opens what is read.
    pub viewer: Option<Token>,
}

impl Tokens {
    fn role_of(&self, authorization: &[u8]) -> Option<Role> {
        let viewer = self.viewer.as_ref().is_some_and(|token| token.is_shown_by(authorization));
        let operator = self.operator.is_shown_by(authorization);
        operator.then_some(Role::Operator).or(viewer.then_some(Role::Viewer))
    }
}

pub(super) async fn may_read(State(admin): State<Shared>, request: Request, next: Next) -> Response {
    if admin.control.settings().admin.open_reads {
        return next.run(request).await;
    }
    admit(&admin, Role::Viewer, request, next).await
}

pub(super) async fn may_list(State(admin): State<Shared>, request: Request, next: Next) -> Response {
    admit(&admin, Role::Viewer, request, next).await
}

pub(super) async fn may_write(State(admin): State<Shared>, request: Request, next: Next) -> Response {
    admit(&admin, Role::Operator, request, next).await
}

async fn admit(admin: &Admin, least: Role, request: Request, next: Next) -> Response {
    match role_of(admin, &request) {
        Ok(role) if role >= least => next.run(request).await,
        Ok(_) => {
            Refused::new(StatusCode::FORBIDDEN, "this needs an operator; a viewer only reads").into_response()
        }
        Err(turned) => turned_away(turned),
    }
}

/// By what is shown or who is at the other end, whichever may more. A wrong token counts as a guess even with a
/// good certificate.
fn role_of(admin: &Admin, request: &Request) -> Result<Role, Turned> {
    let identity = request.extensions().get::<Arc<PeerIdentity>>();
    let by_certificate = identity.and_then(|peer| named(&admin.control.settings().admin, peer));
    let Some(shown) = request.headers().get(header::AUTHORIZATION) else {
        return by_certificate.ok_or(Turned::Wrong);
    };
    let found = admin.tokens.role_of(shown.as_bytes());
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let by_token = admin.lockout.judge(peer, Instant::now(), found)?;
    Ok(by_certificate.map_or(by_token, |role| role.max(by_token)))
}

fn named(rules: &settings::Admin, peer: &PeerIdentity) -> Option<Role> {
    let operator = rules.operators.iter().any(|one| one.means(&peer.id));
    let viewer = rules.viewers.iter().any(|one| one.means(&peer.id));
    operator.then_some(Role::Operator).or(viewer.then_some(Role::Viewer))
}

fn turned_away(turned: Turned) -> Response {
    let (status, detail, name, value) = match turned {
        Turned::Wrong => {
            let detail = "show the token of admin.token_path (Authorization: Bearer TOKEN), or the certificate of a \
                          workload in admin.operators";
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
