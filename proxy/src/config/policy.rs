//! `circuit_breaker`: common, or inside a service, where it wins key by key.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When an endpoint's breaker opens and closes.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CircuitBreaker {
    /// true unless given.
    pub enabled: Option<bool>,
    /// Consecutive failures that open it; 5 unless given.
    pub failure_threshold: Option<u32>,
    /// How long it stays open; 60000 unless given.
    pub recovery_timeout_ms: Option<u64>,
    /// Probes at once while half open; 1 unless given.
    pub half_open_max_calls: Option<u32>,
    /// Consecutive successes that close it; 2 unless given.
    pub success_threshold: Option<u32>,
    /// Results over which the rate of failures is taken: their number, or `{requests, duration_ms}`, of
    /// which either may trip it; at most 4096. 20 where a rate but no window is given.
    pub window: Option<Window>,
    /// The same as `window: {duration_ms}`.
    pub window_ms: Option<u64>,
    /// Share of failures in the window that opens it, above 0 to 1; 0.5 where a window is given.
    pub rate: Option<f64>,
    /// Results without which a rate means nothing; 20, or the window's number if that is less.
    pub min_requests: Option<u32>,
}

/// Over what a rate is taken.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Window {
    /// So many results.
    Requests(u32),
    /// A number, a time, or both.
    Spans(WindowSpans),
}

/// A number of results, a time, or both.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WindowSpans {
    /// The last so many results.
    pub requests: Option<u32>,
    /// The results of so long.
    pub duration_ms: Option<u64>,
}

impl CircuitBreaker {
    /// Every key of this one, and of `common` where this one is silent.
    #[must_use]
    pub fn over(&self, common: &Self) -> Self {
        Self {
            enabled: self.enabled.or(common.enabled),
            failure_threshold: self.failure_threshold.or(common.failure_threshold),
            recovery_timeout_ms: self.recovery_timeout_ms.or(common.recovery_timeout_ms),
            half_open_max_calls: self.half_open_max_calls.or(common.half_open_max_calls),
            success_threshold: self.success_threshold.or(common.success_threshold),
            window: self.window.clone().or_else(|| common.window.clone()),
            window_ms: self.window_ms.or(common.window_ms),
            rate: self.rate.or(common.rate),
            min_requests: self.min_requests.or(common.min_requests),
        }
    }
}
