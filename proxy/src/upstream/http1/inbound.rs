//! What has come from an endpoint and was not looked at yet.

use std::cell::RefCell;
use std::io::Result;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio_util::io::poll_read_buf;

use crate::upstream::connector::Stream;

/// Bytes that are read at once, at first; most responses are smaller.
const LEAST: usize = 8 * 1_024;
/// And when much comes: fewer system calls, of a size that stays in the cache.
const MOST: usize = 256 * 1_024;

/// See the module.
#[derive(Debug)]
pub(super) struct Inbound {
    pub(super) bytes: BytesMut,
    step: usize,
}

impl Inbound {
    pub(super) fn new() -> Self {
        Self { bytes: BytesMut::new(), step: LEAST }
    }

    /// Reads more; 0: nothing will come any more.
    pub(super) fn poll_fill(&mut self, io: &RefCell<Stream>, cx: &mut Context<'_>) -> Poll<Result<usize>> {
        self.bytes.reserve(self.step);
        let read = ready!(poll_read_buf(Pin::new(&mut *io.borrow_mut()), cx, &mut self.bytes))?;
        self.step = match read {
            all if all >= self.step => (self.step * 2).min(MOST),
            few if few < self.step / 4 => (self.step / 2).max(LEAST),
            _ => self.step,
        };
        Poll::Ready(Ok(read))
    }

    /// At most so many bytes of what is there.
    pub(super) fn take(&mut self, most: u64) -> Bytes {
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(self.bytes.len());
        self.bytes.split_to(most).freeze()
    }
}
