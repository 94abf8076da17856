//! One request sent to its endpoint, and the response's head.

use std::time::Duration;

use http::header::UPGRADE;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use tokio::time::{Instant, timeout_at};

use super::flight::{CANCELLED, Flight, PATIENCE};
use super::passing::Passing;
use crate::error::Refusal;
use crate::middleware::{grpc, headers, response_framing, upgrade};
use crate::settings::Server;
use crate::upstream::gate::Full;
use crate::upstream::pool::{Download, Stage};
use crate::upstream::upload::{Upload, UploadProgress};

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// To reach the endpoint.
    pub(super) connect: Duration,
    /// When the response's head must be there.
    pub(super) until: Instant,
    /// Between two pieces of the response's body.
    pub(super) idle: Option<Duration>,
}

/// No response came.
#[derive(Debug)]
pub(super) struct Failed {
    /// [`Refusal::ConnectFailure`], [`Refusal::Reset`] or [`Refusal::Timeout`]; [`Refusal::UploadBroken`] or
    /// [`Refusal::UploadSlow`] because the client did not finish its request.
    pub(super) refusal: Refusal,
    /// Whether the endpoint has surely done nothing with the request.
    pub(super) unprocessed: bool,
    /// To be counted, as the request or as one attempt of it.
    pub(super) flight: Flight,
}

/// Sends, in time, and hands the response on.
///
/// # Errors
/// There is none.
pub(super) async fn forward(
    mut flight: Flight,
    request: Box<Request<Upload>>,
    server: &Server,
    times: Times,
) -> Result<Response<Box<Passing>>, Box<Failed>> {
    let hurried = request.method() == Method::POST && grpc::timeout(request.headers()).is_some_and(is_short);
    let sent = timeout_at(times.until, send(&flight, request, times.connect)).await;
    match sent.unwrap_or(Err((Refusal::Timeout, false))) {
        Ok(response) => {
            flight.answered(&response);
            let (mut parts, body) = response.into_parts();
            let switching = parts.status == StatusCode::SWITCHING_PROTOCOLS;
            let protocol = parts.headers.get(UPGRADE).filter(|_| switching).cloned();
            flight.upload.answered.set(true);
            headers::strip_hop_by_hop(&mut parts.headers);
            headers::strip_internal(&mut parts.headers);
            protocol.into_iter().for_each(|protocol| upgrade::say(protocol, &mut parts.headers));
            parts.version = Version::HTTP_11;
            let body = Box::new(Passing::new(body, flight, server, times.idle));
            Ok(Response::from_parts(parts, body))
        }
        Err((refusal, unprocessed)) => {
            let refusal = whose_fault(refusal, &flight.upload);
            let outcome = match refusal {
                Refusal::Timeout if hurried => Some(CANCELLED),
                _ => refusal.outcome(),
            };
            outcome.into_iter().for_each(|outcome| flight.decide(outcome));
            Err(Box::new(Failed { refusal, unprocessed, flight }))
        }
    }
}

/// Whether a caller's own time proves nothing about an endpoint that does not make it.
fn is_short(said: Duration) -> bool {
    said < PATIENCE
}

/// What the client did to its own request is no failure of the endpoint, which could otherwise be put
/// out of service by anyone who begins uploads and does not end them.
fn whose_fault(refusal: Refusal, upload: &UploadProgress) -> Refusal {
    match refusal {
        _ if upload.refused.get().is_some() => upload.refused.get().unwrap_or(refusal),
        _ if upload.broken.get() => Refusal::UploadBroken,
        Refusal::Timeout if upload.waiting.get() && !upload.ended.get() => Refusal::UploadSlow,
        of_the_endpoint => of_the_endpoint,
    }
}

/// Sends, and looks at what came.
async fn send(
    flight: &Flight,
    request: Box<Request<Upload>>,
    connect: Duration,
) -> Result<Response<Download>, (Refusal, bool)> {
    let asked = request.headers().get(UPGRADE).cloned();
    let sent = flight.endpoint.pool.send(request, connect).await;
    let response = sent.map_err(|failure| match failure.stage {
        Stage::Full => (Refusal::Full(Full::Connections), true),
        Stage::Exhausted => (Refusal::Overload, true),
        Stage::Connecting => (Refusal::ConnectFailure, true),
        Stage::Unprocessed => (Refusal::Reset, true),
        Stage::Sent => (Refusal::Reset, false),
    })?;
    accepted(response, asked.as_ref()).map_err(|refusal| (refusal, false))
}

/// An endpoint that switches to a protocol which it was not `asked` for has lost its place. So has one whose
/// response ends in two ways: its connection is closed with what is left on it.
fn accepted(
    response: Response<Download>,
    asked: Option<&HeaderValue>,
) -> Result<Response<Download>, Refusal> {
    let fits = match response.status() {
        StatusCode::SWITCHING_PROTOCOLS => {
            asked.is_some_and(|asked| upgrade::is_agreed(asked, response.headers()))
        }
        _ => response_framing::is_sound(response.headers()),
    };
    if fits { Ok(response) } else { Err(Refusal::Reset) }
}
