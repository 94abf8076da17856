//! The telemetry listener over mutual TLS: shakes hands with proxies, several at once, and hands on who they are.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;
use trust::identity::PeerIdentity;

use crate::tls_files::TlsFiles;

/// Handshakes at once; more wait to be accepted.
const MAX_HANDSHAKES: usize = 64;
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

/// Connections that have shaken hands, until `stop`.
pub fn accept(
    listener: TcpListener,
    files: TlsFiles,
    stop: CancellationToken,
) -> ReceiverStream<io::Result<Secured>> {
    let (shaken, connections) = mpsc::channel(16);
    tokio::spawn(async move {
        let room = Arc::new(Semaphore::new(MAX_HANDSHAKES));
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
