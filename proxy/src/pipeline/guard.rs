//! What stands between a request and its route: each guard in the place that [`super::answer`] gives it.
//! None of them costs more than a look at an `Option` where it is not asked for.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use tokio::time::{Instant, timeout_at};

use super::Asker;
use super::seen::Seen;
use crate::clock;
use crate::error::Refusal;
use crate::identity::PeerIdentity;
use crate::middleware::validity;
use crate::routing::view::RouteView;
use crate::routing::view::View;
use crate::security::authentication::{Failure, Principal, authenticate, challenge};
use crate::security::authorization::external::{About, BodyTerms, Held, NAME, Said};
use crate::security::authorization::{Decision, Question};
use crate::security::cors::Preflight;
use crate::security::rate_limit::{Asked, Rule, tell};
use crate::upstream::upload::Upload;

/// Whether the client's network is let in: by leases, then by the configuration.
pub(super) fn network(view: &View, asker: Asker) -> Result<(), Refusal> {
    let lists = view.table.live.settings.security.ip_lists.as_ref();
    let refused = view.blocks.contains(asker.ip) || lists.is_some_and(|lists| lists.refuses(asker.ip));
    if refused { Err(Refusal::Blocked) } else { Ok(()) }
}

/// Whether the client may ask again already, by `rules` of a route, or of a route to a service.
pub(super) fn rate(
    view: &View,
    rules: &[Arc<Rule>],
    (parts, asker): (&Parts, Asker),
    (route, service): (&str, &str),
    (who, seen): (Option<&Principal>, &Seen<'_>),
) -> Result<(), Refusal> {
    let Some(rates) = view.table.rates.as_ref().filter(|_| !rules.is_empty()) else { return Ok(()) };
    let asked = Asked {
        ip: asker.ip,
        headers: &parts.headers,
        route,
        service,
        user: who.map(|who| who.name.as_str()),
    };
    let standing = rates.admit(rules, asked, clock::ns_at(Instant::now()));
    seen.fields(|fields| tell(&standing, rates.headers, fields));
    match standing.last() {
        Some((_, Err(_))) => Err(Refusal::RateLimited),
        _ => Ok(()),
    }
}

/// Who asks, where the route wants it known.
pub(super) async fn identity(
    route: &RouteView,
    parts: &mut Parts,
    seen: &Seen<'_>,
) -> Result<Option<Principal>, Refusal> {
    let Some(providers) = &route.authentication else { return Ok(None) };
    let mut found = authenticate(providers, parts, now());
    if let Err(Failure::Unasked(server, token)) = &found {
        let (server, token) = (Arc::clone(server), token.clone());
        if Box::pin(server.ask(&token, now())).await {
            found = authenticate(providers, parts, now());
        }
    }
    if let Err(Failure::Stale(store)) = &found {
        let store = Arc::clone(store);
        // On the heap, so that requests that need not wait are no larger.
        if Box::pin(store.refreshed()).await {
            found = authenticate(providers, parts, now());
        }
    }
    match found {
        Ok(principal) => {
            seen.asked_by(&principal);
            Ok(Some(principal))
        }
        Err(failure) if failure.may_pass(providers) => {
            seen.fields(|fields| _ = fields.insert(RETRY_AFTER, HeaderValue::from_static("1")));
            Err(Refusal::CannotAuthenticate)
        }
        Err(failure) => {
            seen.fields(|fields| challenge(providers, &failure, fields));
            Err(Refusal::Unauthenticated)
        }
    }
}

/// Seconds of Unix time, by which tokens end.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The answer to a preflight. Of any other request it is noted what pages of other origins are told.
pub(super) fn cross_origin(route: &RouteView, parts: &Parts, seen: &Seen<'_>) -> Option<Response<Bytes>> {
    let cors = route.settings.cors.as_ref()?;
    match cors.preflight(parts) {
        Preflight::No => {
            seen.cross_origin(cors.of_answer(&parts.headers), cors.varies());
            None
        }
        Preflight::Answered(fields) => {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::NO_CONTENT;
            *response.headers_mut() = fields;
            Some(response)
        }
    }
}

/// Why a request is not allowed, as its client is told.
pub(super) enum Denial {
    /// The authorizer could not be shown its body.
    Refused(Refusal),
    /// As everyone is told.
    Plain,
    /// As the authorizer says it.
    Told(Box<Response<Bytes>>),
}

/// Whether who asks may do this; and what an authorizer changes of the request.
pub(super) async fn allowed(
    view: &View,
    route: &RouteView,
    (parts, upload, asker, id): (&Parts, &mut Upload, Asker, &HeaderValue),
    (who, seen): (Option<&Principal>, &Seen<'_>),
    started: Instant,
) -> Result<Option<Box<Said>>, Denial> {
    let Some(authorizer) = &view.table.live.settings.security.authorization else { return Ok(None) };
    let question = Question {
        principal: who,
        ip: asker.ip,
        method: &parts.method,
        path: parts.uri.path(),
        host: validity::without_port(validity::host_of(parts)),
        route: &route.name,
        services: &route.services,
    };
    let mut decision = authorizer.judge(&question).unwrap_or(Decision::Allow(NAME.into()));
    let (mut said, mut passes) = (None, decision.allows());
    if let Some(line) = view.authorizer.as_ref().filter(|_| passes) {
        let until = started + view.table.live.settings.server.request_timeout;
        let held = held(line.to.body, upload, until).await.map_err(Denial::Refused)?;
        let about = About {
            who: who.map_or_else(|| certified(parts), |who| who.name.as_str()),
            ip: question.ip,
            host: validity::host_of(parts),
            id: id.to_str().unwrap_or_default(),
            route: question.route,
            body: held.as_ref(),
        };
        // On the heap, so that requests that need not wait are no larger.
        let (answer, changes) = Box::pin(line.decide(parts, about)).await;
        passes = answer.allows() || matches!(answer, Decision::Broken(_)) && line.to.fails_open;
        (decision, said) = (answer, Some(Box::new(changes)));
    }
    authorizer.count(&decision);
    seen.decided(&decision, authorizer.shadow);
    if authorizer.shadow {
        return Ok(None);
    }
    match said.as_mut().and_then(|said| said.denial.take()) {
        _ if passes => Ok(said),
        Some(answer) => Err(Denial::Told(answer)),
        None => Err(Denial::Plain),
    }
}

/// What an authorizer is to get of the body, when that is there.
async fn held(
    terms: Option<BodyTerms>,
    upload: &mut Upload,
    until: Instant,
) -> Result<Option<Held>, Refusal> {
    let Some(terms) = terms else { return Ok(None) };
    // On the heap, so that requests that need not wait are no larger.
    let held = timeout_at(until, Box::pin(terms.hold(upload))).await;
    held.unwrap_or(Err(Refusal::UploadSlow)).map(Some)
}

/// Who asks by its certificate; empty: nobody who is known.
fn certified(parts: &Parts) -> &str {
    parts.extensions.get::<Arc<PeerIdentity>>().map_or("", |peer| peer.id.as_str())
}
