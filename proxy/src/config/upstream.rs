//! `upstream`: services and their endpoints.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    CircuitBreaker, Limits, LoadBalancing, OutlierDetection, ProtocolName, Retry, UpstreamHttp2, UpstreamTls,
};

/// Where requests go.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Upstream {
    /// Services, by name.
    pub services: BTreeMap<String, Service>,
}

/// One upstream service.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Its endpoints; at least one.
    pub endpoints: Vec<Endpoint>,
    /// What is spoken to them: HTTP/1.1; HTTP/2 (by ALPN over TLS, with prior knowledge in clear text, as
    /// `kubernetes.io/h2c`); or what they prefer by ALPN, which in clear text is HTTP/1.1.
    #[serde(default)]
    pub protocol: ProtocolName,
    /// Bounds of HTTP/2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http2: Option<UpstreamHttp2>,
    /// Endpoints are spoken to over TLS. Absent: in clear text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<UpstreamTls>,
    /// Active checks of its endpoints. Absent: none.
    #[serde(default)]
    pub health_check: Option<HealthCheck>,
    /// Wins over the common `load_balancing`, key by key.
    #[serde(default)]
    pub load_balancing: Option<LoadBalancing>,
    /// Wins over the common `circuit_breaker`, key by key.
    #[serde(default)]
    pub circuit_breaker: Option<CircuitBreaker>,
    /// Wins over the common `outlier_detection`, key by key.
    #[serde(default)]
    pub outlier_detection: Option<OutlierDetection>,
    /// Wins over the common `retry`, key by key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Wins over the common `limits`, key by key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// To reach an endpoint. Absent: `server.connection_timeout_ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_timeout_ms: Option<u64>,
    /// From the request's head to the response's head. Absent: `server.request_timeout_ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_timeout_ms: Option<u64>,
    /// Between two pieces of a response's body. Absent: no bound of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout_ms: Option<u64>,
}

/// One endpoint of a service.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Host name or IP address.
    pub address: String,
    /// Port.
    pub port: u16,
    /// Share of traffic relative to its siblings; 0 means none.
    #[serde(default = "default_weight")]
    pub weight: u32,
    /// Version label, for splits and for actions on a version.
    #[serde(default)]
    pub version: String,
    /// Where it runs: with `load_balancing.zone`, endpoints of that zone come first.
    #[serde(default)]
    pub zone: String,
    /// Labels, for people and for routes that choose endpoints by them.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

fn default_weight() -> u32 {
    100
}

/// Active checks of one service's endpoints: GET, 2xx is healthy.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HealthCheck {
    /// Whether endpoints are checked.
    pub enabled: bool,
    /// Path of the GET.
    pub path: String,
    /// Between two checks of an endpoint.
    pub interval_ms: u64,
    /// For one check. Absent: 2000, or the interval if that is shorter.
    pub timeout_ms: Option<u64>,
    /// Consecutive failures that make an endpoint unhealthy.
    pub unhealthy_threshold: u32,
    /// Consecutive successes that make it healthy again.
    pub healthy_threshold: u32,
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self {
            enabled: true,
            path: "/health".to_owned(),
            interval_ms: 10_000,
            timeout_ms: None,
            unhealthy_threshold: 3,
            healthy_threshold: 2,
        }
    }
}
