//! A request's body on its way to an endpoint: handed on frame by frame, counted, never buffered.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

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
}

/// See the module.
#[derive(Debug)]
pub struct Upload {
    incoming: Incoming,
    progress: Rc<UploadProgress>,
}

impl Upload {
    /// The body, and where to see how far it has come.
    #[must_use]
    pub fn new(incoming: Incoming) -> (Self, Rc<UploadProgress>) {
        let ended = Cell::new(incoming.is_end_stream());
        let progress = Rc::new(UploadProgress { ended, ..UploadProgress::default() });
        (Self { incoming, progress: Rc::clone(&progress) }, progress)
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        self.progress.waiting.set(polled.is_pending());
        match &polled {
            Poll::Ready(Some(Err(_))) => self.progress.broken.set(true),
            Poll::Ready(frame) => {
                if let Some(data) = frame.as_ref().and_then(|f| f.as_ref().ok()).and_then(Frame::data_ref) {
                    self.progress.bytes.set(self.progress.bytes.get() + data.len() as u64);
                }
                if frame.is_none() || self.incoming.is_end_stream() {
                    self.progress.ended.set(true);
                }
            }
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
