//! A client that comes over TLS, with a certificate of its own or without.

use std::sync::Arc;

use anyhow::Result;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::Issued;

/// See the module. Its sessions are resumed.
pub struct TlsClient {
    connector: TlsConnector,
    http2: bool,
}

impl TlsClient {
    /// Believes `root` and shows `own`.
    ///
    /// # Errors
    /// When these cannot be used.
    pub fn new(root: &CertificateDer<'static>, own: Option<&Issued>) -> Result<Self> {
        Self::showing(root, own.map(|own| (vec![own.der.clone()], own.key())))
    }

    /// The same with any chain and key, which need not belong together.
    ///
    /// # Errors
    /// When these cannot be used.
    pub fn showing(
        root: &CertificateDer<'static>,
        own: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    ) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(root.clone())?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let builder = builder.with_root_certificates(roots);
        let config = match own {
            Some((chain, key)) => {
                let key = provider.key_provider.load_private_key(key)?;
                let certified = rustls::sign::CertifiedKey::new(chain, key);
                builder.with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)))
            }
            None => builder.with_no_client_auth(),
        };
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), http2: false })
    }

    /// By HTTP/2 from now on.
    #[must_use]
    pub fn http2(self) -> Self {
        let mut config = ClientConfig::clone(self.connector.config());
        config.alpn_protocols = vec![b"h2".to_vec()];
        Self { connector: TlsConnector::from(Arc::new(config)), http2: true }
    }

    /// A connection to `address`, which must be `localhost`.
    ///
    /// # Errors
    /// When it does not come about; with TLS 1.3 a refusal comes after it.
    pub async fn connect(&self, address: &str) -> Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(address).await?;
        Ok(self.connector.connect(ServerName::try_from("localhost")?, stream).await?)
    }

    /// A request by a connection of its own: the status, and how the handshake was made.
    ///
    /// # Errors
    /// When it is not answered.
    pub async fn get(&self, address: &str, path: &str, headers: &HeaderMap) -> Result<(u16, HandshakeKind)> {
        let stream = self.connect(address).await?;
        let mut request = Request::get(format!("https://localhost{path}")).header("host", "localhost");
        request.headers_mut().into_iter().for_each(|all| all.extend(headers.clone()));
        let request = request.body(Empty::<bytes::Bytes>::new())?;
        let kind = stream.get_ref().1.handshake_kind().unwrap_or(HandshakeKind::Full);
        let io = TokioIo::new(stream);
        let response = if self.http2 {
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
            tokio::spawn(connection);
            sender.send_request(request).await?
        } else {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
            tokio::spawn(connection);
            sender.send_request(request).await?
        };
        let status = response.status().as_u16();
        response.into_body().collect().await?;
        Ok((status, kind))
    }

    /// The status alone.
    ///
    /// # Errors
    /// When it is not answered.
    pub async fn status(&self, address: &str) -> Result<u16> {
        Ok(self.get(address, "/", &HeaderMap::new()).await?.0)
    }
}
