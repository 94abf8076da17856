//! How much worse a canary may be, and how sure the judge must be.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the judge goes by. Two bounds per metric: up to `tolerance` the canary counts as equal and is
/// never rolled back for it, from `limit` on it is never promoted; between them either may happen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JudgeSettings {
    /// Failed requests, HTTP and gRPC.
    pub errors: ErrorBounds,
    /// Slow responses.
    pub latency: LatencyBounds,
    /// Metrics of the business, as extra evidence.
    pub business: Vec<BusinessMetric>,
    /// Milliseconds from the first request to a canary in which it is starting up and not judged.
    pub warm_up_ms: i64,
    /// A canary that still grows faster is given up to this long, milliseconds.
    pub longest_warm_up_ms: i64,
    /// The e-value at which the canary is rolled back: at most one good canary in so many.
    pub rollback_e: f64,
    /// The e-value at which harm is excluded: at most one bad canary in so many.
    pub promote_e: f64,
    /// Restarts of the canary's processes that end it at once.
    pub max_restarts: u32,
}

/// Bounds on the share of failed requests.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ErrorBounds {
    /// Up to here the canary is as good as the stable version.
    pub tolerance: ShareBound,
    /// From here on it is not promoted.
    pub limit: ShareBound,
}

/// A bound is passed when both are: many more than the stable version's, and many at all.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShareBound {
    /// Odds ratio against the stable version in the same seconds.
    pub odds: f64,
    /// Share of the canary's own requests: what makes a stable version without errors safe to compare with.
    pub share: f64,
}

/// Bounds on latency, each as a ratio to the stable version's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LatencyBounds {
    /// Up to so many times as slow the canary is as good as the stable version.
    pub tolerance: f64,
    /// From so many times as slow at the median or the 90th percentile it is not promoted.
    pub limit: f64,
    /// The same at the 99th percentile.
    pub tail_limit: f64,
    /// Slower by less than this does not matter, whatever the ratio, microseconds.
    pub floor_us: u64,
}

/// Which way of a business metric is bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Worse {
    /// Fewer sign-ups.
    Lower,
    /// More refunds.
    Higher,
}

/// A series that a Prometheus query gives for both versions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BusinessMetric {
    /// Its name in reports.
    pub name: String,
    /// Which way is bad.
    pub worse: Worse,
    /// A relative difference that does not matter, 0.05 for 5 %.
    #[serde(default = "five_percent")]
    pub tolerance: f64,
    /// Whether promotion waits for it; otherwise it can only speak against the canary.
    #[serde(default)]
    pub required: bool,
    /// Readings closer together than this share their data (the query's own range) and are skipped.
    #[serde(default = "a_minute")]
    pub spacing_ms: i64,
}

fn five_percent() -> f64 {
    0.05
}

fn a_minute() -> i64 {
    60_000
}

impl Default for JudgeSettings {
    fn default() -> Self {
        Self {
            errors: ErrorBounds::default(),
            latency: LatencyBounds::default(),
            business: Vec::new(),
            warm_up_ms: 30_000,
            longest_warm_up_ms: 240_000,
            rollback_e: 1_000.0,
            promote_e: 100.0,
            max_restarts: 3,
        }
    }
}

impl Default for ErrorBounds {
    fn default() -> Self {
        Self {
            tolerance: ShareBound { odds: 1.25, share: 0.001 },
            limit: ShareBound { odds: 2.0, share: 0.0025 },
        }
    }
}

impl Default for LatencyBounds {
    fn default() -> Self {
        Self { tolerance: 1.1, limit: 1.25, tail_limit: 1.5, floor_us: 500 }
    }
}

impl JudgeSettings {
    /// Everything that cannot be meant, in words; empty when all is well.
    #[must_use]
    pub fn mistakes(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut must = |holds: bool, what: &str| {
            if !holds {
                found.push(what.to_owned());
            }
        };
        let ErrorBounds { tolerance, limit } = self.errors;
        must(tolerance.odds >= 1.0, "errors.tolerance.odds must be at least 1");
        must(
            limit.odds > tolerance.odds && limit.odds <= 100.0,
            "errors.limit.odds must lie above the tolerance, up to 100",
        );
        let shares = tolerance.share > 0.0 && limit.share > tolerance.share && limit.share < 0.5;
        must(shares, "errors: 0 < tolerance.share < limit.share < 0.5");
        let LatencyBounds { tolerance, limit, tail_limit, .. } = self.latency;
        let ratios = tolerance >= 1.0 && limit > tolerance && tail_limit >= limit && tail_limit <= 100.0;
        must(ratios, "latency: 1 <= tolerance < limit <= tail_limit <= 100");
        must(
            self.warm_up_ms >= 0 && self.longest_warm_up_ms >= self.warm_up_ms,
            "warm_up_ms must not be negative, nor above longest_warm_up_ms",
        );
        must(self.rollback_e >= 20.0 && self.rollback_e <= 1e12, "rollback_e must lie within 20 and 1e12");
        must(self.promote_e >= 10.0 && self.promote_e <= 1e12, "promote_e must lie within 10 and 1e12");
        must(self.max_restarts > 0, "max_restarts must be at least 1");
        must(self.business.len() <= 16, "at most 16 business metrics");
        for metric in &self.business {
            let fine = (0.0..10.0).contains(&metric.tolerance)
                && metric.spacing_ms >= 1_000
                && !metric.name.is_empty();
            must(fine, "business: a name, tolerance within 0 and 10, spacing_ms at least 1000");
        }
        found
    }
}
