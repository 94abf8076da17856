//! `load_balancing`: common, or inside a service, where it wins key by key.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How an endpoint is chosen.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LoadBalancing {
    /// round_robin (weights count in it too) unless given.
    pub algorithm: Option<AlgorithmName>,
    /// For random: endpoints drawn by weight for each request, of which the less loaded is taken; 1 to 8,
    /// 2 unless given ("the power of two choices"). 1 is plain weighted random.
    pub choices: Option<u32>,
    /// For consistent_hash: maglev (even shares, looked up at once) unless given, or ring (ketama's).
    pub hash: Option<HashName>,
    /// For consistent_hash: what is hashed. `header:NAME`, `cookie:NAME`, `query:NAME`, `path` or `ip`; a
    /// bare name is a header. The session_affinity_key unless given, and `ip` where there is none.
    pub hash_key: Option<String>,
    /// For consistent_hash: an endpoint with more than this times its share of the requests in flight is
    /// passed over for the next, 1 to 10; 1.25 is Google's. Unbounded unless given.
    pub hash_load_factor: Option<f64>,
    /// Whether a client stays with its endpoint: by a cookie that this proxy sets, or by the
    /// session_affinity_key. Off unless given.
    pub sticky_sessions: Option<StickySessions>,
    /// By what a client is known again: `header:NAME`, `cookie:NAME`, `query:NAME` or `ip`; a bare name is
    /// a header. Switches sticky sessions on unless sticky_sessions is false.
    pub session_affinity_key: Option<String>,
    /// The proxy's own zone: its endpoints come first while enough of them are healthy. None unless given.
    pub zone: Option<String>,
    /// An endpoint that is new, or back, comes to its full share over so long; 0 (at once) unless given.
    pub slow_start_ms: Option<u64>,
    /// How fast the share rises in a slow start: 1 in a straight line, more is faster at first; 0.1 to 10,
    /// 1 unless given.
    pub slow_start_aggression: Option<f64>,
    /// Percent of endpoints that must be healthy for health to be believed; 0 to 100, 50 unless given.
    /// Below it, all are asked.
    pub panic_threshold: Option<u32>,
}

impl LoadBalancing {
    /// Every key of this one, and of `common` where this one is silent.
    #[must_use]
    pub fn over(&self, common: &Self) -> Self {
        let text = |own: &Option<String>, other: &Option<String>| own.clone().or_else(|| other.clone());
        Self {
            algorithm: self.algorithm.or(common.algorithm),
            choices: self.choices.or(common.choices),
            hash: self.hash.or(common.hash),
            hash_key: text(&self.hash_key, &common.hash_key),
            hash_load_factor: self.hash_load_factor.or(common.hash_load_factor),
            sticky_sessions: self.sticky_sessions.clone().or_else(|| common.sticky_sessions.clone()),
            session_affinity_key: text(&self.session_affinity_key, &common.session_affinity_key),
            zone: text(&self.zone, &common.zone),
            slow_start_ms: self.slow_start_ms.or(common.slow_start_ms),
            slow_start_aggression: self.slow_start_aggression.or(common.slow_start_aggression),
            panic_threshold: self.panic_threshold.or(common.panic_threshold),
        }
    }
}

/// The algorithms' names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
// A described variant would turn the schema's plain `enum` into a `oneOf`, and "did you mean" with it.
#[allow(missing_docs)]
pub enum AlgorithmName {
    RoundRobin,
    WeightedRoundRobin,
    LeastConnections,
    ConsistentHash,
    Random,
    PeakEwma,
}

/// How a hash finds its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum HashName {
    Ring,
    Maglev,
}

/// Yes, no, or how.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum StickySessions {
    /// With the cookie as it is by default, or not at all.
    Switch(bool),
    /// With this cookie.
    Cookie(SessionCookie),
}

/// The cookie by which a client is known again. Its value names no address.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SessionCookie {
    /// Its name.
    pub cookie: String,
    /// How long the client keeps it. Absent: until the client ends.
    pub ttl_ms: Option<u64>,
    /// Its path.
    pub path: String,
    /// Sent over TLS only.
    pub secure: bool,
    /// Not shown to scripts.
    pub http_only: bool,
    /// lax, strict or none.
    pub same_site: SameSite,
}

impl Default for SessionCookie {
    fn default() -> Self {
        Self {
            cookie: "lightsout-session".to_owned(),
            ttl_ms: None,
            path: "/".to_owned(),
            secure: false,
            http_only: true,
            same_site: SameSite::Lax,
        }
    }
}

/// Whether requests from other sites carry the cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum SameSite {
    Lax,
    Strict,
    None,
}
