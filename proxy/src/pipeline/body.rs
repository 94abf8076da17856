//! Response bodies: an endpoint's, passed on frame by frame with back-pressure, or the proxy's own.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::time::Instant;

use super::flight::Flight;
use crate::connection::Busy;
use crate::observability::story::Story;
use crate::settings::Server;
use crate::upstream::group::EndpointView;
use crate::upstream::pool::Lent;

/// A response body on its way to the client. Keeps the client's connection busy until it is gone.
#[derive(Debug)]
pub struct ProxyBody {
    source: Source,
    busy: Busy,
    story: Option<Rc<Story>>,
}

/// Not boxed: nearly every response is the large one.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)]
enum Source {
    Own(Full<Bytes>),
    Passing(Passing),
}

impl ProxyBody {
    pub(super) fn own(text: Bytes, busy: Busy, story: Option<Rc<Story>>) -> Self {
        busy.offers(true);
        Self { source: Source::Own(Full::new(text)), busy, story }
    }

    pub(super) fn passing(body: Passing, busy: Busy, story: Option<Rc<Story>>) -> Self {
        busy.offers(true);
        Self { source: Source::Passing(body), busy, story }
    }
}

fn tell(story: &Story, polled: &Poll<Option<Result<Frame<Bytes>, hyper::Error>>>) {
    match polled {
        Poll::Ready(Some(Ok(frame))) => story.sent(frame.data_ref().map_or(0, Bytes::len)),
        Poll::Ready(Some(Err(_))) => story.went_wrong("response_broken"),
        Poll::Ready(None) => story.completed(),
        Poll::Pending => {}
    }
}

impl Drop for ProxyBody {
    fn drop(&mut self) {
        if let Some(story) = self.story.take().filter(|_| self.is_end_stream()) {
            story.completed();
        }
    }
}

impl Body for ProxyBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = match &mut self.source {
            Source::Own(text) => Pin::new(text).poll_frame(cx).map_err(|never| match never {}),
            Source::Passing(body) => body.poll(cx),
        };
        self.busy.offers(polled.is_ready());
        self.story.iter().for_each(|story| tell(story, &polled));
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Own(text) => text.is_end_stream(),
            Source::Passing(body) => body.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Own(text) => text.size_hint(),
            Source::Passing(body) => body.incoming.size_hint(),
        }
    }
}

/// An endpoint's body. When it ends, its connection goes back to the pool; when it is dropped
/// before, the connection is closed. A body that breaks off breaks off at the client too, and still
/// counts by the status that was sent.
#[derive(Debug)]
pub(crate) struct Passing {
    incoming: Incoming,
    flight: Flight,
    connection: Option<Lent>,
    max_idle: usize,
    ended: bool,
}

impl Passing {
    pub(super) fn new(incoming: Incoming, flight: Flight, connection: Lent, server: &Server) -> Self {
        let max_idle = server.max_idle_per_endpoint;
        Self { incoming, flight, connection: Some(connection), max_idle, ended: false }
    }

    /// Whose it is.
    pub(super) fn endpoint(&self) -> &Rc<EndpointView> {
        &self.flight.endpoint
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.flight.passed(frame);
                // Trailers are the end: the library is not asked again after them.
                self.ended |= frame.is_trailers();
                self.flight.bytes_out += frame.data_ref().map_or(0, |data| data.len() as u64);
            }
            Poll::Ready(None) => {
                self.ended = true;
                self.flight.ended();
            }
            Poll::Ready(Some(Err(_))) => self.flight.broke_off(),
            Poll::Pending => {}
        }
        polled
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        let complete = self.ended || self.incoming.is_end_stream();
        if complete {
            self.flight.ended();
        }
        if let Some(connection) =
            self.connection.take().filter(|_| complete && self.flight.upload.ended.get())
        {
            connection.give_back(self.max_idle, Instant::now());
        }
    }
}
