//! `detection.yaml`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Findings, out_of_range};

/// When something is wrong.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DetectionPolicy {
    /// Of this format; 1.
    pub version: u32,
    /// Tolerated false alarms in one service and week.
    pub alarms_per_service_week: f64,
    /// Log-evidence asked for on top.
    pub safety_nats: f64,
    /// Seconds for which a new brain or endpoint is not judged.
    pub warmup_s: u32,
    /// One endpoint against its siblings.
    pub peers: PeerPolicy,
    /// A service against its own past.
    pub service: ServicePolicy,
    /// The most series kept.
    pub max_series: usize,
}

/// One endpoint against its siblings.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PeerPolicy {
    /// Up to this odds ratio an endpoint is as good as the others.
    pub null_odds_ratio: f64,
    /// An alarm needs at least this odds ratio.
    pub min_odds_ratio: f64,
    /// What an alarm on failures needs at least.
    pub errors: Floor,
    /// What an alarm on slow responses needs at least.
    pub latency: Floor,
    /// Slow is so many times the siblings' p90 …
    pub slow_factor: f64,
    /// … and at least so many milliseconds above it.
    pub slow_margin_ms: f64,
}

/// A service against its own past.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServicePolicy {
    /// What an alarm on failures needs at least.
    pub errors: Floor,
    /// What an alarm on slow responses needs at least.
    pub latency: Floor,
    /// A failing share that needs no baseline …
    pub gross_share: f64,
    /// … when seen on so many requests.
    pub gross_requests: u64,
    /// Seconds of quiet traffic before anything but a gross failure is said.
    pub min_learned_s: u64,
    /// Half-life of the baseline, seconds.
    pub half_life_s: u32,
    /// How long a symptom waits for a deeper culprit, milliseconds.
    pub hold_ms: i64,
}

/// The absolute least an alarm needs, whatever the statistics say.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Floor {
    /// Share above the reference.
    pub min_excess: f64,
    /// Failures, or slow responses.
    pub min_count: u64,
    /// Different seconds that show it.
    pub min_seconds: u32,
}

const ERRORS: Floor = Floor { min_excess: 0.02, min_count: 5, min_seconds: 2 };
const LATENCY: Floor = Floor { min_excess: 0.10, min_count: 10, min_seconds: 3 };

impl Default for DetectionPolicy {
    fn default() -> Self {
        Self {
            version: 1,
            alarms_per_service_week: 0.3,
            safety_nats: 0.0,
            warmup_s: 5,
            peers: PeerPolicy::default(),
            service: ServicePolicy::default(),
            max_series: 10_000,
        }
    }
}

impl Default for PeerPolicy {
    fn default() -> Self {
        Self {
            null_odds_ratio: 1.5,
            min_odds_ratio: 2.5,
            errors: ERRORS,
            latency: LATENCY,
            slow_factor: 1.5,
            slow_margin_ms: 3.0,
        }
    }
}

impl Default for ServicePolicy {
    fn default() -> Self {
        Self {
            errors: Floor { min_excess: 0.01, ..ERRORS },
            latency: LATENCY,
            gross_share: 0.5,
            gross_requests: 20,
            min_learned_s: 300,
            half_life_s: 600,
            hold_ms: 1_000,
        }
    }
}

impl DetectionPolicy {
    pub(super) fn findings(&self) -> Findings {
        let mut found = out_of_range(&[
            ("/version", f64::from(self.version), 1.0, 1.0),
            ("/alarms_per_service_week", self.alarms_per_service_week, 1e-6, 1e4),
            ("/safety_nats", self.safety_nats, 0.0, 100.0),
            ("/warmup_s", f64::from(self.warmup_s), 0.0, 3600.0),
            ("/peers/null_odds_ratio", self.peers.null_odds_ratio, 1.0, 3.0),
            ("/peers/min_odds_ratio", self.peers.min_odds_ratio, 1.0, 100.0),
            ("/peers/slow_factor", self.peers.slow_factor, 1.0, 100.0),
            ("/peers/slow_margin_ms", self.peers.slow_margin_ms, 0.0, 60_000.0),
            ("/service/gross_share", self.service.gross_share, 0.05, 1.0),
            ("/service/half_life_s", f64::from(self.service.half_life_s), 10.0, 1e6),
            ("/service/hold_ms", self.service.hold_ms as f64, 0.0, 60_000.0),
            ("/max_series", self.max_series as f64, 1.0, 1e6),
        ]);
        let floors = [
            ("/peers/errors", self.peers.errors),
            ("/peers/latency", self.peers.latency),
            ("/service/errors", self.service.errors),
            ("/service/latency", self.service.latency),
        ];
        for (path, floor) in floors {
            found.extend(out_of_range(&[
                (&format!("{path}/min_excess"), floor.min_excess, 0.001, 1.0),
                (&format!("{path}/min_seconds"), f64::from(floor.min_seconds), 1.0, 60.0),
            ]));
        }
        found
    }
}
