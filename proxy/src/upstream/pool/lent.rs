//! One connection, or a part of one, for one request: what it speaks is nobody's affair but its own.

use std::rc::Rc;

use http::{Request, Response};

use super::download::Download;
use super::streams::Place;
use super::{EndpointPool, form, http2};
use crate::upstream::http1::{Fault, Line, Unanswered};
use crate::upstream::upload::Upload;

/// A connection taken out of the pool, or opened, or a place on one that is shared. Dropped, what is under way
/// on it ends: an HTTP/1.1 connection is closed, an HTTP/2 stream is reset.
#[derive(Debug)]
pub struct Lent {
    pub(super) link: Link,
    pub(super) pool: Rc<EndpointPool>,
    /// Whether it has served before, so that it may have been closed by the endpoint meanwhile.
    pub(super) reused: bool,
}

#[derive(Debug)]
pub(super) enum Link {
    Http1(Line),
    Http2(Place),
}

/// No response came.
#[derive(Debug)]
pub struct SendFailure {
    /// How far it came.
    pub stage: Stage,
    /// The request, where it is still whole.
    pub request: Option<Box<Request<Upload>>>,
    /// Which shared connection is not to be used again; 0: any may.
    pub(super) spent: u64,
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
    /// [`SendFailure`], with the request where it is whole.
    pub async fn send(self, mut request: Box<Request<Upload>>) -> Result<Response<Download>, SendFailure> {
        let Self { link, pool, .. } = self;
        match link {
            Link::Http1(line) => {
                form::http1(&mut request);
                let answered = line.ask(request).await.map_err(SendFailure::of_line)?;
                Ok(answered.map(|reply| Download::http1(reply, pool)))
            }
            Link::Http2(place) => {
                form::http2(&mut request, pool.connector.scheme(), pool.connector.endpoint.id.as_str());
                match place.sender().try_send_request(*request).await {
                    Ok(answered) => Ok(answered.map(|body| Download::http2(body, place))),
                    Err(mut failed) => {
                        let request = failed.take_message().map(Box::new);
                        Err(SendFailure::of_stream(request, &failed.into_error(), &place))
                    }
                }
            }
        }
    }

    /// Whether one such connection carries many requests.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self.link, Link::Http2(_))
    }
}

impl SendFailure {
    fn of_line(Unanswered { why, begun, request }: Unanswered) -> Self {
        let unsent = !begun && matches!(why, Fault::Broken(_));
        Self { stage: if unsent { Stage::Unprocessed } else { Stage::Sent }, request, spent: 0 }
    }

    fn of_stream(request: Option<Box<Request<Upload>>>, why: &hyper::Error, place: &Place) -> Self {
        let stage = if request.is_some() { Stage::Unprocessed } else { http2::stage(why) };
        if !http2::is_of_the_stream(why) {
            place.retire();
        }
        Self { stage, request, spent: if place.is_retired() { place.number() } else { 0 } }
    }
}
