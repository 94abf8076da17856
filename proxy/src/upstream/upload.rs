//! A request's body on its way to an endpoint: handed on frame by frame, counted, never buffered
//! (but for a bounded [`Capture`] where a copy of it is sent elsewhere).

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::capture::Capture;
use super::intake::{Intake, UploadError, Uploader};
use super::pace::Pace;
use crate::error::Refusal;

/// How far an upload has come, for those who do not hold the body any more.
#[derive(Debug, Default)]
pub struct UploadProgress {
    /// Bytes handed on.
    pub bytes: Cell<u64>,
    /// Whether the last frame was handed on.
    pub ended: Cell<bool>,
    /// Whether it broke off: its client went away, or sent what is no body.
    pub broken: Cell<bool>,
    /// Whether the next frame was asked for and has not come: the client is who keeps all waiting.
    pub waiting: Cell<bool>,
    /// Whether a response has begun: then a slow client is a conversation, not an attack.
    pub answered: Cell<bool>,
    /// Why this proxy broke it off, where it did.
    pub refused: Cell<Option<Refusal>>,
    /// The client's pace.
    pub pace: Pace,
}

impl UploadProgress {
    /// Breaks off an upload whose client is waited for and does not keep `rate` bytes a second over `stretch`.
    pub fn check_pace(&self, now: Instant, stretch: Duration, rate: u32) {
        if !self.waiting.get() || self.answered.get() {
            self.pace.restart();
        } else if self.pace.is_too_slow(self.bytes.get(), now, stretch, rate) {
            self.refused.set(Some(Refusal::UploadSlow));
            self.pace.wake();
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Upload {
    source: Source,
    progress: Rc<UploadProgress>,
    capture: Option<Box<Capture>>,
}

#[derive(Debug)]
enum Source {
    Client(Intake),
    Whole(Full<Bytes>),
}

impl Upload {
    /// The body, and where to see how far it has come.
    #[must_use]
    pub fn new(incoming: Incoming, from: Uploader) -> (Self, Rc<UploadProgress>) {
        let ended = Cell::new(incoming.is_end_stream());
        let progress = Rc::new(UploadProgress { ended, ..UploadProgress::default() });
        let source = Source::Client(Intake::new(incoming, from, Rc::clone(&progress)));
        let upload = Self { source, progress: Rc::clone(&progress), capture: None };
        (upload, progress)
    }

    /// A body that is there already.
    #[must_use]
    pub fn whole(body: Bytes) -> Self {
        Self { source: Source::Whole(Full::new(body)), progress: Rc::default(), capture: None }
    }

    /// Where the body will come out a second time when all of it has passed, if it is no longer than
    /// `room`; `None` where it says itself that it is.
    pub fn capture(&mut self, room: usize) -> Option<oneshot::Receiver<Bytes>> {
        if self.size_hint().lower() > room as u64 {
            return None;
        }
        let (mut capture, whole) = Capture::new(room);
        if self.is_end_stream() {
            capture.end();
        } else {
            self.capture = Some(Box::new(capture));
        }
        Some(whole)
    }

    fn passes(&mut self, data: &Bytes) {
        self.progress.bytes.set(self.progress.bytes.get() + data.len() as u64);
        if let Some(capture) = &mut self.capture {
            capture.push(data);
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let polled = match &mut self.source {
            Source::Client(incoming) => Pin::new(incoming).poll_frame(cx),
            Source::Whole(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
        };
        self.progress.waiting.set(polled.is_pending());
        match &polled {
            Poll::Ready(Some(Err(_))) => self.progress.broken.set(true),
            Poll::Ready(frame) => {
                if let Some(data) = frame.as_ref().and_then(|f| f.as_ref().ok()).and_then(Frame::data_ref) {
                    self.passes(data);
                }
                if frame.is_none() || self.is_end_stream() {
                    self.progress.ended.set(true);
                    self.capture.iter_mut().for_each(|capture| capture.end());
                }
            }
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Client(incoming) => incoming.is_end_stream(),
            Source::Whole(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Client(incoming) => incoming.size_hint(),
            Source::Whole(body) => body.size_hint(),
        }
    }
}
