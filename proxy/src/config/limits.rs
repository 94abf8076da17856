//! `limits`: common, or inside a service, where it wins key by key.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::retry::both;

/// How much a service is asked at once, over all workers of this proxy. Absent: as much as comes.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Requests on their way to the service at once. Absent: any.
    pub max_requests: Option<u32>,
    /// Requests on their way to one of its endpoints at once; the others are asked instead. Absent: any.
    pub max_endpoint_requests: Option<u32>,
    /// Connections to one of its endpoints at once. Absent: any.
    pub max_endpoint_connections: Option<u32>,
    /// Requests that wait for a place at once; more are refused; 0 unless given.
    pub max_pending: Option<u32>,
    /// How long one waits at most; 100 unless given.
    pub max_wait_ms: Option<u64>,
    /// A limit that finds itself, by how long answers take. Absent: none.
    pub adaptive: Option<AdaptiveLimit>,
    /// The request's header field that says its priority (critical, high, normal or low), where callers are
    /// trusted to say it. Absent: the route says it.
    pub priority_header: Option<String>,
}

/// A limit of the requests at once that falls when answers take longer than they need, and rises when not
/// (Envoy's gradient controller).
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdaptiveLimit {
    /// true unless given.
    pub enabled: Option<bool>,
    /// The lowest limit; 8 unless given.
    pub min: Option<u32>,
    /// The highest limit; 1000 unless given.
    pub max: Option<u32>,
    /// So much longer than in calm an answer may take before the limit falls, 0.05 to 5; 0.25 unless given.
    pub tolerance: Option<f64>,
    /// Between two adjustments; 100 unless given.
    pub window_ms: Option<u64>,
    /// How often the limit is lowered for a moment to see what calm is; 30000 unless given.
    pub calm_every_ms: Option<u64>,
}

/// Who goes first when there is not enough for all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
// A described variant would turn the schema's plain `enum` into a `oneOf`, and "did you mean" with it.
#[allow(missing_docs)]
pub enum Priority {
    Critical,
    High,
    #[default]
    Normal,
    Low,
}

impl Priority {
    /// The one that is called so.
    #[must_use]
    pub fn named(name: &[u8]) -> Option<Self> {
        match name {
            b"critical" => Some(Self::Critical),
            b"high" => Some(Self::High),
            b"normal" => Some(Self::Normal),
            b"low" => Some(Self::Low),
            _ => None,
        }
    }
}

impl Limits {
    /// Every key of this one, and of `common` where this one is silent.
    #[must_use]
    pub fn over(&self, common: &Self) -> Self {
        Self {
            max_requests: self.max_requests.or(common.max_requests),
            max_endpoint_requests: self.max_endpoint_requests.or(common.max_endpoint_requests),
            max_endpoint_connections: self.max_endpoint_connections.or(common.max_endpoint_connections),
            max_pending: self.max_pending.or(common.max_pending),
            max_wait_ms: self.max_wait_ms.or(common.max_wait_ms),
            adaptive: both(self.adaptive.as_ref(), common.adaptive.as_ref(), AdaptiveLimit::over),
            priority_header: self.priority_header.clone().or_else(|| common.priority_header.clone()),
        }
    }
}

impl AdaptiveLimit {
    fn over(&self, common: &Self) -> Self {
        Self {
            enabled: self.enabled.or(common.enabled),
            min: self.min.or(common.min),
            max: self.max.or(common.max),
            tolerance: self.tolerance.or(common.tolerance),
            window_ms: self.window_ms.or(common.window_ms),
            calm_every_ms: self.calm_every_ms.or(common.calm_every_ms),
        }
    }
}
