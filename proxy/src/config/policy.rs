//! `load_balancing` and `circuit_breaker`: common, or inside a service, where they win key by key.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::NotCarriedOut;

/// How an endpoint is chosen.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LoadBalancing {
    /// round_robin (weights count in it too) unless given.
    pub algorithm: Option<AlgorithmName>,
    /// Not carried out by this build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticky_sessions: NotCarriedOut,
    /// Not carried out by this build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_affinity_key: NotCarriedOut,
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

impl AlgorithmName {
    /// The name as it stands in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RoundRobin => "round_robin",
            Self::WeightedRoundRobin => "weighted_round_robin",
            Self::LeastConnections => "least_connections",
            Self::ConsistentHash => "consistent_hash",
            Self::Random => "random",
            Self::PeakEwma => "peak_ewma",
        }
    }
}

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
