//! One client connection: served until it ends, idles or stalls too long, or the proxy drains.
//!
//! No timer is set per request: one slow tick a connection looks whether anything moved. A connection
//! that is quiet between requests gives its buffers back and keeps little more than its socket.

mod on_the_heap;
mod speaker;
mod watch;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use http::{Extensions, Version};
use hyper::service::service_fn;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tracing::debug;

use crate::identity::{PeerIdentity, refusal};
use crate::middleware::client::Scheme;
use crate::middleware::framing::{Bounds, Fault, Framing};
use crate::pipeline::{self, Tunnel};
use crate::signals::Phase;
use crate::telemetry::callers::CallerId;
use crate::upstream::upload::UploadProgress;
use crate::wire::Watched;
use crate::worker::Worker;
use speaker::Speaker;
use watch::{Verdict, Watch};

/// Uploads listed before those that have ended are dropped from the list.
const MANY_UPLOADS: usize = 64;

/// What is known of one client connection.
#[derive(Debug)]
pub struct ClientConnection {
    /// The other end.
    pub peer: IpAddr,
    /// What it came over.
    pub scheme: Scheme,
    /// The workload at the other end, by its certificate.
    pub peer_identity: Option<Arc<PeerIdentity>>,
    /// The same, as telemetry counts it.
    pub(crate) caller: CallerId,
    pub(crate) framing: RefCell<Framing>,
    /// Bytes read and written.
    pub(crate) moved: Cell<u64>,
    requests: Cell<u64>,
    under_way: Cell<u32>,
    /// Of these, responses that the client is to take.
    offered: Cell<u32>,
    http2: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    /// Whether the HTTP library holds bytes that the socket did not take yet.
    pub(crate) unsent: Cell<bool>,
    /// What it becomes when the response that is under way has been sent.
    tunnel: RefCell<Option<Box<Tunnel>>>,
    is_tunnel: Cell<bool>,
    /// Whether one side of the tunnel has said all.
    half_open: Cell<bool>,
    /// Uploads whose client was waited for.
    uploads: RefCell<Vec<Weak<UploadProgress>>>,
}

/// Who is at the other end of a connection.
struct Client {
    peer: IpAddr,
    scheme: Scheme,
    identity: Option<Arc<PeerIdentity>>,
}

/// A request under way, from its head to the end of its response; see [`ClientConnection::begin`].
#[derive(Debug)]
pub struct Busy {
    connection: Rc<ClientConnection>,
    offers: Cell<bool>,
}

impl Busy {
    /// Whether bytes are held out to the client, which it is to take; else the endpoint is waited for.
    pub(crate) fn offers(&self, offers: bool) {
        if self.offers.replace(offers) != offers {
            let all = &self.connection.offered;
            all.set(if offers { all.get() + 1 } else { all.get().saturating_sub(1) });
        }
    }
}

impl Busy {
    /// One side of the tunnel that the connection has become has said all.
    pub(crate) fn half_open(&self) {
        self.connection.half_open.set(true);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.offers(false);
        let under_way = &self.connection.under_way;
        under_way.set(under_way.get().saturating_sub(1));
    }
}

/// What a connection was doing at a tick; the same at a later tick means that nothing moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    Serving {
        moved: u64,
    },
    /// As before, but some client does not take what it is offered.
    Offering {
        moved: u64,
    },
    /// No HTTP any more.
    Tunnelling {
        moved: u64,
    },
    /// Of a tunnel whose one side has said all.
    Lingering {
        moved: u64,
    },
    ReadingHead {
        heads: u64,
    },
    Idling {
        requests: u64,
    },
}

impl ClientConnection {
    fn new(client: Client, caller: CallerId, bounds: Bounds) -> Rc<Self> {
        let Client { peer, scheme, identity: peer_identity } = client;
        Rc::new(Self {
            peer,
            scheme,
            peer_identity,
            caller,
            framing: RefCell::new(Framing::new(bounds)),
            moved: Cell::default(),
            requests: Cell::default(),
            under_way: Cell::default(),
            offered: Cell::default(),
            http2: Cell::default(),
            waker: RefCell::default(),
            unsent: Cell::default(),
            tunnel: RefCell::default(),
            is_tunnel: Cell::default(),
            half_open: Cell::default(),
            uploads: RefCell::default(),
        })
    }

    /// Says with a request whose it is, for what judges it on its way.
    pub(crate) fn introduce(&self, request: &mut Extensions) {
        if let Some(peer) = &self.peer_identity {
            request.insert(Arc::clone(peer));
        }
    }

    /// A request begins.
    pub(crate) fn begin(self: &Rc<Self>, version: Version) -> Busy {
        self.requests.set(self.requests.get() + 1);
        self.under_way.set(self.under_way.get() + 1);
        if version == Version::HTTP_2 && !self.http2.replace(true) {
            // A proxy that drains says so on HTTP/2 connections as soon as they are known to be some.
            self.waker.borrow().iter().for_each(Waker::wake_by_ref);
        }
        Busy { connection: Rc::clone(self), offers: Cell::new(false) }
    }

    /// After the response that is under way it is `tunnel`, and no HTTP.
    pub(crate) fn becomes(&self, tunnel: Tunnel) {
        self.is_tunnel.set(true);
        *self.tunnel.borrow_mut() = Some(Box::new(tunnel));
    }

    /// Whether what it reads is no HTTP any more.
    pub(crate) fn is_tunnel(&self) -> bool {
        self.is_tunnel.get()
    }

    fn take_tunnel(&self) -> Option<Box<Tunnel>> {
        self.tunnel.borrow_mut().take()
    }

    /// Requests begun.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.get()
    }

    /// What is wrong with the first `requests` requests of this connection.
    pub(crate) fn fault_before(&self, requests: u64) -> Option<Fault> {
        let (fault, request) = self.framing.borrow().fault()?;
        (request < requests).then_some(fault)
    }

    /// Has the pace of an upload looked at.
    pub(crate) fn watch_upload(&self, upload: &Rc<UploadProgress>) {
        let mut uploads = self.uploads.borrow_mut();
        if uploads.len() >= MANY_UPLOADS {
            uploads.retain(|upload| upload.strong_count() > 0);
        }
        uploads.push(Rc::downgrade(upload));
    }

    fn check_uploads(&self, now: Instant, stretch: Duration, rate: u32) {
        let mut uploads = self.uploads.borrow_mut();
        uploads.retain(|upload| upload.strong_count() > 0);
        for upload in uploads.iter().filter_map(Weak::upgrade) {
            upload.check_pace(now, stretch, rate);
        }
    }

    /// Bytes of messages that moved; PING alone does not keep an HTTP/2 connection busy.
    fn progress(&self) -> u64 {
        let mut framing = self.framing.borrow_mut();
        framing.http2().map_or(self.moved.get(), |frames| frames.carried())
    }

    fn doing(&self) -> Doing {
        let (in_head, heads) = self.framing.borrow().in_head();
        match (self.under_way.get(), in_head) {
            _ if self.half_open.get() => Doing::Lingering { moved: self.moved.get() },
            _ if self.is_tunnel() => Doing::Tunnelling { moved: self.moved.get() },
            (0, true) => Doing::ReadingHead { heads },
            (0, false) => Doing::Idling { requests: self.requests.get() },
            _ if self.offered.get() > 0 => Doing::Offering { moved: self.progress() },
            _ => Doing::Serving { moved: self.progress() },
        }
    }

    /// HTTP/2 says goodbye at once, without losing a request. HTTP/1.1 answers with
    /// `Connection: close` instead and is only closed, when idle, with the listener.
    fn should_say_goodbye(&self, phase: Phase) -> bool {
        phase >= Phase::Stopping || (phase == Phase::Draining && self.http2.get())
    }
}

/// The rounds in which idle connections are closed to make room.
struct Rounds {
    last: u32,
    /// What it was doing in that round.
    doing: Option<Doing>,
}

impl Rounds {
    fn new(last: u32) -> Self {
        Self { last, doing: None }
    }

    /// Whether it idles, and has done so since the round before: who has just come may yet ask.
    fn idles_on(&mut self, round: u32, connection: &ClientConnection) -> bool {
        if round == self.last {
            return false;
        }
        self.last = round;
        let doing = Some(connection.doing());
        let before = std::mem::replace(&mut self.doing, doing);
        doing == before && matches!(doing, Some(Doing::Idling { .. }))
    }
}

/// Serves one accepted connection to its end: over TLS where the settings say so.
pub(crate) async fn serve(worker: Rc<Worker>, stream: TcpStream, peer: SocketAddr) {
    // Without this option small answers wait; if it cannot be set, they wait.
    let _ = stream.set_nodelay(true);
    let tls = worker.view().table.live.settings.server.tls.clone();
    let clear = Client { peer: peer.ip(), scheme: Scheme::Http, identity: None };
    let Some(tls) = tls else { return serve_stream(worker, stream, clear).await };
    // On the heap, so that clear connections are not as large as a handshake.
    let shaken = Box::pin(async {
        tokio::select! {
            shaken = tls.accept(stream) => Some(shaken),
            () = worker.signals.aborted() => None,
        }
    });
    let Some(shaken) = shaken.await else { return };
    worker.shard.handshake(shaken.is_ok());
    match shaken {
        Ok((stream, identity)) => {
            let client = Client { scheme: Scheme::Https, identity, ..clear };
            Box::pin(serve_stream(worker, stream, client)).await;
        }
        Err(why) => {
            worker.shard.handshake_failed(refusal::reason(&why));
            debug!(%peer, %why, "a client's TLS handshake failed");
        }
    }
}

async fn serve_stream<S>(worker: Rc<Worker>, stream: S, client: Client)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let view = worker.view();
    let server = &view.table.live.settings.server;
    let name = client.identity.as_ref().map(|peer| worker.recorder.caller(peer.caller()));
    let connection = ClientConnection::new(client, name.unwrap_or_default(), Bounds::from(server));
    let mut watch = Watch::new(server, &connection);
    drop(view);
    let (of_service, of_worker) = (Rc::clone(&connection), Rc::clone(&worker));
    let service =
        service_fn(move |request| pipeline::handle(Rc::clone(&of_worker), Rc::clone(&of_service), request));
    let watched = Watched::new(stream, Rc::clone(&connection));
    let mut speaker = Speaker::new(Rc::clone(&worker), watched, service);
    let (mut registration, mut rounds) = (None, Rounds::new(worker.signals.round()));
    poll_fn(|cx| {
        registration.get_or_insert_with(|| {
            *connection.waker.borrow_mut() = Some(cx.waker().clone());
            worker.signals.register(cx.waker().clone())
        });
        let phase = worker.signals.phase();
        if phase == Phase::Aborted {
            return Poll::Ready(());
        }
        match watch.look(&connection, cx) {
            Verdict::GiveUp => return Poll::Ready(()),
            Verdict::Quiet if !connection.unsent.get() && speaker.rest() => watch.rest(cx),
            Verdict::Quiet | Verdict::Nothing => {}
        }
        let idles = rounds.idles_on(worker.signals.round(), &connection);
        if idles || connection.should_say_goodbye(phase) {
            speaker.say_goodbye();
        }
        let polled = speaker.poll(cx);
        watch.resume_if_anything_came(&connection, cx);
        polled
    })
    .await;
}
