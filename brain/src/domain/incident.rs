use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something is wrong, somebody is to blame, and this is how we know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Incident {
    /// `inc-1`, `inc-2`, … in the order of opening, within one store.
    pub id: String,
    /// Open until the symptom is gone and nothing of ours holds it down.
    pub state: IncidentState,
    /// Where the symptom shows.
    pub service: String,
    /// The culprit.
    pub cause: Cause,
    /// Probability that the diagnosis is right.
    pub confidence: f64,
    /// When the trouble began, by the evidence.
    pub onset_ms: i64,
    /// When we said so.
    pub opened_ms: i64,
    /// Last change.
    pub updated_ms: i64,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_ms: Option<i64>,
    /// One sentence for people, of numbers and checked names only.
    pub summary: String,
    /// What was seen, against what.
    pub evidence: Vec<Evidence>,
    /// Other culprits that were considered, and why they are not it.
    pub alternatives: Vec<String>,
}

/// Where an incident stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IncidentState {
    /// The trouble, or our hand on it, is still there.
    Open,
    /// Over.
    Closed,
}

/// The closed set of causes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Cause {
    /// Which of the set.
    pub kind: CauseKind,
    /// The sick service.
    pub service: String,
    /// For `bad_endpoint`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// For `bad_version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// For `abusive_clients`: addresses or CIDRs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ips: Vec<String>,
}

/// The kinds of cause (CONTRACTS §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CauseKind {
    /// One endpoint is worse than its siblings.
    BadEndpoint,
    /// One version is worse than the others.
    BadVersion,
    /// Some clients do what the population does not.
    AbusiveClients,
    /// More is asked than can be served.
    Overload,
    /// A culprit outside the mesh's sight.
    Dependency,
    /// The whole service.
    Service,
    /// Something is wrong, and we do not know what.
    Unknown,
}

/// One number against its baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// What was measured.
    pub signal: Signal,
    /// Of what: `cart`, `cart/10.0.0.1:8080`.
    pub series: String,
    /// The share observed over `window_s`, 0 to 1; for rates, requests a second.
    pub observed: f64,
    /// What it was held against: siblings' or its own past share.
    pub baseline: f64,
    /// Requests in the window.
    pub requests: u64,
    /// Seconds looked at.
    pub window_s: u32,
    /// Since when.
    pub since_ms: i64,
    /// Natural logarithm of the e-value: evidence against chance. 13.8 is a million to one.
    pub log_e: f64,
}

/// What a detector looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// Share of failed requests against its own baseline.
    Errors,
    /// Share of requests slower than the baseline's p99.
    Latency,
    /// Share of failures against the siblings'.
    PeerErrors,
    /// Share of slow responses against the siblings'.
    PeerLatency,
    /// Requests a second against the service's own rate; `observed` and `baseline` are rates.
    Rate,
    /// Requests a second of some clients against the busiest usual one; `observed` and `baseline` are rates.
    ClientRate,
    /// Share of strangers among the busiest clients, against the usual.
    NewClients,
    /// Share of all requests that the busiest clients make, against the usual.
    TopClients,
    /// Requests a second of one client on average, against the usual; `observed` and `baseline` are rates.
    ClientPace,
    /// Jensen-Shannon divergence in nats of the routes asked for now from the usual ones; `baseline` is 0.
    RouteMix,
    /// Attempts a request, retries included, against before; `observed` and `baseline` are ratios.
    Retries,
    /// A vital sign that no longer keeps to the others; `series` names it, `observed` and `baseline` are shares, or of
    /// requests in flight their number.
    Vitals,
    /// Requests a second to come against the most of the last hours; `observed` and `baseline` are rates. Never an
    /// incident's.
    Forecast,
}

impl Signal {
    /// Whether `observed` and `baseline` are shares of requests that went wrong, not rates, ratios or mixes.
    #[must_use]
    pub fn is_share(self) -> bool {
        matches!(self, Self::Errors | Self::Latency | Self::PeerErrors | Self::PeerLatency)
    }
}
