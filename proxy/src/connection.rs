//! One client connection: served until it ends, idles or stalls too long, or the proxy drains.
//!
//! No timer is set per request: one slow tick a connection looks whether anything moved.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::Version;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use crate::middleware::client::Scheme;
use crate::middleware::framing::{Fault, Framing};
use crate::pipeline;
use crate::settings::Server;
use crate::signals::Phase;
use crate::wire::Watched;
use crate::worker::Worker;

/// Header fields in one head, at most; hyper answers 431 beyond. With more than 100 it takes memory for each head.
const MAX_HEADERS: usize = 100;
/// The smallest buffer that hyper takes.
const MIN_BUFFER_BYTES: usize = 8_192;
/// HTTP/2 streams at once on one connection.
const MAX_STREAMS: u32 = 256;
/// A request under way of which nothing moved for so long is given up, unless the settings allow more.
const STALLED: Duration = Duration::from_secs(300);

/// What is known of one client connection.
#[derive(Debug)]
pub struct ClientConnection {
    /// The other end.
    pub peer: IpAddr,
    /// What it came over.
    pub scheme: Scheme,
    pub(crate) framing: RefCell<Framing>,
    /// Bytes read and written.
    pub(crate) moved: Cell<u64>,
    requests: Cell<u64>,
    under_way: Cell<u32>,
    http2: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// A request under way, from its head to the end of its response; see [`ClientConnection::begin`].
#[derive(Debug)]
pub struct Busy(Rc<ClientConnection>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.under_way.set(self.0.under_way.get().saturating_sub(1));
    }
}

/// What a connection was doing at a tick; the same at a later tick means that nothing moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    Serving { moved: u64 },
    ReadingHead { heads: u64 },
    Idling { requests: u64 },
}

impl ClientConnection {
    fn new(peer: IpAddr, scheme: Scheme, max_head_bytes: usize) -> Rc<Self> {
        Rc::new(Self {
            peer,
            scheme,
            framing: RefCell::new(Framing::new(max_head_bytes)),
            moved: Cell::default(),
            requests: Cell::default(),
            under_way: Cell::default(),
            http2: Cell::default(),
            waker: RefCell::default(),
        })
    }

    /// A request begins.
    pub(crate) fn begin(self: &Rc<Self>, version: Version) -> Busy {
        self.requests.set(self.requests.get() + 1);
        self.under_way.set(self.under_way.get() + 1);
        if version == Version::HTTP_2 && !self.http2.replace(true) {
            // A proxy that drains says so on HTTP/2 connections as soon as they are known to be some.
            self.waker.borrow().iter().for_each(Waker::wake_by_ref);
        }
        Busy(Rc::clone(self))
    }

    pub(crate) fn framing_fault(&self) -> Option<Fault> {
        self.framing.borrow().fault()
    }

    fn doing(&self) -> Doing {
        let (in_head, heads) = self.framing.borrow().in_head();
        match (self.under_way.get(), in_head) {
            (0, true) => Doing::ReadingHead { heads },
            (0, false) => Doing::Idling { requests: self.requests.get() },
            _ => Doing::Serving { moved: self.moved.get() },
        }
    }

    /// HTTP/2 says goodbye at once, without losing a request. HTTP/1.1 answers with
    /// `Connection: close` instead and is only closed, when idle, with the listener.
    fn should_say_goodbye(&self, phase: Phase) -> bool {
        phase >= Phase::Stopping || (phase == Phase::Draining && self.http2.get())
    }
}

/// Looks, at each tick, for how long nothing moved.
struct Watch {
    tick: Pin<Box<Sleep>>,
    every: Duration,
    doing: Doing,
    since: Instant,
    head: Duration,
    idle: Duration,
    stalled: Duration,
}

impl Watch {
    fn new(server: &Server, connection: &ClientConnection) -> Self {
        let (head, idle) = (server.header_timeout, server.idle_timeout);
        let every = (head.min(idle) / 4).clamp(Duration::from_millis(20), Duration::from_millis(2_500));
        let stalled = STALLED.max(idle).max(server.request_timeout);
        let (doing, since) = (connection.doing(), Instant::now());
        Self { tick: Box::pin(sleep(every)), every, doing, since, head, idle, stalled }
    }

    /// Ready when the connection is to be given up.
    fn poll(&mut self, connection: &ClientConnection, cx: &mut Context<'_>) -> Poll<()> {
        while self.tick.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let doing = connection.doing();
            if doing != self.doing {
                (self.doing, self.since) = (doing, now);
            }
            let patience = match doing {
                Doing::Serving { .. } => self.stalled,
                Doing::ReadingHead { .. } => self.head,
                Doing::Idling { .. } => self.idle,
            };
            if now - self.since >= patience {
                return Poll::Ready(());
            }
            self.tick.as_mut().reset(now + self.every);
        }
        Poll::Pending
    }
}

/// Runs HTTP/2's streams as tasks of this worker.
#[derive(Debug, Clone, Copy)]
struct LocalTasks;

impl<F: Future + 'static> hyper::rt::Executor<F> for LocalTasks {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(async move {
            task.await;
        });
    }
}

/// Serves one accepted connection to its end: over TLS where the settings say so.
pub(crate) async fn serve(worker: Rc<Worker>, stream: TcpStream, peer: SocketAddr) {
    // Without this option small answers wait; if it cannot be set, they wait.
    let _ = stream.set_nodelay(true);
    let tls = worker.view().table.live.settings.server.tls.clone();
    let Some(tls) = tls else { return serve_stream(worker, stream, peer, Scheme::Http).await };
    let aborted = worker.signals.aborted();
    let shaken = tokio::select! {
        shaken = tls.accept(stream) => shaken,
        () = aborted => return,
    };
    worker.shard.handshake(shaken.is_ok());
    if let Ok(stream) = shaken {
        serve_stream(worker, stream, peer, Scheme::Https).await;
    }
}

async fn serve_stream<S>(worker: Rc<Worker>, stream: S, peer: SocketAddr, scheme: Scheme)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let view = worker.view();
    let server = &view.table.live.settings.server;
    let connection = ClientConnection::new(peer.ip(), scheme, server.max_header_bytes);
    let mut watch = Watch::new(server, &connection);
    let http = builder(server);
    let (of_service, of_worker) = (Rc::clone(&connection), Rc::clone(&worker));
    let service =
        service_fn(move |request| pipeline::handle(Rc::clone(&of_worker), Rc::clone(&of_service), request));
    drop(view);
    let io = TokioIo::new(Watched::new(stream, Rc::clone(&connection)));
    let mut serving = pin!(http.serve_connection(io, service));
    let mut registration = None;
    let mut said_goodbye = false;
    poll_fn(|cx| {
        registration.get_or_insert_with(|| {
            *connection.waker.borrow_mut() = Some(cx.waker().clone());
            worker.signals.register(cx.waker().clone())
        });
        let phase = worker.signals.phase();
        if phase == Phase::Aborted || watch.poll(&connection, cx).is_ready() {
            return Poll::Ready(());
        }
        if !said_goodbye && connection.should_say_goodbye(phase) {
            said_goodbye = true;
            serving.as_mut().graceful_shutdown();
        }
        // How it ended is the client's affair: there is no one left to tell.
        serving.as_mut().poll(cx).map(|_ended| ())
    })
    .await;
}

fn builder(server: &Server) -> auto::Builder<LocalTasks> {
    let mut http = auto::Builder::new(LocalTasks);
    http.http1()
        .max_headers(MAX_HEADERS)
        .max_buf_size(server.max_header_bytes.max(MIN_BUFFER_BYTES))
        // The watch does it for all connections without a timer a request.
        .header_read_timeout(None);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(server.max_header_bytes).unwrap_or(u32::MAX));
    http
}
