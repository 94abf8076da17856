//! One request as it is told after it ended. Gathered on the worker by taking hold of what the request
//! brought along (its fields are counted references), written out elsewhere.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::{HOST, USER_AGENT};
use http::request::Parts;
use http::{HeaderValue, Method, Uri, Version};
use smallvec::SmallVec;

use crate::identity::PeerIdentity;
use crate::telemetry::Outcome;
use crate::telemetry::cells::EndpointLabel;

/// Attempts of one request that are told apart; more are only counted.
pub const MAX_ATTEMPTS: usize = 16;

/// See the module.
#[derive(Debug, Clone)]
pub struct Record {
    /// When its head was read.
    pub at: SystemTime,
    /// Until its response's last byte, or its end without one.
    pub took: Duration,
    /// As it was kept or made.
    pub request_id: HeaderValue,
    /// Its place in a trace, where traces are taken part in.
    pub span: Option<ServerSpan>,
    /// Who asked, as it is counted.
    pub client: IpAddr,
    /// The workload that asked, by its certificate.
    pub principal: Option<Arc<PeerIdentity>>,
    /// What was asked.
    pub method: Method,
    /// Of what.
    pub uri: Uri,
    /// Of whom, where the target does not say.
    pub host: Option<HeaderValue>,
    /// In which protocol.
    pub version: Version,
    /// What the client calls itself.
    pub user_agent: Option<HeaderValue>,
    /// The response's; `None` where the client went away before.
    pub status: Option<u16>,
    /// Who asked, by the credential that was shown.
    pub user: Option<Box<str>>,
    /// What was decided of whether that is allowed.
    pub decision: Option<Box<str>>,
    /// One word for what went wrong.
    pub reason: Option<&'static str>,
    /// Request body bytes.
    pub bytes_in: u64,
    /// Response body bytes.
    pub bytes_out: u64,
    /// The route's name.
    pub route: Option<Arc<str>>,
    /// The service, as telemetry names one without an endpoint.
    pub service: Option<Arc<EndpointLabel>>,
    /// At endpoints, in their order.
    pub attempts: SmallVec<[Attempt; 1]>,
    /// How many there were.
    pub attempts_made: u32,
}

/// This proxy's own span of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerSpan {
    /// The trace.
    pub trace: u128,
    /// The span.
    pub span: u64,
    /// The caller's span.
    pub parent: Option<u64>,
    /// Whether spans are sent.
    pub sampled: bool,
}

/// One request sent to one endpoint.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// To whom.
    pub endpoint: Arc<EndpointLabel>,
    /// Its span; 0 where none is made.
    pub span: u64,
    /// After the request's head was read.
    pub began: Duration,
    /// Until the response's head, or the failure; `None` where it was given up.
    pub answered: Option<Duration>,
    /// What came of it.
    pub outcome: Option<Outcome>,
}

impl Record {
    /// The beginning of a request's story.
    #[must_use]
    pub fn of(parts: &Parts, client: IpAddr, request_id: &HeaderValue) -> Self {
        Self {
            at: SystemTime::now(),
            took: Duration::ZERO,
            request_id: request_id.clone(),
            span: None,
            client,
            principal: parts.extensions.get::<Arc<PeerIdentity>>().cloned(),
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            host: parts.headers.get(HOST).cloned(),
            version: parts.version,
            user_agent: parts.headers.get(USER_AGENT).cloned(),
            status: None,
            user: None,
            decision: None,
            reason: None,
            bytes_in: 0,
            bytes_out: 0,
            route: None,
            service: None,
            attempts: SmallVec::new(),
            attempts_made: 0,
        }
    }

    /// Answered 5xx, refused here, broken off, or not answered.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.reason.is_some() || self.status.is_none_or(|status| status >= 500)
    }

    /// The host asked for, as the client wrote it.
    #[must_use]
    pub fn host(&self) -> Option<&[u8]> {
        let authority = self.uri.authority().map(|authority| authority.as_str().as_bytes());
        authority.or_else(|| self.host.as_ref().map(HeaderValue::as_bytes))
    }
}
