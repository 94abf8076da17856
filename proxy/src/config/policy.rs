//! `circuit_breaker`: common, or inside a service, where it wins key by key.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::NotCarriedOut;

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
    /// Not carried out by this build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: NotCarriedOut,
    /// Not carried out by this build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: NotCarriedOut,
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
            window: None,
            rate: None,
        }
    }
}
