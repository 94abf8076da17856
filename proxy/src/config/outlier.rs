//! `outlier_detection`: common, or inside a service, where it wins key by key.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When an endpoint that does worse than its siblings is left out for a while. Absent: never.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OutlierDetection {
    /// true unless given.
    pub enabled: Option<bool>,
    /// Consecutive failures (5xx, or no answer) that eject it; 5 unless given, 0 never.
    pub consecutive_5xx: Option<u32>,
    /// Consecutive 502, 503, 504 or missing answers that eject it; 0 (never) unless given.
    pub consecutive_gateway_failures: Option<u32>,
    /// Between two looks at the success rates; 10000 unless given.
    pub interval_ms: Option<u64>,
    /// How long the first ejection lasts; the next lasts twice that, and so on; 30000 unless given.
    pub base_ejection_ms: Option<u64>,
    /// The longest ejection; 300000 unless given.
    pub max_ejection_ms: Option<u64>,
    /// The most endpoints out at once, percent; one always may, and one always stays; 10 unless given.
    pub max_ejection_percent: Option<u32>,
    /// How many standard deviations below the mean a success rate ejects; 1.9 unless given, 0 never.
    pub success_rate_deviations: Option<f64>,
    /// Endpoints with enough requests without which success rates are not compared; 5 unless given.
    pub success_rate_min_endpoints: Option<u32>,
    /// Requests in an interval without which an endpoint's success rate means nothing; 100 unless given.
    pub success_rate_min_requests: Option<u32>,
}

impl OutlierDetection {
    /// Every key of this one, and of `common` where this one is silent.
    #[must_use]
    pub fn over(&self, common: &Self) -> Self {
        Self {
            enabled: self.enabled.or(common.enabled),
            consecutive_5xx: self.consecutive_5xx.or(common.consecutive_5xx),
            consecutive_gateway_failures: self
                .consecutive_gateway_failures
                .or(common.consecutive_gateway_failures),
            interval_ms: self.interval_ms.or(common.interval_ms),
            base_ejection_ms: self.base_ejection_ms.or(common.base_ejection_ms),
            max_ejection_ms: self.max_ejection_ms.or(common.max_ejection_ms),
            max_ejection_percent: self.max_ejection_percent.or(common.max_ejection_percent),
            success_rate_deviations: self.success_rate_deviations.or(common.success_rate_deviations),
            success_rate_min_endpoints: self.success_rate_min_endpoints.or(common.success_rate_min_endpoints),
            success_rate_min_requests: self.success_rate_min_requests.or(common.success_rate_min_requests),
        }
    }
}
