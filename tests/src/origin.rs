//! Origins that behave as a test tells them to, one endpoint at a time.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::{HandshakeKind, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

/// How an endpoint answers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Behaviour {
    /// Of each hundred requests, so many fail with 500, spread evenly.
    pub failing_percent: u64,
    /// How late every answer is.
    pub delay: Duration,
    /// Requests at once that it bears, beyond which it fails them; 0: any number.
    pub bears: u64,
}

/// One endpoint.
pub struct Origin {
    /// Where it listens.
    pub address: SocketAddr,
    state: Arc<State>,
    _serving: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct State {
    behaviour: Mutex<Behaviour>,
    /// Of each hundred requests, so many take so much longer.
    tail: Mutex<(u64, Duration)>,
    requests: AtomicU64,
    resumed: AtomicU64,
    in_flight: AtomicU64,
    last_head: Mutex<Option<http::request::Parts>>,
}

impl Origin {
    /// Starts an endpoint on a free port.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start() -> Result<Self> {
        Self::serving(None).await
    }

    /// Starts an endpoint that speaks over TLS alone.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn start_tls(config: Arc<ServerConfig>) -> Result<Self> {
        Self::serving(Some(TlsAcceptor::from(config))).await
    }

    async fn serving(tls: Option<TlsAcceptor>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State::default());
        let serving = tokio::spawn(serve(listener, tls, Arc::clone(&state)));
        Ok(Self { address, state, _serving: AbortOnDropHandle::new(serving) })
    }

    /// Starts several.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn start_many(count: usize) -> Result<Vec<Self>> {
        let mut origins = Vec::new();
        for _ in 0..count {
            origins.push(Self::start().await?);
        }
        Ok(origins)
    }

    /// Changes how it answers from now on.
    pub fn behave(&self, behaviour: Behaviour) {
        *self.state.behaviour.lock().unwrap_or_else(PoisonError::into_inner) = behaviour;
    }

    /// Of each hundred requests from now on, `percent` take `longer`, spread evenly.
    pub fn drag(&self, percent: u64, longer: Duration) {
        *self.state.tail.lock().unwrap_or_else(PoisonError::into_inner) = (percent, longer);
    }

    /// Requests it got, health checks not counted.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.state.requests.load(Ordering::Relaxed)
    }

    /// TLS sessions that were resumed with it.
    #[must_use]
    pub fn resumed(&self) -> u64 {
        self.state.resumed.load(Ordering::Relaxed)
    }

    /// The head of the last request it got.
    #[must_use]
    pub fn last_head(&self) -> Option<http::request::Parts> {
        self.state.last_head.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let state = Arc::clone(&state);
        let _ = stream.set_nodelay(true);
        let Some(tls) = tls.clone() else {
            connections.spawn(speak(stream, state));
            continue;
        };
        connections.spawn(async move {
            let Ok(stream) = tls.accept(stream).await else { return };
            if stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed) {
                state.resumed.fetch_add(1, Ordering::Relaxed);
            }
            speak(stream, state).await;
        });
    }
}

async fn speak(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, state: Arc<State>) {
    let service = service_fn(move |request| answer(Arc::clone(&state), request));
    let server = auto::Builder::new(TokioExecutor::new());
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

type Answer = Response<BoxBody<Bytes, hyper::Error>>;

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    if request.uri().path() == "/health" {
        return Ok(with_status(StatusCode::OK, "ok"));
    }
    let number = state.requests.fetch_add(1, Ordering::Relaxed);
    let behaviour = *state.behaviour.lock().unwrap_or_else(PoisonError::into_inner);
    let (head, body) = request.into_parts();
    *state.last_head.lock().unwrap_or_else(PoisonError::into_inner) = Some(head.clone());
    let others = state.in_flight.fetch_add(1, Ordering::Relaxed);
    let bears = behaviour.bears == 0 || others < behaviour.bears;
    if bears && !behaviour.delay.is_zero() {
        tokio::time::sleep(behaviour.delay).await;
    }
    let (percent, longer) = *state.tail.lock().unwrap_or_else(PoisonError::into_inner);
    if (number * 61) % 100 < percent {
        tokio::time::sleep(longer).await;
    }
    state.in_flight.fetch_sub(1, Ordering::Relaxed);
    if !bears {
        return Ok(with_status(StatusCode::SERVICE_UNAVAILABLE, "too many at once"));
    }
    // 37 is coprime to 100: a hundred requests in a row fail exactly as often as told.
    if (number * 37) % 100 < behaviour.failing_percent {
        return Ok(with_status(StatusCode::INTERNAL_SERVER_ERROR, "told to fail"));
    }
    match head.uri.path() {
        "/missing" => Ok(with_status(StatusCode::NOT_FOUND, "not here")),
        "/echo" => Ok(Response::new(body.boxed())),
        _ => Ok(with_status(StatusCode::OK, "hello")),
    }
}

fn with_status(status: StatusCode, text: &'static str) -> Answer {
    let body = Full::new(Bytes::from_static(text.as_bytes())).map_err(|never| match never {}).boxed();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}
