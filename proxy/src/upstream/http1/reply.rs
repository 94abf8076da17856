//! A response's body on its way, and the rest of its request where that is not sent yet.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use http_body::{Body, Frame, SizeHint};
use tokio::task::spawn_local;
use tokio_util::task::AbortOnDropHandle;

use super::fault::Fault;
use super::line::Line;
use super::receiving::Framing;
use super::sending::Sending;
use super::switched::Switched;

/// See the module. Dropped before its end, it closes the connection.
#[derive(Debug)]
pub struct Reply {
    line: Line,
    framing: Framing,
    keeps: bool,
    /// Sends the rest of the request: the endpoint has answered before it had all. Gives back the memory.
    rest: Option<AbortOnDropHandle<Result<BytesMut, Fault>>>,
}

impl Reply {
    pub(super) fn new(line: Line, framing: Framing, keeps: bool, rest: Option<Sending>) -> Self {
        let rest = rest.map(|mut sending| {
            let io = Rc::clone(&line.io);
            AbortOnDropHandle::new(spawn_local(async move {
                poll_fn(|cx| sending.poll(&io, cx)).await?;
                Ok(sending.into_memory())
            }))
        });
        Self { line, framing, keeps, rest }
    }

    /// The connection, for another request, if all of this exchange is over and it may go on.
    #[must_use]
    pub fn into_line(mut self) -> Option<Line> {
        if let Some(rest) = self.rest.take() {
            let Some(Ok(Ok(memory))) = rest.now_or_never() else { return None };
            self.line.head = memory;
        }
        let over = self.framing.is_over() && self.line.inbound.bytes.is_empty();
        (self.keeps && over).then_some(self.line)
    }

    /// The connection, for another protocol.
    #[must_use]
    pub fn switch(self) -> Option<Switched> {
        drop(self.rest);
        let stream = Rc::try_unwrap(self.line.io).ok()?.into_inner();
        Some(Switched::new(stream, self.line.inbound.bytes))
    }

    /// What breaks the request off breaks its response off too, unless it is the endpoint, which may still speak.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Result<(), Fault> {
        let Some(rest) = &mut self.rest else { return Ok(()) };
        match Pin::new(rest).poll(cx) {
            Poll::Pending => return Ok(()),
            Poll::Ready(Ok(Ok(memory))) => self.line.head = memory,
            Poll::Ready(Ok(Err(Fault::Broken(_))) | Err(_)) => self.keeps = false,
            Poll::Ready(Ok(Err(fault))) => return Err(fault),
        }
        self.rest = None;
        Ok(())
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        if let Err(fault) = self.poll_rest(cx) {
            return Poll::Ready(Some(Err(fault)));
        }
        let Self { line, framing, .. } = &mut *self;
        framing.poll_frame(&mut line.inbound, &line.io, cx)
    }

    fn is_end_stream(&self) -> bool {
        self.framing.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        self.framing.size_hint()
    }
}
