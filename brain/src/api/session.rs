//! `/v1/session`: a browser shows a token once, and is known by a cookie from then on.

use axum::body::Bytes;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use http_body_util::{BodyExt as _, Limited};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trust::lockout::Turned;

use super::auth::{cookie, noted, own_origin, peer, turned_away};
use super::problem::Refusal;
use super::server::Api;
use crate::access::{COOKIE, LIFE, Principal, Role, Session};
use crate::domain::ActorKind;

/// The largest login.
const MAX_LOGIN_BYTES: usize = 8 << 10;

/// `POST /v1/session`; the token may stand in `Authorization: Bearer` instead, and the body be left out.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginBody {
    /// The token.
    pub token: String,
}

/// Who is asking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionView {
    /// As the audit log calls them.
    pub name: String,
    /// A person or a pipeline.
    pub kind: ActorKind,
    /// What they may do.
    pub role: Role,
    /// What each write by cookie sends in `x-csrf-token`; absent for whoever shows a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csrf: Option<String>,
    /// Seconds until the session ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_s: Option<u64>,
}

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/v1/session", get(who).post(login).delete(logout))
}

fn view(who: &Principal, session: Option<&Session>) -> Json<SessionView> {
    Json(SessionView {
        name: who.actor.id.clone(),
        kind: who.actor.kind,
        role: who.role,
        csrf: session.map(|session| session.csrf.clone()),
        expires_in_s: session.map(|session| session.left(std::time::Instant::now()).as_secs()),
    })
}

async fn who(
    State(api): State<Api>,
    Extension(who): Extension<Principal>,
    fields: HeaderMap,
) -> Json<SessionView> {
    let by_cookie = fields.get(header::AUTHORIZATION).is_none();
    let session = cookie(&fields).filter(|_| by_cookie).and_then(|cookie| api.access.session(cookie));
    view(&who, session.as_ref().map(|(_, session)| session))
}

async fn login(State(api): State<Api>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if !own_origin(&parts.headers) {
        return Refusal::new(StatusCode::FORBIDDEN, "a session is opened by this API's own page").into();
    }
    let bearer = parts.headers.get(header::AUTHORIZATION).map(|shown| shown.as_bytes().to_vec());
    let token = match bearer {
        Some(shown) => shown.get("Bearer ".len()..).unwrap_or_default().to_vec(),
        None => {
            let Ok(body) = Limited::new(body, MAX_LOGIN_BYTES).collect().await else {
                return Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "a login is shorter").into();
            };
            match of_body(&parts.headers, &body.to_bytes()) {
                Some(token) => token,
                None => {
                    return Refusal::new(StatusCode::BAD_REQUEST, "a login is {\"token\": \"…\"}, as JSON")
                        .into();
                }
            }
        }
    };
    match api.access.open_session(&token, peer(&parts.extensions)) {
        Ok((who, opened)) => {
            let life = LIFE.as_secs();
            let mut response = view(&who, Some(&opened.session)).into_response();
            set_cookie(&api, &mut response, &format!("{}; Max-Age={life}", opened.cookie));
            response
        }
        Err(turned) => noted(&api, &parts.extensions, true, turned_away(turned)),
    }
}

/// The words of the parser stay here: they might repeat the token.
fn of_body(fields: &HeaderMap, body: &Bytes) -> Option<Vec<u8>> {
    let json = fields.get(header::CONTENT_TYPE)?.to_str().ok()?.starts_with("application/json");
    let login: LoginBody = json.then(|| serde_json::from_slice(body).ok()).flatten()?;
    Some(login.token.trim().as_bytes().to_vec())
}

async fn logout(State(api): State<Api>, fields: HeaderMap) -> Response {
    let Some(cookie) = cookie(&fields) else { return turned_away(Turned::Wrong).into() };
    api.access.close_session(cookie);
    let mut response = StatusCode::NO_CONTENT.into_response();
    set_cookie(&api, &mut response, "; Max-Age=0");
    response
}

/// `Secure` over TLS alone: in clear text, on loopback, a browser would not send the cookie back.
fn set_cookie(api: &Api, response: &mut Response, value: &str) {
    let secure = if api.access.doors().secured { "; Secure" } else { "" };
    let cookie = format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict{secure}");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
}
