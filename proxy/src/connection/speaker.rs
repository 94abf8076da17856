//! What is spoken on a client's connection: HTTP/1.1, HTTP/2, or nothing just now.
//!
//! Before its first byte, and again after a quiet while between HTTP/1.1 requests, a connection is only
//! its socket: the HTTP library's buffers (16 KiB and more) come with the first byte and go with the
//! quiet. What was read to tell the versions apart is read again by the library.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::on_the_heap::OnTheHeap;
use crate::local_tasks::LocalTasks;
use crate::pipeline::{BrokenOff, ProxyBody};
use crate::settings::Server;
use crate::wire::{Begins, Watched};
use crate::worker::Worker;

/// The smallest buffer that hyper takes.
const MIN_BUFFER_BYTES: usize = 8_192;
/// Bytes of one HTTP/2 response that wait for a socket which its client does not empty.
const MAX_SEND_BUFFER_BYTES: usize = 131_072;
/// Streams that a client resets before they are looked at (hyper's own default).
const MAX_PENDING_RESETS: usize = 20;

/// See the module.
pub(super) struct Speaker<T, S: Answers> {
    worker: Rc<Worker>,
    service: S,
    speaks: Speaks<T, S>,
    closing: bool,
}

enum Speaks<T, S: Answers> {
    Nothing(Watched<T>),
    Http1(Box<http1::Connection<TokioIo<Watched<T>>, S>>),
    Http2(Box<http2::Connection<TokioIo<Watched<T>>, OnTheHeap<S>, LocalTasks>>),
    /// No HTTP any more.
    Tunnel(Pin<Box<dyn Future<Output = ()>>>),
    Ended,
}

/// What answers requests.
pub(super) trait Answers:
    Service<Request<Incoming>, Response = Response<ProxyBody>, Error = BrokenOff, Future: 'static> + Clone + Unpin
{
}

impl<S> Answers for S where
    S: Service<Request<Incoming>, Response = Response<ProxyBody>, Error = BrokenOff, Future: 'static>
        + Clone
        + Unpin
{
}

impl<T, S> Speaker<T, S>
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
    S: Answers,
{
    pub(super) fn new(worker: Rc<Worker>, io: Watched<T>, service: S) -> Self {
        Self { worker, service, speaks: Speaks::Nothing(io), closing: false }
    }

    /// Drives the connection; ready when it has ended. How it ended is the client's affair: there is
    /// no one left to tell.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.speaks {
                Speaks::Http1(connection) => {
                    let ended = ready!(Pin::new(connection.as_mut()).poll(cx));
                    if ended.is_err() || !self.switch() {
                        return Poll::Ready(());
                    }
                }
                Speaks::Tunnel(tunnel) => return tunnel.as_mut().poll(cx),
                Speaks::Http2(connection) => return Pin::new(connection.as_mut()).poll(cx).map(drop),
                Speaks::Ended => return Poll::Ready(()),
                Speaks::Nothing(io) => {
                    let polled = io.poll_begin(cx);
                    if polled.is_pending() && self.closing && !io.has_begun() {
                        return Poll::Ready(());
                    }
                    match ready!(polled) {
                        Some(begins) => self.begin(begins),
                        None => return Poll::Ready(()),
                    }
                }
            }
        }
    }

    /// Ends with what is under way, or at once.
    pub(super) fn say_goodbye(&mut self) {
        if !mem::replace(&mut self.closing, true) {
            self.close();
        }
    }

    /// Gives up all but the socket. To be called between requests, when nothing is left to be sent.
    /// False where that is not possible or has been done.
    pub(super) fn rest(&mut self) -> bool {
        if !matches!(self.speaks, Speaks::Http1(_)) {
            return false;
        }
        if let Speaks::Http1(connection) = mem::replace(&mut self.speaks, Speaks::Ended) {
            let parts = connection.into_parts();
            let mut io = parts.io.into_inner();
            io.read_again(&parts.read_buf);
            self.speaks = Speaks::Nothing(io);
            self.worker.note_rest();
        }
        true
    }

    /// Goes on as a tunnel if the last response has switched to one.
    fn switch(&mut self) -> bool {
        let Speaks::Http1(connection) = mem::replace(&mut self.speaks, Speaks::Ended) else { return false };
        let parts = connection.into_parts();
        let mut io = parts.io.into_inner();
        let Some(tunnel) = io.connection().take_tunnel() else { return false };
        io.read_again(&parts.read_buf);
        self.speaks = Speaks::Tunnel(Box::pin(tunnel.carry(io)));
        true
    }

    fn begin(&mut self, begins: Begins) {
        let Speaks::Nothing(io) = mem::replace(&mut self.speaks, Speaks::Ended) else { return };
        let (io, service) = (TokioIo::new(io), self.service.clone());
        let view = self.worker.view();
        let server = &view.table.live.settings.server;
        self.speaks = match begins {
            Begins::Http1 => Speaks::Http1(Box::new(http1_builder(server).serve_connection(io, service))),
            Begins::Http2 => {
                let service = OnTheHeap(service);
                Speaks::Http2(Box::new(http2_builder(server).serve_connection(io, service)))
            }
        };
        if self.closing {
            self.close();
        }
    }

    fn close(&mut self) {
        match &mut self.speaks {
            Speaks::Http1(connection) => Pin::new(connection.as_mut()).graceful_shutdown(),
            Speaks::Http2(connection) => Pin::new(connection.as_mut()).graceful_shutdown(),
            Speaks::Nothing(_) | Speaks::Tunnel(_) | Speaks::Ended => {}
        }
    }
}

fn http1_builder(server: &Server) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.max_headers(server.edge.max_headers)
        .max_buf_size(server.max_header_bytes.max(MIN_BUFFER_BYTES))
        // The watch does it for all connections without a timer a request.
        .header_read_timeout(None);
    http
}

fn http2_builder(server: &Server) -> http2::Builder<LocalTasks> {
    let mut http = http2::Builder::new(LocalTasks);
    let bounds = &server.http2;
    http.timer(TokioTimer::new())
        .max_concurrent_streams(bounds.max_concurrent_streams)
        .initial_stream_window_size(bounds.stream_window_bytes)
        .initial_connection_window_size(bounds.connection_window_bytes)
        .max_local_error_reset_streams(bounds.max_faulty_streams as usize)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_send_buf_size(MAX_SEND_BUFFER_BYTES)
        .keep_alive_interval(bounds.keepalive_interval)
        .max_header_list_size(u32::try_from(server.max_header_bytes).unwrap_or(u32::MAX));
    http
}
