//! Origins that answer each request as a test's own script says.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, anyhow};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

/// What a script does with a request.
pub enum Reply {
    /// Answers with this status and text.
    Answer(StatusCode, Bytes),
    /// Sends a head and a first piece, and nothing more.
    Stall,
    /// Closes the connection without an answer.
    BreakOff,
}

impl Reply {
    /// A status alone.
    #[must_use]
    pub fn status(code: u16) -> Self {
        Self::Answer(StatusCode::from_u16(code).unwrap_or_default(), Bytes::new())
    }
}

impl Reply {
    /// 200 and a text.
    #[must_use]
    pub fn text(text: String) -> Self {
        Self::Answer(StatusCode::OK, Bytes::from(text))
    }
}

/// One endpoint; health checks are not counted.
pub struct Scripted {
    /// Where it listens.
    pub address: SocketAddr,
    counts: Arc<Counts>,
    _serving: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Counts {
    requests: AtomicU64,
    in_flight: AtomicU64,
    peak: AtomicU64,
}

type Script = dyn Fn(u64, Request<Bytes>) -> BoxFuture<'static, Reply> + Send + Sync;

impl Scripted {
    /// Starts an endpoint whose `script` gets each request with its number, from 0.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn start<F>(script: impl Fn(u64, Request<Bytes>) -> F + Send + Sync + 'static) -> Result<Self>
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, counts) = (listener.local_addr()?, Arc::new(Counts::default()));
        let script: Arc<Script> = Arc::new(move |number, request| Box::pin(script(number, request)));
        let serving = tokio::spawn(serve(listener, script, Arc::clone(&counts)));
        Ok(Self { address, counts, _serving: AbortOnDropHandle::new(serving) })
    }

    /// Answers every request with this status, after `delay`.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn always(status: u16, delay: Duration) -> Result<Self> {
        Self::start(move |_, _| async move {
            tokio::time::sleep(delay).await;
            Reply::status(status)
        })
        .await
    }

    /// Requests so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.counts.requests.load(Ordering::Relaxed)
    }

    /// The most requests at once so far.
    #[must_use]
    pub fn peak(&self) -> u64 {
        self.counts.peak.load(Ordering::Relaxed)
    }
}

async fn serve(listener: TcpListener, script: Arc<Script>, counts: Arc<Counts>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (script, counts) = (Arc::clone(&script), Arc::clone(&counts));
        let _ = stream.set_nodelay(true);
        tokio::spawn(async move {
            let service =
                service_fn(move |request| answer(Arc::clone(&script), Arc::clone(&counts), request));
            let _ended = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// Counted until it is dropped: a request that is given up is over.
struct UnderWay(Arc<Counts>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

type Answer = Response<BoxBody<Bytes, Infallible>>;

async fn answer(script: Arc<Script>, counts: Arc<Counts>, request: Request<Incoming>) -> Result<Answer> {
    let number = counts.requests.fetch_add(1, Ordering::Relaxed);
    let now = counts.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
    counts.peak.fetch_max(now, Ordering::Relaxed);
    let _under_way = UnderWay(counts);
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    match script(number, Request::from_parts(head, body)).await {
        Reply::Answer(status, text) => {
            Ok(Response::builder().status(status).body(Full::new(text).boxed())?)
        }
        Reply::Stall => {
            let first = tokio_stream::once(Ok(Frame::data(Bytes::from_static(b"first"))));
            let never = tokio_stream::StreamExt::chain(first, tokio_stream::pending());
            Ok(Response::new(BoxBody::new(StreamBody::new(never))))
        }
        Reply::BreakOff => Err(anyhow!("told to break off")),
    }
}
