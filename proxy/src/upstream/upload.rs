//! A request's body on its way to an endpoint: handed on frame by frame, counted, never buffered but for
//! what another attempt or a copy would need, which is bounded.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::intake::{Intake, UploadError, Uploader};
use super::pace::Pace;
use super::replay::{Replay, Turn};
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
}

#[derive(Debug)]
enum Source {
    Client(Intake),
    /// The client's, kept for another attempt.
    Kept(Turn),
    Whole(Full<Bytes>),
}

/// A body that another attempt may send from its beginning.
#[derive(Debug)]
pub struct Resend {
    /// Absent: there is no body.
    replay: Option<Rc<Replay>>,
    progress: Rc<UploadProgress>,
}

impl Upload {
    /// The body, and where to see how far it has come.
    #[must_use]
    pub fn new(incoming: Incoming, from: Uploader) -> (Self, Rc<UploadProgress>) {
        let ended = Cell::new(incoming.is_end_stream());
        let progress = Rc::new(UploadProgress { ended, ..UploadProgress::default() });
        let source = Source::Client(Intake::new(incoming, from, Rc::clone(&progress)));
        (Self { source, progress: Rc::clone(&progress) }, progress)
    }

    /// Reads on until at least `most` bytes are there or the body ends; whether it has ended. All of it is handed on
    /// from its beginning all the same.
    ///
    /// # Errors
    /// [`UploadError`]: there is no more to come.
    pub async fn read_ahead(&mut self, most: usize) -> Result<bool, UploadError> {
        let Source::Client(intake) = &mut self.source else { return Ok(true) };
        std::future::poll_fn(|cx| {
            let polled = intake.poll_ahead(cx, most);
            self.progress.waiting.set(polled.is_pending());
            polled
        })
        .await
    }

    /// What was read ahead, at most `most` bytes.
    #[must_use]
    pub fn ahead(&self, most: usize) -> Bytes {
        let Source::Client(intake) = &self.source else { return Bytes::new() };
        let mut all = BytesMut::new();
        for piece in intake.ahead() {
            let room = most.saturating_sub(all.len());
            all.extend_from_slice(piece.get(..room).unwrap_or(piece));
        }
        all.freeze()
    }

    /// A body that is there already.
    #[must_use]
    pub fn whole(body: Bytes) -> Self {
        Self { source: Source::Whole(Full::new(body)), progress: Rc::default() }
    }

    /// The same body, with up to `room` bytes of it kept for [`Resend::again`]; `None` beside it where it
    /// says itself that it is longer.
    #[must_use]
    pub fn kept(self, room: usize) -> (Self, Option<Resend>) {
        let (Self { source, progress }, none) = (self, None);
        let resend = |replay| Some(Resend { replay, progress: Rc::clone(&progress) });
        match source {
            Source::Client(intake) if intake.is_end_stream() => {
                let resend = resend(None);
                (Self { source: Source::Client(intake), progress }, resend)
            }
            Source::Client(intake) if intake.size_hint().lower() <= room as u64 => {
                let replay = Replay::new(intake, room);
                let resend = resend(Some(Rc::clone(&replay)));
                match replay.begin() {
                    Some(turn) => (Self { source: Source::Kept(turn), progress }, resend),
                    None => (Self { source: Source::Whole(Full::default()), progress }, none),
                }
            }
            source => (Self { source, progress }, none),
        }
    }

    /// Where the body will come out a second time when all of it has passed, if it is no longer than
    /// `room`; `None` where it says itself that it is.
    pub fn capture(&mut self, room: usize) -> Option<oneshot::Receiver<Bytes>> {
        match &mut self.source {
            Source::Client(intake) => intake.capture(room),
            Source::Kept(turn) => turn.replay().with_intake(|intake| intake.capture(room)),
            Source::Whole(_) => None,
        }
    }

    fn is_superseded(&self) -> bool {
        matches!(&self.source, Source::Kept(turn) if turn.is_over())
    }
}

impl Resend {
    /// The body from its beginning, for another attempt; nobody else can send it any more. `None` where the
    /// beginning is gone or its client has broken it off.
    #[must_use]
    pub fn again(&self) -> Option<Upload> {
        if !self.is_possible() {
            return None;
        }
        let source = match &self.replay {
            None => Source::Whole(Full::default()),
            Some(replay) => Source::Kept(replay.begin()?),
        };
        let upload = Upload { source, progress: Rc::clone(&self.progress) };
        self.progress.ended.set(upload.is_end_stream());
        self.progress.waiting.set(false);
        self.progress.answered.set(false);
        Some(upload)
    }

    /// Whether [`Self::again`] would have something.
    #[must_use]
    pub fn is_possible(&self) -> bool {
        let broken = self.progress.broken.get() || self.progress.refused.get().is_some();
        !broken && self.replay.as_ref().is_none_or(|replay| !replay.is_outgrown())
    }

    /// Whether there is no body: several attempts may send it at once.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.replay.is_none()
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        if self.is_superseded() {
            return Poll::Ready(Some(Err(UploadError::Superseded)));
        }
        let polled = match &mut self.source {
            Source::Client(incoming) => Pin::new(incoming).poll_frame(cx),
            Source::Kept(turn) => turn.poll(cx),
            Source::Whole(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
        };
        self.progress.waiting.set(polled.is_pending());
        let ended = match &polled {
            Poll::Ready(None) => true,
            Poll::Ready(Some(Ok(_))) => self.is_end_stream(),
            Poll::Ready(Some(Err(_))) | Poll::Pending => false,
        };
        if ended {
            self.progress.ended.set(true);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Client(incoming) => incoming.is_end_stream(),
            Source::Kept(turn) => turn.is_end_stream(),
            Source::Whole(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Client(incoming) => incoming.size_hint(),
            Source::Kept(turn) => turn.size_hint(),
            Source::Whole(body) => body.size_hint(),
        }
    }
}
