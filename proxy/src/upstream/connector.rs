//! A new connection to an endpoint, as its service's transport says.

use std::io::{Error, IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::settings::{Endpoint, Protocol, Transport};
use crate::telemetry::shard::OpenConnection;
use crate::upstream::seats::Seat;

/// See the module.
#[derive(Debug, Clone)]
pub struct Connector {
    /// To whom.
    pub endpoint: Arc<Endpoint>,
    /// How.
    pub transport: Arc<Transport>,
}

/// What is spoken on one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// A connection's socket.
#[derive(Debug)]
pub struct Stream {
    kind: Kind,
    _counted: Option<(OpenConnection, Seat)>,
}

#[derive(Debug)]
enum Kind {
    Clear(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connector {
    /// Connects, with a handshake where TLS is wanted, and says what is to be spoken.
    ///
    /// # Errors
    /// The endpoint's name does not resolve, it does not accept, or the handshake fails.
    pub async fn connect(&self) -> Result<(Stream, Speaks)> {
        let host = self.endpoint.host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, self.endpoint.port)).await?;
        stream.set_nodelay(true)?;
        let Transport { protocol, tls, .. } = &*self.transport;
        let Some(tls) = tls else {
            let speaks = if *protocol == Protocol::Http2 { Speaks::Http2 } else { Speaks::Http1 };
            return Ok((Stream { kind: Kind::Clear(stream), _counted: None }, speaks));
        };
        let stream = tls.connect(stream, host).await?;
        let chosen = stream.get_ref().1.alpn_protocol();
        let speaks = match (protocol, chosen) {
            (Protocol::Http2 | Protocol::Auto, Some(b"h2")) => Speaks::Http2,
            // RFC 9113 section 3.2: HTTP/2 over TLS is spoken only where it was agreed on.
            (Protocol::Http2, _) => return Err(Error::other("the endpoint does not agree on HTTP/2 (ALPN)")),
            (Protocol::Http1 | Protocol::Auto, _) => Speaks::Http1,
        };
        Ok((Stream { kind: Kind::Tls(Box::new(stream)), _counted: None }, speaks))
    }

    /// `http` or `https`.
    #[must_use]
    pub fn scheme(&self) -> http::uri::Scheme {
        if self.transport.tls.is_some() { http::uri::Scheme::HTTPS } else { http::uri::Scheme::HTTP }
    }
}

impl Stream {
    /// Counted as open from now on.
    #[must_use]
    pub fn counted(self, open: OpenConnection, seat: Seat) -> Self {
        Self { _counted: Some((open, seat)), ..self }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        match &mut self.kind {
            Kind::Clear(stream) => Pin::new(stream).poll_read(cx, buf),
            Kind::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        match &mut self.kind {
            Kind::Clear(stream) => Pin::new(stream).poll_write(cx, buf),
            Kind::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        match &mut self.kind {
            Kind::Clear(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Kind::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.kind {
            Kind::Clear(stream) => stream.is_write_vectored(),
            Kind::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match &mut self.kind {
            Kind::Clear(stream) => Pin::new(stream).poll_flush(cx),
            Kind::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match &mut self.kind {
            Kind::Clear(stream) => Pin::new(stream).poll_shutdown(cx),
            Kind::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
