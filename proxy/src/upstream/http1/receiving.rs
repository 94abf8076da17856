//! A response's body, until where its head says that it ends.

use std::cell::RefCell;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::chunks::{Chunks, Piece};
use super::fault::Fault;
use super::inbound::Inbound;
use crate::upstream::connector::Stream;

/// How a body ends, with what is left of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Framing {
    /// It has ended, or there is none.
    Nothing,
    /// After so many bytes.
    Length(u64),
    /// By its last chunk.
    Chunked(Chunks),
    /// With the connection.
    UntilClose,
}

impl Framing {
    /// Whether nothing more will come.
    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Nothing | Self::Length(0))
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Nothing => SizeHint::with_exact(0),
            Self::Length(left) => SizeHint::with_exact(*left),
            Self::Chunked(_) | Self::UntilClose => SizeHint::new(),
        }
    }

    /// The next piece.
    pub(super) fn poll_frame(
        &mut self,
        inbound: &mut Inbound,
        io: &RefCell<Stream>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        loop {
            match self.next(inbound) {
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(None) if self.is_over() => return Poll::Ready(None),
                Ok(None) => {}
                Err(fault) => return Poll::Ready(Some(Err(fault))),
            }
            match ready!(inbound.poll_fill(io, cx)) {
                Ok(0) if *self == Self::UntilClose => *self = Self::Nothing,
                Ok(0) => return Poll::Ready(Some(Err(Fault::Cut))),
                Ok(_) => {}
                Err(broken) => return Poll::Ready(Some(Err(broken.into()))),
            }
        }
    }

    /// What of it is there already.
    fn next(&mut self, inbound: &mut Inbound) -> Result<Option<Frame<Bytes>>, Fault> {
        let piece = match self {
            Self::Nothing | Self::Length(0) => return Ok(None),
            Self::Length(_) | Self::UntilClose if inbound.bytes.is_empty() => return Ok(None),
            Self::UntilClose => return Ok(Some(Frame::data(inbound.take(u64::MAX)))),
            Self::Length(left) => {
                let data = inbound.take(*left);
                *left -= data.len() as u64;
                return Ok(Some(Frame::data(data)));
            }
            Self::Chunked(chunks) => chunks.next(&mut inbound.bytes)?,
        };
        Ok(match piece {
            None => None,
            Some(Piece::Data(data)) => Some(Frame::data(data)),
            Some(Piece::End(trailers)) => {
                *self = Self::Nothing;
                trailers.map(Frame::trailers)
            }
        })
    }
}
