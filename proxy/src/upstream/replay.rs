//! A request's body that can be sent again: what has passed is kept, up to a bound, and the rest comes from
//! the client when it comes (Linkerd's replay body). A body that grows beyond the bound has one attempt.
//!
//! Frames are shared, not copied. Only the latest attempt may read: one that was given up may still hold its
//! end of the body for a moment.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::intake::{Intake, UploadError};

/// See the module.
#[derive(Debug)]
pub(super) struct Replay(RefCell<Inner>);

#[derive(Debug)]
struct Inner {
    intake: Intake,
    kept: Vec<Kept>,
    room: usize,
    outgrown: bool,
    ended: bool,
    turn: u32,
}

#[derive(Debug, Clone)]
enum Kept {
    Data(Bytes),
    Trailers(HeaderMap),
}

/// One attempt's reading of it.
#[derive(Debug)]
pub(super) struct Turn {
    replay: Rc<Replay>,
    turn: u32,
    /// Kept frames that it has read.
    read: usize,
}

impl Replay {
    /// Of a body of which at most `room` bytes are kept.
    pub(super) fn new(intake: Intake, room: usize) -> Rc<Self> {
        let (kept, outgrown, ended) = (Vec::new(), false, false);
        Rc::new(Self(RefCell::new(Inner { intake, kept, room, outgrown, ended, turn: 0 })))
    }

    /// Reads from the beginning, instead of whoever has read so far; `None` if the beginning is gone.
    pub(super) fn begin(self: &Rc<Self>) -> Option<Turn> {
        let mut inner = self.0.borrow_mut();
        if inner.outgrown {
            return None;
        }
        inner.turn = inner.turn.wrapping_add(1);
        Some(Turn { replay: Rc::clone(self), turn: inner.turn, read: 0 })
    }

    /// Whether the beginning is gone.
    pub(super) fn is_outgrown(&self) -> bool {
        self.0.borrow().outgrown
    }

    /// Does to the client's side of it what must be done there.
    pub(super) fn with_intake<T>(&self, change: impl FnOnce(&mut Intake) -> T) -> T {
        change(&mut self.0.borrow_mut().intake)
    }
}

impl Turn {
    /// Whether another attempt reads now.
    pub(super) fn is_over(&self) -> bool {
        self.replay.0.borrow().turn != self.turn
    }

    pub(super) fn replay(&self) -> &Rc<Replay> {
        &self.replay
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let mut inner = self.replay.0.borrow_mut();
        if inner.turn != self.turn {
            return Poll::Ready(Some(Err(UploadError::Superseded)));
        }
        if let Some(kept) = inner.kept.get(self.read).filter(|_| !inner.outgrown) {
            self.read += 1;
            return Poll::Ready(Some(Ok(kept.clone().into_frame())));
        }
        let polled = inner.poll_intake(cx);
        if matches!(polled, Poll::Ready(Some(Ok(_)))) {
            self.read += 1;
        }
        polled
    }

    pub(super) fn is_end_stream(&self) -> bool {
        let inner = self.replay.0.borrow();
        (inner.outgrown || self.read >= inner.kept.len()) && inner.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let inner = self.replay.0.borrow();
        let kept = inner.kept.iter().skip(self.read);
        let again: u64 = if inner.outgrown { 0 } else { kept.map(Kept::len).sum() };
        let rest = if inner.ended { SizeHint::with_exact(0) } else { inner.intake.size_hint() };
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + again);
        rest.upper().into_iter().for_each(|upper| hint.set_upper(upper + again));
        hint
    }
}

impl Inner {
    fn poll_intake(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let polled = Pin::new(&mut self.intake).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => self.keep(frame),
            Poll::Ready(None) => self.ended = true,
            // What its client broke off cannot be sent again.
            Poll::Ready(Some(Err(_))) => self.let_go(),
            Poll::Pending => {}
        }
        polled
    }

    fn keep(&mut self, frame: &Frame<Bytes>) {
        if let Some(trailers) = frame.trailers_ref() {
            self.ended = true;
            self.kept.push(Kept::Trailers(trailers.clone()));
        }
        let Some(data) = frame.data_ref().filter(|_| !self.outgrown) else { return };
        match self.room.checked_sub(data.len()) {
            Some(room) => {
                self.room = room;
                self.kept.push(Kept::Data(data.clone()));
            }
            None => self.let_go(),
        }
    }

    fn let_go(&mut self) {
        (self.outgrown, self.kept) = (true, Vec::new());
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.intake.is_end_stream()
    }
}

impl Kept {
    fn len(&self) -> u64 {
        match self {
            Self::Data(data) => data.len() as u64,
            Self::Trailers(_) => 0,
        }
    }

    fn into_frame(self) -> Frame<Bytes> {
        match self {
            Self::Data(data) => Frame::data(data),
            Self::Trailers(trailers) => Frame::trailers(trailers),
        }
    }
}
