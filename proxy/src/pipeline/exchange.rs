//! One request sent to its endpoint, and the response's head.

use http::{Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use super::body::Passing;
use super::flight::Flight;
use crate::error::Refusal;
use crate::middleware::{headers, response_framing};
use crate::settings::Server;
use crate::upstream::pool::{Lent, Stage};
use crate::upstream::upload::{Upload, UploadProgress};

/// Sends, within the request timeout, and hands the response on.
///
/// # Errors
/// [`Refusal::ConnectFailure`], [`Refusal::Reset`] or [`Refusal::Timeout`]: no response came;
/// [`Refusal::UploadBroken`] or [`Refusal::UploadSlow`]: because the client did not finish its request.
pub(super) async fn forward(
    mut flight: Flight,
    request: Request<Upload>,
    server: &Server,
    started: Instant,
) -> Result<Response<Passing>, Refusal> {
    let sent = timeout_at(started + server.request_timeout, send(&flight, request, server)).await;
    match sent.unwrap_or(Err(Refusal::Timeout)) {
        Ok((response, connection)) => {
            flight.answered(&response);
            let (mut parts, body) = response.into_parts();
            flight.upload.answered.set(true);
            headers::strip_hop_by_hop(&mut parts.headers);
            headers::strip_internal(&mut parts.headers);
            parts.version = Version::HTTP_11;
            Ok(Response::from_parts(parts, Passing::new(body, flight, connection, server)))
        }
        Err(refusal) => {
            let refusal = whose_fault(refusal, &flight.upload);
            refusal.outcome().into_iter().for_each(|outcome| flight.decide(outcome));
            Err(refusal)
        }
    }
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
    request: Request<Upload>,
    server: &Server,
) -> Result<(Response<Incoming>, Lent), Refusal> {
    let sent = flight.endpoint.pool.send(request, server.connect_timeout).await;
    let (response, connection) = sent.map_err(|failure| match failure.stage {
        Stage::Connecting => Refusal::ConnectFailure,
        Stage::Unprocessed | Stage::Sent => Refusal::Reset,
    })?;
    accepted(response, connection)
}

/// This proxy never asks to switch protocols: an endpoint that does so has lost its place. So has one whose
/// response ends in two ways: its connection is closed with what is left on it.
fn accepted(response: Response<Incoming>, connection: Lent) -> Result<(Response<Incoming>, Lent), Refusal> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS || !response_framing::is_sound(response.headers())
    {
        return Err(Refusal::Reset);
    }
    Ok((response, connection))
}
