//! A client's socket, watched: what is read is followed by [`Framing`](crate::middleware::framing::Framing),
//! what moves is counted. Its first bytes tell which HTTP the client speaks.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::connection::ClientConnection;
use crate::middleware::framing::Fault;

/// See the module.
#[derive(Debug)]
pub(crate) struct Watched<S> {
    stream: S,
    connection: Rc<ClientConnection>,
    /// Read, but not yet by the HTTP library.
    early: Bytes,
    spoke_http1: bool,
}

/// What HTTP/2 begins with where it is not negotiated (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a client begins to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begins {
    Http1,
    Http2,
}

impl<S> Watched<S> {
    pub(crate) fn new(stream: S, connection: Rc<ClientConnection>) -> Self {
        Self { stream, connection, early: Bytes::new(), spoke_http1: false }
    }

    fn moved(&self, bytes: usize) {
        let moved = &self.connection.moved;
        moved.set(moved.get().wrapping_add(bytes as u64));
    }

    fn wrote<'b>(&self, pieces: impl IntoIterator<Item = &'b [u8]>, written: usize) {
        self.moved(written);
        if let Some(frames) = self.connection.framing.borrow_mut().http2() {
            let mut left = written;
            for piece in pieces {
                let piece = piece.get(..left).unwrap_or(piece);
                left -= piece.len();
                frames.wrote(piece);
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Watched<S> {
    /// Reads until it is clear what the client begins to speak; `None` when the connection has ended
    /// before. Who has spoken HTTP/1.1 goes on with it.
    pub(crate) fn poll_begin(&mut self, cx: &mut Context<'_>) -> Poll<Option<Begins>> {
        loop {
            let may_be_http2 = !self.spoke_http1 && PREFACE.starts_with(&self.early);
            match self.early.len() {
                0 => {}
                _ if !may_be_http2 => {
                    self.spoke_http1 = true;
                    return Poll::Ready(Some(Begins::Http1));
                }
                all if all == PREFACE.len() => return Poll::Ready(Some(Begins::Http2)),
                _ => {}
            }
            let mut bytes = [0; PREFACE.len()];
            let mut buf = ReadBuf::new(bytes.get_mut(self.early.len()..).unwrap_or_default());
            let read = ready!(self.poll_socket(cx, &mut buf));
            if read.is_err() || buf.filled().is_empty() {
                return Poll::Ready(None);
            }
            self.early = [&self.early, buf.filled()].concat().into();
        }
    }

    /// Whose it is.
    pub(crate) fn connection(&self) -> &ClientConnection {
        &self.connection
    }

    /// Whether bytes have come that tell not yet what is spoken.
    pub(crate) fn has_begun(&self) -> bool {
        !self.early.is_empty()
    }

    /// Gives back what was read but not used. Copied, because even no bytes keep the buffer that they were in.
    pub(crate) fn read_again(&mut self, bytes: &[u8]) {
        self.early = Bytes::copy_from_slice(bytes);
    }

    fn poll_socket(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let read = buf.filled().get(before..).unwrap_or_default();
        self.moved(read.len());
        if self.connection.is_tunnel() {
            return Poll::Ready(Ok(()));
        }
        let mut framing = self.connection.framing.borrow_mut();
        framing.read(read);
        let flooded = matches!(framing.fault(), Some((Fault::Flood, _)));
        let goodbye = framing.http2().filter(|_| flooded).and_then(|frames| frames.goodbye());
        drop(framing);
        if flooded {
            buf.set_filled(before);
            // Who floods may not read it either; there is no waiting for that.
            let _ = goodbye.map(|frame| Pin::new(&mut self.stream).poll_write(cx, &frame));
            return Poll::Ready(Err(Error::new(ErrorKind::InvalidData, Fault::Flood)));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        if self.early.is_empty() {
            return self.poll_socket(cx, buf);
        }
        let fits = self.early.len().min(buf.remaining());
        buf.put_slice(&self.early.split_to(fits));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        self.connection.unsent.set(true);
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
        self.wrote([buf], written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        self.connection.unsent.set(true);
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bufs))?;
        self.wrote(bufs.iter().map(|buf| &**buf), written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        // The HTTP library flushes when it has written all that it holds, never before.
        self.connection.unsent.set(false);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
