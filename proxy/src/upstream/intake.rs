//! A request's body as it comes from its client, within what is allowed: no larger, no slower, framed without
//! doubt, and with no trailer that says what only a head or this proxy may say. Its beginning may be read ahead, by
//! whoever must know it before the request goes anywhere.

use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::oneshot;

use super::capture::Capture;
use super::upload::UploadProgress;
use crate::connection::ClientConnection;
use crate::error::Refusal;
use crate::middleware::own_fields::OwnFields;

/// An upload ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The client broke it off.
    #[error(transparent)]
    Client(#[from] hyper::Error),
    /// This proxy did.
    #[error("{0}")]
    Refused(Refusal),
    /// Another attempt sends it now.
    #[error("another attempt sends this body")]
    Superseded,
}

/// What one upload may be, and whose it is.
#[derive(Debug)]
pub struct Uploader {
    /// The connection it comes by.
    pub connection: Rc<ClientConnection>,
    /// Bytes; absent: any.
    pub max_bytes: Option<u64>,
    /// Whether the client's pace is looked at.
    pub paced: bool,
    /// What its trailers may not say, beside what no trailer may.
    pub own_fields: Arc<OwnFields>,
}

/// See the module.
#[derive(Debug)]
pub struct Intake {
    incoming: Incoming,
    /// What has come and was not handed on yet.
    ahead: VecDeque<Frame<Bytes>>,
    progress: Rc<UploadProgress>,
    from: Uploader,
    /// Which of its connection's requests this is, counted from 1.
    request: u64,
    listed: bool,
    /// Whoever wants all of it once more.
    captures: Vec<Capture>,
}

impl Intake {
    /// The latest request of `from`'s connection.
    #[must_use]
    pub fn new(incoming: Incoming, from: Uploader, progress: Rc<UploadProgress>) -> Self {
        let request = from.connection.requests();
        let (ahead, captures) = (VecDeque::new(), Vec::new());
        Self { incoming, ahead, progress, from, request, listed: false, captures }
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
            self.captures.push(capture);
        }
        Some(whole)
    }

    /// Reads on until at least `most` bytes are there or the body ends, and hands nothing on; whether it has ended.
    pub fn poll_ahead(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<Result<bool, UploadError>> {
        loop {
            if self.incoming.is_end_stream() {
                return Poll::Ready(Ok(true));
            }
            if self.ahead().map(Bytes::len).sum::<usize>() >= most {
                return Poll::Ready(Ok(false));
            }
            match ready!(self.poll_client(cx)).transpose()? {
                Some(frame) => self.ahead.push_back(frame),
                None => return Poll::Ready(Ok(true)),
            }
        }
    }

    /// What was read ahead.
    pub fn ahead(&self) -> impl Iterator<Item = &Bytes> {
        self.ahead.iter().filter_map(Frame::data_ref)
    }

    fn hands_on(&mut self, frame: &Frame<Bytes>) {
        if let Some(data) = frame.data_ref() {
            self.captures.iter_mut().for_each(|capture| capture.push(data));
        }
        if self.is_end_stream() {
            self.ends();
        }
    }

    /// The next that comes from the client, within what is allowed.
    fn poll_client(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let read = frame.data_ref().map_or(0, Bytes::len) as u64;
            self.progress.bytes.set(self.progress.bytes.get() + read);
        }
        if let Some(refusal) = self.refusal() {
            self.progress.refused.set(Some(refusal));
            self.progress.broken.set(true);
            return Poll::Ready(Some(Err(UploadError::Refused(refusal))));
        }
        match &polled {
            Poll::Pending => self.wait(cx),
            Poll::Ready(Some(Err(_))) => self.progress.broken.set(true),
            Poll::Ready(_) => {}
        }
        let own_fields = &self.from.own_fields;
        polled.map_ok(|frame| without_forbidden_trailers(frame, own_fields)).map_err(UploadError::Client)
    }

    fn ends(&mut self) {
        self.captures.drain(..).for_each(|mut capture| capture.end());
    }

    fn refusal(&self) -> Option<Refusal> {
        let too_large = self.from.max_bytes.is_some_and(|most| self.progress.bytes.get() > most);
        let framing = || self.from.connection.fault_before(self.request).map(Refusal::Framing);
        let refused = self.progress.refused.get().or_else(framing);
        refused.or_else(|| too_large.then_some(Refusal::BodyTooLarge))
    }

    fn wait(&mut self, cx: &Context<'_>) {
        if self.from.paced {
            self.progress.pace.wait(cx);
            if !std::mem::replace(&mut self.listed, true) {
                self.from.connection.watch_upload(&self.progress);
            }
        }
    }
}

impl Body for Intake {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let polled = match self.ahead.pop_front() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None => self.poll_client(cx),
        };
        match &polled {
            Poll::Ready(Some(Ok(frame))) => self.hands_on(frame),
            Poll::Ready(None) => self.ends(),
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_empty() && self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, ahead) = (self.incoming.size_hint(), self.ahead().map(Bytes::len).sum::<usize>() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + ahead);
        rest.upper().into_iter().for_each(|upper| hint.set_upper(upper + ahead));
        hint
    }
}

/// Trailers may not say what the head says of a message (RFC 9110 section 6.5.1).
fn without_forbidden_trailers(mut frame: Frame<Bytes>, own_fields: &OwnFields) -> Frame<Bytes> {
    frame.trailers_mut().into_iter().for_each(|trailers| own_fields.strip_trailers(trailers));
    frame
}
