//! A response's body on its way from an endpoint, and the connection it comes by.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::streams::Place;
use super::{EndpointPool, Idle};
use crate::upstream::http1::{Fault, Reply, Switched};

/// See the module. Dropped before it is given back, what is under way ends: an HTTP/1.1 connection is closed, an
/// HTTP/2 stream is reset.
#[derive(Debug)]
pub struct Download(Source);

#[derive(Debug)]
enum Source {
    Http1(Reply, Rc<EndpointPool>),
    Http2(Incoming, #[expect(dead_code, reason = "held until the body has ended")] Place),
}

/// It ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// Over HTTP/1.1.
    #[error(transparent)]
    Http1(#[from] Fault),
    /// Over HTTP/2.
    #[error(transparent)]
    Http2(#[from] hyper::Error),
}

impl Download {
    pub(super) fn http1(reply: Reply, pool: Rc<EndpointPool>) -> Self {
        Self(Source::Http1(reply, pool))
    }

    pub(super) fn http2(incoming: Incoming, place: Place) -> Self {
        Self(Source::Http2(incoming, place))
    }

    /// Gives its connection back, if its request is all sent and its response all read; an HTTP/1.1 connection
    /// beyond `max_idle` is closed instead.
    pub fn give_back(self, max_idle: usize, now: Instant) {
        let Source::Http1(reply, pool) = self.0 else { return };
        let Some(line) = reply.into_line() else { return };
        let mut idle = pool.idle.borrow_mut();
        if idle.len() < max_idle.min(pool.seats.idle()) {
            idle.push(Idle { line, since: now });
        }
    }

    /// Its connection, for the protocol that was agreed on. HTTP/2 knows no such switch.
    #[must_use]
    pub fn switch(self) -> Option<Switched> {
        match self.0 {
            Source::Http1(reply, _) => reply.switch(),
            Source::Http2(..) => None,
        }
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = DownloadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, DownloadError>>> {
        match &mut self.0 {
            Source::Http1(reply, _) => Pin::new(reply).poll_frame(cx).map_err(DownloadError::from),
            Source::Http2(incoming, _) => Pin::new(incoming).poll_frame(cx).map_err(DownloadError::from),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Http1(reply, _) => reply.is_end_stream(),
            Source::Http2(incoming, _) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Http1(reply, _) => reply.size_hint(),
            Source::Http2(incoming, _) => incoming.size_hint(),
        }
    }
}
