//! A request on its way: its head, and its body as it comes.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body as _, Frame};
use tokio::io::AsyncWrite as _;

use super::compose::{Ends, field};
use super::fault::Fault;
use crate::upstream::connector::Stream;
use crate::upstream::upload::Upload;

const LINE_END: &[u8] = b"\r\n";
const LAST_CHUNK: &[u8] = b"0\r\n";

/// See the module. What waits to be written: `head`, then `data`, then `tail`.
#[derive(Debug)]
pub(super) struct Sending {
    /// The message's head, and what stands before and between chunks.
    head: BytesMut,
    data: Bytes,
    tail: &'static [u8],
    /// Absent: all of it has been taken, or there is none.
    upload: Option<Upload>,
    ends: Ends,
    /// Whether a byte has been written.
    begun: bool,
}

impl Sending {
    /// `head` is what is composed; no `upload`: there is no body.
    pub(super) fn new(mut head: BytesMut, upload: Option<Upload>, ends: Ends) -> Self {
        if upload.is_none() && ends == Ends::Chunked {
            head.extend_from_slice(b"0\r\n\r\n");
        }
        Self { head, data: Bytes::new(), tail: b"", upload, ends, begun: false }
    }

    /// Whether the endpoint has got anything.
    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    /// The memory for the next head.
    pub(super) fn into_memory(self) -> BytesMut {
        self.head
    }

    /// Writes until all is written. What there is of the body goes with the head, in one call.
    pub(super) fn poll(&mut self, io: &RefCell<Stream>, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        loop {
            let waits = self.data.is_empty() && self.tail.is_empty() && self.poll_piece(cx)?.is_pending();
            ready!(self.poll_write(io, cx))?;
            if self.upload.is_none() || waits {
                ready!(Pin::new(&mut *io.borrow_mut()).poll_flush(cx))?;
                return if waits { Poll::Pending } else { Poll::Ready(Ok(())) };
            }
        }
    }

    /// Takes the body's next piece.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        let Some(upload) = &mut self.upload else { return Poll::Ready(Ok(())) };
        let frame = ready!(Pin::new(upload).poll_frame(cx)).transpose()?;
        Poll::Ready(match frame.map(Frame::into_data) {
            Some(Ok(data)) => self.goes_on(data),
            Some(Err(other)) => self.is_over(other.into_trailers().ok().as_ref()),
            None => self.is_over(None),
        })
    }

    fn goes_on(&mut self, data: Bytes) -> Result<(), Fault> {
        match &mut self.ends {
            Ends::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or(Fault::UploadLength)?;
            }
            // A chunk of no bytes would be the last.
            Ends::Chunked if data.is_empty() => {}
            Ends::Chunked => {
                // To memory, which takes all.
                let _ = write!(self.head, "{:x}\r\n", data.len());
                self.tail = LINE_END;
            }
        }
        self.data = data;
        if self.ends == Ends::Length(0) && self.upload.as_ref().is_some_and(Upload::is_end_stream) {
            self.upload = None;
        }
        Ok(())
    }

    fn is_over(&mut self, trailers: Option<&HeaderMap>) -> Result<(), Fault> {
        self.upload = None;
        match self.ends {
            Ends::Length(0) => return Ok(()),
            Ends::Length(_) => return Err(Fault::UploadLength),
            Ends::Chunked => self.head.extend_from_slice(LAST_CHUNK),
        }
        let fields = trailers.into_iter().flatten();
        fields.for_each(|(name, value)| field(&mut self.head, name.as_str().as_bytes(), value.as_bytes()));
        self.head.extend_from_slice(LINE_END);
        Ok(())
    }

    fn poll_write(&mut self, io: &RefCell<Stream>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut io = io.borrow_mut();
        while !(self.head.is_empty() && self.data.is_empty() && self.tail.is_empty()) {
            let parts = [IoSlice::new(&self.head), IoSlice::new(&self.data), IoSlice::new(self.tail)];
            let written = match self.data.is_empty() && self.tail.is_empty() {
                true => ready!(Pin::new(&mut *io).poll_write(cx, &self.head))?,
                false => ready!(Pin::new(&mut *io).poll_write_vectored(cx, &parts))?,
            };
            if written == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
            self.begun = true;
            self.written(written);
        }
        Poll::Ready(Ok(()))
    }

    fn written(&mut self, mut bytes: usize) {
        let of_head = bytes.min(self.head.len());
        self.head.advance(of_head);
        bytes -= of_head;
        let of_data = bytes.min(self.data.len());
        self.data.advance(of_data);
        self.tail = self.tail.get(bytes - of_data..).unwrap_or_default();
    }
}
