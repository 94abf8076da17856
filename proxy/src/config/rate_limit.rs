//! `rate_limit`: how often clients may ask.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How often clients may ask, counted over all workers of this proxy. Absent: as often as they like.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimit {
    /// What clients are told of their limits in each response.
    pub headers: RateHeaders,
    /// Keys (clients, users) that are told apart at once, 16 bytes each, rounded up to a power of two; with
    /// more the one with the least debt is forgotten. 1024 to 16777216.
    pub max_keys: u32,
    /// All that apply to a request must admit it; a request that one refuses counts for none.
    pub rules: Vec<RateRule>,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self { headers: RateHeaders::default(), max_keys: 131_072, rules: Vec::new() }
    }
}

/// One limit: a token bucket a key.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateRule {
    /// Its name in metrics and headers. Absent: `rate-N`, counted from 1.
    #[serde(default)]
    pub name: Option<String>,
    /// What has a bucket of its own: ip (IPv6: the /64), `header:NAME`, user (who was authenticated), route,
    /// service, or global. A request without that header, or user, is not counted.
    pub key: String,
    /// So many requests in each `per` are let through in the long run.
    pub requests: u32,
    /// The time over which `requests` is meant.
    #[serde(default)]
    pub per: Period,
    /// So many may come at once. Absent: `requests`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
    /// Only requests by these routes. None: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<String>,
    /// Only requests to these services. None: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// true: nobody is refused, what would have been is counted.
    #[serde(default)]
    pub dry_run: bool,
}

/// Lengths of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
// A described variant would turn the schema's plain `enum` into a `oneOf`, and "did you mean" with it.
#[allow(missing_docs)]
pub enum Period {
    #[default]
    Second,
    Minute,
    Hour,
    Day,
}

/// Which header fields tell clients of their limits: none, `RateLimit` and `RateLimit-Policy` of the IETF's
/// draft, or `X-RateLimit-Limit`, `-Remaining` and `-Reset`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum RateHeaders {
    #[default]
    None,
    Ietf,
    XRatelimit,
}
