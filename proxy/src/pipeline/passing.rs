//! An endpoint's response body on its way: passed on frame by frame, with all that ends with it.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::flight::Flight;
use crate::settings::Server;
use crate::upstream::gate::Place;
use crate::upstream::group::EndpointView;
use crate::upstream::http1::Switched;
use crate::upstream::pool::{Download, DownloadError};

/// Of a response that nobody wants so much is read, so that its connection can be used again.
const MAX_DISCARDED: u64 = 16 * 1_024;
/// For so long.
const DISCARD_TIME: Duration = Duration::from_millis(100);

/// A response's body ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The endpoint broke it off.
    #[error(transparent)]
    Endpoint(#[from] DownloadError),
    /// Nothing came for too long.
    #[error("the endpoint has sent nothing for too long")]
    Idle,
}

/// See the module. When it ends, its connection goes back to the pool; when it is dropped before, the
/// connection is closed. A body that breaks off breaks off at the client too, and still counts by the status
/// that was sent.
#[derive(Debug)]
pub(crate) struct Passing {
    /// Absent: its connection is no HTTP any more.
    download: Option<Download>,
    flight: Flight,
    max_idle: usize,
    ended: bool,
    /// Between two pieces; absent: the client's connection is watched, no more.
    idle: Option<(Duration, Pin<Box<Sleep>>)>,
    /// The request's, where places are limited.
    place: Option<Place>,
}

impl Passing {
    pub(super) fn new(download: Download, flight: Flight, server: &Server, idle: Option<Duration>) -> Self {
        let max_idle = server.max_idle_per_endpoint;
        let idle = idle.map(|every| (every, Box::pin(sleep(every))));
        Self { download: Some(download), flight, max_idle, ended: false, idle, place: None }
    }

    /// Whose it is.
    pub(super) fn endpoint(&self) -> &Rc<EndpointView> {
        &self.flight.endpoint
    }

    /// Holds the request's place until it has passed.
    pub(super) fn hold(&mut self, place: Option<Place>) {
        self.place = place;
    }

    /// Its connection is no HTTP any more.
    pub(super) fn switch(mut self: Box<Self>) -> (Option<Switched>, Box<Self>) {
        self.idle = None;
        (self.download.take().and_then(Download::switch), self)
    }

    /// Bytes have come from the endpoint in what its connection has become.
    pub(super) fn carried(&mut self, bytes: usize) {
        self.flight.bytes_out += bytes as u64;
    }

    /// Bytes have gone to it likewise.
    pub(super) fn took(&self, bytes: usize) {
        let all = &self.flight.upload.bytes;
        all.set(all.get() + bytes as u64);
    }

    /// Another attempt is made instead: what little is left of the response is read and forgotten.
    pub(super) fn give_way(mut self) {
        self.flight.give_way();
        let hint = self.size_hint();
        if hint.upper().is_some_and(|left| left > 0 && left <= MAX_DISCARDED) {
            tokio::task::spawn_local(async move {
                let _read = timeout(DISCARD_TIME, poll_fn(|cx| self.poll_discarding(cx))).await;
            });
        }
    }

    fn poll_discarding(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(Ok(_)) = ready!(self.poll(cx)) {
            if self.ended || self.is_end_stream() {
                break;
            }
        }
        Poll::Ready(())
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(download) = &mut self.download else { return Poll::Ready(None) };
        let polled = Pin::new(download).poll_frame(cx);
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
            Poll::Pending => return self.poll_idle(cx),
        }
        if let Some((every, sleep)) = &mut self.idle {
            sleep.as_mut().reset(Instant::now() + *every);
        }
        polled.map_err(BodyError::from)
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.idle {
            Some((_, sleep)) => {
                ready!(sleep.as_mut().poll(cx));
                self.flight.broke_off();
                Poll::Ready(Some(Err(BodyError::Idle)))
            }
            None => Poll::Pending,
        }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.download.as_ref().is_none_or(Download::is_end_stream)
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.download.as_ref().map_or_else(|| SizeHint::with_exact(0), Download::size_hint)
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        let complete = self.ended || self.is_end_stream();
        if complete {
            self.flight.ended();
        }
        let sent = self.flight.upload.ended.get();
        if let Some(download) = self.download.take().filter(|_| complete && sent) {
            download.give_back(self.max_idle, Instant::now());
        }
    }
}
