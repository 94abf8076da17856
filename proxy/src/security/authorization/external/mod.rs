//! An authorizer elsewhere: asked over HTTP, as Envoy and nginx (`auth_request`) ask, or by Envoy's ext_authz v3
//! over gRPC. It gets the request's head, of the body as much as it was given terms for, and who asks as far as that is
//! known here. What a client says and no endpoint would get, it does not get either.
//!
//! It may add only those fields to a request that the configuration names, and what clients say in them is
//! taken away. An answer that does not come in time, is too long or is none is a failure: the request is
//! denied, or with `on_failure: allow` let pass; either is counted as an error. No authorizer is asked
//! for a while after one has failed, so that a dead one costs requests no time.

mod body;
pub mod check;
mod grpc;
mod http1;
mod line;

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use tokio::time::timeout;

pub use body::{BodyTerms, Held};
pub use line::Line;

use super::Decision;
use crate::clock;
use crate::middleware::headers;
use crate::security::remote::Remote;

/// After a failure nobody is asked for so long.
const QUIET: Duration = Duration::from_millis(500);
/// Fields that say how a request is framed, and to whom it goes: they stay.
pub const FRAMING: [HeaderName; 6] = [HOST, CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION, TE, UPGRADE];
/// As decisions name it.
pub const NAME: &str = "external";

/// What is spoken with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// The status of an answer decides.
    Http,
    /// `envoy.service.auth.v3`.
    Grpc,
}

/// See the module. Shared by all workers.
#[derive(Debug)]
pub struct External {
    /// Where it is.
    pub remote: Remote,
    /// How it is asked.
    pub speaks: Speaks,
    /// For how long a request waits for it.
    pub within: Duration,
    /// Whether requests pass that it cannot be asked about.
    pub fails_open: bool,
    /// The fields of a request that it gets; absent: all.
    pub gets: Option<Vec<HeaderName>>,
    /// How much of a request's body it gets; absent: nothing.
    pub body: Option<BodyTerms>,
    /// The fields that it may add to requests.
    pub adds: Vec<HeaderName>,
    /// The fields of a denial that clients get.
    pub tells: Vec<HeaderName>,
    /// Nobody is asked before this, in milliseconds of the process.
    pub quiet_until: AtomicU64,
}

/// What it is asked, beside the request's head.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// Who asks, by credential or certificate; empty: nobody who is known.
    pub who: &'a str,
    /// From where.
    pub ip: IpAddr,
    /// The host.
    pub host: &'a str,
    /// The request's id.
    pub id: &'a str,
    /// The route.
    pub route: &'a str,
    /// What it gets of the body.
    pub body: Option<&'a Held>,
}

/// What it says.
#[derive(Debug, Default)]
pub struct Said {
    /// For the endpoint.
    pub fields: HeaderMap,
    /// Not for the endpoint.
    pub without: Vec<HeaderName>,
    /// The answer to the client; absent: it is allowed.
    pub denial: Option<Box<Response<Bytes>>>,
}

impl Said {
    /// Changes a request so, except for what says how it is framed and to whom it goes.
    pub fn apply(self, headers: &mut HeaderMap) {
        let framing = |name: &&HeaderName| FRAMING.contains(name);
        for name in self.without.iter().filter(|name| !framing(name)) {
            headers.remove(name);
        }
        let all = self.fields.iter().filter(|(name, _)| !framing(name));
        all.for_each(|(name, value)| drop(headers.insert(name.clone(), value.clone())));
    }
}

impl External {
    /// The request's fields as far as they are sent along, without those that `Connection` takes away before endpoints.
    fn fields(&self, parts: &Parts, about: About<'_>) -> HeaderMap {
        let is_sent = |name: &HeaderName| self.gets.as_ref().is_none_or(|gets| gets.contains(name));
        let mut fields = parts.headers.clone();
        headers::strip_hop_by_hop(&mut fields);
        let mut sent = HeaderMap::with_capacity(fields.len());
        for (name, value) in fields.iter().filter(|(name, _)| is_sent(name)) {
            sent.append(name.clone(), value.clone());
        }
        sent.remove(body::PARTIAL);
        about.body.into_iter().for_each(|held| drop(sent.insert(body::PARTIAL, held.is_partial())));
        sent
    }

    /// Puts a field of an answer where it belongs, if it may be anywhere.
    fn note(&self, fields: &mut HeaderMap, name: &[u8], value: &[u8]) {
        let read = HeaderName::from_bytes(name).ok().zip(HeaderValue::from_bytes(value).ok());
        if let Some((name, value)) = read.filter(|(name, _)| self.adds.contains(name)) {
            fields.insert(name, value);
        }
    }

    /// The answer to a client: what it may be told, with a status that is none of success.
    fn denial(&self, status: u16, fields: &HeaderMap, body: Bytes) -> Box<Response<Bytes>> {
        let mut response = Response::new(body);
        let status = StatusCode::from_u16(status).ok().filter(|status| (300..600).contains(&status.as_u16()));
        *response.status_mut() = status.unwrap_or(StatusCode::FORBIDDEN);
        for name in &self.tells {
            fields
                .get_all(name)
                .iter()
                .for_each(|value| _ = response.headers_mut().append(name, value.clone()));
        }
        Box::new(response)
    }
}

impl Line {
    /// Whether the request is allowed, and what changes of it. A failure is [`Decision::Broken`].
    pub async fn decide(&self, parts: &Parts, about: About<'_>) -> (Decision<'static>, Said) {
        let broken = || (Decision::Broken(NAME.into()), Said::default());
        if clock::now_ms() < self.to.quiet_until.load(Ordering::Relaxed) {
            return broken();
        }
        let asked = async {
            match self.to.speaks {
                Speaks::Http => self.by_http(parts, about).await,
                Speaks::Grpc => self.by_grpc(parts, about).await,
            }
        };
        let said = timeout(self.to.within, asked).await;
        match said.unwrap_or_else(|_| Err("no answer in time".to_owned())) {
            Ok(said) if said.denial.is_some() => (Decision::Deny(NAME.into()), said),
            Ok(said) => (Decision::Allow(NAME.into()), said),
            Err(why) => {
                let now = clock::now_ms();
                // Said once per pause, since nobody is asked in between.
                if self.to.quiet_until.swap(now + QUIET.as_millis() as u64, Ordering::Relaxed) <= now {
                    tracing::warn!("the authorizer at {} fails: {why}", self.to.remote.url);
                }
                broken()
            }
        }
    }
}

/// Path and query of the request.
fn target(parts: &Parts) -> &str {
    parts.uri.path_and_query().map_or("/", |target| target.as_str())
}
