//! The order in which a request is judged and served.

mod asker;
mod attempts;
mod body;
mod call;
mod connect;
mod ending;
mod exchange;
mod flight;
mod guard;
mod hedge;
mod mirror;
mod own;
mod passing;
mod prepare;
mod seen;
mod tunnel;
mod verdict;

use std::rc::Rc;

use http::header::{CONNECTION, HOST};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body;
use hyper::body::Incoming;
use tokio::time::Instant;

pub(crate) use asker::Asker;
use attempts::Call;
pub use body::ProxyBody;
pub(crate) use ending::BrokenOff;
use ending::Ending;
use prepare::{prepare, uploader};
use seen::Seen;
pub(crate) use tunnel::Tunnel;

use crate::connection::ClientConnection;
use crate::error::Refusal;
use crate::middleware::request_id::X_REQUEST_ID;
use crate::middleware::{client, grpc, path, upgrade, validity};
use crate::routing::view::View;
use crate::upstream::upload::Upload;
use crate::worker::Worker;

/// Answers one request: what goes wrong becomes a response.
///
/// # Errors
/// [`BrokenOff`]: the client is to be left without an answer, on purpose.
pub(crate) async fn handle(
    worker: Rc<Worker>,
    connection: Rc<ClientConnection>,
    request: Request<Incoming>,
) -> Result<Response<ProxyBody>, BrokenOff> {
    let started = Instant::now();
    let busy = connection.begin(request.version());
    let version = request.version();
    let (mut parts, body) = request.into_parts();
    connection.introduce(&mut parts.extensions);
    let is_call = parts.method == Method::POST && grpc::is_grpc(&parts.headers);
    let id = worker.request_ids.keep_or_make(&parts.headers);
    let view = worker.view();
    let settings = &view.table.live.settings;
    let over_tls = settings.security.response_fields.as_ref().map(|_| {
        let trusted = &settings.server.trusted_proxies;
        client::scheme(connection.peer, connection.scheme, &parts.headers, trusted) == client::Scheme::Https
    });
    let asker = Asker::of(&worker, &connection, &parts, &view.table.live.settings.server);
    let seen = Seen::begin(&worker, &view, (&parts, asker.ip, &id), started);
    let answered = answer(&worker, &connection, &view, (parts, body), (&id, asker), started, &seen).await;
    let (mut response, closes) = match answered {
        Ok(mut response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
            seen.answered(response.status().as_u16());
            seen.complete(response.headers_mut());
            response.headers_mut().insert(X_REQUEST_ID, id);
            return Ok(tunnel::open(&connection, response, busy, seen.story()));
        }
        Ok(response) => {
            seen.answered(response.status().as_u16());
            (response.map(|body| ProxyBody::passing(body, busy, seen.story())), false)
        }
        Err(Ending::Connected(to)) => {
            seen.answered(StatusCode::OK.as_u16());
            let mut response = tunnel::connect(&connection, &worker, to, busy, seen.story());
            response.headers_mut().insert(X_REQUEST_ID, id);
            return Ok(response);
        }
        Err(Ending::Answered(response)) => {
            seen.answered(response.status().as_u16());
            (response.map(|text| ProxyBody::own(text, busy, seen.story())), false)
        }
        Err(Ending::Refused(refusal)) => {
            seen.refused(refusal);
            if refusal == Refusal::InjectedReset {
                return Err(BrokenOff);
            }
            let own = |text| ProxyBody::own(text, busy, seen.story());
            let response = if is_call { refusal.to_call() } else { refusal.response() };
            (response.map(own), refusal.closes_connection())
        }
    };
    seen.complete(response.headers_mut());
    if let (Some(fields), Some(over_tls)) = (&view.table.live.settings.security.response_fields, over_tls) {
        fields.complete(response.headers_mut(), over_tls);
    }
    response.headers_mut().insert(X_REQUEST_ID, id);
    if version < Version::HTTP_2 && (closes || worker.is_draining()) {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// THE request order. What an endpoint decides is counted by its [`Flight`], all else here.
async fn answer(
    worker: &Rc<Worker>,
    connection: &Rc<ClientConnection>,
    view: &Rc<View>,
    (mut parts, body): (Parts, Incoming),
    (id, asker): (&HeaderValue, Asker),
    started: Instant,
    seen: &Seen<'_>,
) -> Result<Response<Box<passing::Passing>>, Ending> {
    let server = &view.table.live.settings.server;
    let refuse = |refusal: Refusal| worker.refuse(asker, started, refusal);

    if worker.overload.sheds() {
        return Err(refuse(Refusal::Overload).into());
    }
    let fault = connection.fault_before(connection.requests());
    fault.map_or(Ok(()), |fault| Err(refuse(Refusal::Framing(fault))))?;
    guard::network(view, asker).map_err(refuse)?;
    if connect::is_wanted(&parts, server) {
        let to = Box::pin(connect::to(&parts, !body.is_end_stream(), server)).await;
        let to = to.map_err(refuse)?;
        worker.answered(asker, started, StatusCode::OK);
        return Err(Ending::Connected(to));
    }
    validity::check(&parts, &server.edge, body.size_hint().exact()).map_err(refuse)?;
    let spelt = path::normalise(&parts.uri, server.edge.path).map_err(Refusal::BadRequest).map_err(refuse)?;
    spelt.into_iter().for_each(|uri| parts.uri = uri);
    client::disbelieve(connection.peer, &mut parts.headers, &server.trusted_proxies);
    let own_fields = &view.table.live.settings.security.own_fields;
    own_fields.strip(&mut parts.headers);
    let (route, found) = view.route_of(&mut parts).ok_or_else(|| refuse(Refusal::NoRoute))?;
    if let Some(answer) = guard::cross_origin(route, &parts, seen) {
        worker.answered(asker, started, answer.status());
        return Err(Ending::Answered(Box::new(answer)));
    }
    let by = (&*route.name, "");
    guard::rate(view, &route.rates.arriving, (&parts, asker), by, (None, seen)).map_err(refuse)?;
    let who = guard::identity(route, &mut parts, seen).await.map_err(refuse)?;
    let terms = uploader(connection, &parts, &server.edge, own_fields);
    let (mut upload, progress) = Upload::new(body, terms);
    let asked = (&parts, &mut upload, asker, id);
    let changes = guard::allowed(view, route, asked, (who.as_ref(), seen), started).await;
    let changes = changes.map_err(|denial| match denial {
        guard::Denial::Refused(refusal) => refuse(refusal).into(),
        // What speaks gRPC is told in its own words.
        guard::Denial::Told(answer) if !grpc::is_grpc(&parts.headers) => {
            worker.answered(asker, started, answer.status());
            Ending::Answered(answer)
        }
        _ => refuse(Refusal::Denied).into(),
    })?;
    guard::rate(view, &route.rates.known, (&parts, asker), by, (who.as_ref(), seen)).map_err(refuse)?;
    let injected = own::inject(worker, route, &parts.headers).await.map_err(refuse)?;
    let started = if injected { Instant::now() } else { started };
    if let Some(answer) = own::answer(route, found, &parts, connection, server) {
        worker.answered(asker, started, answer.status());
        return Err(Ending::Answered(Box::new(answer)));
    }
    let target = route.target(&parts, asker.ip).ok_or_else(|| refuse(Refusal::NothingToServe))?;
    let asker = if target.is_preview { asker.previewing(worker) } else { asker };
    seen.led_to(&route.name, target);
    let to = (&*route.name, target.service.nowhere.service.as_str());
    guard::rate(view, &target.rates, (&parts, asker), to, (who.as_ref(), seen)).map_err(refuse)?;
    if target.service.sheds() {
        return Err(refuse(Refusal::Shed).into());
    }
    let place = target.service.place(&parts, &target.terms).await;
    let place = place.map_err(|full| refuse(Refusal::Full(full)))?;
    let mut preference = target.group.preference(&parts, asker.ip);
    let Some((endpoint, admission)) = target.group.choose(&preference, worker.now_ms(started)) else {
        worker.note_nowhere(target, &route.name, asker, started);
        return Err(refuse(Refusal::NoEndpoint).into());
    };

    if !parts.headers.contains_key(HOST) && parts.uri.authority().is_none() {
        // HTTP/1.0 may name no host, HTTP/1.1 may not leave it out.
        let own = HeaderValue::from_str(endpoint.handle.live.settings.id.as_str());
        own.into_iter().for_each(|own| drop(parts.headers.insert(HOST, own)));
    }
    let switch = upgrade::asked(&parts, !upload.is_end_stream(), &route.settings.upgrades);
    prepare(&mut parts, &upload, connection, id, server);
    switch.into_iter().for_each(|protocol| upgrade::say(protocol, &mut parts.headers));
    own::rewrite(route, found, &mut parts);
    who.iter().for_each(|who| who.tell(&mut parts.headers));
    changes.into_iter().for_each(|changes| changes.apply(&mut parts.headers));
    mirror::copy(worker, view, (route, target), &parts, &mut upload);
    seen.uploads(&progress);
    let most = target.terms.request_timeout;
    let is_call = parts.method == Method::POST && grpc::is_grpc(&parts.headers);
    let until = started + if is_call { grpc::deadline(&parts.headers, most) } else { most };
    // On the heap: it goes through many hands, and they are not to move all of it.
    let request = Box::new(Request::from_parts(parts, upload));
    let call = Call { worker, route, target, server, seen, asker, upload: progress, is_call, started, until };
    let mut answered = call.answer(request, &mut preference, (endpoint, admission)).await;
    if let Ok(response) = &mut answered {
        if target.service.gives_cookies() {
            let endpoint = Rc::clone(response.body().endpoint());
            target.group.keep_session(&preference, &endpoint, response.headers_mut());
        }
        response.body_mut().hold(place);
        own::mark(route, injected, response.headers_mut());
    }
    let counted = |refusal: Refusal| if refusal.outcome().is_some() { refusal } else { refuse(refusal) };
    answered.map_err(|refusal| counted(refusal).into())
}
