//! What the judge says: a decision, and the numbers behind it.

use serde::{Deserialize, Serialize};

pub use super::odds::Interval;

/// The decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Neither; go on or hold.
    Undecided {
        /// About how many more requests the canary must answer, where that can be told.
        needs_requests: Option<u64>,
    },
    /// Harm beyond the limits is excluded.
    Good,
    /// The canary must go.
    Bad {
        /// Why.
        why: Why,
    },
}

/// The reason for a rollback.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Why {
    /// Which metric spoke: `errors`, `latency_p99`, `business:orders`, or `hard`.
    pub metric: String,
    /// One sentence with the numbers.
    pub text: String,
    /// Whether no statistics were needed.
    pub hard: bool,
    /// When it was found, milliseconds since the epoch.
    pub at_ms: i64,
}

/// All numbers at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// End of the newest look.
    pub at_ms: i64,
    /// Looks that counted.
    pub looks: u64,
    /// Requests the canary answered in them.
    pub canary_requests: u64,
    /// Requests the stable version answered in them.
    pub stable_requests: u64,
    /// Whether the canary is starting up, and nothing (or not its latency) is judged.
    pub warming_up: bool,
    /// Log e-value against the canary, all metrics together; it goes at `ln(rollback_e)`.
    pub log_e_bad: f64,
    /// By metric.
    pub metrics: Vec<MetricEvidence>,
}

/// The numbers of one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricEvidence {
    /// `errors`, `latency_p50`, `latency_p90`, `latency_p99`, `business:NAME`.
    pub metric: String,
    /// Log e-value against "as good as stable, within the tolerance".
    pub log_e_bad: f64,
    /// Log e-value against "harm beyond the limit"; enough at `ln(promote_e)`.
    pub log_e_good: f64,
    /// The canary's odds over the stable version's; anytime-valid bounds at 95 %. None for business metrics.
    pub odds: Option<Interval>,
    /// Bad requests over requests of the canary. Bad is a failure, or a response slower than tolerated.
    pub canary: (u64, u64),
    /// Bad requests over requests of the stable version.
    pub stable: (u64, u64),
    /// By how much evidence is discounted because bad requests come in clumps; 1 is not at all.
    pub dispersion: f64,
    /// The route that speaks loudest against the canary, with its own log e-value.
    pub worst_stratum: Option<(String, f64)>,
    /// Requests of the canary until harm is excluded, if things stay as they are.
    pub needs_requests: Option<u64>,
}
