//! Serving a control surface: a bounded number of connections, over TLS where that is asked for, each with a bounded
//! wait for its handshake and for the head of a request.
//!
//! Handlers find the peer's address (`ConnectInfo<SocketAddr>`) and, where its certificate said so, its identity
//! (`Arc<PeerIdentity>`) among a request's extensions. HTTP/1.1 alone is spoken.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

use crate::identity::PeerIdentity;
use crate::quiet::Quiet;
use crate::tls::Termination;

/// To send a request's head, and to keep an idle connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// After a failed accept (no file descriptors left), before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How connections are taken in.
pub struct Manners {
    /// What the log calls the listener.
    pub name: &'static str,
    /// Connections at once; more wait to be accepted.
    pub max_connections: usize,
    /// Asked for every connection, so that a renewed certificate is shown at once; `None`: clear text.
    pub tls: Box<dyn Fn() -> Option<Arc<Termination>> + Send + Sync>,
}

/// Serves until `stop`, then ends each connection with the request it is at.
pub async fn serve(listener: TcpListener, router: Router, manners: Manners, stop: CancellationToken) {
    let room = Arc::new(Semaphore::new(manners.max_connections));
    let surface = Arc::new(Surface { router, name: manners.name, quiet: Mutex::default(), stop });
    let connections = TaskTracker::new();
    loop {
        let accepted = async {
            let permit = Arc::clone(&room).acquire_owned().await.map_err(io::Error::other)?;
            let (stream, peer) = listener.accept().await?;
            Ok::<_, io::Error>((stream, peer, permit))
        };
        tokio::select! {
            () = surface.stop.cancelled() => break,
            accepted = accepted => match accepted {
                Ok((stream, peer, permit)) => {
                    let (surface, tls) = (Arc::clone(&surface), (manners.tls)());
                    connections.spawn(async move {
                        surface.connection(stream, peer, tls).await;
                        drop(permit);
                    });
                }
                Err(why) => {
                    tracing::warn!("the {} cannot accept: {why}", manners.name);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    connections.close();
    connections.wait().await;
}

/// What all connections of a listener share.
struct Surface {
    router: Router,
    name: &'static str,
    quiet: Mutex<Quiet>,
    stop: CancellationToken,
}

impl Surface {
    async fn connection(&self, stream: TcpStream, peer: SocketAddr, tls: Option<Arc<Termination>>) {
        let Some(tls) = tls else { return self.answer(stream, peer, None).await };
        match self.stop.run_until_cancelled(tls.accept(stream)).await {
            Some(Ok((stream, identity))) => self.answer(stream, peer, identity).await,
            Some(Err(why)) => self.tell(peer, &why),
            None => {}
        }
    }

    fn tell(&self, peer: SocketAddr, why: &io::Error) {
        let mut quiet = self.quiet.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(silent) = quiet.speak(Instant::now()) {
            tracing::warn!(%peer, silent, "a handshake with the {} failed: {why}", self.name);
        }
    }

    async fn answer<S>(&self, stream: S, peer: SocketAddr, identity: Option<Arc<PeerIdentity>>)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let answer = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            identity.iter().for_each(|identity| {
                request.extensions_mut().insert(Arc::clone(identity));
            });
            let mut router = self.router.clone();
            async move {
                Ok::<_, Infallible>(match router.call(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                })
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(stream), answer);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(why) = ended {
            tracing::debug!("a connection to the {} ended: {why}", self.name);
        }
    }
}
