//! `limits`, judged: how much a service is asked at once.

use std::time::Duration;

use http::HeaderName;

use super::findings::{Findings, Place};
use super::services::MAX_COUNT;
pub use crate::config::Priority;
use crate::config::{self, Config};

/// How much a service is asked at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Requests on their way to the service.
    pub max_requests: Option<u32>,
    /// Requests on their way to one of its endpoints.
    pub max_endpoint_requests: Option<u32>,
    /// Connections to one of its endpoints.
    pub max_endpoint_connections: Option<u32>,
    /// Requests that wait for a place.
    pub max_pending: u32,
    /// How long one waits at most.
    pub max_wait: Duration,
    /// A limit that finds itself.
    pub adaptive: Option<AdaptiveLimit>,
    /// The header field that says a request's priority.
    pub priority_header: Option<HeaderName>,
}

/// A limit that finds itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdaptiveLimit {
    /// The lowest.
    pub min: u32,
    /// The highest.
    pub max: u32,
    /// So much longer than in calm an answer may take, as a share.
    pub tolerance: f64,
    /// Between two adjustments.
    pub window: Duration,
    /// How often it is seen what calm is.
    pub calm_every: Duration,
}

fn defaults() -> config::Limits {
    config::Limits { max_pending: Some(0), max_wait_ms: Some(100), ..config::Limits::default() }
}

fn adaptive_defaults() -> config::AdaptiveLimit {
    config::AdaptiveLimit {
        enabled: Some(true),
        min: Some(8),
        max: Some(1_000),
        tolerance: Some(0.25),
        window_ms: Some(100),
        calm_every_ms: Some(30_000),
    }
}

/// What holds for `service`, every key that has a default filled in; absent where nobody asks for it.
pub(super) fn limits(config: &Config, service: &config::Service) -> Option<config::Limits> {
    let given = match (&service.limits, &config.limits) {
        (None, None) => return None,
        (Some(own), None) => own.over(&defaults()),
        (None, Some(common)) => common.over(&defaults()),
        (Some(own), Some(common)) => own.over(&common.over(&defaults())),
    };
    let adaptive = config::Limits { adaptive: Some(adaptive_defaults()), ..config::Limits::default() };
    Some(if given.adaptive.is_some() { given.over(&adaptive) } else { given })
}

/// Reports what is impossible.
pub(super) fn judge(given: Option<&config::Limits>, at: &Place, findings: &mut Findings) {
    let Some(given) = given else { return };
    let counts = [
        ("max_requests", given.max_requests, 1),
        ("max_endpoint_requests", given.max_endpoint_requests, 1),
        ("max_endpoint_connections", given.max_endpoint_connections, 1),
        ("max_pending", given.max_pending, 0),
    ];
    for (key, count, least) in counts {
        count.into_iter().for_each(|count| findings.range(&at.at(key), count, least..=MAX_COUNT));
    }
    if let Some(ms) = given.max_wait_ms {
        findings.duration(&at.at("max_wait_ms"), ms, 1);
    }
    if let Some(name) = given.priority_header.as_ref().filter(|name| header(name).is_none()) {
        findings.add(&at.at("priority_header"), format!("{name:?} is no header field's name"));
    }
    if let Some(adaptive) = &given.adaptive {
        judge_adaptive(adaptive, &at.at("adaptive"), findings);
    }
}

fn judge_adaptive(given: &config::AdaptiveLimit, at: &Place, findings: &mut Findings) {
    let defaults = adaptive_defaults();
    for (key, limit) in [("min", given.min), ("max", given.max)] {
        limit.into_iter().for_each(|limit| findings.range(&at.at(key), limit, 1..=MAX_COUNT));
    }
    if given.min.or(defaults.min) > given.max.or(defaults.max) {
        findings.add(&at.at(if given.max.is_some() { "max" } else { "min" }), "min is above max");
    }
    if let Some(tolerance) = given.tolerance {
        findings.range(&at.at("tolerance"), tolerance, 0.05..=5.0);
    }
    for (key, ms, least) in
        [("window_ms", given.window_ms, 10), ("calm_every_ms", given.calm_every_ms, 1_000)]
    {
        ms.into_iter().for_each(|ms| _ = findings.duration(&at.at(key), ms, least));
    }
}

fn header(name: &str) -> Option<HeaderName> {
    name.parse().ok()
}

/// The values of a configuration in which [`judge`] found nothing.
pub(super) fn of(given: &config::Limits) -> Option<Limits> {
    Some(Limits {
        max_requests: given.max_requests,
        max_endpoint_requests: given.max_endpoint_requests,
        max_endpoint_connections: given.max_endpoint_connections,
        max_pending: given.max_pending?,
        max_wait: Duration::from_millis(given.max_wait_ms?),
        adaptive: given.adaptive.as_ref().and_then(adaptive),
        priority_header: given.priority_header.as_deref().and_then(header),
    })
}

fn adaptive(given: &config::AdaptiveLimit) -> Option<AdaptiveLimit> {
    let limit = AdaptiveLimit {
        min: given.min?,
        max: given.max?,
        tolerance: given.tolerance?,
        window: Duration::from_millis(given.window_ms?),
        calm_every: Duration::from_millis(given.calm_every_ms?),
    };
    given.enabled?.then_some(limit)
}
