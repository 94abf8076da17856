//! The telemetry listener over mutual TLS: shakes hands with proxies, several at once, and hands on who they are.
//!
//! The files are looked at again every few seconds when somebody comes; a bad set keeps the last good one.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;
use trust::identity::PeerIdentity;
use trust::tls::{BadPair, MinVersion, Termination};

use crate::settings::TelemetryTls;

/// To finish a handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Handshakes at once; more wait to be accepted.
const MAX_HANDSHAKES: usize = 64;
/// Between two looks at the files.
const LOOK: Duration = Duration::from_secs(2);
/// After a failed accept (no file descriptors left), before the next.
const PAUSE: Duration = Duration::from_millis(100);

/// A connection whose other end has shown who it is.
#[derive(Debug)]
pub struct Secured {
    stream: TlsStream<TcpStream>,
    peer: Arc<PeerIdentity>,
}

/// What a request knows of its connection.
#[derive(Debug, Clone)]
pub struct Shown(pub Arc<PeerIdentity>);

impl Connected for Secured {
    type ConnectInfo = Shown;

    fn connect_info(&self) -> Shown {
        Shown(Arc::clone(&self.peer))
    }
}

/// Reads the files.
///
/// # Errors
/// [`BadPair`]: which is not what it should be.
pub fn load(files: &TelemetryTls) -> Result<Termination, BadPair> {
    let proxies = Some(files.proxies.clone());
    Termination::load(&files.certificate, &files.key, MinVersion::Tls13, HANDSHAKE, proxies)
}

/// Connections that have shaken hands, until `stop`.
pub fn accept(
    listener: TcpListener,
    files: TelemetryTls,
    first: Termination,
    stop: CancellationToken,
) -> ReceiverStream<io::Result<Secured>> {
    let (shaken, connections) = mpsc::channel(16);
    tokio::spawn(async move {
        let (mut files, room) = (
            Files { files, current: first, looked: Instant::now() },
            Arc::new(Semaphore::new(MAX_HANDSHAKES)),
        );
        loop {
            let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
            let Some(accepted) = stop.run_until_cancelled(listener.accept()).await else { return };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(why) => {
                    tracing::warn!("the telemetry listener cannot accept: {why}");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let (termination, shaken) = (files.current(), shaken.clone());
            tokio::spawn(async move {
                let _place = place;
                match termination.accept(stream).await {
                    Ok((stream, Some(peer))) => {
                        let _ = shaken.send(Ok(Secured { stream, peer })).await;
                    }
                    Ok((_, None)) => {}
                    Err(why) => tracing::warn!("a proxy's handshake failed: {why}"),
                }
            });
        }
    });
    ReceiverStream::new(connections)
}

struct Files {
    files: TelemetryTls,
    current: Termination,
    looked: Instant,
}

impl Files {
    fn current(&mut self) -> Termination {
        if self.looked.elapsed() >= LOOK {
            self.looked = Instant::now();
            match load(&self.files) {
                Ok(new) if new != self.current => {
                    tracing::info!("the telemetry listener's certificates have changed and are in force");
                    self.current = new;
                }
                Ok(_) => {}
                Err(why) => tracing::error!("telemetry.tls: {why}; the last good certificates stay"),
            }
        }
        self.current.clone()
    }
}

impl AsyncRead for Secured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Secured {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
