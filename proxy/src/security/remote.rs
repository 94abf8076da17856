//! Questions to a server that knows more: a set of keys, a token's standing. Over a connection of its own
//! each, bounded in time and size, without following where it points.

use std::collections::BTreeMap;
use std::io::{Error, Result};
use std::net::IpAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderValue, Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use protocol::id::EndpointId;
use tokio::time::timeout;

use crate::settings::{Endpoint, Protocol, Transport};
use crate::tls::MinVersion;
use crate::upstream::connector::{Connector, Speaks, Stream};
use crate::upstream::tls::{Origination, Parties, Trust};

const OURSELVES: HeaderValue = HeaderValue::from_static("sidecar-proxy");
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Where to ask.
#[derive(Debug, Clone)]
pub struct Remote {
    /// As it was written.
    pub url: String,
    connector: Connector,
    host: HeaderValue,
    path: String,
    origin: String,
    within: Duration,
}

impl Remote {
    /// `url` is `http://…` or `https://…`; of https the certificate must be vouched for by `ca`, or else by the
    /// system.
    ///
    /// # Errors
    /// It is none of these, or there is nobody to trust.
    pub fn new(url: &str, ca: Option<&str>, within: Duration) -> std::result::Result<Self, String> {
        Self::over(url, ca, within, Protocol::Http1)
    }

    /// The same, speaking `protocol`.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn over(
        url: &str,
        ca: Option<&str>,
        within: Duration,
        protocol: Protocol,
    ) -> std::result::Result<Self, String> {
        let none = || format!("{url:?} is no URL: give http://HOST/PATH or https://HOST/PATH");
        let uri: Uri = url.parse().map_err(|_| none())?;
        let authority =
            uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(none)?;
        let (port, tls) = match uri.scheme_str() {
            Some("http") => (80, None),
            Some("https") => {
                let trust = ca.map_or(Trust::System, |ca| Trust::File(Path::new(ca)));
                let tls = Origination::load(&trust, Parties::default(), MinVersion::Tls12, protocol);
                (443, Some(Arc::new(tls.map_err(|why| why.to_string())?)))
            }
            _ => return Err(none()),
        };
        let port = authority.port_u16().unwrap_or(port);
        let id = EndpointId::new(format!("{}:{port}", authority.host())).map_err(|why| why.to_string())?;
        let endpoint = Endpoint {
            id,
            host: authority.host().to_owned(),
            port,
            weight: 1,
            version: String::new(),
            zone: String::new(),
            metadata: BTreeMap::new(),
        };
        let origin = format!("{}://{authority}", uri.scheme_str().unwrap_or_default());
        let transport = Transport { tls, protocol, ..Transport::default() };
        Ok(Self {
            url: url.to_owned(),
            connector: Connector { endpoint: Arc::new(endpoint), transport: Arc::new(transport) },
            host: HeaderValue::try_from(authority.as_str()).map_err(|_| none())?,
            path: uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
            origin,
            within,
        })
    }

    /// Whether what is said there is read by nobody on the way: over TLS, or to this machine.
    #[must_use]
    pub fn is_private(&self) -> bool {
        let host = self.connector.endpoint.host.trim_start_matches('[').trim_end_matches(']');
        let here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        here || self.connector.transport.tls.is_some()
    }

    /// The URL's path and query.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The URL without them.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// A connection of its own, for whoever keeps connections open.
    ///
    /// # Errors
    /// There is none to be had.
    pub async fn connect(&self) -> Result<(Stream, Speaks)> {
        self.connector.connect().await
    }

    /// What is there, at most `most` bytes.
    ///
    /// # Errors
    /// It is not to be had in time, answers with anything but 200, or says more.
    pub async fn get(&self, most: usize) -> Result<Bytes> {
        let request = Request::get(&self.path).body(Full::default()).map_err(Error::other)?;
        self.ask(request, most).await
    }

    /// What it answers to a form, with these credentials of ours (RFC 7617).
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn post(&self, form: String, credentials: Option<&HeaderValue>, most: usize) -> Result<Bytes> {
        let request = Request::post(&self.path).header(CONTENT_TYPE, FORM);
        let mut request = request.body(Full::from(form)).map_err(Error::other)?;
        if let Some(credentials) = credentials {
            request.headers_mut().insert(AUTHORIZATION, credentials.clone());
        }
        self.ask(request, most).await
    }

    async fn ask(&self, mut request: Request<Full<Bytes>>, most: usize) -> Result<Bytes> {
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        headers.insert(USER_AGENT, OURSELVES);
        headers.insert(ACCEPT, JSON);
        let late = |_| Error::new(std::io::ErrorKind::TimedOut, "no answer in time");
        timeout(self.within, self.exchange(request, most)).await.map_err(late)?
    }

    async fn exchange(&self, request: Request<Full<Bytes>>, most: usize) -> Result<Bytes> {
        let (stream, _) = self.connector.connect().await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(Error::other)?;
        let answer = async {
            let response = sender.send_request(request).await.map_err(Error::other)?;
            if response.status() != http::StatusCode::OK {
                return Err(Error::other(format!("it answers {}", response.status())));
            }
            let body = Limited::new(response.into_body(), most).collect().await.map_err(Error::other)?;
            Ok(body.to_bytes())
        };
        let (mut answer, mut connection, mut open) = (pin!(answer), pin!(connection), true);
        loop {
            tokio::select! {
                biased;
                answer = &mut answer => return answer,
                // What it has read is still to be had.
                _ended = &mut connection, if open => open = false,
            }
        }
    }
}
