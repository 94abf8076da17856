//! Copies of requests, sent beside: nobody waits for them and nothing depends on them.
//!
//! A copy is sent once the whole body has passed on its way to the real endpoint; a body that is too long
//! or breaks off makes no copy. It keeps its host (Envoy's suffix `-shadow` would miss hosts that are
//! chosen by name, and TLS names) and says what it is in `x-lightsout-shadow: true`. It counts in a metric
//! of its own and, for the comparison of versions, in telemetry under a caller of its own
//! ([`CALLER_MIRROR`]): neither as a client's request nor at the endpoint's breaker.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use http::header::{CONNECTION, CONTENT_LENGTH, TE, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request};
use http_body_util::BodyExt;
use protocol::telemetry::CALLER_MIRROR;
use tokio::time::{Instant, timeout};

use crate::routing::shadow::Shadow;
use crate::routing::view::{RouteView, Target, View};
use crate::telemetry::Outcome;
use crate::telemetry::cells::Ended;
use crate::upstream::pool::Download;
use crate::upstream::preference::Preference;
use crate::upstream::upload::Upload;
use crate::worker::Worker;

/// Marks a request that is a copy.
const X_LIGHTSOUT_SHADOW: HeaderName = HeaderName::from_static("x-lightsout-shadow");
/// More of a copy's response is not read: its connection is closed instead.
const MAX_RESPONSE_BYTES: usize = 1 << 20;

/// Has the request copied, if its route or a lease says so and it is its turn.
pub(super) fn copy(
    worker: &Rc<Worker>,
    view: &Rc<View>,
    (route, target): (&RouteView, &Target),
    parts: &Parts,
    upload: &mut Upload,
) {
    // What becomes a tunnel is no message that could be sent twice.
    if parts.headers.contains_key(UPGRADE) {
        return;
    }
    for shadow in route.shadow.iter().chain(&target.shadow).filter(|shadow| shadow.is_due(&parts.method)) {
        copy_to(shadow, worker, view, route, parts, upload);
    }
}

fn copy_to(
    shadow: &Rc<Shadow>,
    worker: &Rc<Worker>,
    view: &Rc<View>,
    route: &RouteView,
    parts: &Parts,
    upload: &mut Upload,
) {
    let Some(under_way) = shadow.begin() else { return worker.shard.mirrored("too_many") };
    let Some(body) = upload.capture(shadow.settings.max_body_bytes) else {
        return worker.shard.mirrored("body_too_long");
    };
    let (worker, view, shadow) = (Rc::clone(worker), Rc::clone(view), Rc::clone(shadow));
    let name = Arc::clone(&route.name);
    let mut request = Request::new(());
    (*request.method_mut(), *request.uri_mut()) = (parts.method.clone(), parts.uri.clone());
    *request.headers_mut() = parts.headers.clone();
    // Framing is that of the body as a whole.
    [CONNECTION, CONTENT_LENGTH, TE, TRANSFER_ENCODING]
        .iter()
        .for_each(|name| _ = request.headers_mut().remove(name));
    request.headers_mut().insert(X_LIGHTSOUT_SHADOW, HeaderValue::from_static("true"));
    tokio::task::spawn_local(async move {
        let result = match body.await {
            Ok(body) => send(&worker, &view, &shadow, &name, request.map(|()| Upload::whole(body))).await,
            Err(_) => "body_incomplete",
        };
        worker.shard.mirrored(result);
        drop(under_way);
    });
}

async fn send(
    worker: &Worker,
    view: &View,
    shadow: &Shadow,
    route: &Arc<str>,
    request: Request<Upload>,
) -> &'static str {
    let server = &view.table.live.settings.server;
    let now_ms = worker.now_ms(Instant::now());
    // The admission counts what is in flight; that it is never settled leaves the breaker out of it.
    let Some((endpoint, _admission)) = shadow.group.choose(&Preference::default(), now_ms) else {
        return "no_endpoint";
    };
    let cell = worker.recorder.begin(&endpoint.label, route, worker.recorder.caller(CALLER_MIRROR));
    let started = Instant::now();
    let heard = Cell::new(None);
    let answered = async {
        let sent = endpoint.pool.send(Box::new(request), server.connect_timeout).await;
        let outcome =
            sent.as_ref().map_or(Outcome::Reset, |response| Outcome::Status(response.status().as_u16()));
        heard.set(Some((outcome, started.elapsed())));
        let mut body = sent.ok()?.into_body();
        if discard(&mut body).await {
            body.give_back(server.max_idle_per_endpoint, Instant::now());
        }
        Some(())
    };
    let answered = timeout(server.request_timeout, answered).await;
    let (outcome, took) = heard.get().unwrap_or((Outcome::Timeout, started.elapsed()));
    worker.recorder.end(cell, Some(&Ended { outcome, took, bytes_in: 0, bytes_out: 0 }));
    match answered {
        Ok(Some(())) => "answered",
        Ok(None) | Err(_) => "failed",
    }
}

/// Whether the response was read to its end.
async fn discard(body: &mut Download) -> bool {
    let mut read = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return false };
        read += frame.data_ref().map_or(0, bytes::Bytes::len);
        if read > MAX_RESPONSE_BYTES {
            return false;
        }
    }
    true
}
