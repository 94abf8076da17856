//! A client's connection and an endpoint's after both have switched to another protocol: bytes, both ways.

use std::io::Result;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use http::Response;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes};
use tokio::net::TcpStream;

use super::body::ProxyBody;
use super::passing::Passing;
use crate::connection::{Busy, ClientConnection};
use crate::observability::story::Story;
use crate::upstream::http1::Switched;
use crate::worker::Worker;

/// Bytes that are read at once, either way.
const BUFFER_BYTES: usize = 8 * 1_024;

/// What is to be carried when the client's side has switched too. As long as it is there the request is
/// in flight.
#[derive(Debug)]
pub(crate) struct Tunnel {
    far: Far,
    story: Option<Rc<Story>>,
    busy: Busy,
}

/// The other end.
#[derive(Debug)]
enum Far {
    /// An endpoint that has agreed to switch.
    Endpoint(Switched, Box<Passing>),
    /// Where the client wanted to be connected to.
    Host(TcpStream, Rc<Worker>),
}

/// Makes of an endpoint's agreement to switch the client's: `connection` goes on as a tunnel.
pub(super) fn open(
    connection: &ClientConnection,
    response: Response<Box<Passing>>,
    busy: Busy,
    story: Option<Rc<Story>>,
) -> Response<ProxyBody> {
    let (parts, passing) = response.into_parts();
    let (switched, passing) = passing.switch();
    // Only what speaks HTTP/1.1 answers so.
    if let Some(switched) = switched {
        connection.becomes(Tunnel { far: Far::Endpoint(switched, passing), story, busy });
    }
    Response::from_parts(parts, ProxyBody::none())
}

/// Answers `CONNECT`: `connection` goes on as a tunnel `to` there.
pub(super) fn connect(
    connection: &ClientConnection,
    worker: &Rc<Worker>,
    to: TcpStream,
    busy: Busy,
    story: Option<Rc<Story>>,
) -> Response<ProxyBody> {
    connection.becomes(Tunnel { far: Far::Host(to, Rc::clone(worker)), story, busy });
    Response::new(ProxyBody::none())
}

impl Tunnel {
    /// Carries bytes until both sides have ended, or either breaks. Who has nothing more to say may still
    /// listen, though not for as long as while both talk: many never close after WebSocket's own goodbye.
    pub(crate) async fn carry(self, client: impl AsyncRead + AsyncWrite + Unpin) {
        let Self { far, story, busy } = self;
        match far {
            Far::Host(io, worker) => carry(client, FarEnd { io, count: worker, story, busy }).await,
            Far::Endpoint(io, count) => carry(client, FarEnd { io, count, story, busy }).await,
        }
    }
}

async fn carry<IO, C>(mut client: impl AsyncRead + AsyncWrite + Unpin, mut far: FarEnd<IO, C>)
where
    IO: AsyncRead + AsyncWrite + Unpin,
    C: Count + Unpin,
{
    let carried = copy_bidirectional_with_sizes(&mut client, &mut far, BUFFER_BYTES, BUFFER_BYTES).await;
    if carried.is_ok() {
        far.story.iter().for_each(|story| story.completed());
    }
}

/// Who counts what is carried.
trait Count {
    /// So many bytes have come from the far end.
    fn came(&mut self, bytes: usize);
    /// So many bytes have gone to it.
    fn went(&mut self, bytes: usize);
}

impl Count for Box<Passing> {
    fn came(&mut self, bytes: usize) {
        self.carried(bytes);
    }

    fn went(&mut self, bytes: usize) {
        self.took(bytes);
    }
}

impl Count for Rc<Worker> {
    fn came(&mut self, bytes: usize) {
        self.shard.bytes(0, bytes as u64);
    }

    fn went(&mut self, bytes: usize) {
        self.shard.bytes(bytes as u64, 0);
    }
}

/// The far side, counted.
struct FarEnd<IO, C> {
    io: IO,
    count: C,
    story: Option<Rc<Story>>,
    busy: Busy,
}

impl<IO: AsyncRead + Unpin, C: Count + Unpin> AsyncRead for FarEnd<IO, C> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let read = buf.filled().len() - before;
        if read == 0 {
            self.busy.half_open();
        }
        self.count.came(read);
        self.story.iter().for_each(|story| story.sent(read));
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin, C: Count + Unpin> AsyncWrite for FarEnd<IO, C> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, buf))?;
        self.count.went(written);
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
