//! One connection, or a part of one, for one request: what it speaks is nobody's affair but its own.

use std::rc::Rc;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use tokio::time::Instant;

use super::streams::Place;
use super::{EndpointPool, Idle, http1, http2};
use crate::upstream::upload::Upload;

/// A connection taken out of the pool, or opened, or a place on one that is shared. Dropped before it is given
/// back, what is under way on it ends: an HTTP/1.1 connection is closed, an HTTP/2 stream is reset.
#[derive(Debug)]
pub struct Lent {
    pub(super) link: Link,
    pub(super) pool: Rc<EndpointPool>,
    /// Whether it has served before.
    pub(super) reused: bool,
}

#[derive(Debug)]
pub(super) enum Link {
    Http1(SendRequest<Upload>),
    Http2(Place),
}

/// No response came.
#[derive(Debug)]
pub struct SendFailure {
    /// How far it came.
    pub stage: Stage,
    /// The request, where it is still whole.
    pub request: Option<Box<Request<Upload>>>,
}

/// How far a request came that was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// There are as many connections to the endpoint as there may be.
    Full,
    /// This process has no descriptor left for a connection: no fault of the endpoint's.
    Exhausted,
    /// There is no connection to the endpoint.
    Connecting,
    /// The endpoint has surely not begun with it.
    Unprocessed,
    /// The endpoint may have done what it was asked.
    Sent,
}

impl Lent {
    /// Sends the request and waits for the response's head.
    ///
    /// # Errors
    /// [`SendFailure`], with the request where nothing of it was sent.
    pub async fn send(
        &mut self,
        mut request: Box<Request<Upload>>,
    ) -> Result<Response<Incoming>, SendFailure> {
        let connector = &self.pool.connector;
        let sent = match &mut self.link {
            Link::Http1(sender) => {
                http1::speak(&mut request);
                sender.try_send_request(*request).await
            }
            Link::Http2(place) => {
                http2::speak(&mut request, connector.scheme(), connector.endpoint.id.as_str());
                place.sender().try_send_request(*request).await
            }
        };
        sent.map_err(|mut failed| {
            let request = failed.take_message().map(Box::new);
            let why = failed.into_error();
            let stage = if request.is_some() { Stage::Unprocessed } else { http2::stage(&why) };
            if let Link::Http2(place) = &self.link
                && !http2::is_of_the_stream(&why)
            {
                place.retire();
            }
            SendFailure { stage, request }
        })
    }

    /// Whether it has served before, so that it may have been closed by the endpoint meanwhile.
    #[must_use]
    pub fn is_reused(&self) -> bool {
        self.reused
    }

    /// Whether one such connection carries many requests.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self.link, Link::Http2(_))
    }

    /// Which connection may not be used again after it failed; 0: any may.
    pub(super) fn failed(&self) -> u64 {
        match &self.link {
            Link::Http2(place) if place.is_retired() => place.number(),
            Link::Http1(_) | Link::Http2(_) => 0,
        }
    }

    /// Gives a connection back whose request and response are both complete; an HTTP/1.1 connection beyond
    /// `max_idle` is closed instead.
    pub fn give_back(self, max_idle: usize, now: Instant) {
        let Link::Http1(sender) = self.link else { return };
        let mut idle = self.pool.idle.borrow_mut();
        if !sender.is_closed() && idle.len() < max_idle.min(self.pool.seats.idle()) {
            idle.push(Idle { sender, since: now });
        }
    }
}
