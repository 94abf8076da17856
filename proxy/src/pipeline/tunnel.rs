//! A client's connection and an endpoint's after both have switched to another protocol: bytes, both ways.

use std::io::Result;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use http::{Response, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes};

use super::body::ProxyBody;
use super::passing::Passing;
use crate::connection::{Busy, ClientConnection};
use crate::observability::story::Story;

/// Bytes that are read at once, either way.
const BUFFER_BYTES: usize = 8 * 1_024;

/// What is to be carried when the client's side has switched too. As long as it is there the request is
/// in flight.
#[derive(Debug)]
pub(crate) struct Tunnel {
    switched: OnUpgrade,
    passing: Passing,
    story: Option<Rc<Story>>,
    busy: Busy,
}

/// Makes of an endpoint's agreement to switch the client's: `connection` goes on as a tunnel.
pub(super) fn open(
    connection: &ClientConnection,
    mut response: Response<Passing>,
    busy: Busy,
    story: Option<Rc<Story>>,
) -> Response<ProxyBody> {
    debug_assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let switched = hyper::upgrade::on(&mut response);
    let (parts, passing) = response.into_parts();
    let tunnel = Tunnel { switched, passing: passing.for_good(), story: story.clone(), busy };
    connection.becomes(tunnel);
    Response::from_parts(parts, ProxyBody::none())
}

impl Tunnel {
    /// Carries bytes until both sides have ended, or either breaks. Who has nothing more to say may still
    /// listen, though not for as long as while both talk: many never close after WebSocket's own goodbye.
    pub(crate) async fn carry(self, mut client: impl AsyncRead + AsyncWrite + Unpin) {
        let Self { switched, passing, story, busy } = self;
        let Ok(upgraded) = switched.await else { return };
        let mut endpoint = Endpoint { io: TokioIo::new(upgraded), passing, story, busy };
        let carried =
            copy_bidirectional_with_sizes(&mut client, &mut endpoint, BUFFER_BYTES, BUFFER_BYTES).await;
        if carried.is_ok() {
            endpoint.story.iter().for_each(|story| story.completed());
        }
    }
}

/// The endpoint's side, counted.
struct Endpoint {
    io: TokioIo<Upgraded>,
    passing: Passing,
    story: Option<Rc<Story>>,
    busy: Busy,
}

impl AsyncRead for Endpoint {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let read = buf.filled().len() - before;
        if read == 0 {
            self.busy.half_open();
        }
        self.passing.carried(read);
        self.story.iter().for_each(|story| story.sent(read));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Endpoint {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, buf))?;
        self.passing.took(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.busy.half_open();
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
