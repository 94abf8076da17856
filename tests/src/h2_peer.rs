//! An HTTP/2 endpoint that does what a busy, restarting or strange one does, frame by frame.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

/// How an endpoint behaves.
#[derive(Debug, Clone, Copy)]
pub struct H2Manners {
    /// What it says in `SETTINGS_MAX_CONCURRENT_STREAMS`.
    pub max_streams: u32,
    /// So many of its first streams are refused.
    pub refuses: u64,
    /// Each connection says `GOAWAY` after so many requests.
    pub leaves_after: u64,
    /// How late every answer is.
    pub delay: Duration,
}

impl Default for H2Manners {
    fn default() -> Self {
        Self { max_streams: 100, refuses: 0, leaves_after: u64::MAX, delay: Duration::ZERO }
    }
}

/// One endpoint: answers 200 with `ok` and the trailer `x-sum: 1`.
pub struct H2Peer {
    /// Where it listens.
    pub address: SocketAddr,
    seen: Arc<Seen>,
    _serving: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Seen {
    connections: AtomicU64,
    streams: AtomicU64,
    cancelled: AtomicU64,
}

impl H2Peer {
    /// Starts an endpoint on a free port.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start(manners: H2Manners) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, seen) = (listener.local_addr()?, Arc::<Seen>::default());
        let shared = Arc::clone(&seen);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, manners, Arc::clone(&shared)));
            }
        });
        Ok(Self { address, seen, _serving: AbortOnDropHandle::new(serving) })
    }

    /// Connections it has had.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// Streams that were reset before they were answered.
    #[must_use]
    pub fn cancelled(&self) -> u64 {
        self.seen.cancelled.load(Ordering::SeqCst)
    }

    /// Streams that were opened to it.
    #[must_use]
    pub fn streams(&self) -> u64 {
        self.seen.streams.load(Ordering::SeqCst)
    }
}

async fn serve(stream: TcpStream, manners: H2Manners, seen: Arc<Seen>) -> Result<()> {
    let mut connection = Builder::new().max_concurrent_streams(manners.max_streams).handshake(stream).await?;
    let mut served = 0;
    while let Some(asked) = connection.accept().await {
        let (request, mut respond) = asked?;
        served += 1;
        if seen.streams.fetch_add(1, Ordering::SeqCst) < manners.refuses {
            respond.send_reset(Reason::REFUSED_STREAM);
            continue;
        }
        if served == manners.leaves_after {
            connection.graceful_shutdown();
        }
        tokio::spawn(answer(request, respond, manners.delay, Arc::clone(&seen)));
    }
    Ok(())
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    delay: Duration,
    seen: Arc<Seen>,
) -> Result<()> {
    let mut body = request.into_body();
    while let Some(data) = body.data().await {
        let _ = body.flow_control().release_capacity(data?.len());
    }
    tokio::select! {
        () = tokio::time::sleep(delay) => {}
        _reset = std::future::poll_fn(|cx| respond.poll_reset(cx)) => {
            seen.cancelled.fetch_add(1, Ordering::SeqCst);
            return Ok(());
        }
    }
    let mut stream = respond.send_response(Response::new(()), false)?;
    stream.send_data(Bytes::from_static(b"ok"), false)?;
    stream.send_trailers(HeaderMap::from_iter([(
        http::HeaderName::from_static("x-sum"),
        HeaderValue::from(1),
    )]))?;
    Ok(())
}
