//! `outlier_detection`, judged. Defaults are Envoy's.

use std::time::Duration;

use super::findings::{Findings, Place};
use super::services::MAX_COUNT;
use crate::config::{self, Config};

/// When an endpoint that does worse than its siblings is left out for a while.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outliers {
    /// Consecutive failures that eject; 0: never.
    pub consecutive_5xx: u32,
    /// Consecutive gateway failures that eject; 0: never.
    pub consecutive_gateway: u32,
    /// Between two looks at the success rates.
    pub interval: Duration,
    /// The first ejection's length, by which the next grow.
    pub base: Duration,
    /// The longest ejection.
    pub longest: Duration,
    /// The most endpoints out at once, percent.
    pub max_percent: u32,
    /// How far below the mean a success rate ejects, in standard deviations; 0: never.
    pub deviations: f64,
    /// Endpoints to compare, at least.
    pub min_endpoints: u32,
    /// Requests of each in an interval, at least.
    pub min_requests: u32,
}

/// What holds for `service`, every key filled in; absent where nobody asks for it.
pub(super) fn detection(config: &Config, service: &config::Service) -> Option<config::OutlierDetection> {
    let defaults = config::OutlierDetection {
        enabled: Some(true),
        consecutive_5xx: Some(5),
        consecutive_gateway_failures: Some(0),
        interval_ms: Some(10_000),
        base_ejection_ms: Some(30_000),
        max_ejection_ms: Some(300_000),
        max_ejection_percent: Some(10),
        success_rate_deviations: Some(1.9),
        success_rate_min_endpoints: Some(5),
        success_rate_min_requests: Some(100),
    };
    match (&service.outlier_detection, &config.outlier_detection) {
        (None, None) => None,
        (Some(own), None) => Some(own.over(&defaults)),
        (None, Some(common)) => Some(common.over(&defaults)),
        (Some(own), Some(common)) => Some(own.over(&common.over(&defaults))),
    }
}

/// Reports what is impossible.
pub(super) fn judge(given: Option<&config::OutlierDetection>, at: &Place, findings: &mut Findings) {
    let Some(given) = given else { return };
    for (key, count, least) in [
        ("consecutive_5xx", given.consecutive_5xx, 0),
        ("consecutive_gateway_failures", given.consecutive_gateway_failures, 0),
        ("success_rate_min_endpoints", given.success_rate_min_endpoints, 2),
        ("success_rate_min_requests", given.success_rate_min_requests, 1),
    ] {
        count.iter().for_each(|count| findings.range(&at.at(key), *count, least..=MAX_COUNT));
    }
    if let Some(percent) = given.max_ejection_percent {
        findings.range(&at.at("max_ejection_percent"), percent, 0..=100);
    }
    if let Some(deviations) = given.success_rate_deviations {
        findings.range(&at.at("success_rate_deviations"), deviations, 0.0..=100.0);
    }
    for (key, ms, least) in [
        ("interval_ms", given.interval_ms, 100),
        ("base_ejection_ms", given.base_ejection_ms, 1),
        ("max_ejection_ms", given.max_ejection_ms, 1),
    ] {
        if let Some(ms) = ms {
            findings.duration(&at.at(key), ms, least);
        }
    }
}

/// The values of a configuration in which [`judge`] found nothing.
pub(super) fn of(given: &config::OutlierDetection) -> Option<Outliers> {
    let base = Duration::from_millis(given.base_ejection_ms?);
    let outliers = Outliers {
        consecutive_5xx: given.consecutive_5xx?,
        consecutive_gateway: given.consecutive_gateway_failures?,
        interval: Duration::from_millis(given.interval_ms?),
        base,
        // As in Envoy: never shorter than the first.
        longest: Duration::from_millis(given.max_ejection_ms?).max(base),
        max_percent: given.max_ejection_percent?,
        deviations: given.success_rate_deviations?,
        min_endpoints: given.success_rate_min_endpoints?,
        min_requests: given.success_rate_min_requests?,
    };
    given.enabled?.then_some(outliers)
}
