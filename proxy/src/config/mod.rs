//! The shape of `proxy.yaml`: what may be written, before anything is judged.
//!
//! Only [`crate::settings`] reads it. Doc comments here become the descriptions of the JSON Schema.
//! An unknown key is an error everywhere.

mod authentication;
mod authorization;
mod cors;
mod edge;
mod limits;
mod load_balancing;
mod observability;
mod outlier;
mod overload;
mod policy;
mod rate_limit;
mod retry;
mod route;
mod route_filters;
mod route_match;
mod security;
mod server;
mod transport;
mod upstream;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use authentication::{ApiKey, ApiKeys, Authentication, CredentialProvider, Introspection, Jwt, Mtls};
pub use authorization::{
    Authorization, AuthorizationEffect, AuthorizationMode, AuthorizationRule, CedarPolicies,
    ExternalAuthorizer, ExternalProtocol, RegoPolicies,
};
pub use cors::{Cors, FrameOptions, Hsts, ResponseHeaders};
pub use edge::{DotSegments, EscapedSlashes, Http2, PathRules};
pub use limits::{AdaptiveLimit, Limits, Priority};
pub use load_balancing::{AlgorithmName, HashName, LoadBalancing, SameSite, SessionCookie, StickySessions};
pub use observability::{AccessLog, LogFormat, Observability, PropagationFormat, Tracing};
pub use outlier::OutlierDetection;
pub use overload::Overload;
pub use policy::{CircuitBreaker, Window, WindowSpans};
pub use rate_limit::{Period, RateHeaders, RateLimit, RateRule};
pub use retry::{Hedge, Retry, RetryBudget, RetryOn};
pub use route::{Route, Split};
pub use route_filters::{
    Cohort, Fault, FaultAbort, FaultDelay, HeaderEdits, Mirror, Redirect, Respond, Rewrite, SchemeName,
};
pub use route_match::{GrpcRule, MatchRule, PathRule, SourceRule, ValueRule, ValueTest};
pub use security::{IpLists, Security};
pub use server::{Admin, ClientAuth, ClientAuthMode, Connect, Server, Tls, TlsVersion};
pub use transport::{ProtocolName, UpstreamHttp2, UpstreamTls};
pub use upstream::{Endpoint, HealthCheck, Service, Upstream};

/// The commented sample that `generate-config` writes, and that holds where no file is given.
pub const SAMPLE: &str = include_str!("../../../config/proxy.yaml");

/// The JSON Schema of `proxy.yaml`.
#[must_use]
pub fn schema() -> String {
    protocol::document::schema_text::<Config>()
}

/// The configuration of one sidecar-proxy.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The main listener.
    pub server: Server,
    /// The admin listener: health, metrics, action API.
    pub admin: Admin,
    /// Where requests go.
    pub upstream: Upstream,
    /// How an endpoint is chosen, for services that do not say.
    pub load_balancing: LoadBalancing,
    /// When an endpoint's breaker opens, for services that do not say.
    pub circuit_breaker: CircuitBreaker,
    /// When an endpoint that does worse than its siblings is left out, for services that do not say.
    /// Absent: never.
    pub outlier_detection: Option<OutlierDetection>,
    /// Which request goes to which service. None: one service takes everything, several are chosen by
    /// the first label of the Host header.
    pub routes: Vec<Route>,
    /// What no action may cross.
    pub floor: Floor,
    /// The brain. Absent: none is contacted.
    pub ai: Option<Ai>,
    /// When a failed request is sent again, for services that do not say. Absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// How much a service is asked at once, for services that do not say. Absent: as much as comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// How often clients may ask. Absent: as often as they like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// Who may ask. Absent: anyone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security: Option<Security>,
    /// What is told of each request.
    pub observability: Observability,
}

/// What no action may cross, over all live leases together.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Floor {
    /// Share of a service's configured weight that stays servable, 0.5 to 1.
    pub min_capacity: f64,
}

impl Default for Floor {
    fn default() -> Self {
        Self { min_capacity: 0.5 }
    }
}

/// The brain: which one, and how far it may go.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ai {
    /// Whether a brain is contacted at all.
    pub enabled: bool,
    /// A brain started beside may act on its own; otherwise it proposes and waits.
    pub autonomous_mode: bool,
    /// The language model's provider, for a brain started beside: openai, azure, anthropic or none.
    pub provider: Option<Provider>,
    /// The language model's name.
    pub model: Option<String>,
    /// Probability below which a brain started beside does nothing alone, 0 to 1.
    pub decision_threshold: Option<f64>,
    /// `http://HOST:PORT` of the brain's telemetry listener, `https://` with `tls`. Absent: one is started beside.
    pub brain: Option<String>,
    /// The file with the token shown to that brain.
    pub token_path: Option<String>,
    /// Where a brain started beside keeps its store.
    pub data_dir: String,
    /// Length of a telemetry window, 250 to 10000 ms.
    pub window_ms: u64,
    /// This proxy's id in telemetry. Absent: from the host name and the port.
    pub proxy_id: Option<String>,
    /// The service beside which this proxy runs; `internet` at the edge.
    pub caller: String,
    /// The admin URL announced to the brain. Absent: the admin listener's own address.
    pub admin_url: Option<String>,
    /// Mutual TLS to the brain's telemetry listener; a token is then not needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<AiTls>,
}

/// The identities at the two ends of the channel to the brain. The files are read at each dialling.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AiTls {
    /// File with this proxy's certificate chain, PEM.
    pub certificate: String,
    /// File with its key, PEM.
    pub key: String,
    /// File with the authorities that are believed, PEM.
    pub ca_path: String,
    /// Who the brain must be: its SPIFFE id.
    pub spiffe_id: String,
}

impl Default for Ai {
    fn default() -> Self {
        Self {
            enabled: true,
            autonomous_mode: false,
            provider: None,
            model: None,
            decision_threshold: None,
            brain: None,
            token_path: None,
            data_dir: crate::settings::DEFAULT_DATA_DIR.to_owned(),
            window_ms: 1_000,
            proxy_id: None,
            caller: "internet".to_owned(),
            admin_url: None,
            tls: None,
        }
    }
}

/// Language model providers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
// A described variant would turn the schema's plain `enum` into a `oneOf`, and "did you mean" with it.
#[allow(missing_docs)]
pub enum Provider {
    Openai,
    Azure,
    Anthropic,
    None,
}
