//! Response bodies: an endpoint's, passed on frame by frame with back-pressure, or the proxy's own.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;

use super::passing::{BodyError, Passing};
use crate::connection::Busy;
use crate::observability::story::Story;

/// A response body on its way to the client. Keeps the client's connection busy until it is gone.
#[derive(Debug)]
pub struct ProxyBody {
    source: Source,
    busy: Option<Busy>,
    story: Option<Rc<Story>>,
}

/// Not boxed: nearly every response is the large one.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)]
enum Source {
    Own(Full<Bytes>),
    Passing(Box<Passing>),
}

impl ProxyBody {
    pub(super) fn own(text: Bytes, busy: Busy, story: Option<Rc<Story>>) -> Self {
        busy.offers(true);
        Self { source: Source::Own(Full::new(text)), busy: Some(busy), story }
    }

    pub(super) fn passing(body: Box<Passing>, busy: Busy, story: Option<Rc<Story>>) -> Self {
        busy.offers(true);
        Self { source: Source::Passing(body), busy: Some(busy), story }
    }

    /// Of a response that is a head alone; what comes after it is no message any more.
    pub(super) fn none() -> Self {
        Self { source: Source::Own(Full::default()), busy: None, story: None }
    }
}

fn tell(story: &Story, polled: &Poll<Option<Result<Frame<Bytes>, BodyError>>>) {
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
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = match &mut self.source {
            Source::Own(text) => Pin::new(text).poll_frame(cx).map_err(|never| match never {}),
            Source::Passing(body) => body.poll(cx),
        };
        self.busy.iter().for_each(|busy| busy.offers(polled.is_ready()));
        self.story.iter().for_each(|story| tell(story, &polled));
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Own(text) => text.is_end_stream(),
            Source::Passing(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Own(text) => text.size_hint(),
            Source::Passing(body) => body.size_hint(),
        }
    }
}
