//! Validated runtime values: parsed once from the file's shape, then trusted.
//!
//! Only this module reads [`crate::config`]; everything else reads these types.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use protocol::id::{EndpointId, ProxyId, ServiceName};

use crate::identity::allowed::Principal;
use crate::tls::Termination;

mod ai;
mod authentication;
mod authorization;
mod balancing;
mod breaking;
mod cors;
mod document;
mod edge;
mod external_authorizer;
mod filters;
mod findings;
mod identities;
mod introspection;
mod limits;
mod listeners;
mod observability;
mod outliers;
mod overload;
mod pattern;
#[cfg(any(feature = "cedar", feature = "rego"))]
mod policy_files;
mod rates;
mod retries;
mod route;
mod routes;
mod security;
mod services;
mod transport;

pub use crate::config::{DotSegments, EscapedSlashes, PathRules, RetryOn, SAMPLE, schema};
pub use authentication::{Authentication, Credential, Jwt, Provider, ProviderKind, TokenKeys};
pub use balancing::{
    Affinity, Algorithm, Balancing, HashTable, KeySource, SameSite, SessionCookie, SlowStart,
};
pub use breaking::{Breaker, FailureRate, MAX_WINDOW_REQUESTS};
pub use document::{DEFAULT_DATA_DIR, Given};
pub use edge::{Edge, Http2};
pub use filters::{Abort, Answer, Cohort, Fault, HeaderEdits, Mirror, PathEdit, Redirect, Respond, Rewrite};
pub use limits::{AdaptiveLimit, Limits, Priority};
pub use observability::{AccessLog, Export, LogTarget, Observability, Tracing};
pub use outliers::Outliers;
pub use overload::OverloadBounds;
pub use rates::{RateHeaders, RateKey, RateLimits, RateRule};
pub use retries::{Hedge, MAX_ATTEMPTS, Retry, RetryBudget};
pub use route::{Match, PathMatch, Pattern, Route, SplitTarget, ValueMatch};
pub use security::{MAX_SECURITY_FILE_BYTES, Security};
pub use services::MAX_WEIGHT;
pub use transport::{Protocol, StreamBounds, Transport};

/// Everything the proxy runs by.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The main listener.
    pub server: Server,
    /// The admin listener.
    pub admin: Admin,
    /// Upstream services, by name.
    pub services: BTreeMap<ServiceName, Arc<Service>>,
    /// Routes, in the file's order; [`crate::routing::router`] decides which comes first.
    pub routes: Vec<Arc<Route>>,
    /// What no action may cross.
    pub floor: Floor,
    /// The brain, where one is wanted.
    pub ai: Option<Ai>,
    /// What is told of each request.
    pub observability: Observability,
    /// How often clients may ask; absent: as often as they like.
    pub rate_limit: Option<RateLimits>,
    /// Who may ask.
    pub security: Security,
    /// SHA-256 over the effective configuration, hex.
    pub hash: String,
}

impl Settings {
    /// Whether the certificates that are shown and trusted are the same.
    #[must_use]
    pub fn has_certificates_of(&self, other: &Self) -> bool {
        let trusts = |(name, service): (&ServiceName, &Arc<Service>)| {
            other.services.get(name).is_some_and(|other| other.transport.tls == service.transport.tls)
        };
        let listeners = self.server.tls == other.server.tls && self.admin.tls == other.admin.tls;
        listeners && self.services.iter().all(trusts)
    }
}

/// The main listener.
#[derive(Debug, Clone)]
pub struct Server {
    /// How connections are taken in over TLS; absent: in clear text.
    pub tls: Option<Arc<Termination>>,
    /// Where to listen; port 0 takes a free one and says which.
    pub bind: SocketAddr,
    /// Whether a changed file is reloaded without being asked.
    pub watch_files: bool,
    /// Worker threads, one current-thread runtime each.
    pub workers: usize,
    /// Client connections at once, over all workers; more are closed at once.
    pub max_connections: usize,
    /// To reach an endpoint.
    pub connect_timeout: Duration,
    /// From the request's head to the response's head.
    pub request_timeout: Duration,
    /// A connection without a request.
    pub idle_timeout: Duration,
    /// Where clients may be connected to by CONNECT, `HOST:PORT` each.
    pub connect: Vec<String>,
    /// A tunnel of which nothing moves.
    pub tunnel_idle_timeout: Duration,
    /// To read a request's head.
    pub header_timeout: Duration,
    /// The largest request head that is read.
    pub max_header_bytes: usize,
    /// What else a request may be.
    pub edge: Edge,
    /// What an HTTP/2 connection may ask for.
    pub http2: Http2,
    /// When load is shed for the process's own sake.
    pub overload: OverloadBounds,
    /// Listeners stay open so long after a drain began.
    pub drain: Duration,
    /// The process ends so long after a drain began, whatever is still open.
    pub drain_timeout: Duration,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Idle upstream connections kept per endpoint and worker.
    pub max_idle_per_endpoint: usize,
}

/// The identities at the two ends of the channel to the brain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AiTls {
    /// This proxy's chain.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Whom to believe.
    pub bundle: PathBuf,
    /// Who the brain must be.
    pub brain: Principal,
}

/// The admin listener.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Where to listen.
    pub bind: SocketAddr,
    /// The file with the bearer token for writes; made (0600) where absent.
    pub token_path: PathBuf,
    /// The file with the token that may only read.
    pub viewer_token_path: Option<PathBuf>,
    /// Whether status and metrics are told to whoever asks.
    pub open_reads: bool,
    /// How connections are taken in over TLS; absent: in clear text.
    pub tls: Option<Arc<Termination>>,
    /// Workloads that may do everything.
    pub operators: Vec<Principal>,
    /// Workloads that may read.
    pub viewers: Vec<Principal>,
    /// Where epoch and freeze survive a restart.
    pub state_path: PathBuf,
    /// Where a new process may take over.
    pub hand_over_path: PathBuf,
    /// Names under which the listener is spoken to beside those that no stranger can have.
    pub allowed_hosts: Vec<String>,
}

/// One upstream service.
#[derive(Debug, Clone)]
pub struct Service {
    /// Its name.
    pub name: ServiceName,
    /// Its endpoints, in the file's order; at least one.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// What is spoken to them.
    pub transport: Arc<Transport>,
    /// How one is chosen.
    pub balancing: Balancing,
    /// When an endpoint that does worse than its siblings is left out; absent: never.
    pub outliers: Option<Outliers>,
    /// Breaker settings; absent when switched off.
    pub breaker: Option<Breaker>,
    /// When a failed request is sent again; absent: never.
    pub retry: Option<Retry>,
    /// How much it is asked at once; absent: as much as comes.
    pub limits: Option<Limits>,
    /// To reach an endpoint; absent: the server's.
    pub connect_timeout: Option<Duration>,
    /// From the request's head to the response's head; absent: the server's.
    pub request_timeout: Option<Duration>,
    /// Between two pieces of a response's body; absent: no bound of its own.
    pub idle_timeout: Option<Duration>,
    /// Active checks; absent when switched off.
    pub health_check: Option<HealthCheck>,
}

/// One endpoint as configured.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// `ADDRESS:PORT`.
    pub id: EndpointId,
    /// Host name or address, to be resolved when connecting.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Share of traffic relative to its siblings; 0 means none.
    pub weight: u32,
    /// Version label; empty where none is given.
    pub version: String,
    /// Where it runs; empty where none is given.
    pub zone: String,
    /// Labels.
    pub metadata: BTreeMap<String, String>,
}

/// Active checks of one service's endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// Path of the GET; 2xx is healthy.
    pub path: String,
    /// Between two checks of an endpoint.
    pub interval: Duration,
    /// For one check.
    pub timeout: Duration,
    /// Consecutive failures that make it unhealthy.
    pub unhealthy_threshold: u32,
    /// Consecutive successes that make it healthy again.
    pub healthy_threshold: u32,
}

/// What no action may cross, over all live leases together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Floor {
    /// Share of a service's configured weight that stays servable, 0.5 to 1.
    pub min_capacity: f64,
}

/// The brain, and how to reach it.
#[derive(Debug, Clone, PartialEq)]
pub struct Ai {
    /// This proxy's id in telemetry.
    pub proxy: ProxyId,
    /// The service beside which this proxy runs; `internet` at the edge.
    pub caller: String,
    /// `http://HOST:PORT` of the brain's telemetry listener; absent: one is started beside.
    pub brain: Option<String>,
    /// The file with the token shown to the brain.
    pub token_path: Option<PathBuf>,
    /// How the channel to the brain is secured; absent: not at all.
    pub tls: Option<AiTls>,
    /// The admin URL announced to the brain; absent: the admin listener's own address.
    pub admin_url: Option<String>,
    /// Where a brain started beside keeps its store.
    pub data_dir: PathBuf,
    /// How far a brain started beside may go.
    pub mode: AiMode,
    /// Length of a telemetry window.
    pub window: Duration,
    /// Passed on to a brain started beside: probability below which nothing is done alone.
    pub decision_threshold: Option<f64>,
}

/// How far a brain started beside may go on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum AiMode {
    /// Look and say.
    Observe,
    /// Propose and wait.
    Advisory,
    /// Act within the guard.
    Autonomous,
}
