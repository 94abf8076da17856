//! What a route does to a request beside forwarding it: faults, answers of its own, rewrites, edits.
//!
//! Order: faults, then the route's own answer; for what is forwarded the rewrite and the header edits come
//! last before it is sent, so that nothing that a client names in `Connection` takes an edit away.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, LOCATION};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, Uri};
use tokio::time::sleep;

use crate::connection::ClientConnection;
use crate::error::{Refusal, X_LIGHTSOUT_FAULT};
use crate::middleware::client;
use crate::routing::path_edit;
use crate::routing::router::Found;
use crate::routing::view::RouteView;
use crate::settings::{Abort, Answer, HeaderEdits, Redirect, Respond, Server};
use crate::worker::Worker;

/// Does to the request what the route does on purpose; whether it was delayed.
///
/// # Errors
/// [`Refusal::Injected`] or [`Refusal::InjectedReset`]: the request is made to fail.
pub(super) async fn inject(worker: &Worker, route: &RouteView, headers: &HeaderMap) -> Result<bool, Refusal> {
    let Some(faults) = &route.faults else { return Ok(false) };
    let injected = faults.next(headers);
    let delay = injected.delay.and_then(|time| Some((time, faults.wait()?)));
    let delayed = delay.is_some();
    if let Some((time, _waiting)) = delay {
        worker.shard.fault("delay");
        sleep(time).await;
    }
    match injected.abort {
        None => Ok(delayed),
        Some(Abort::Status(status)) => {
            worker.shard.fault("abort");
            Err(Refusal::Injected(status))
        }
        Some(Abort::Reset) => {
            worker.shard.fault("reset");
            Err(Refusal::InjectedReset)
        }
    }
}

/// The route's own answer, if it has one.
pub(super) fn answer(
    route: &RouteView,
    found: Found,
    request: &Parts,
    connection: &ClientConnection,
    server: &Server,
) -> Option<Response<Bytes>> {
    let mut response = match route.settings.answer.as_ref()? {
        Answer::Redirect(redirect) => {
            let scheme =
                client::scheme(connection.peer, connection.scheme, &request.headers, &server.trusted_proxies);
            redirected(redirect, found, request, scheme.as_str())
        }
        Answer::Respond(own) => fixed(own),
    };
    edit(route.settings.response_headers.as_ref(), response.headers_mut());
    Some(response)
}

fn redirected(redirect: &Redirect, found: Found, request: &Parts, scheme: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = redirect.status;
    if let Some(location) = path_edit::location(redirect, request, scheme, found.prefix) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

fn fixed(own: &Respond) -> Response<Bytes> {
    let mut response = Response::new(own.body.clone());
    *response.status_mut() = own.status;
    if !own.body.is_empty() {
        response.headers_mut().insert(CONTENT_TYPE, own.content_type.clone());
    }
    response
}

/// Makes of the request, in its form for the endpoint, what the route says.
pub(super) fn rewrite(route: &RouteView, found: Found, parts: &mut Parts) {
    if let Some(rewrite) = &route.settings.rewrite {
        let target = rewrite.path.as_ref().and_then(|edit| path_edit::target(edit, &parts.uri, found.prefix));
        target.into_iter().for_each(|target| parts.uri = Uri::from(target));
        if let Some(host) = &rewrite.host {
            parts.headers.insert(HOST, host.clone());
        }
    }
    edit(route.settings.request_headers.as_ref(), &mut parts.headers);
}

/// Makes of the response what the route says, and says that a fault was injected.
pub(super) fn mark(route: &RouteView, delayed: bool, headers: &mut HeaderMap) {
    edit(route.settings.response_headers.as_ref(), headers);
    if delayed {
        headers.insert(X_LIGHTSOUT_FAULT, HeaderValue::from_static("delay"));
    }
}

fn edit(edits: Option<&HeaderEdits>, headers: &mut HeaderMap) {
    let Some(edits) = edits else { return };
    edits.remove.iter().for_each(|name| drop(headers.remove(name)));
    edits.set.iter().for_each(|(name, value)| drop(headers.insert(name.clone(), value.clone())));
    edits.add.iter().for_each(|(name, value)| _ = headers.append(name.clone(), value.clone()));
}
