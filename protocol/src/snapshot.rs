//! `GET /status` of a proxy: what it would do with the next request, and why.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::action::LeaseRow;
use crate::id::{EndpointId, Epoch, ProxyId, ServiceName};

/// One proxy, now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProxyStatus {
    /// Its id.
    pub proxy: ProxyId,
    /// Which life of it.
    pub boot: String,
    /// The build's version.
    pub version: String,
    /// [`crate::PROTOCOL_VERSION`] of the build.
    pub protocol: u32,
    /// Seconds since it started.
    pub uptime_s: u64,
    /// Hash of the configuration in force.
    pub config_hash: String,
    /// Hash of what the configuration and the leases decide together.
    pub live_state_hash: String,
    /// The highest epoch seen.
    pub epoch: Epoch,
    /// Whether actions are refused.
    pub frozen: bool,
    /// Whether it is on its way out.
    pub draining: bool,
    /// Services, by name.
    pub services: Vec<ServiceStatus>,
    /// Active leases, by id.
    pub leases: Vec<LeaseRow>,
    /// By service, the version that was promoted and outlives its lease.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub promotions: BTreeMap<ServiceName, String>,
}

/// One upstream service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceStatus {
    /// Its name.
    pub service: ServiceName,
    /// How endpoints are chosen.
    pub algorithm: String,
    /// Endpoints in the order of the configuration.
    pub endpoints: Vec<EndpointStatus>,
}

/// One endpoint of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EndpointStatus {
    /// `ADDRESS:PORT`.
    pub endpoint: EndpointId,
    /// The version label; empty where none is configured.
    pub version: String,
    /// What the active check says.
    pub health: Health,
    /// Weight in the configuration.
    pub weight_configured: u32,
    /// Weight now, leases applied.
    pub weight: u32,
    /// Whether a lease takes it out.
    pub ejected: bool,
    /// The breaker's state.
    pub breaker: BreakerState,
    /// Out because it did worse than its siblings; absent: it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outlier: Option<OutlierStatus>,
    /// Requests on their way.
    pub in_flight: u64,
}

/// An endpoint that is out as an outlier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutlierStatus {
    /// `consecutive_5xx`, `consecutive_gateway_failures` or `success_rate`.
    pub cause: String,
    /// Until it is asked again.
    pub remaining_ms: u64,
    /// Ejections in short succession, by which the next grows.
    pub times: u64,
}

/// What active health checks say of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Not checked, or not yet.
    Unknown,
    /// Passed lately.
    Healthy,
    /// Failed lately.
    Unhealthy,
}

/// A breaker; closed lets traffic flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Traffic flows.
    Closed,
    /// None does.
    Open,
    /// A bounded number of probes does.
    HalfOpen,
}

impl BreakerState {
    /// The promised metric's value: 0 closed, 1 open, 2 half-open.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::Open => 1,
            Self::HalfOpen => 2,
        }
    }
}
