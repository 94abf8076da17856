//! At the door of every route: is the request meant for here, whose is it, and may they do that.
//!
//! A token opens by itself; a session's cookie, which browsers send unasked, needs the session's own word with
//! every write (`x-csrf-token`), and an `Origin` that is this one where the browser names it. So does a certificate,
//! of somebody who is named.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::Response;
use trust::identity::PeerIdentity;
use trust::lockout::Turned;

use super::problem::Refusal;
use super::server::Api;
use crate::access::{COOKIE, Deed, Pass, Principal, Role, Session};
use crate::domain::Actor;

/// The header that carries a session's word.
pub(super) const CSRF: &str = "x-csrf-token";

/// Turns away what was meant for another host: a browser whose DNS was made to lead here.
pub(super) async fn meant_for_here(State(api): State<Api>, request: Request, next: Next) -> Response {
    if api.access.doors().hosts.admit(request.uri(), request.headers()) {
        return next.run(request).await;
    }
    let why = "this API is not spoken to under that name; list it in api.allowed_hosts of brain.yaml";
    noted(&api, request.extensions(), false, Refusal::new(StatusCode::MISDIRECTED_REQUEST, why))
}

/// Counted for alerts; a wrong token is told of with its address, which lock-out keeps from filling the log.
pub(super) fn noted(api: &Api, extensions: &Extensions, guessed: bool, refused: Refusal) -> Response {
    let reason = match refused.status() {
        StatusCode::UNAUTHORIZED => "unauthenticated",
        StatusCode::TOO_MANY_REQUESTS => "locked",
        StatusCode::MISDIRECTED_REQUEST => "misdirected",
        _ => "forbidden",
    };
    api.metrics.turned_away.with_label_values(&[reason]).inc();
    if guessed && refused.status() == StatusCode::UNAUTHORIZED {
        tracing::warn!(peer = ?peer(extensions), "a token that is not known was shown to the API");
    }
    refused.into()
}

/// Lets in whoever may do what is asked, and leaves their name for the handler.
pub(super) async fn may(
    State(api): State<Api>,
    route: MatchedPath,
    request: Request,
    next: Next,
) -> Response {
    let deed = Deed::of(request.method(), route.as_str());
    let open = deed == Deed::Nothing || (deed == Deed::Read && api.access.doors().open_reads);
    if open {
        return next.run(request).await;
    }
    let writes = !request.method().is_safe();
    let (mut parts, body) = request.into_parts();
    match admit(&api, &parts.headers, &parts.extensions, deed, writes) {
        Ok((known, pass)) => {
            parts.extensions.insert(known);
            parts.extensions.insert(pass);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(refused) => {
            let guessed = parts.headers.contains_key(header::AUTHORIZATION);
            noted(&api, &parts.extensions, guessed, refused)
        }
    }
}

fn admit(
    api: &Api,
    fields: &HeaderMap,
    extensions: &Extensions,
    deed: Deed,
    writes: bool,
) -> Result<(Principal, Pass), Refusal> {
    let (who, pass) = match fields.get(header::AUTHORIZATION) {
        Some(shown) => {
            let key = api.access.shown(shown.as_bytes(), peer(extensions)).map_err(turned_away)?;
            (key.who, Pass::Token(key.id))
        }
        None => unasked(api, fields, extensions, writes)?,
    };
    if deed.roles().contains(&who.role) {
        return Ok((who, pass));
    }
    let needed: Vec<String> = deed.roles().iter().map(Role::to_string).collect();
    let why =
        format!("this needs the role {}; {} has the role {}", needed.join(" or "), who.actor.id, who.role);
    Err(Refusal::new(StatusCode::FORBIDDEN, why))
}

/// By what a browser sends without being asked: a cookie, or a certificate.
fn unasked(
    api: &Api,
    fields: &HeaderMap,
    extensions: &Extensions,
    writes: bool,
) -> Result<(Principal, Pass), Refusal> {
    let cookie = cookie(fields);
    if let Some((cookie, (who, session))) = cookie.and_then(|one| Some((one, api.access.session(one)?))) {
        if writes {
            same_page(&session, fields)?;
        }
        return Ok((who, Pass::Session(cookie.to_owned())));
    }
    let identity = extensions.get::<Arc<PeerIdentity>>();
    let who = identity.and_then(|peer| api.access.workload(&peer.id)).ok_or(turned_away(Turned::Wrong))?;
    if writes && !own_origin(fields) {
        let why = "a write by certificate comes from no page of another origin";
        return Err(Refusal::new(StatusCode::FORBIDDEN, why));
    }
    Ok((who, Pass::Certificate))
}

/// A write by cookie comes from the page that has the session, not from one that the browser shows beside it.
fn same_page(session: &Session, fields: &HeaderMap) -> Result<(), Refusal> {
    let told = fields.get(CSRF).is_some_and(|word| session.is_told_by(word.as_bytes()));
    if told && own_origin(fields) {
        return Ok(());
    }
    let why = format!("a write by cookie needs the header {CSRF} with the word that GET /v1/session tells");
    Err(Refusal::new(StatusCode::FORBIDDEN, why))
}

/// Whether the page that asks, where the browser names it, came from here.
pub(super) fn own_origin(fields: &HeaderMap) -> bool {
    let Some(origin) = fields.get(header::ORIGIN) else { return true };
    let origin = origin.to_str().ok().and_then(|text| text.parse::<Uri>().ok());
    let host = fields.get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = origin.as_ref().and_then(Uri::authority).map(|authority| authority.as_str());
    authority.zip(host).is_some_and(|(origin, host)| origin.eq_ignore_ascii_case(host))
}

/// No detail: whether a token was nearly right, has expired or never was is nobody's business.
pub(super) fn turned_away(turned: Turned) -> Refusal {
    match turned {
        Turned::Wrong => {
            let why = "this needs a token: Authorization: Bearer TOKEN (api.token in the data directory), or a session";
            let challenge = HeaderValue::from_static("Bearer realm=\"lightsout\"");
            Refusal::new(StatusCode::UNAUTHORIZED, why).telling(header::WWW_AUTHENTICATE, challenge)
        }
        Turned::Locked(left) => {
            let why = "too many wrong tokens came from this address; wait";
            let seconds = HeaderValue::from(left.as_secs() + u64::from(left.subsec_nanos() > 0));
            Refusal::new(StatusCode::TOO_MANY_REQUESTS, why).telling(header::RETRY_AFTER, seconds)
        }
    }
}

/// The session's cookie.
pub(super) fn cookie(fields: &HeaderMap) -> Option<&str> {
    let pairs = fields.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = pairs.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| *name == COOKIE).map(|(_, value)| value).next()
}

/// Who is at the other end of the socket.
pub(super) fn peer(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip())
}

/// An authenticated writer. A handler that takes one cannot be reached by anybody else.
#[derive(Debug)]
pub(super) struct Writer(pub(super) Actor);

/// The same with their role, where not every role may do all of it.
#[derive(Debug)]
pub(super) struct Known(pub(super) Principal);

impl FromRequestParts<Api> for Known {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _api: &Api) -> Result<Self, Refusal> {
        let known = parts.extensions.get::<Principal>();
        known.map(|who| Self(who.clone())).ok_or_else(|| turned_away(Turned::Wrong))
    }
}

impl FromRequestParts<Api> for Writer {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refusal> {
        Known::from_request_parts(parts, api).await.map(|Known(who)| Self(who.actor))
    }
}
